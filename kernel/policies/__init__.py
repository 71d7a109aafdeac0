"""Scheduling policies: in which order queued bursts get slots. One file each.

A policy knows bursts only; which driver a burst goes to is placement's affair.
"""

from __future__ import annotations

from typing import Protocol

from kernel.burst import Burst


class Policy(Protocol):
    """A queue. Every operation is O(log n) in its length."""

    def push(self, burst: Burst) -> None: ...

    def remove(self, burst: Burst) -> None:
        """Take out a burst that is in the queue, wherever it stands."""

    def first(self) -> Burst | None:
        """The burst that is next, left in the queue."""

    def __len__(self) -> int: ...
