"""Does every policy do what its reference does, whatever happens to the bursts?

Hypothesis plays the scheduler of three drivers: bursts come with all kinds of attributes, wait in
some of the queues, start, are served, give their slots away, are held, released and cancelled,
change their priority, and find other drivers.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel.burst import Burst
from kernel.policies import POLICIES
from tests.kernel.policies.bench import READ_BY_POLICIES, Stub
from tests.kernel.policies.references import (
    DeadlineReference,
    FairReference,
    FifoReference,
    PriorityReference,
    Reference,
    RoundRobinReference,
)

QUEUES = 3
REFERENCES: dict[str, Callable[[int], Reference]] = {
    "fifo": FifoReference,
    "rr": RoundRobinReference,
    "priority": PriorityReference,
    "fair": FairReference,
    "deadline": DeadlineReference,
}


class Scheduler:
    """Does everything twice: with the policy and with its reference."""

    def __init__(self, name: str) -> None:
        self.policy: Any = POLICIES[name]()
        self.reference = REFERENCES[name](QUEUES)
        self.queues: list[Any] = [self.policy.queue() for _ in range(QUEUES)]
        self.now = 0.0
        self.count = 0
        self.eligible: dict[Stub, list[int]] = {}
        self.waiting: list[Stub] = []
        self.running: list[Stub] = []
        self.held: list[Stub] = []

    # -- what can happen; a and b are any numbers ------------------------------------------------

    def admit(self, a: int, b: int) -> None:
        self.count += 1
        burst = Stub(
            id=self.count,
            admitted=self.now,
            priority=a % 40 - 20,
            tree=b % 7,
            weight=(0.5, 1.0, 2.0, 4.0)[b % 4],
            due=None if a % 3 == 0 else self.now + b % 150 - 20,
            estimate=(a * b) % 500,
        )
        self.choose(burst, a)
        self.enqueue(burst)

    def begin(self, a: int, b: int) -> None:
        """The first of some queue starts."""
        burst = self.queues[a % QUEUES].first(self.now)
        if burst is not None:
            self.dequeue(burst)
            self.policy.start(burst, self.now)
            self.reference.start(burst)
            self.running.append(burst)

    def report(self, a: int, b: int) -> None:
        if self.running:
            burst = self.running[a % len(self.running)]
            prompt = b % 600 if burst.prompt_tokens == 0 and b % 3 else 0
            burst.prompt_tokens += prompt
            burst.tokens += [0] * (a % 20)
            self.policy.serve(burst, prompt, a % 20, self.now)
            self.reference.serve(burst, prompt, a % 20)

    def turn(self, a: int, b: int) -> None:
        """A burst gives its slot away, if it should."""
        first = self.queues[a % QUEUES].first(self.now)
        if not self.running or first is None:
            return
        running = self.running[b % len(self.running)]
        if self.policy.yields(running, first, self.now):
            self.running.remove(running)
            self.eligible[running] = [a % QUEUES]
            self.enqueue(running)
            assert self.queues[a % QUEUES].first(self.now) is not running

    def cancel(self, a: int, b: int) -> None:
        bursts = [*self.waiting, *self.running, *self.held]
        if bursts:
            burst = bursts[a % len(bursts)]
            self.withdraw(burst)
            self.policy.end(burst, self.now)
            self.reference.end(burst)

    def hold(self, a: int, b: int) -> None:
        bursts = [*self.waiting, *self.running]
        if bursts:
            burst = bursts[a % len(bursts)]
            self.withdraw(burst)
            self.held.append(burst)

    def release(self, a: int, b: int) -> None:
        if self.held:
            self.enqueue(self.held.pop(a % len(self.held)))

    def nice(self, a: int, b: int) -> None:
        if self.waiting:
            burst = self.waiting[a % len(self.waiting)]
            since = burst.submitted
            self.dequeue(burst)
            burst.priority = b % 40 - 20
            self.enqueue(burst, since)

    def redirect(self, a: int, b: int) -> None:
        """Other drivers can take it now, or none."""
        if self.waiting:
            burst = self.waiting[a % len(self.waiting)]
            self.leave_queues(burst)
            self.choose(burst, b, least=0)
            self.enter_queues(burst)

    def wait(self, a: int, b: int) -> None:
        self.now += a % 9

    # -- how -------------------------------------------------------------------------------------

    def choose(self, burst: Stub, bits: int, least: int = 1) -> None:
        chosen = [queue for queue in range(QUEUES) if bits >> queue & 1]
        self.eligible[burst] = chosen if len(chosen) >= least else [bits % QUEUES]

    def enqueue(self, burst: Stub, since: float | None = None) -> None:
        burst.submitted = self.now if since is None else since
        self.waiting.append(burst)
        self.policy.arrive(burst, self.now)
        self.reference.arrive(burst)
        self.enter_queues(burst)

    def dequeue(self, burst: Stub) -> None:
        self.policy.leave(burst, self.now)
        self.reference.leave(burst)
        self.leave_queues(burst)
        self.waiting.remove(burst)

    def enter_queues(self, burst: Stub) -> None:
        for queue in self.eligible[burst]:
            self.queues[queue].push(burst)
            self.reference.push(burst, queue)

    def leave_queues(self, burst: Stub) -> None:
        for queue in range(QUEUES):  # of all: it is not an error if it isn't in there
            self.queues[queue].remove(burst)
            self.reference.remove(burst, queue)

    def withdraw(self, burst: Stub) -> None:
        if burst in self.waiting:
            self.dequeue(burst)
        elif burst in self.running:
            self.running.remove(burst)
        else:
            self.held.remove(burst)

    def compare(self) -> None:
        for queue in range(QUEUES):
            assert len(self.queues[queue]) == len(self.reference.queues[queue])
            first = self.queues[queue].first(self.now)
            assert first is self.reference.first(queue, self.now)
            for running in self.running[-3:] if first is not None else ():
                expected = self.reference.yields(running, first, self.now)
                assert self.policy.yields(running, first, self.now) == expected


EVENTS = (
    Scheduler.admit, Scheduler.admit, Scheduler.admit, Scheduler.begin, Scheduler.begin,
    Scheduler.report, Scheduler.report, Scheduler.turn, Scheduler.cancel, Scheduler.hold,
    Scheduler.release, Scheduler.nice, Scheduler.redirect, Scheduler.wait,
)  # fmt: skip
NUMBERS = st.integers(0, 999)


@pytest.mark.parametrize("name", POLICIES)
@settings(derandomize=True, deadline=None, max_examples=80)
@given(
    events=st.lists(st.tuples(st.sampled_from(EVENTS), NUMBERS, NUMBERS), min_size=30, max_size=150)
)
def test_does_the_policy_do_what_its_reference_does(
    name: str, events: list[tuple[Callable[[Scheduler, int, int], None], int, int]]
) -> None:
    scheduler = Scheduler(name)
    for event, a, b in events:
        event(scheduler, a, b)
        scheduler.compare()


@pytest.mark.parametrize("name", POLICIES)
def test_does_it_still_after_five_thousand_events(name: str) -> None:
    dice = random.Random(7)
    scheduler = Scheduler(name)
    for number in range(5_000):
        event = dice.choice(EVENTS)
        crowd = (40, 4)[number // 500 % 2]  # there are busy hours and quiet ones
        if event is Scheduler.admit and len(scheduler.waiting) > crowd:
            event = Scheduler.cancel
        event(scheduler, dice.randrange(1000), dice.randrange(1000))
        scheduler.compare()


def test_is_fair_the_default() -> None:
    assert next(iter(POLICIES)) == "fair"
    assert set(POLICIES) == set(REFERENCES)


def test_do_bursts_have_all_that_policies_read() -> None:
    for name in READ_BY_POLICIES:
        assert hasattr(Burst, name)
