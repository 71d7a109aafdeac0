"""Replays: the replies to calls that wrote something, kept so that a repeated call gets the first
reply again and takes no second effect.

All replies of one turn go to the disk as one row, and memory holds only which row a reply is in:
keeping a reply must cost next to nothing, and asking for one again is rare. It knows nothing
about what the replies say.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

import msgpack

from kernel.effects import Delete, Put, Row

_FRESH: Final = 0
"""In place of a turn's number: the reply was kept in the turn at hand."""

_BLOCK: Final = 64


class Kept(NamedTuple):
    """A reply, as it was packed, and the call that it is the reply to."""

    scope: str
    id: int
    name: str
    body: bytes
    time: float


class Replays:
    """``most`` replies of a scope are kept. ``read`` gives the packed row of a turn."""

    def __init__(self, most: int, read: Callable[[int], bytes | None]) -> None:
        self._most = most
        self._read = read
        self._turns: dict[str, OrderedDict[int, int]] = {}
        self._fresh: dict[tuple[str, int], Kept] = {}
        self._live: dict[int, int] = {}
        self._dead: list[int] = []
        self._last_turn = 0

    def restore(self, turn: int, packed: bytes, wanted: Callable[[str, float], bool]) -> None:
        """Take up one row. ``wanted`` says of a scope, and the time of a reply, whether anybody
        could still ask for it."""
        self._last_turn = max(self._last_turn, turn)
        self._live[turn] = 0
        for kept in _unpacked(packed):
            if wanted(kept.scope, kept.time):
                self._note(kept.scope, kept.id, turn)
        if not self._live[turn]:
            self._bury(turn)

    def find(self, scope: str, id: int) -> Kept | None:
        turns = self._turns.get(scope)
        turn = turns.get(id) if turns else None
        if turn is None:
            return None
        if turn == _FRESH:
            return self._fresh[scope, id]
        packed = self._read(turn)
        found = _unpacked(packed) if packed is not None else ()
        return next((one for one in found if (one.scope, one.id) == (scope, id)), None)

    def keep(self, kept: Kept) -> None:
        self._fresh[kept.scope, kept.id] = kept
        self._note(kept.scope, kept.id, _FRESH)

    def forget(self, scope: str) -> None:
        """Nobody can ask for the replies of this scope any more."""
        for id, turn in self._turns.pop(scope, {}).items():
            self._drop(scope, id, turn)

    def flush(self) -> list[Row]:
        """The rows of the turn at hand."""
        rows: list[Row] = []
        if self._fresh:
            self._last_turn = turn = self._last_turn + 1
            self._live[turn] = len(self._fresh)
            for scope, id in self._fresh:
                self._turns[scope][id] = turn
            packed = msgpack.packb(list(self._fresh.values()))
            rows.append(Put("replays", {"turn": turn, "replies": packed}))
            self._fresh.clear()
        # In blocks, since each delete costs a page of the disk. What a crash leaves of them is
        # let go at the boot.
        if len(self._dead) >= _BLOCK:
            rows += [Delete("replays", {"turn": turn}) for turn in self._dead]
            self._dead.clear()
        return rows

    def _note(self, scope: str, id: int, turn: int) -> None:
        turns = self._turns.get(scope)
        if turns is None:
            turns = self._turns[scope] = OrderedDict()
        turns[id] = turn
        if turn != _FRESH:
            self._live[turn] += 1
        if len(turns) > self._most:
            self._drop(scope, *turns.popitem(last=False))

    def _drop(self, scope: str, id: int, turn: int) -> None:
        if turn == _FRESH:
            del self._fresh[scope, id]
            return
        self._live[turn] -= 1
        if not self._live[turn]:
            self._bury(turn)

    def _bury(self, turn: int) -> None:
        del self._live[turn]
        self._dead.append(turn)


def _unpacked(packed: bytes) -> Iterable[Kept]:
    rows: list[list[Any]] = msgpack.unpackb(packed)
    return (Kept(*row) for row in rows)
