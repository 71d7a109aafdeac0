"""Does each job get exactly one result, whatever its tool does?"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from drivers.jobs import Jobs
from drivers.tool import Job, Tool, make_tool
from llmagentos.abi.driver import JobRef, JobResult, ToolCard, ToolOrder
from llmagentos.abi.errors import EDRIVER, EPERM, LLMOSError
from llmagentos.abi.model import Model

RunHost = Callable[..., SimpleNamespace]


class Add(Model):
    a: int
    b: int = 1


def tool(name: str, run: Callable[[dict[str, Any], Job], Any]) -> Tool:
    return Tool(ToolCard(name=name), run)


def failing(error: BaseException) -> Callable[[dict[str, Any], Job], Any]:
    def run(arguments: dict[str, Any], job: Job) -> Any:
        raise error

    return run


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


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


# -- over the line ----------------------------------------------------------------------------


def test_is_a_tool_called_and_answered(kernel: Any, run_host: RunHost) -> None:
    add = make_tool("add", "Adds.", Add, lambda read, job: read.a + read.b, labels=["private"])
    run_host(tools=[add, tool("echo", lambda arguments, job: arguments)])
    registration = kernel.admit().body
    assert (registration["kind"], registration["state"]) == ("tool", "ready")
    cards = {card["name"]: card for card in registration["tools"]}
    assert cards["add"]["labels"] == ["private"]
    assert cards["add"]["parameters"]["required"] == ["a"]
    kernel.call(1, "add", a=2)
    assert kernel.result(1)["content"] == 3
    nested = {"list": [1, None, {"a": 0.5}], "text": "ünï", "none": None}
    kernel.call(2, "echo", **nested)
    assert kernel.result(2)["content"] == nested


def test_are_arguments_that_do_not_fit_an_error(kernel: Any, run_host: RunHost) -> None:
    run_host(tools=[make_tool("add", "Adds.", Add, lambda read, job: read.a + read.b)])
    kernel.admit()
    for job, arguments in enumerate(({}, {"a": "1"}, {"a": 1, "c": 2}), start=1):
        kernel.call(job, "add", **arguments)
        error = kernel.result(job)["error"]
        assert error["code"] == "EINVAL"
        assert "add can't take these arguments: " in error["message"]
        assert error["hint"] == "it takes: a, b"


@pytest.mark.parametrize(
    ("run", "code", "message"),
    [
        (failing(EPERM("not yours", hint="ask")), "EPERM", "not yours"),
        (failing(ZeroDivisionError("one\ntwo")), "EDRIVER", "ZeroDivisionError: one"),
        (failing(SystemExit(3)), "EDRIVER", "SystemExit: 3"),
        (lambda arguments, job: {1, 2}, "EDRIVER", "can't be sent: content"),
        (lambda arguments, job: float("nan"), "EDRIVER", "can't be sent: content"),
        (lambda arguments, job: "x" * (5 << 20), "EDRIVER", "the most is"),
        (lambda arguments, job: deep(40), "EDRIVER", "nested"),
        (failing(EPERM("x" * (5 << 20))), "EDRIVER", "can't be sent"),
        (failing(EPERM("odd", detail={"a": {1, 2}})), "EDRIVER", "can't be sent"),
    ],
)
def test_does_a_failing_job_fail_alone(
    kernel: Any, run_host: RunHost, run: Any, code: str, message: str
) -> None:
    run_host(tools=[tool("bad", run), tool("good", lambda arguments, job: 1)])
    kernel.admit()
    kernel.call(1, "bad")
    error = kernel.result(1)["error"]
    assert error["code"] == code
    assert message in error["message"]
    kernel.call(2, "good")
    assert kernel.result(2)["content"] == 1


def test_is_an_order_that_it_cannot_follow_answered(kernel: Any, run_host: RunHost) -> None:
    run_host(tools=[tool("good", lambda arguments, job: 1)])
    kernel.admit()
    kernel.call(1, "other")
    assert kernel.result(1)["error"]["code"] == "ENOENT"
    kernel.say("call", {"job": 2, "tool": 5})
    assert kernel.result(2)["error"]["code"] == "EPROTO"
    kernel.say("embed", {"job": 3, "texts": "no list"})
    assert kernel.result(3)["error"]["code"] == "EPROTO"
    kernel.start(4)
    assert kernel.steps(4)[0]["error"]["code"] == "EBUSY"
    kernel.say("call", {"tool": "good"})
    kernel.say("abort", {"job": "x"})
    kernel.call(5, "good")
    assert kernel.result(5)["content"] == 1


def test_is_an_abort_obeyed_over_the_line(kernel: Any, run_host: RunHost) -> None:
    ended = threading.Event()

    def slow(arguments: dict[str, Any], job: Job) -> Any:
        job.aborted.wait(20)
        ended.set()
        raise LLMOSError("nobody hears this")

    run_host(tools=[tool("slow", slow), tool("good", lambda arguments, job: 1)])
    kernel.admit()
    kernel.call(1, "slow")
    kernel.hear_until(lambda m: m.kind == "beat" and m.body["active"] == 1)
    kernel.say("abort", {"job": 1})
    assert ended.wait(5)
    kernel.call(2, "good")
    kernel.result(2)
    kernel.hear_until(lambda m: m.kind == "beat" and m.body["active"] == 0)
    assert [m.body["job"] for m in kernel.seen if m.kind == "result"] == [2]


@pytest.mark.parametrize("how", ["boot", "who"])
def test_are_jobs_of_another_boot_dropped(kernel: Any, run_host: RunHost, how: str) -> None:
    aborted = threading.Event()

    def slow(arguments: dict[str, Any], job: Job) -> Any:
        if job.aborted.wait(20):
            aborted.set()
        return "old"

    run_host(tools=[tool("slow", slow), tool("good", lambda arguments, job: "new")])
    kernel.admit(boot=1)
    kernel.call(1, "slow")
    if how == "boot":
        kernel.say("welcome", {"boot": 2, "beat_interval": 0.1})
    else:
        time.sleep(0.2)
        kernel.say("who", {})
        kernel.hear_kind("register")
    assert aborted.wait(5)
    kernel.call(1, "good")
    assert kernel.result(1)["content"] == "new"


def test_does_an_ending_driver_hand_its_jobs_back(kernel: Any, run_host: RunHost) -> None:
    stuck = threading.Event()
    result = run_host(tools=[tool("stuck", lambda arguments, job: stuck.wait(60))])
    kernel.admit()
    for job in range(1, 7):
        kernel.call(job, "stuck")
    kernel.hear_until(lambda m: m.kind == "beat" and m.body["active"] == 4)
    result.host.stop()
    result.thread.join(5)
    assert not result.thread.is_alive()
    for job in range(1, 7):
        error = kernel.result(job)["error"]
        assert (error["code"], "ended" in error["message"]) == ("EDRIVER", True)
    stuck.set()  # what comes now wakes nobody, and nobody's file


def test_is_waking_a_closed_link_harmless(kernel: Any) -> None:
    from drivers.link import Link

    link = Link(kernel.home.drivers, "key")
    link.wake()
    link.wait(5)
    for _ in range(100_000):  # more than the line takes: it must not block
        link.wake()
    link.close()
    link.wake()


def test_does_every_result_wake_the_host(kernel: Any, run_host: RunHost) -> None:
    """A result never waits for the next beat."""
    run_host(tools=[tool("good", lambda arguments, job: job.number)])
    kernel.admit()
    kernel.say("welcome", {"boot": 1, "beat_interval": 30.0})
    started = time.monotonic()
    for job in range(1, 51):
        kernel.call(job, "good")
    heard = {kernel.hear_kind("result").body["content"] for _ in range(50)}
    assert heard == set(range(1, 51))
    assert time.monotonic() - started < 5
