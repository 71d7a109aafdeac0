"""An ordered set: walked in the order in which things were put in.

A plain set of objects is walked by their addresses, and the same run would then go another
way each time. It knows nothing about what it holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Ordered(Generic[T]):
    __slots__ = ("_items",)

    def __init__(self) -> None:
        self._items: dict[T, None] = {}

    def add(self, item: T) -> None:
        self._items[item] = None

    def discard(self, item: T) -> None:
        self._items.pop(item, None)

    def __contains__(self, item: T) -> bool:
        return item in self._items

    def __iter__(self) -> Iterator[T]:
        """Over what it held when asked: it may change on the way."""
        return iter(list(self._items))

    def __len__(self) -> int:
        return len(self._items)
