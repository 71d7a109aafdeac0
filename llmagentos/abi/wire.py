"""Frames: how one message is laid out, and the strict decoder for it.

A message is the ZeroMQ frames ``[header][body][buffer …]``. Header and body are msgpack
maps, buffers are raw bytes. ``docs/wire.md`` is the specification for people who write a
client in another language. This module knows nothing about sockets, nor about what a call
means; everything malformed becomes an ``EPROTO``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import msgpack

from llmagentos.abi import values
from llmagentos.abi.errors import EPROTO

VERSION: Final = 1

MAX_HEADER: Final = 4 * 1024
MAX_BODY: Final = 4 * 1024 * 1024
MAX_PROMPT: Final = MAX_BODY - 64 * 1024
"""Bytes of one LLM call's messages: they must fit into one body, with what goes beside them."""

REPLAYS_KEPT: Final = 1024
"""The kernel remembers its replies to so many writing calls of a session. A client that leaves
more than that unanswered could, after a crash, have one take effect twice."""

MAX_VALUES: Final = values.MAX_VALUES

MAX_DRIVER_VALUES: Final = 512 * 1024
"""In what a driver or a host says: as many floats as fit into a body."""

MAX_BUFFERS: Final = 16
MAX_BUFFER: Final = 64 * 1024 * 1024
MAX_DEPTH: Final = 32
MAX_FRAME: Final = 256 * 1024 * 1024
"""Beyond this libzmq itself drops the connection; up to it the sender gets a typed error."""

FEWER: Final = "write what is many as one text, or send it as a file"
"""What to do about too many values."""

# One that is kept is three times as fast; a number can't leave it half done.
_pack_number: Final = msgpack.Packer().pack

_PLAIN: Final = frozenset({str, int, float, bool, bytes, type(None)})
"""What has nothing inside that would have to be looked at."""

_HEADER_KEYS: Final = frozenset({"v", "t", "id", "n", "s"})


@dataclass(slots=True)
class Message:
    """One decoded message. Not frozen, since making a frozen one takes three times as long.

    ``kind`` is the header's ``t``, ``id`` the sender's number for it, ``name`` the syscall
    (``n``), ``session`` the token (``s``).
    """

    kind: str
    id: int = 0
    name: str = ""
    session: str = ""
    body: dict[str, Any] = field(default_factory=dict)
    buffers: tuple[bytes, ...] = ()


class MalformedError(EPROTO):
    """An ``EPROTO`` that remembers the message's id, as far as it could be read."""

    def __init__(self, message: str, *, id: int = 0, hint: str = "") -> None:
        super().__init__(message, hint=hint or "see docs/wire.md")
        self.id = id

    @property
    def code(self) -> str:
        return "EPROTO"


def encode(message: Message) -> list[bytes]:
    """The frames of a message, without the ZeroMQ routing frame."""
    head = header(message.kind, message.id, message.name, message.session)
    return [head, pack(message.body), *message.buffers]


def header(kind: str, id: int = 0, name: str = "", session: str = "") -> bytes:
    """The packed header of a message."""
    fields: dict[str, Any] = {"v": VERSION, "t": kind, "id": id}
    if name:
        fields["n"] = name
    if session:
        fields["s"] = session
    return pack(fields)


def reply_header(id: int, name: str) -> bytes:
    """As ``header("reply", id, name)``, but for the order in the map, and in a third of the time:
    all but the id is the same for every reply to a call."""
    number: bytes = _pack_number(id)
    return _reply_opening(name) + number


@lru_cache(maxsize=256)
def _reply_opening(name: str) -> bytes:
    whole = pack({"v": VERSION, "t": "reply", **({"n": name} if name else {}), "id": 0})
    return whole[:-1]


def pack(value: Any) -> bytes:
    """msgpack bytes of a value made of maps, lists, strings, numbers, booleans, bytes, None."""
    packed: bytes = msgpack.packb(value)
    return packed


