"""Does each job get exactly one result, whatever its tool does?"""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from drivers.tool import Job
from llmagentos.abi.errors import EDRIVER
from llmagentos.abi.jobs import MAX_DENIED, JobRef, JobResult
from tests.drivers.bench import Bench, tool


def test_are_there_never_more_threads_than_slots(bench: Bench) -> None:
    bench.call(1, 2, 3, 4, 5)
    assert bench.begun(2) == {1, 2}
    assert bench.jobs.active == 2
    bench.open(2)
    assert [result.content for result in bench.results()] == ["done 2"]
    assert bench.begun(3) == {1, 2, 3}  # in the order they came
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
    while bench.jobs.active:  # until the one that runs has noticed
        assert bench.jobs.take_results() == []
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
        assert bench.woken.wait(30)
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
    assert bench.woken.wait(30)
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
    assert bench.begun(2) == {1, 2}
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
    bench.begun(2)
    bench.open(2)
    assert bench.woken.wait(30)
    bench.jobs.fail_all(EDRIVER("the driver ended"))
    results = {result.job: result for result in bench.jobs.take_results()}
    assert sorted(results) == [1, 2, 3, 4]
    assert results[2].content == "done 2"  # it had ended in time
    codes = {results[number].error.code for number in (1, 3, 4)}
    assert codes == {"EDRIVER"}
    time.sleep(0.1)
    # those that waited were not begun
    assert {job.number: job.aborted.is_set() for job in bench.seen} == {1: True, 2: False}
