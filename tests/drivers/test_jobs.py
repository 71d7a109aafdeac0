"""Does each job get exactly one result, whatever its tool does?"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from drivers.engine import Engine
from drivers.jobs import Jobs
from drivers.tool import Job, Tool
from llmagentos.abi.cards import ToolCard
from llmagentos.abi.errors import EDRIVER
from llmagentos.abi.jobs import MAX_DENIED, EmbedOrder, JobRef, JobResult, ToolOrder


def tool(name: str, run: Callable[[dict[str, Any], Job], Any]) -> Tool:
    return Tool(ToolCard(name=name), run)


class Bench:
    """Jobs without a host. ``gate`` tools wait until they are let go or aborted."""

    def __init__(self, slots: int = 2) -> None:
        self.woken = threading.Event()
        self.gates: dict[int, threading.Event] = {}
        self.seen: list[Job] = []
        self.jobs = Jobs([tool("gate", self._gate), tool("stuck", self._stuck)], slots, self._wake)

    def _wake(self) -> None:
        self.woken.set()

    def _gate(self, arguments: dict[str, Any], job: Job) -> Any:
        self.seen.append(job)
        while not self.gates.setdefault(job.number, threading.Event()).wait(0.005):
            if job.aborted.is_set():
                return "aborted"
        return f"done {job.number}"

    def _stuck(self, arguments: dict[str, Any], job: Job) -> Any:
        """Does not look whether it is aborted."""
        self.gates.setdefault(job.number, threading.Event()).wait(20)
        return "late"

    def call(self, *numbers: int, name: str = "gate") -> None:
        for number in numbers:
            order = ToolOrder(job=number, key=f"k{number}", pid=7, tool=name, arguments={})
            self.jobs.call(order)

    def open(self, *numbers: int) -> None:
        for number in numbers:
            self.gates.setdefault(number, threading.Event()).set()

    def results(self, count: int = 1, seconds: float = 5.0) -> list[JobResult]:
        """The next results, as the host would take them: when it is woken."""
        taken: list[JobResult] = []
        while len(taken) < count:
            assert self.woken.wait(seconds), "no result woke the host"
            self.woken.clear()
            taken += self.jobs.take_results()
        return taken


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.jobs.drop_all("the test is over")
    bench.open(*bench.gates)


def test_are_there_never_more_threads_than_slots(bench: Bench) -> None:
    bench.call(1, 2, 3, 4, 5)
    time.sleep(0.1)
    assert {job.number for job in bench.seen} == {1, 2}
    assert bench.jobs.active == 2
    bench.open(2)
    assert [result.content for result in bench.results()] == ["done 2"]
    time.sleep(0.1)
    assert {job.number for job in bench.seen} == {1, 2, 3}  # in the order they came
    bench.open(1, 3, 4, 5)
    assert {result.job for result in bench.results(4)} == {1, 3, 4, 5}
    assert bench.jobs.active == 0


def test_does_the_tool_know_whose_job_it_is(bench: Bench) -> None:
    bench.call(5)
    bench.open(5)
    bench.results()
    assert [(job.number, job.pid, job.key) for job in bench.seen] == [(5, 7, "k5")]


def test_is_an_aborted_job_silent_and_its_slot_free(bench: Bench) -> None:
    bench.call(1, 2, 3, 4)
    bench.jobs.abort(JobRef(job=1))  # running
    bench.jobs.abort(JobRef(job=4))  # waiting
    bench.jobs.abort(JobRef(job=99))
    bench.open(2, 3, 4)
    assert {result.job for result in bench.results(2)} == {2, 3}
    time.sleep(0.1)
    assert bench.jobs.take_results() == []
    assert bench.jobs.active == 0
    assert 4 not in {job.number for job in bench.seen}


def _denials(results: list[JobResult]) -> list[tuple[str, str, int]]:
    return [(one.what, one.detail, one.times) for result in results for one in result.denied]


@pytest.mark.parametrize("how", ["done", "failed"])
def test_is_it_told_what_a_job_was_denied(bench: Bench, how: str) -> None:
    def run(arguments: dict[str, Any], job: Job) -> str:
        job.deny("file", "/etc/shadow", 3)
        if how == "failed":
            raise EDRIVER("no")
        return "fine"

    bench.jobs.offer([tool("denied", run)])
    bench.call(1, name="denied")
    (result,) = bench.results()
    assert (result.error is None) == (how == "done")
    assert _denials([result]) == [("file", "/etc/shadow", 3)]


@pytest.mark.parametrize("when", ["at work", "done", "told"])
def test_does_an_abort_hide_nothing_that_was_denied(bench: Bench, when: str) -> None:
    """Else whoever aborts in time leaves no trace."""

    def run(arguments: dict[str, Any], job: Job) -> Any:
        job.deny("call", "mount")
        return bench._gate(arguments, job)

    bench.jobs.offer([tool("denied", run)])
    bench.call(1, name="denied")
    if when != "at work":
        bench.open(1)
        assert bench.woken.wait(5)
    if when == "told":
        bench.jobs._collect()
    bench.jobs.abort(JobRef(job=1))
    results = bench.results() if when == "at work" else bench.jobs.take_results()
    assert _denials(results) == [("call", "mount", 1)]
    assert [(one.content, one.error and one.error.code) for one in results] == [(None, "ECANCELED")]
    assert bench.jobs.take_results() == []


def test_is_it_counted_what_is_too_much_to_tell(bench: Bench) -> None:
    def run(arguments: dict[str, Any], job: Job) -> None:
        for number in range(MAX_DENIED + 5):
            job.deny("file", f"/{number}" + "x" * 1000)

    bench.jobs.offer([tool("denied", run)])
    bench.call(1, name="denied")
    found = _denials(bench.results())
    assert len(found) == MAX_DENIED
    assert found[-1] == ("more", "of other kinds", 6)
    assert found[0][1].startswith("/0xxx")


def test_is_a_result_that_was_there_before_the_abort_dropped(bench: Bench) -> None:
    bench.call(1)
    bench.open(1)
    assert bench.woken.wait(5)
    bench.jobs.abort(JobRef(job=1))
    assert bench.jobs.take_results() == []


def test_is_a_refusal_dropped_too_when_it_is_aborted(bench: Bench) -> None:
    bench.jobs.fail(1, EDRIVER("unreadable"))
    bench.jobs.fail(2, EDRIVER("unreadable"))
    bench.jobs.abort(JobRef(job=1))
    assert [result.job for result in bench.jobs.take_results()] == [2]


def test_would_a_stuck_tool_let_the_driver_end(bench: Bench) -> None:
    bench.call(1, name="stuck")
    threads = [thread for thread in threading.enumerate() if thread.name.startswith("job-")]
    assert [thread.daemon for thread in threads] == [True]


def test_is_nothing_begun_for_a_kernel_that_is_gone(bench: Bench) -> None:
    bench.call(1, 2, 3, 4)
    bench.open(1, 2, 3, 4)
    bench.jobs.fail(5, EDRIVER("unreadable"))
    bench.jobs.drop_all("the kernel is gone")
    time.sleep(0.1)
    assert bench.jobs.take_results() == []
    time.sleep(0.1)
    assert {job.number for job in bench.seen} == {1, 2}


def test_does_a_number_that_is_used_again_get_its_own_result(bench: Bench) -> None:
    bench.call(1, name="stuck")
    bench.jobs.abort(JobRef(job=1))
    bench.call(1)
    bench.open(1)
    (result,) = bench.results()
    assert result.content == "done 1"


def test_does_a_tool_that_hears_no_abort_keep_its_slot(bench: Bench) -> None:
    bench.call(1, 2, name="stuck")
    bench.jobs.abort(JobRef(job=1))
    bench.jobs.abort(JobRef(job=2))
    bench.call(3)
    bench.open(3)
    time.sleep(0.1)
    assert bench.jobs.take_results() == []
    assert bench.jobs.active == 2
    bench.open(1)
    (result,) = bench.results()
    assert result.job == 3


def test_is_a_job_that_is_said_twice_done_once(bench: Bench) -> None:
    bench.call(1, 1)
    bench.open(1)
    bench.results()
    time.sleep(0.1)
    assert bench.jobs.take_results() == []
    assert len(bench.seen) == 1


def test_do_all_open_jobs_fail_when_the_driver_ends(bench: Bench) -> None:
    bench.call(1, 2, 3, 4)
    bench.open(2)
    assert bench.woken.wait(5)
    bench.jobs.fail_all(EDRIVER("the driver ended"))
    results = {result.job: result for result in bench.jobs.take_results()}
    assert sorted(results) == [1, 2, 3, 4]
    assert results[2].content == "done 2"  # it had ended in time
    codes = {results[number].error.code for number in (1, 3, 4)}
    assert codes == {"EDRIVER"}
    time.sleep(0.1)
    # those that waited were not begun
    assert {job.number: job.aborted.is_set() for job in bench.seen} == {1: True, 2: False}


class _Embedding:
    """Says when it begins and ends with a text; ends when it is let go."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.begun: dict[str, threading.Event] = {}
        self.go: dict[str, threading.Event] = {}

    def gate(self, kind: dict[str, threading.Event], text: str) -> threading.Event:
        return kind.setdefault(text, threading.Event())

    def embed(self, model: str, texts: list[str]) -> tuple[list[list[float]], int]:
        for text in texts:
            self.log.append(text)
            self.gate(self.begun, text).set()
            assert self.gate(self.go, text).wait(10)
        return [[1.0] for _ in texts], len(texts)