def decode(frames: Sequence[bytes], most: int = MAX_BODY) -> Message:
    """The message in these frames. ``most``: values that its body may have. Raises
    ``MalformedError`` for anything out of order."""
    if len(frames) < 2:
        raise MalformedError(f"a message needs a header and a body, this one has {len(frames)}")
    header = _unpack(frames[0], MAX_HEADER, "header", 0)
    number = header.get("id", 0)
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < 2**63:
        raise MalformedError("the header's id is not a number from 0 to 2^63-1")
    if header.get("v") != VERSION:
        raise MalformedError(
            f"the header's v is {header.get('v')!r}; this kernel speaks version {VERSION}",
            id=number,
        )
    if not header.keys() <= _HEADER_KEYS:
        names = ", ".join(sorted(map(repr, header.keys() - _HEADER_KEYS)))
        raise MalformedError(f"the header has unknown keys: {names}", id=number)
    kind, name, session = header.get("t", ""), header.get("n", ""), header.get("s", "")
    if not (isinstance(kind, str) and isinstance(name, str) and isinstance(session, str)):
        raise MalformedError("the header's t, n and s must be strings", id=number)
    if not kind:
        raise MalformedError("the header has no t", id=number)
    if len(frames[1]) <= MAX_BODY and values.exceed(frames[1], most):
        raise MalformedError(
            f"a body of more than {most:,} values; that is the most", id=number, hint=FEWER
        )
    body = _unpack(frames[1], MAX_BODY, "body", number)
    _check_inside(body, number)
    buffers = tuple(frames[2:])
    if len(buffers) > MAX_BUFFERS:
        raise MalformedError(f"{len(buffers)} buffers; the most is {MAX_BUFFERS}", id=number)
    for buffer in buffers:
        if len(buffer) > MAX_BUFFER:
            raise MalformedError(
                f"a buffer of {len(buffer)} bytes; the most is {MAX_BUFFER}", id=number
            )
    return Message(kind, number, name, session, body, buffers)


def _unpack(frame: bytes, limit: int, what: str, number: int) -> dict[str, Any]:
    if len(frame) > limit:
        raise MalformedError(f"a {what} of {len(frame)} bytes; the most is {limit}", id=number)
    try:
        value = msgpack.unpackb(frame, ext_hook=_no_extensions)
    except MalformedError as error:
        raise MalformedError(error.message, id=number) from None
    except (ValueError, TypeError, msgpack.UnpackException, RecursionError) as error:
        reason = str(error) or type(error).__name__
        if "map key" in reason:
            raise MalformedError(
                f"a map in the {what} has a key that is no text", id=number
            ) from None
        raise MalformedError(f"the {what} is not msgpack: {reason}", id=number) from None
    if type(value) is not dict:
        raise MalformedError(f"the {what} is not a map", id=number)
    return value


def _check_inside(body: dict[str, Any], number: int) -> None:
    nested = False
    for key, part in body.items():
        if type(key) is not str:
            raise MalformedError("the body has a key that is not a string", id=number)
        nested = nested or type(part) not in _PLAIN
    if nested and (problem := _problem(body)):
        raise MalformedError(f"the body {problem}", id=number)


def _no_extensions(code: int, data: bytes) -> Any:
    raise MalformedError(f"msgpack extension type {code} is not part of the wire")


def _problem(root: Any) -> str:
    """What is wrong inside a body, or "". Level by level rather than by recursion: the sender
    chooses the depth, not our stack."""
    level = [root]
    for _ in range(MAX_DEPTH):
        inside = [v for value in level for v in (value.values() if type(value) is dict else value)]
        # The one extension type that msgpack decodes without asking our hook.
        if any(type(v) is msgpack.Timestamp for v in inside):
            return "has a timestamp (extension type -1) in it, which is not part of the wire"
        level = [v for v in inside if type(v) is dict or type(v) is list]
        if not level:
            return ""
    return f"is nested more than {MAX_DEPTH} deep"
