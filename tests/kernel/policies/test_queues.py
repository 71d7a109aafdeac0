"""What all policies have in common: nobody starves, and what has left is let go of."""

from __future__ import annotations

import gc
import tracemalloc
import weakref
from itertools import count
from typing import Any

import pytest

from kernel.policies import POLICIES
from kernel.policies.heap import Heap
from tests.kernel.policies.bench import Bench, Stub


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("length", [2, 500])
def test_does_nobody_starve_though_others_come_without_end(name: str, length: int) -> None:
    """The others are more urgent, of new trees, and due soon; and there are always some."""
    bench = Bench(POLICIES[name](), slots=2, step=0.05)
    ids = count(2)
    victim = Stub(id=1, tree=1, priority=19, estimate=50, prompt=50, length=100)
    bench.submit(Stub(id=0, tree=1, estimate=100, prompt=100))
    bench.tick()  # its tree owes something
    bench.submit(victim)
    while len(victim.tokens) < victim.length:
        others = [
            Stub(id=number, tree=number, priority=-20, due=bench.now + 1, prompt=1, length=length)
            for number in (next(ids) for _ in range(10 - len(bench.waiting)))
        ]
        bench.tick(others)
        assert bench.now < 20_000, "it waits for ever"


@pytest.mark.parametrize("name", POLICIES)
def test_does_the_queue_hold_on_to_nothing_that_has_left(name: str) -> None:
    """A burst holds a whole prompt. The first of all stays, so the others never surface."""
    policy: Any = POLICIES[name]()
    queue = policy.queue()

    def add(burst: Stub) -> Any:
        policy.arrive(burst, 0)
        queue.push(burst)
        return weakref.ref(burst)

    first = Stub(id=0, priority=-20, due=1.0)
    add(first)
    bursts = [
        Stub(id=number, tree=number % 9, submitted=number, admitted=number)
        for number in range(1, 500)
    ]
    left = [add(burst) for burst in bursts]
    while bursts:
        burst = bursts.pop()
        policy.leave(burst, 0)
        queue.remove(burst)
        policy.end(burst, 0)
    del burst
    gc.collect()
    assert queue.first(0) is first
    assert sum(ref() is not None for ref in left) < 20


@pytest.mark.parametrize("name", POLICIES)
def test_is_it_no_error_to_remove_what_is_not_in_the_queue(name: str) -> None:
    policy: Any = POLICIES[name]()
    queue = policy.queue()
    burst, stranger = Stub(id=1), Stub(id=2)
    policy.arrive(burst, 0)
    queue.push(burst)
    queue.remove(stranger)
    queue.push(burst)
    assert len(queue) == 1
    queue.remove(burst)
    queue.remove(burst)
    assert len(queue) == 0
    assert queue.first(0) is None


def test_does_a_heap_stay_small_though_something_in_it_moves_all_the_time() -> None:
    heap: Heap[str] = Heap()
    heap.push("first", (0.0,))
    tracemalloc.start()
    try:
        for number in range(10_000):
            heap.push("other", (float(number + 1),))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert heap.first() == ((0.0,), "first")
    assert held < 20_000