class _Idle(threading.Event):
    """Counts who waits."""

    def __init__(self) -> None:
        super().__init__()
        self.waits = threading.Semaphore(0)

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.release()
        return super().wait()


def test_does_what_is_done_in_the_background_give_way(monkeypatch: pytest.MonkeyPatch) -> None:
    bench, engine, idle = Bench(slots=1), _Embedding(), _Idle()
    jobs = bench.jobs
    jobs.engine = cast(Engine, engine)
    idle.set()
    monkeypatch.setattr(jobs, "_idle", idle)

    def embed(number: int, *texts: str, background: bool = False) -> None:
        jobs.embed(
            EmbedOrder(job=number, pid=1, model="m", texts=list(texts), background=background)
        )

    embed(1, "a", "b", "c", background=True)
    assert idle.waits.acquire(timeout=10)
    assert engine.gate(engine.begun, "a").wait(10)
    embed(2, "query")
    assert engine.gate(engine.begun, "query").wait(10), "the only slot is free"
    engine.gate(engine.go, "a").set()
    assert idle.waits.acquire(timeout=10), "before b it looks whether it may go on"
    assert engine.log == ["a", "query"]
    for text in "bc":
        engine.gate(engine.go, text).set()
    engine.gate(engine.go, "query").set()
    assert [result.job for result in bench.results(2)] == [2, 1]
    assert engine.log == ["a", "query", "b", "c"]
    assert jobs.active == 0


def test_is_what_is_done_in_the_background_aborted_between_two_texts(bench: Bench) -> None:
    engine = _Embedding()
    bench.jobs.engine = cast(Engine, engine)
    bench.jobs.embed(EmbedOrder(job=1, pid=1, model="m", texts=["a", "b"], background=True))
    assert engine.gate(engine.begun, "a").wait(10)
    bench.jobs.abort(JobRef(job=1))
    engine.gate(engine.go, "a").set()
    assert bench.woken.wait(10)
    assert bench.jobs.take_results() == []
    assert engine.log == ["a"]
    assert bench.jobs.active == 0
