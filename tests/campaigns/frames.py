"""Frames of all kinds: calls of the grammar, and what is left of them when bytes are wrong.

A case is made from a seed and from what it needs to know of the kernel, so it can be made again.
It knows nothing about sockets.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import msgpack

from llmagentos.abi import wire
from llmagentos.abi.wire import MalformedError, Message
from tests.campaigns.grammar import CALLS, DRIVERS, HOSTILE, Pools

MAY_WAIT = frozenset(
    {"proc.wait", "llm.generate", "llm.embed", "ipc.recv", "ipc.send", "ipc.subscribe",
     "tool.call", "cap.request"}
)  # fmt: skip
"""Calls whose reply may take longer than a batch."""

_NAMES = [name for name in CALLS if name != "sys.shutdown"]
_FIELDS = ["v", "t", "id", "n", "s", "x", ""]
_IDS = [0, 1, 2**53, 2**63 - 1, 2**63, 2**64 - 1, -1, "7", None, 1.5, True, [], b"1"]
_MB = 1024 * 1024


@dataclass(slots=True)
class Case:
    """``waits``: it may be answered late or never; ``told``: what it is, for people."""

    frames: list[bytes]
    told: str
    waits: bool = False
    name: str = ""
    args: dict[str, Any] | None = None


def packed(value: Any) -> bytes:
    """Also of what is no proper text. What msgpack can't say at all is said as nothing."""
    try:
        data: bytes = msgpack.packb(value, unicode_errors="surrogatepass")
    except (ValueError, OverflowError):
        return b"\xc0"
    return data


def case(seed: str, number: int, sessions: list[str], pools: Pools) -> Case:
    """A message for the syscall socket under this id. The first session is the user's key."""
    chance = random.Random(seed)
    kind = chance.choices(_KINDS, _WEIGHTS)[0]
    made = _call(chance, number, sessions, pools, wild=kind == "wild")
    if kind not in ("sound", "wild"):
        frames = list(made.frames)
        _DAMAGE[kind](frames, chance, sessions)
        made = Case(frames, f"{kind} of {made.told}")
    made.waits = _may_wait(made, sessions)
    return made


def _call(
    chance: random.Random, number: int, sessions: list[str], pools: Pools, *, wild: bool
) -> Case:
    name = chance.choice(_NAMES)
    session = chance.choice(sessions)
    grammar = CALLS[name]
    args = grammar.wild(chance, pools) if wild else grammar.sound(chance, pools)
    many = chance.choice([0, 1, 1, 1, 2, 16]) if name == "fs.write" else chance.random() < 0.02
    buffers = [chance.randbytes(chance.choice([0, 5, 3000]))] * int(many)
    head = wire.header("call", number, name, session)
    whose = sessions.index(session)
    return Case([head, packed(args), *buffers], f"call by {whose}", False, name, args)


def _may_wait(made: Case, sessions: list[str]) -> bool:
    """Whatever the damage: it counts what the kernel will see."""
    try:
        heard = wire.decode(made.frames)
    except MalformedError:
        return False
    return heard.name in MAY_WAIT


# -- damage: each changes the frames of a sound call ------------------------------------------


def _flip(frames: list[bytes], chance: random.Random, sessions: list[str]) -> None:
    place = chance.randrange(len(frames))
    data = bytearray(frames[place])
    for _ in range(chance.choice([1, 1, 2, 8])):
        if data:
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    frames[place] = bytes(data)


def _cut(frames: list[bytes], chance: random.Random, sessions: list[str]) -> None:
    place = chance.randrange(len(frames))
    data = frames[place]
    at = chance.randrange(len(data) + 1)
    frames[place] = data[:at] if chance.random() < 0.7 else data[at:] + chance.randbytes(3)


def _count(frames: list[bytes], chance: random.Random, sessions: list[str]) -> None:
    how = chance.random()
    if how < 0.3:
        del frames[1:]
    elif how < 0.5:
        frames.insert(0, b"")
    elif how < 0.7:
        frames.reverse()
    else:
        frames += [b"x"] * chance.choice([1, 15, 16, 17, 300])


