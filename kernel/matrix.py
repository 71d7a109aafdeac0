"""A matrix: the vectors of one space side by side, and which of them point where another one does.

Vectors are whole numbers from -127 to 127, a byte each: an embedding needs no more, and sums of
their products are whole numbers as well, which floats hold exactly. So the order in which a
processor adds changes nothing, and the same rows rank the same everywhere. It knows nothing about
rows, nor about where vectors are from.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Final

import numpy as np

_AT_ONCE: Final = 1024
"""Vectors that are multiplied together. As floats they take four times their room: so many still
are in a processor's cache, and too few for threads to be started for them."""

_EXACT: Final = 2**24 // 127**2
"""Numbers in a vector up to which 32 bits hold every sum."""


class Matrix:
    """``dimensions``: numbers, and bytes, in each vector."""

    def __init__(self, dimensions: int, vectors: Iterable[tuple[int, bytes]] = ()) -> None:
        self._dimensions = dimensions
        self._float: Any = np.float32 if dimensions <= _EXACT else np.float64
        given = list(vectors)
        self._places = {id: place for place, (id, _) in enumerate(given)}
        self._used = len(given)
        self._empty: list[int] = []
        """Places below that whose vectors were dropped."""
        self._ids = np.array([id for id, _ in given], np.int64)
        joined = b"".join(vector for _, vector in given)
        self._numbers = np.frombuffer(joined, np.int8).reshape(-1, dimensions).copy()
        self._lengths = _lengths(self._numbers)

    def __len__(self) -> int:
        """How many vectors there are."""
        return len(self._places)

    @property
    def room(self) -> int:
        """Bytes that it takes."""
        return int(self._numbers.nbytes)

    def set(self, id: int, vector: bytes) -> None:
        place = self._places.get(id)
        if place is None:
            place = self._places[id] = self._empty.pop() if self._empty else self._next()
            self._ids[place] = id
        self._numbers[place] = np.frombuffer(vector, np.int8)
        self._lengths[place] = _lengths(self._numbers[place : place + 1])[0]

    def drop(self, id: int) -> bool:
        """Whether it was here."""
        place = self._places.pop(id, None)
        if place is None:
            return False
        self._lengths[place] = 0.0
        self._empty.append(place)
        return True

    def nearest(self, vector: bytes, count: int) -> list[tuple[int, float]]:
        """So many that point most like it, nearest first: their ids, and the cosines."""
        cosines = np.empty(self._used)
        for start in range(0, self._used, _AT_ONCE):
            places = slice(start, min(start + _AT_ONCE, self._used))
            cosines[places] = self._compared(vector, places)
        ids = self._ids[: self._used]
        order = np.lexsort((ids, -cosines))[: min(count, len(self._places))]
        return list(zip(ids[order].tolist(), cosines[order].tolist(), strict=True))

    def cosines(self, vector: bytes, ids: Iterable[int]) -> dict[int, float]:
        """Of those of them that are here."""
        places = {id: self._places[id] for id in ids if id in self._places}
        found = self._compared(vector, list(places.values())).tolist()
        return dict(zip(places, found, strict=True))

    def _compared(self, vector: bytes, places: slice | list[int]) -> Any:
        """The cosines at these places. What is no cosine stands where there is no vector."""
        wanted = np.frombuffer(vector, np.int8).astype(self._float)
        lengths = self._lengths[places] * math.sqrt(wanted @ wanted)
        products = self._numbers[places].astype(self._float) @ wanted
        empty = np.full(len(products), -2.0)
        return np.divide(products, lengths, out=empty, where=lengths > 0).round(6)

    def _next(self) -> int:
        if self._used == len(self._ids):
            self._grow()
        self._used += 1
        return self._used - 1

    def _grow(self) -> None:
        more = max(64, len(self._ids))
        self._ids = np.concatenate([self._ids, np.zeros(more, np.int64)])
        empty = np.zeros((more, self._dimensions), np.int8)
        self._numbers = np.concatenate([self._numbers, empty])
        self._lengths = np.concatenate([self._lengths, np.zeros(more)])


def _lengths(numbers: Any) -> Any:
    """Of each vector; that of a row of zeros is 0."""
    return np.sqrt(np.einsum("ij,ij->i", numbers, numbers, dtype=np.int64))
