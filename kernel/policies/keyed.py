"""What the policies have in common that order bursts by a key: fifo, rr, priority, deadline.

The key of a burst doesn't change while it waits, so one heap for each queue is all there is. It
knows nothing about what the keys mean.
"""

from __future__ import annotations

from collections.abc import Callable

from kernel.burst import Burst
from kernel.policies.heap import Heap, Key


class KeyedQueue:
    def __init__(self, key: Callable[[Burst], Key]) -> None:
        self._key = key
        self._heap: Heap[Burst] = Heap()

    def push(self, burst: Burst) -> None:
        self._heap.push(burst, self._key(burst))

    def remove(self, burst: Burst) -> None:
        self._heap.remove(burst)

    def first(self, now: float) -> Burst | None:
        top = self._heap.first()
        return top[1] if top is not None else None

    def __len__(self) -> int:
        return len(self._heap)


class Keyed:
    """It keeps no books: what it has to know stands in the bursts."""

    def __init__(self, quantum: int) -> None:
        self.quantum = quantum

    def key(self, burst: Burst) -> Key:
        """Least first; where keys are equal, the burst that was pushed first."""
        raise NotImplementedError

    def queue(self) -> KeyedQueue:
        return KeyedQueue(self.key)

    def arrive(self, burst: Burst, now: float) -> None:
        pass

    def leave(self, burst: Burst, now: float) -> None:
        pass

    def start(self, burst: Burst, now: float) -> None:
        pass

    def serve(self, burst: Burst, prompt_tokens: int, tokens: int, now: float) -> None:
        pass

    def end(self, burst: Burst, now: float) -> None:
        pass
