"""Do as many threads compute as pay?"""

from __future__ import annotations

from typing import Any

import pytest

from drivers.edge.engine import EdgeEngine
from drivers.edge.sampler import choose
from drivers.edge.threads import Threads
from tests.drivers.orders import Collected, order


class Machine:
    """``seconds``: what a step takes with so many threads."""

    def __init__(self, most: int, seconds: dict[int, float]) -> None:
        self.seconds = seconds
        self.used = self.afterwards = 0
        self.steps: list[int] = []
        self.threads = Threads(most, self.use)

    def use(self, count: int) -> None:
        self.used = count

    def run(self, steps: int, work: int = 16) -> None:
        for _ in range(steps):
            self.threads.begin(work)
            self.steps.append(self.used)
            self.threads.end(self.seconds[self.used])
            self.afterwards = self.used
            self.threads.rest()


QUIET = {1: 8.0, 2: 4.4, 4: 2.5, 8: 2.0}
BUSY = {1: 8.0, 2: 20.0, 4: 40.0, 8: 60.0}


def test_do_all_compute_on_a_quiet_machine() -> None:
    machine = Machine(8, QUIET)
    machine.run(2000)
    assert machine.threads.count == 8
    assert sum(count != 8 for count in machine.steps) < 20


def test_does_one_compute_on_a_busy_one_and_all_when_it_is_quiet_again() -> None:
    machine = Machine(8, QUIET)
    machine.run(1000)
    machine.seconds = BUSY
    machine.run(100)
    assert machine.threads.count == 1
    machine.run(1000)
    assert machine.threads.count == 1
    assert machine.afterwards == 1, "what is chosen after a step takes no more than that"
    assert machine.used == 8, "who comes after a step has no more than that"
    machine.seconds = QUIET
    machine.run(1200)
    assert machine.threads.count == 8


def test_are_tokens_chosen_by_as_many_as_the_step_took(
    tiny_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, used, chosen = EdgeEngine(tiny_model, slots=1), list[int](), list[int]()
    threads = Threads(4, used.append)
    threads.count = 1
    engine._threads.default_factory = lambda: threads

    def watched(*args: Any, **more: Any) -> int:
        chosen.append(used[-1])
        return choose(*args, **more)

    monkeypatch.setattr("drivers.edge.engine.choose", watched)
    engine.start(order(1, "x", max_tokens=3, temperature=1.0))
    Collected().run(engine)
    assert chosen == [1, 1, 1]
    assert used[-1] == 4


def test_is_nothing_concluded_from_steps_that_can_not_be_compared() -> None:
    machine = Machine(2, BUSY)
    for work in range(100):
        machine.run(1, work)
    assert set(machine.steps) == {2}


def test_is_a_single_core_left_alone() -> None:
    machine = Machine(1, {0: 1.0})
    machine.run(100)
    assert machine.used == 0


@pytest.mark.parametrize("most", [2, 3, 6])
def test_are_there_never_more_or_fewer_than_there_may_be(most: int) -> None:
    machine = Machine(most, dict.fromkeys(range(1, most + 1), 1.0))
    machine.run(3000)
    assert machine.threads.count == most
    assert set(machine.steps) <= set(range(1, most + 1))
