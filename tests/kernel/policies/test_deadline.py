"""Is everything done in time that can be, and does nobody starve?"""

from __future__ import annotations

from itertools import count

from hypothesis import event, given, settings
from hypothesis import strategies as st

from kernel.policies.deadline import Deadline
from tests.kernel.policies.bench import Bench, Stub

PATIENCE = 12.0


def late(jobs: list[tuple[int, int, int | None]]) -> list[int]:
    """Which of the jobs, each (arrival, tokens, due), aren't done when they count as due, in one
    slot with a quantum of a single token."""
    bench = Bench(Deadline(quantum=1, patience=PATIENCE), slots=1)
    done: dict[int, float] = {}
    bench.on_done = lambda burst: done.update({burst.id: bench.now})
    stubs = [
        Stub(id=number, length=length, due=None if due is None else float(due))
        for number, (_, length, due) in enumerate(jobs)
    ]
    for stub in stubs:
        if jobs[stub.id][0] == 0:
            bench.submit(stub)
    bench.fill()
    while len(done) < len(jobs):
        bench.tick([stub for stub in stubs if jobs[stub.id][0] == bench.now + 1])
    return [number for number, time in done.items() if time > due_of(jobs[number])]


def due_of(job: tuple[int, int, int | None]) -> float:
    arrival, _, due = job
    return arrival + PATIENCE if due is None else float(due)


def is_feasible(jobs: list[tuple[int, int, int | None]]) -> bool:
    """The demand-bound criterion: in no interval is there more to do than it is long."""
    return all(
        sum(job[1] for job in jobs if job[0] >= begin and due_of(job) <= end) <= end - begin
        for begin in {job[0] for job in jobs}
        for end in {due_of(job) for job in jobs}
        if end > begin
    )


@st.composite
def job(draw: st.DrawFn) -> tuple[int, int, int | None]:
    arrival, length = draw(st.integers(0, 15)), draw(st.integers(1, 5))
    due = draw(st.none() | st.integers(arrival + length, arrival + length + 12))
    return arrival, length, due


@settings(derandomize=True, deadline=None, max_examples=600)
@given(jobs=st.lists(job(), min_size=2, max_size=7))
def test_is_everything_in_time_exactly_if_that_is_possible(
    jobs: list[tuple[int, int, int | None]],
) -> None:
    possible = is_feasible(jobs)
    event(f"possible: {possible}")
    assert (late(jobs) == []) == possible


def test_does_a_burst_without_a_deadline_count_as_due_after_a_while() -> None:
    bench = Bench(Deadline(quantum=1, patience=PATIENCE), slots=1)
    patient = Stub(id=1)
    bench.submit(patient)
    order: list[int] = []
    bench.on_start = lambda burst: order.append(burst.id)
    ids = count(2)
    while 1 not in order:
        bench.tick([Stub(id=next(ids), due=bench.now + 3) for _ in range(2)])
    assert bench.now <= 3 * PATIENCE, "twice the work that was admitted until it counted as due"


def test_does_a_process_that_is_overdue_not_starve_the_others() -> None:
    """All its bursts are due in the past."""
    bench = Bench(Deadline(quantum=1, patience=PATIENCE), slots=1)
    patient = Stub(id=1)
    bench.submit(patient)
    ids = count(2)
    for _ in range(100):
        bench.tick([Stub(id=next(ids), due=-50.0) for _ in range(2)])
    assert patient.tokens


def test_does_a_burst_keep_its_slot_for_a_quantum() -> None:
    bench = Bench(Deadline(quantum=5), slots=1)
    running, urgent = Stub(id=1, length=20, due=100.0), Stub(id=2, due=50.0)
    bench.submit(running)
    bench.fill()
    bench.tick([urgent])
    for _ in range(3):
        bench.tick()
        assert bench.running == [running]
    bench.tick()
    assert bench.running == [urgent]