def _header(frames: list[bytes], chance: random.Random, sessions: list[str]) -> None:
    fields = msgpack.unpackb(frames[0])
    field = chance.choice(_FIELDS)
    if chance.random() < 0.2:
        fields.pop(field, None)
    else:
        fields[field] = chance.choice(_IDS if field == "id" else HOSTILE)
    frames[0] = packed(fields)


def _garbage(frames: list[bytes], chance: random.Random, sessions: list[str]) -> None:
    size = chance.choice([1, 2, 3, 3])
    frames[:] = [chance.randbytes(chance.randrange(0, 60)) for _ in range(size)]
    if frames == [b""]:
        frames.append(b"")  # alone it would be a sign of life, which has no reply


def _body(frames: list[bytes], chance: random.Random, sessions: list[str]) -> None:
    depth = chance.choice([31, 33, 500, 1500])
    frames[1] = chance.choice([
        b"\x81\xa1a" * depth + b"\xc0", b"\x91" * depth + b"\xc0", b"\xdf\xff\xff\xff\xff",
        packed(chance.choice(HOSTILE)), b"\x82\xa3pid\x01\xa3pid\x02", b"\x81\x01\x02",
        b"\x81\xa1\xff\x01", b"\xc1", b"\x80\x80", packed({"more": chance.choice(HOSTILE)}),
    ])  # fmt: skip


def _session(frames: list[bytes], chance: random.Random, sessions: list[str]) -> None:
    fields = msgpack.unpackb(frames[0])
    fields["s"] = chance.choice(
        ["", "0" * 64, sessions[0][:-1], sessions[0] + "0", "é" * 32, "\x00", "x" * 3000,
         chance.choice(sessions).upper()]
    )  # fmt: skip
    frames[0] = packed(fields)


def _replay(frames: list[bytes], chance: random.Random, sessions: list[str]) -> None:
    """An id that was used before, for this call or another, or will be soon."""
    fields = msgpack.unpackb(frames[0])
    fields["id"] = max(0, fields["id"] + chance.randint(-20, 3))
    frames[0] = packed(fields)


def _large(frames: list[bytes], chance: random.Random, sessions: list[str]) -> None:
    size = chance.choice([wire.MAX_BODY - 20, wire.MAX_BODY + 1, 5 * _MB, 5 * _MB, 20 * _MB])
    if chance.random() < 0.04:
        size = 100 * _MB
    if chance.random() < 0.5:
        frames[1] = packed({"key": "large", "value": "x" * size})
    else:
        frames[2:] = [bytes(min(size, wire.MAX_BUFFER + 1))]


_DAMAGE = {
    "flip": _flip, "cut": _cut, "count": _count, "header": _header, "garbage": _garbage,
    "body": _body, "session": _session, "replay": _replay, "large": _large,
}  # fmt: skip
_KINDS = ["sound", "wild", *_DAMAGE]
_WEIGHTS = [30, 30, 8, 6, 4, 6, 4, 5, 3, 4, 0.3]


def driver_case(seed: str, key: str, pools: Pools) -> list[bytes]:
    """A message for the drivers' socket."""
    chance = random.Random(seed)
    kind = chance.choice([*DRIVERS, *DRIVERS, "welcome", "call", "start", ""])
    grammar = DRIVERS.get(kind, DRIVERS["beat"])
    body = grammar.wild(chance, pools) if chance.random() < 0.6 else grammar.sound(chance, pools)
    session = chance.choice([key, key, key, "", "0" * 64])
    frames = [wire.header(kind, 0, "", session), packed(body)]
    if chance.random() < 0.3:
        damage = chance.choice([_flip, _cut, _count, _header, _garbage, _body])
        damage(frames, chance, [key])
    return frames


def readable(message: Message) -> str:
    return f"{message.kind} {message.id} {message.name}"
