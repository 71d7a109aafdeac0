"""One side of a conversation with the kernel, without a socket: numbers calls, matches replies.

Both clients wrap it: the sync one in ``client.py``, the async one in ``aio.py``. It knows
nothing about sockets, time-outs or what a call means.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from llmagentos.abi import errors, wire
from llmagentos.abi.calls.llm import StreamBody
from llmagentos.abi.model import Model

DEFAULT_PATIENCE: Final = 30.0
"""Seconds that a call in flight waits for a kernel that went away to come back."""

CONNECT_PATIENCE: Final = 3.0
"""Seconds that ``connect`` waits for the first sign of life."""


@dataclass(slots=True)
class Reply:
    """The end of a call: a result or an error."""

    result: dict[str, Any] | None = None
    error: errors.LLMOSError | None = None

    def unwrap(self) -> dict[str, Any]:
        if self.error is not None:
            raise self.error
        return self.result if self.result is not None else {}


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a streamed answer. ``burst`` says which answer of its process. ``anew``: what was
    heard of it before is void, since it had to be made again and came out differently."""

    burst: int
    text: str
    anew: bool = False


@dataclass(slots=True)
class _InFlight:
    frames: list[bytes]
    deliver: Callable[[Reply | Piece], None]
    heard: dict[int, str] = field(default_factory=dict)


class Exchange:
    """The calls in flight on one connection."""

    def __init__(self) -> None:
        # Ids must not repeat within a session, and the session of a named program outlives the
        # program: so they start from the clock, not from 1.
        self._last = time.time_ns() // 1000
        self._calls: dict[int, _InFlight] = {}

    def __len__(self) -> int:
        return len(self._calls)

    def open(
        self,
        name: str,
        args: Mapping[str, Any],
        session: str,
        deliver: Callable[[Reply | Piece], None],
    ) -> tuple[int, list[bytes]]:
        """A new call: its id and its frames. ``deliver`` gets its pieces, then its reply."""
        self._last += 1
        number = self._last
        frames = wire.encode(wire.Message("call", number, name, session, dict(args)))
        if len(frames[1]) > wire.MAX_BODY:
            raise errors.EQUOTA(
                f"the arguments of {name} take {len(frames[1]):,} bytes; "
                f"the most is {wire.MAX_BODY:,}",
                hint="send less text, or split it",
            )
        self._calls[number] = _InFlight(frames, deliver)
        return number, frames

    def close(self, number: int) -> None:
        """Forget a call: what still comes for it is dropped."""
        self._calls.pop(number, None)

    def feed(self, frames: list[bytes]) -> None:
        """Deliver one incoming message. What belongs to no call of ours is dropped."""
        try:
            message = wire.decode(frames)
        except wire.MalformedError as error:
            # Whatever it was the answer to would be waited for in vain.
            self.fail_all(error)
            return
        call = self._calls.get(message.id)
        if call is None:
            return
        if message.kind == "stream":
            piece = self._piece(call, message.body)
            if piece.text:
                call.deliver(piece)
        elif message.kind == "reply":
            del self._calls[message.id]
            call.deliver(_reply(message.body))

    def unanswered(self) -> Iterable[list[bytes]]:
        """The frames of every call in flight, oldest first: sent when the connection comes up,
        for the first time or again. The kernel knows a repeat by its session and id, so each
        takes effect once."""
        return [call.frames for call in self._calls.values()]

    def fail_all(self, error: errors.LLMOSError) -> None:
        calls, self._calls = self._calls, {}
        for call in calls.values():
            call.deliver(Reply(error=error))

    def _piece(self, call: _InFlight, body: Mapping[str, Any]) -> Piece:
        # A stream that was repeated after a reconnect starts from the front again: skip what
        # was heard before. Without a seed or in bf16 it may not be the same text again.
        part = StreamBody.model_validate(body)
        heard = call.heard.get(part.burst, "")
        again = heard[part.offset : part.offset + len(part.text)]
        anew = not part.text.startswith(again)
        if anew:
            heard = heard[: part.offset]
        fresh = part.text[max(0, len(heard) - part.offset) :]
        call.heard[part.burst] = heard + fresh
        return Piece(part.burst, heard + fresh if anew else fresh, anew)


def _reply(body: Mapping[str, Any]) -> Reply:
    if body.get("ok") is True:
        result = body.get("result")
        return Reply(result=result if isinstance(result, dict) else {})
    return Reply(error=errors.from_wire(body.get("error")))


def plain(value: Any) -> Any:
    """Models inside arguments as plain maps, unset fields left out."""
    if isinstance(value, Model):
        return value.model_dump(mode="json", exclude_unset=True)
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def arguments(**given: Any) -> dict[str, Any]:
    """The arguments that were given: those that are not None, as plain maps."""
    return {name: plain(value) for name, value in given.items() if value is not None}


def manifest_arguments(manifest: str | Mapping[str, Any]) -> dict[str, Any]:
    """How ``proc.spawn`` is told of a manifest given as a name, a path or a dict.

    A text with a slash in it, or that ends in ``.yaml`` or ``.yml``, is a path.
    """
    if not isinstance(manifest, str):
        return {"manifest": dict(manifest)}
    if "/" not in manifest and not manifest.endswith((".yaml", ".yml")):
        return {"manifest": manifest}
    try:
        source = Path(manifest).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise errors.ENOENT(
            f"there is no file {manifest}",
            hint="give a path to a manifest, or the name of one without a slash",
        ) from None
    except IsADirectoryError:
        raise errors.EINVAL(f"{manifest} is a folder, not a manifest") from None
    except UnicodeDecodeError as error:
        raise errors.EINVAL(
            f"{manifest} is not UTF-8 text (byte {error.start})", hint="save it as UTF-8"
        ) from None
    except OSError as error:
        raise errors.EIO(f"{manifest} can't be read: {error.strerror}") from None
    return {"source": source, "file": manifest}


def generate_arguments(
    prompt: str | list[dict[str, str]] | None,
    *,
    append: bool,
    model: str | list[str] | None,
    sampling: Mapping[str, Any],
    stream: bool,
) -> dict[str, Any]:
    """The arguments of ``llm.generate`` from what a program writes."""
    messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    given = {name: value for name, value in sampling.items() if value is not None}
    return arguments(
        messages=messages,
        append=append or None,
        model=model,
        sampling=given or None,
        stream=stream or None,
    )
