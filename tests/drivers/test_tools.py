"""Does a tool's every call get its answer over the line, and hurt nobody else's?"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from drivers.link import Link
from drivers.tool import Job, Offer, Tool, make_tool
from llmagentos.abi.cards import ToolCard
from llmagentos.abi.errors import EPERM, LLMOSError
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
        (failing(EPERM("x" * (5 << 20))), "EPERM", "x…"),
        (failing(EPERM("odd", detail={"a": {1, 2}})), "EPERM", "odd"),
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
        job.aborted.wait(60)
        ended.set()
        raise LLMOSError("nobody hears this")

    run_host(tools=[tool("slow", slow), tool("good", lambda arguments, job: 1)])
    kernel.admit()
    kernel.call(1, "slow")
    kernel.hear_until(lambda m: m.kind == "beat" and m.body["active"] == 1)
    kernel.say("abort", {"job": 1})
    assert ended.wait(30)
    kernel.call(2, "good")
    kernel.result(2)
    kernel.hear_until(lambda m: m.kind == "beat" and m.body["active"] == 0)
    assert [m.body["job"] for m in kernel.seen if m.kind == "result"] == [2]


@pytest.mark.parametrize("how", ["boot", "who"])
def test_are_jobs_of_another_boot_dropped(kernel: Any, run_host: RunHost, how: str) -> None:
    aborted = threading.Event()

    def slow(arguments: dict[str, Any], job: Job) -> Any:
        if job.aborted.wait(60):
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
    assert aborted.wait(30)
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
    result.thread.join(30)
    assert not result.thread.is_alive()
    for job in range(1, 7):
        error = kernel.result(job)["error"]
        assert (error["code"], "ended" in error["message"]) == ("EDRIVER", True)
    stuck.set()  # what comes now wakes nobody, and nobody's file


def test_is_waking_a_closed_link_harmless(kernel: Any) -> None:
    link = Link(kernel.home.drivers, "key")
    link.wake()
    link.wait(30)
    for _ in range(100_000):  # more than the line takes: it must not block
        link.wake()
    link.close()
    link.wake()


def test_does_every_result_wake_the_host(kernel: Any, run_host: RunHost) -> None:
    """A result never waits for the next beat."""
    run_host(tools=[tool("good", lambda arguments, job: job.number)])
    kernel.admit()
    kernel.say("welcome", {"boot": 1, "beat_interval": 300.0})
    for job in range(1, 51):
        kernel.call(job, "good")
    heard = {kernel.hear_kind("result").body["content"] for _ in range(50)}
    assert heard == set(range(1, 51))


class Fair:
    """A source whose tools the test offers."""

    def __init__(self) -> None:
        self.offer: Offer
        self.open = threading.Event()
        self.stopped = False

    def start(self, offer: Offer) -> None:
        self.offer = offer
        self.open.set()

    def stop(self) -> None:
        self.stopped = True


def test_do_tools_come_and_go_while_jobs_run(kernel: Any, run_host: RunHost) -> None:
    fair, freed = Fair(), threading.Event()
    result = run_host(source=fair)
    registration = kernel.hear_kind("register").body
    assert (registration["state"], registration.get("tools", [])) == ("loading", [])
    kernel.say("welcome", {"boot": 1, "beat_interval": 30.0})
    assert fair.open.wait(30)
    begun = threading.Event()
    slow = tool("slow", lambda arguments, job: begun.set() or freed.wait(60))
    fair.offer("ready", "one tool", [slow])
    beat = kernel.hear_until(lambda m: m.kind == "beat" and m.body["state"] == "ready").body
    assert (beat["note"], [card["name"] for card in beat["tools"]]) == ("one tool", ["slow"])
    kernel.call(1, "slow")
    assert begun.wait(30)
    fair.offer("ready", "another", [tool("new", lambda arguments, job: "new")])
    fair.offer("loading", "away")
    beats = []
    while not beats or beats[-1]["state"] != "loading":
        beats.append(kernel.hear_kind("beat").body)
    told = [card["name"] for beat in beats for card in beat.get("tools") or []]
    assert told == ["new"]
    kernel.call(2, "new")
    assert kernel.result(2)["content"] == "new"
    kernel.call(3, "slow")
    assert kernel.result(3)["error"]["code"] == "ENOENT"
    freed.set()
    assert kernel.result(1)["content"] is True
    kernel.say("welcome", {"boot": 1, "beat_interval": 0.02})
    for _ in range(3):  # by then its registration has not crossed the question
        kernel.hear_kind("beat")
    kernel.say("who", {})
    again = kernel.hear_kind("register").body
    assert [card["name"] for card in again["tools"]] == ["new"]
    result.host.stop()
    result.thread.join(30)
    assert fair.stopped
