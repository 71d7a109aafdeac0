"""The rules of the fair policy, one at a time: what is charged, to whom, and who is lifted when."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from itertools import count

import pytest

from kernel.policies.fair import Fair
from tests.kernel.policies.bench import Bench, Stub


class Line:
    """One slot. Bursts of one token, with prompts of 100, unless said otherwise."""

    def __init__(self, policy: Fair | None = None) -> None:
        self.policy = policy or Fair(quantum=8)
        self.bench = Bench(self.policy, slots=1)
        self.order: list[int] = []
        self.tokens: Counter[int] = Counter()
        self.bench.on_start = lambda burst: self.order.append(burst.tree)
        self.bench.on_token = lambda burst: self.tokens.update([burst.tree])
        self.ids = count(1)

    def add(
        self,
        tree: int,
        times: int = 1,
        prompt: int = 100,
        length: int = 1,
        estimate: int | None = None,
    ) -> None:
        for _ in range(times):
            guess = prompt if estimate is None else estimate
            self.bench.submit(
                Stub(id=next(self.ids), tree=tree, estimate=guess, prompt=prompt, length=length)
            )

    def go(self, ticks: int) -> list[int]:
        """Whose bursts start in the next ticks."""
        self.bench.fill()
        self.order.clear()
        self.tokens.clear()
        for _ in range(ticks):
            self.bench.tick()
        return self.order


def in_equal_parts(order: list[int], *trees: int) -> bool:
    part = len(order) / len(trees)
    return all(abs(order.count(tree) - part) <= 1 for tree in trees)


@pytest.fixture
def line() -> Line:
    return Line()


def test_is_there_no_credit_for_coming_late(line: Line) -> None:
    line.add(1, times=100)
    line.add(2, times=100)
    line.go(50)
    line.add(3, times=100)
    assert in_equal_parts(line.go(30), 1, 2, 3)


def test_is_there_no_credit_for_having_been_away(line: Line) -> None:
    line.add(3)
    line.add(1, times=100)
    line.add(2, times=100)
    line.go(50)
    line.add(3, times=100)
    assert in_equal_parts(line.go(30), 1, 2, 3)


def test_does_nobody_owe_anything_for_what_nobody_else_wanted(line: Line) -> None:
    line.add(1, times=500)
    line.go(400)
    line.add(2, times=100)
    assert in_equal_parts(line.go(30), 1, 2)


def test_does_a_long_burst_that_ran_alone_owe_its_last_turn_at_most(line: Line) -> None:
    line.add(1, length=2000)
    line.go(1000)
    line.add(2, length=2000)
    line.go(400)
    assert line.tokens[1] == pytest.approx(200, abs=8 + 100 / 2)


def test_is_a_debt_not_forgiven_for_being_idle(line: Line) -> None:
    line.add(1, times=100)
    line.add(2, prompt=1000)
    order = list(line.go(10))
    line.add(2)
    order += line.go(30)
    first = order.index(2)
    assert 8 <= order.index(2, first + 1) - first <= 12, "about 1000 / 102 turns"


@pytest.mark.parametrize("estimate", [0, 2000])
def test_is_a_wrong_estimate_put_right(line: Line, estimate: int) -> None:
    line.add(1, times=100)
    line.add(2, times=100, estimate=estimate)
    assert in_equal_parts(line.go(40), 1, 2)


def test_does_putting_it_right_bring_no_credit_from_before_it_was_lifted() -> None:
    """Its counter seemed to be ahead of the clock when it came back, and was not."""
    line = Line()
    wrong, second = (Stub(id=id, tree=2, estimate=9000) for id in (1001, 1002))
    line.policy.arrive(wrong, 0)  # type: ignore[arg-type]
    line.bench.queue.push(wrong)
    line.policy.leave(wrong, 0)  # type: ignore[arg-type]
    line.bench.queue.remove(wrong)
    line.policy.start(wrong, 0)  # type: ignore[arg-type]
    line.add(1, times=100)
    line.go(50)
    line.bench.submit(second)
    line.policy.serve(wrong, 10, 0, 0)  # type: ignore[arg-type]
    line.add(2, times=100)
    assert in_equal_parts(line.go(20), 1, 2)


def test_is_a_prompt_charged_once_though_its_burst_starts_again_and_again() -> None:
    policy = Fair()
    queue = policy.queue()

    def wait(burst: Stub) -> None:
        policy.arrive(burst, 0)  # type: ignore[arg-type]
        queue.push(burst)  # type: ignore[arg-type]

    def start(burst: Stub) -> None:
        policy.leave(burst, 0)  # type: ignore[arg-type]
        queue.remove(burst)  # type: ignore[arg-type]
        policy.start(burst, 0)  # type: ignore[arg-type]

    unlucky, other = Stub(id=1, tree=1, estimate=100), Stub(id=2, tree=2, estimate=150)
    next_of_1, next_of_2 = Stub(id=3, tree=1), Stub(id=4, tree=2)
    for burst in (unlucky, other, next_of_1, next_of_2):
        wait(burst)
    start(other)
    start(unlucky)
    for _ in range(3):  # its driver dies before it has counted anything
        wait(unlucky)
        start(unlucky)
    assert queue.first(0) is next_of_1


def test_is_a_tree_in_debt_served_though_new_trees_come_without_end(line: Line) -> None:
    line.add(1, prompt=300)
    line.go(1)
    line.add(1)
    for tree in range(2, 2_000):
        line.add(tree, prompt=1)
        while len(line.bench.waiting) < 4:
            line.add(tree * 10_000 + len(line.bench.waiting), prompt=1)
        line.go(1)
        if 1 in line.order:
            return
    pytest.fail("it waits for ever")


def test_does_it_help_nobody_that_a_tree_waits_for_a_driver_that_is_stuck(line: Line) -> None:
    stuck = Bench(line.policy, slots=0)
    stuck.submit(Stub(id=1001, tree=9))
    line.add(1, times=100)
    line.add(2, times=100)
    line.go(50)
    line.add(3, times=100)
    assert in_equal_parts(line.go(30), 1, 2, 3)


def test_has_a_tree_its_turn_on_one_driver_though_it_has_a_lot_on_another(line: Line) -> None:
    """It always has more than anybody on the slow driver."""
    fast = Line(line.policy)
    fast.ids = count(1001)
    line.add(2, times=2_000)
    line.go(10)
    fast.add(1, times=2_000)
    fast.go(50)
    line.add(1)
    for _ in range(20):
        fast.go(5)
        if 1 in line.go(1):
            return
    pytest.fail("it waits as long as the other has anything")


def test_is_there_no_credit_for_coming_to_a_new_driver_first(line: Line) -> None:
    line.add(1, times=100)
    line.add(2, times=100)
    line.go(50)
    other = Line(line.policy)
    other.ids = count(1001)
    other.add(3, times=100)
    other.add(1, times=100)
    assert in_equal_parts(other.go(30), 1, 3)


def test_do_its_books_stay_small_however_many_trees_come_and_go() -> None:
    policy = Fair(remembered=100)
    line = Line(policy)
    line.add(1)
    line.bench.fill()  # a tree that never leaves, and never ends its burst
    queue = line.bench.queue
    ids = count(1001)

    def visit(tree: int) -> None:
        done, cancelled, never = (Stub(id=next(ids), tree=tree, estimate=5) for _ in range(3))
        killed = Stub(id=next(ids), tree=1, estimate=5)
        bursts: list[Stub] = [done, cancelled, never, killed]
        for burst in bursts:
            policy.arrive(burst, 0)  # type: ignore[arg-type]
            queue.push(burst)
        for burst in bursts:
            policy.leave(burst, 0)  # type: ignore[arg-type]
            queue.remove(burst)
            if burst is not never:
                policy.start(burst, 0)  # type: ignore[arg-type]
            if burst is done:
                policy.serve(burst, 7, 1, 0)  # type: ignore[arg-type]
            policy.end(burst, 0)  # type: ignore[arg-type]

    def memory(trees: range) -> int:
        for tree in trees:
            visit(tree)
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        few, many = memory(range(2, 1_000)), memory(range(1_000, 6_000))
    finally:
        tracemalloc.stop()
    assert many < few + 20_000
