"""The store of memory: the rows that processes remember, their words and their vectors, as the
kernel wants them kept.

Whoever keeps them is handed in. It knows nothing about how that is done, nor about whose quota a
row is on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, Protocol

OWN_SPACES: Final = "proc/"
"""What the names of own spaces begin with here. A shared space can't have a ``/`` in its name."""


class Row(NamedTuple):
    """``value`` and ``labels`` are JSON, times are seconds since 1970."""

    key: str
    value: str
    labels: str
    owner: int
    created: float
    updated: float
    expires: float | None
    bytes: int


class Brief(NamedTuple):
    """What a list shows of a row."""

    key: str
    bytes: int
    labels: str
    owner: int
    updated: float
    expires: float | None


class Head(NamedTuple):
    """What whoever writes must know of the row that is there."""

    id: int
    owner: int
    created: float
    expires: float | None
    bytes: int


class Match(NamedTuple):
    """One row that a search has found, before it is read: it may be large, and not among the
    best. ``labels`` is JSON."""

    key: str
    bytes: int
    labels: str
    score: float


class Found(NamedTuple):
    """One that is shown."""

    row: Row
    score: float
    snippet: str


class Lacking(NamedTuple):
    """A row without a vector. ``labels`` is JSON. ``text``: None if it is too large."""

    id: int
    labels: str
    text: str | None


class MemoryStore(Protocol):
    """Where the rows are. Writing is part of the turn at hand, and is seen at once. Where ``now``
    is asked for, rows that have expired are passed over. ``vectors``: what they mean."""

    @property
    def vectors(self) -> VectorStore: ...

    def row(self, space: str, key: str, now: float) -> Row | None: ...

    def head(self, space: str, key: str) -> Head | None: ...

    def page(self, space: str, prefix: str, after: str, now: float, limit: int) -> list[Brief]:
        """By key: the first so many after ``after`` that begin with ``prefix``."""

    def ranked(
        self, space: str, words: list[str], after: int, limit: int, *, every: bool
    ) -> tuple[list[tuple[int, float]], int | None]:
        """Of the next rows above the id ``after`` that have all these words, or some of them, the
        ids and scores of the best, as far as they are indexed; and where to go on, None at the
        end."""

    def matches(
        self, space: str, found: Sequence[tuple[int, float]], now: float, limit: int
    ) -> list[Match]:
        """The first so many of these rows, by their ids, that are there still."""

    def nearest(self, space: str, kind: str, vector: bytes, now: float, limit: int) -> list[Match]:
        """The rows whose vectors of this kind point most like this one, nearest first, with the
        cosines."""

    def cosines(
        self, space: str, kind: str, vector: bytes, keys: Sequence[str]
    ) -> dict[str, float]:
        """How much those of these rows that have such a vector point like this one, by key."""

    def index(self, limit: int) -> bool:
        """Index the words of so many rows, or of fewer; whether there are more."""

    def put(self, space: str, row: Row, replaced: Head | None) -> None:
        """``replaced``: the row that this one takes the place of."""

    def delete(self, row: Head) -> None: ...

    def expire(self, now: float, limit: int) -> list[tuple[int, int]]:
        """Delete so many rows that have expired, or fewer: the owner and the bytes of each."""

    def next_expiry(self) -> float | None: ...

    def drop(self, space: str) -> tuple[int, int]:
        """Delete a whole space, which nobody will ask for again: how many rows that were, and
        their bytes."""

    def tidy(self, limit: int) -> bool:
        """Do so much of all that was put off, or less; False if there was nothing left to do."""

    def bequeath(self, owner: int, heir: int) -> tuple[int, int]:
        """Give all rows in shared spaces another owner: how many, and their bytes."""


class VectorStore(Protocol):
    """Where their vectors are. ``kind``: of which model and length, see ``kernel.query``; "" for a
    row that can have none, with an empty vector."""

    def note(self, limit: int) -> bool:
        """Take note of so many rows that are new; whether there may be more."""

    def labels(self) -> list[str]:
        """Those of rows that lack a vector, each set once."""

    def pick(self, labels: Sequence[str], limit: int, most: int) -> list[Lacking]:
        """The oldest so many rows with one of these sets of labels that lack a vector; fewer, if
        they are of more than so many bytes."""

    def keep(self, kind: str, vectors: Iterable[tuple[int, bytes]]) -> None:
        """By the ids of rows that lacked one; those that are gone are passed over."""

    def kind(self) -> str | None:
        """What most vectors are."""

    def shed(self, kind: str, limit: int) -> bool:
        """Of rows with a vector of another kind, have so many lack one; whether there were any."""

    def lacking(self, space: str, kind: str | None) -> int:
        """How many rows of the space have no vector of this kind."""

    def rows(self, space: str) -> int: ...
