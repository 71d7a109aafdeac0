"""One side of a conversation with the kernel, without a socket: numbers calls, matches replies.

Both clients wrap it: the sync one in ``client.py``, the async one in ``aio.py``. It knows
nothing about sockets or time-outs, and of what calls mean only how an LLM call is cancelled.
"""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import ValidationError

from llmagentos.abi import errors, wire
from llmagentos.abi.calls.llm import StreamBody
from llmagentos.abi.model import Model
from llmagentos.abi.talk import ToolChoice
from llmagentos.abi.values import exceed

DEFAULT_PATIENCE: Final = 30.0
"""Seconds that a call in flight waits for a kernel that went away to come back."""

CONNECT_PATIENCE: Final = 3.0
"""Seconds that ``connect`` waits for the first sign of life."""

GENERATE: Final = "llm.generate"
"""The one call that costs for as long as it goes on, so it is cancelled when it is abandoned."""

_LANES: Final = 2**16
_TICK: Final = 64_000
"""Nanoseconds in which a connection makes one call at most, on the whole: then its ids don't run
ahead of the clock. They fit into 63 bits up to the year 2255."""

_ANSWERS_KEPT: Final = 64
"""Answers of one call that a repeat after a reconnect can be told from. Only those that are being
made are told again."""


@dataclass(slots=True)
class Reply:
    """The end of a call: a result, and what raw buffers came beside it, or an error."""

    result: dict[str, Any] | None = None
    error: errors.LLMOSError | None = None
    buffers: tuple[bytes, ...] = ()

    def unwrap(self) -> dict[str, Any]:
        if self.error is not None:
            raise self.error
        return self.result if self.result is not None else {}


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a streamed answer. ``burst`` says which answer of its process. ``anew``: what was
    heard of it before is void: it had to be made again and came out differently, or no driver could
    go on with it."""

    burst: int
    text: str
    anew: bool = False


@dataclass(slots=True)
class _InFlight:
    name: str
    frames: list[bytes]
    session: str
    deliver: Callable[[Reply | Piece], None]
    heard: dict[tuple[int, int], str] = field(default_factory=dict)
    """By the answer, and how often it was begun anew."""


class Exchange:
    """The calls in flight on one connection."""

    def __init__(self) -> None:
        self._last = _first_id()
        self._calls: dict[int, _InFlight] = {}
        self._unanswered: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._calls)

    def open(
        self,
        name: str,
        args: Mapping[str, Any],
        session: str,
        deliver: Callable[[Reply | Piece], None],
        buffers: Sequence[bytes] = (),
    ) -> tuple[int, list[bytes]]:
        """A new call: its id and its frames. ``deliver`` gets its pieces, then its reply."""
        if self._unanswered[session] >= wire.REPLAYS_KEPT:
            raise errors.EBUSY(
                f"{wire.REPLAYS_KEPT} calls of this session are unanswered, the most there may be",
                hint="wait for the replies of some",
            )
        self._last += _LANES
        number = self._last
        frames = _encoded(wire.Message("call", number, name, session, dict(args), tuple(buffers)))
        self._calls[number] = _InFlight(name, frames, session, deliver)
        self._unanswered[session] += 1
        return number, frames

    def __contains__(self, number: int) -> bool:
        """Whether this call's reply is still to come."""
        return number in self._calls

    def abandon(self, number: int, *, cancel: bool = True) -> list[bytes]:
        """Forget a call: what still comes for it is dropped. Returns the frames, if any, that
        must be sent so that the kernel does not go on with it; none without ``cancel``."""
        call = self._take(number)
        if call is None or call.name != GENERATE or not cancel:
            return []
        return self.open("llm.cancel", {"call": number}, call.session, lambda _: None)[1]

    def take_in(self, frames: list[bytes]) -> None:
        """Deliver one incoming message, or tell all calls that it could not be taken in: which of
        them it was for is not known then, and nobody may wait in vain."""
        try:
            self.feed(frames)
        except Exception as error:
            self.fail_all(
                errors.EPROTO(f"a message of the kernel could not be taken in: {error!r}")
            )

    def feed(self, frames: list[bytes]) -> None:
        """Deliver one incoming message. What belongs to no call of ours is dropped."""
        try:
            message = wire.decode(frames)
        except wire.MalformedError as error:
            # What it was the answer to would be waited for in vain.
            call = self._take(error.id)
            if call is not None:
                call.deliver(Reply(error=error))
            return
        call = self._calls.get(message.id)
        if call is None:
            return
        if message.kind == "stream":
            try:
                piece = self._piece(call, message.body)
            except ValidationError as error:
                self._take(message.id)
                problem = error.errors()[0]["msg"]
                call.deliver(Reply(error=errors.EPROTO(f"a part of an answer is odd: {problem}")))
                return
            if piece.text or piece.anew:
                call.deliver(piece)
        elif message.kind == "reply":
            # In this order, in which no moment is without the call or its reply.
            call.deliver(_reply(message))
            self._take(message.id)

    def unanswered(self) -> Iterable[list[bytes]]:
        """The frames of every call in flight, oldest first: sent when the connection comes up,
        for the first time or again. The kernel knows a repeat by its session and id, so each
        takes effect once."""
        return [call.frames for call in self._calls.values()]

    def fail_all(self, error: errors.LLMOSError) -> None:
        for number in list(self._calls):
            call = self._take(number)
            if call is not None:
                call.deliver(Reply(error=error))

    def _take(self, number: int) -> _InFlight | None:
        """Take a call off the list of those in flight."""
        call = self._calls.pop(number, None)
        if call is not None:
            self._unanswered[call.session] -= 1
            if not self._unanswered[call.session]:
                del self._unanswered[call.session]
        return call

    def _piece(self, call: _InFlight, body: Mapping[str, Any]) -> Piece:
        # A stream that was repeated after a reconnect starts from the front again: skip what
        # was heard before. Without a seed or in bf16 it may not be the same text again.
        part = StreamBody.model_validate(body)
        key = part.burst, part.restarts
        if part.restarts and key not in call.heard:
            call.heard[key] = part.text
            return Piece(part.burst, part.text, anew=True)
        heard = call.heard.get(key, "")
        again = heard[part.offset : part.offset + len(part.text)]
        anew = not part.text.startswith(again)
        if anew:
            heard = heard[: part.offset]
        fresh = part.text[max(0, len(heard) - part.offset) :]
        call.heard[key] = heard + fresh
        if len(call.heard) > _ANSWERS_KEPT:
            del call.heard[next(iter(call.heard))]
        return Piece(part.burst, heard + fresh if anew else fresh, anew)


