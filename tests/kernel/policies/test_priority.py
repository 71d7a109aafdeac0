"""Do urgent bursts go first, and does everybody else get his turn in bounded time nevertheless?"""

from __future__ import annotations

import random
from itertools import count

import pytest

from kernel.policies.priority import Priority
from tests.kernel.policies.bench import Bench, Stub

AGEING, QUANTUM, STEP = 1.0, 8, 0.05


def starts(*bursts: Stub, quantum: int = QUANTUM) -> list[int]:
    """The ids of the bursts, submitted at once, in the order in which they get the only slot."""
    bench = Bench(Priority(quantum, AGEING), slots=1, step=STEP)
    order: list[int] = []
    bench.on_start = lambda burst: order.append(burst.id)
    for burst in bursts:
        bench.submit(burst)
    bench.fill()
    while bench.running:
        bench.tick()
    return order


def test_does_the_lower_number_go_first() -> None:
    bursts = [Stub(id=i, priority=p) for i, p in enumerate((0, 19, -20, 5, -1))]
    assert starts(*bursts) == [2, 4, 0, 3, 1]


def test_do_equals_go_in_the_order_they_came() -> None:
    assert starts(*(Stub(id=i) for i in range(5))) == [0, 1, 2, 3, 4]


def test_does_an_urgent_burst_get_its_slot_after_a_quantum() -> None:
    bench = Bench(Priority(QUANTUM, AGEING), slots=1, step=STEP)
    hog, urgent = Stub(id=1, length=10_000), Stub(id=2, priority=-1, length=4)
    bench.submit(hog)
    bench.fill()
    for _ in range(2_000):  # it doesn't get more important by running
        bench.tick()
    bench.submit(urgent)
    bench.tick()
    assert bench.running == [urgent]
    for _ in range(4):
        bench.tick()
    assert bench.running == [hog]


def test_do_equals_take_turns_no_more_often_than_they_age() -> None:
    order = starts(Stub(id=1, length=100), Stub(id=2, length=100))
    assert len(order) == pytest.approx(200 * STEP / AGEING, abs=2)


@pytest.mark.parametrize("slots", [1, 3])
def test_does_nobody_wait_beyond_the_bound(slots: int) -> None:
    """More urgent bursts than there are slots for, all the time, and a few others."""
    dice, ids = random.Random(slots), count(1)
    bench = Bench(Priority(QUANTUM, AGEING), slots, STEP)
    limit: dict[int, float] = {}
    """Until when those that have waited for 40 levels must have a slot."""
    longest = 0.0

    def before(one: Stub, other: Stub) -> bool:
        mine = one.priority * AGEING + one.submitted
        return mine <= other.priority * AGEING + other.submitted

    def look() -> None:
        for burst in bench.waiting:
            due = burst.submitted + 40 * AGEING
            if burst.id not in limit and bench.now >= due:
                n = sum(before(other, burst) for other in bench.waiting) - 1
                limit[burst.id] = bench.now + (1 + n / slots) * QUANTUM * STEP + STEP / 2
            assert bench.now <= limit.get(burst.id, bench.now)

    def started(burst: Stub) -> None:
        nonlocal longest
        longest = max(longest, bench.now - burst.submitted)
        limit.pop(burst.id, None)
        for other in bench.waiting:
            assert burst.submitted <= other.submitted + 39 * AGEING

    bench.on_start = started
    for tick in range(6_000):
        arrivals = []
        if tick % 20 == 0 and len(bench.waiting) < 60:
            arrivals = [
                Stub(id=next(ids), priority=-20, length=dice.randint(10, 60))
                for _ in range(2 * slots)
            ]
        if tick % 400 == 0:
            arrivals.append(Stub(id=next(ids), priority=19, length=dice.randint(10, 2_000)))
        if tick % 250 == 0:
            level = dice.randint(-20, 19)
            arrivals.append(Stub(id=next(ids), priority=level, length=dice.randint(10, 500)))
        bench.tick(arrivals)
        look()
    assert longest > 39 * AGEING, "nobody had to wait"
