"""Does the clock driver tell the time, and sleep until it is up or nobody wants it any more?"""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from drivers.clock import TOOLS, Sleep, sleep
from drivers.tool import Job
from llmagentos.abi.errors import ECANCELED, EINVAL

RunProgram = Callable[..., "subprocess.Popen[str]"]
NOW, SLEEP = TOOLS


def test_does_it_serve_the_kernel(kernel: Any, run_program: RunProgram) -> None:
    program = run_program("drivers.clock", "--name", "clock", "--label", "private", "--slots", "2")
    body = kernel.admit().body
    assert (body["name"], body["kind"], body["slots"]) == ("clock", "tool", 2)
    assert body["labels"] == ["private"]
    assert body["models"] == []
    assert [card["name"] for card in body["tools"]] == ["time.now", "time.sleep"]
    kernel.call(1, "time.now")
    assert kernel.result(1)["content"].endswith("+00:00")
    for job in (2, 3, 4):
        kernel.call(job, "time.sleep", seconds=50)
    kernel.hear_until(lambda m: m.kind == "beat" and m.body["active"] == 2)
    kernel.say("abort", {"job": 2})
    kernel.say("abort", {"job": 4})
    kernel.call(5, "time.sleep", seconds=0.05)
    assert kernel.result(5)["content"] == {"slept": 0.05}
    program.terminate()
    assert kernel.result(3)["error"]["code"] == "EDRIVER"
    assert program.wait(30) == 0
    assert {m.body["job"] for m in kernel.seen if m.kind == "result"} == {1, 3, 5}


def test_is_it_the_time_in_the_zone_that_was_asked_for() -> None:
    pytest.importorskip("zoneinfo")
    before = time.time()
    told = datetime.fromisoformat(str(NOW.run({"timezone": "Asia/Kolkata"}, Job(1, 2))))
    assert told.utcoffset() == timedelta(hours=5, minutes=30)
    assert before - 1 <= told.timestamp() <= time.time()


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../../etc/passwd", "/etc/passwd", "Europe", ""])
def test_is_an_unknown_zone_refused(zone: str) -> None:
    with pytest.raises(EINVAL, match="no time zone"):
        NOW.run({"timezone": zone}, Job(1, 2))


@pytest.mark.parametrize("seconds", [-1, 61, "1", None, float("nan")])
def test_is_an_odd_sleep_refused(seconds: Any) -> None:
    with pytest.raises(EINVAL, match="seconds"):
        SLEEP.run({"seconds": seconds}, Job(1, 2))


def test_does_an_abort_end_a_sleep() -> None:
    job = Job(1, 2)
    threading.Timer(0.1, job.aborted.set).start()
    started = time.monotonic()
    with pytest.raises(ECANCELED):
        sleep(Sleep(seconds=60), job)
    assert time.monotonic() - started < 40