def _first_id() -> int:
    """Ids must not repeat within a session, and the session of a named program outlives it: so they
    start from the clock. And several programs may have the same name at the same time: so each
    connection has a lane of its own, by lot."""
    moment = time.time_ns() // _TICK
    return moment * _LANES + secrets.randbelow(_LANES)


def _reply(message: wire.Message) -> Reply:
    body = message.body
    if body.get("ok") is True:
        result = body.get("result")
        return Reply(result if isinstance(result, dict) else {}, buffers=message.buffers)
    return Reply(error=errors.from_wire(body.get("error")))


def _encoded(message: wire.Message) -> list[bytes]:
    name = str(message.name).encode("ascii", "backslashreplace").decode()
    try:
        frames = wire.encode(message)
    except OverflowError:
        raise errors.EINVAL(f"a number in the arguments of {name} takes over 64 bits") from None
    except UnicodeEncodeError:
        raise errors.EINVAL(f"a text in the arguments of {name} is not valid Unicode") from None
    except (ValueError, TypeError, RecursionError) as error:
        reason = "they are nested too deeply" if "recursion" in str(error) else str(error)
        raise errors.EINVAL(f"the arguments of {name} can't be sent: {reason}") from None
    if len(frames[0]) > wire.MAX_HEADER:
        # The kernel could not even tell which call it refuses.
        raise errors.EINVAL(f"a call's name and session take over {wire.MAX_HEADER:,} bytes")
    most = wire.MAX_BODY
    for frame in frames[1:]:
        if len(frame) > most:
            raise errors.EQUOTA(
                f"the arguments of {name} take {len(frame):,} bytes; the most is {most:,}",
                hint="send less of it, or split it",
            )
        most = wire.MAX_BUFFER
    if exceed(frames[1], wire.MAX_VALUES):
        raise errors.EQUOTA(
            f"the arguments of {name} have more than {wire.MAX_VALUES:,} values, the most there "
            f"may be",
            hint=wire.FEWER,
        )
    return frames


def plain(value: Any, depth: int = 0) -> Any:
    """Models inside arguments as plain maps, unset fields left out."""
    if depth > wire.MAX_DEPTH:
        raise errors.EINVAL(f"an argument is nested more than {wire.MAX_DEPTH} deep")
    if isinstance(value, Model):
        return value.model_dump(mode="json", exclude_unset=True)
    if isinstance(value, Mapping):
        return {key: plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, depth + 1) for item in value]
    return value


def arguments(**given: Any) -> dict[str, Any]:
    """The arguments that were given: those that are not None, as plain maps."""
    return {name: plain(value) for name, value in given.items() if value is not None}


def task_in(context: Mapping[str, Any]) -> str:
    """The last text of the user's in a ``ctx.read``."""
    for message in reversed(context["messages"]):
        if message["role"] == "user":
            return str(message["content"])
    raise errors.ENOENT("this process was told nothing", hint="spawn it with a text")


def generate_arguments(
    prompt: str | list[dict[str, Any]] | None,
    *,
    append: bool,
    model: str | list[str] | None,
    tools: list[dict[str, Any]] | None,
    tool_choice: ToolChoice | None,
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
        tools=tools or None,
        tool_choice=tool_choice,
        sampling=given or None,
        stream=stream or None,
    )
