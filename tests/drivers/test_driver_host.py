"""Does the host loop keep the driver protocol, whatever the kernel or the engine does?"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from drivers.scripted.engine import ScriptedEngine
from llmagentos.abi.driver import Registration, Report, StepReport
from llmagentos.abi.errors import ENOENT
from llmagentos.abi.wire import Message, encode
from tests.drivers.conftest import CARD

RunHost = Callable[..., SimpleNamespace]


def tokens_of(steps: list[dict[str, Any]]) -> list[int]:
    return [token for step in steps for token in step["tokens"]]


def text_of(steps: list[dict[str, Any]]) -> str:
    return "".join(step["text"] for step in steps)


class Held(ScriptedEngine):
    """Its second step, if it is one of burst 1, lasts until the kernel has said something more."""

    steps = 0
    host: Any

    def step(self) -> list[StepReport]:
        self.steps += 1
        if self.steps == 2 and 1 in self._running:
            assert self.host._link._socket.poll(60_000)
        return super().step()


def held(run_host: RunHost) -> Held:
    engine = Held(CARD, 4)
    engine.host = run_host(lambda announce: engine).host
    return engine


def test_does_it_register_before_it_loads(kernel: Any, run_host: RunHost) -> None:
    go = threading.Event()

    def load(announce: Any) -> Any:
        announce("fetching", 0.25)
        go.wait(60)
        raise ENOENT("no such model", hint="pull one")

    result = run_host(load)
    registration = kernel.hear()
    assert registration.kind == "register"
    assert registration.session == "service-key"
    assert Registration.model_validate(registration.body).state == "loading"
    kernel.say("welcome", {"boot": 1, "beat_interval": 0.05})
    beats = [kernel.hear_kind("beat") for _ in range(8)]  # it beats while it loads
    assert {beat.body["state"] for beat in beats} == {"loading"}
    assert beats[-1].body["note"] == "fetching"
    assert beats[-1].body["progress"] == 0.25
    go.set()
    failed = kernel.hear_state("failed")
    assert "no such model" in failed.body["note"]
    result.thread.join(30)
    assert result.status == 1


def test_does_it_answer_bursts_side_by_side(kernel: Any, run_host: RunHost) -> None:
    run_host(delay=0.01)
    kernel.admit()
    kernel.start(1, "one two three")
    kernel.start(2, "four five six seven")
    second = kernel.steps(2)
    reports = [Report.model_validate(m.body) for m in kernel.seen if m.kind == "report"]
    assert text_of(second) == "four five six seven"
    assert second[0]["prompt_tokens"] == 4
    assert [step["index"] for step in second] == [0, 1, 2, 3]
    assert any(len(report.steps) == 2 for report in reports), "one report for all of a step"


def test_does_a_cancel_take_effect_within_one_step(kernel: Any, run_host: RunHost) -> None:
    held(run_host)
    kernel.admit()
    kernel.start(1, "word " * 500)
    kernel.hear_kind("report")
    kernel.say("cancel", {"burst": 1, "attempt": 1})
    kernel.start(2, "end")
    kernel.steps(2)
    assert len(kernel.reported(1)) <= 2, "the step under way is the last one"


def test_is_a_preempted_burst_silent_until_it_is_resumed(kernel: Any, run_host: RunHost) -> None:
    held(run_host)
    kernel.admit()
    words = "a b c d e f g h i j"
    kernel.start(1, words)
    kernel.hear_kind("report")
    kernel.say("preempt", {"burst": 1, "attempt": 1})
    kernel.start(2, "x")
    kernel.steps(2)
    with pytest.raises(TimeoutError):
        kernel.hear_kind("report", 0.3)
    kernel.say("resume", {"burst": 1, "attempt": 1})
    kernel.steps(1)
    assert text_of(kernel.reported(1)) == words
    assert tokens_of(kernel.reported(1)) == list(range(10))


def test_does_it_register_again_when_asked_who_it_is(kernel: Any, run_host: RunHost) -> None:
    result = run_host()
    first = kernel.admit(beat_interval=30.0)
    result.host._registered_at = float("-inf")  # long ago
    kernel.say("who", {})
    kernel.say("who", {})
    again = kernel.hear_kind("register")
    assert again.body["name"] == first.body["name"]
    assert again.body["state"] == "ready"
    with pytest.raises(TimeoutError):  # one answer for both
        kernel.hear_kind("register", 0.3)


def test_does_it_find_a_restarted_kernel_and_drop_its_bursts(
    kernel: Any, run_host: RunHost
) -> None:
    result = run_host(delay=0.02)
    kernel.admit(boot=1)
    kernel.start(1, "word " * 5000)
    kernel.hear_kind("report")
    kernel.close()
    time.sleep(0.3)
    kernel.open()
    kernel.hear_kind("beat")
    time.sleep(0.2)
    kernel.say("who", {})
    kernel.hear_kind("register")
    kernel.say("welcome", {"boot": 2, "beat_interval": 0.1})
    kernel.start(7, "new work")
    assert text_of(kernel.steps(7)) == "new work"
    assert not result.engine.busy


def test_does_another_boot_drop_what_was_running(kernel: Any, run_host: RunHost) -> None:
    result = run_host(delay=0.02)
    kernel.admit(boot=1)
    kernel.start(1, "word " * 5000)
    kernel.hear_kind("report")
    kernel.say("welcome", {"boot": 1, "beat_interval": 0.1})  # the same kernel: nothing happens
    time.sleep(0.1)
    assert result.engine.busy
    kernel.say("welcome", {"boot": 2, "beat_interval": 0.1})
    kernel.start(2, "x", model="other")
    kernel.steps(2)  # it has been refused, so all that was said before it has been obeyed
    assert not result.engine.busy


def test_does_garbage_from_the_kernel_hurt_nobody(kernel: Any, run_host: RunHost) -> None:
    run_host(delay=0.01)
    kernel.admit()
    kernel.start(1, "w " * 40)
    kernel.say_raw(b"", b"")
    kernel.say_raw(b"\xff" * 50, b"\x00")
    kernel.say_raw(b"alone")
    kernel.say_raw(*encode(Message("dance", body={"a": 1})))
    kernel.say("assign", {"pid": 1, "name": "x", "session": "s", "manifest": {}})
    kernel.say("cancel", {"burst": "one"})
    kernel.say("cancel", {"burst": 99, "attempt": 1})
    kernel.say("resume", {"burst": 1, "attempt": 9})
    kernel.say("start", {"burst": 3, "attempt": 1, "model": 5})
    steps = kernel.steps(1)
    assert tokens_of(steps) == list(range(40))
    assert [step["error"]["code"] for step in kernel.reported(3)] == ["EPROTO"]


def test_does_a_failing_burst_fail_alone(
    kernel: Any, run_host: RunHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run_host(delay=0.02)
    kernel.admit()
    kernel.start(1, "w " * 5000)
    kernel.start(2, "x", model="other")
    (refused,) = kernel.steps(2)
    assert refused["finish"] == "error"
    assert refused["error"]["code"] == "ENOENT"
    kernel.start(3, "x", sampling={"max_tokens": 9000})
    assert kernel.steps(3)[0]["error"]["code"] == "ECONTEXT"
    monkeypatch.setattr(type(result.engine), "step", lambda self: 1 / 0)
    (failed,) = [step for step in kernel.steps(1) if step.get("finish")]
    assert failed["error"]["code"] == "EDRIVER"
    assert "ZeroDivisionError" in failed["error"]["message"]
    monkeypatch.undo()
    kernel.start(4, "still here")
    assert text_of(kernel.steps(4)) == "still here"


def test_does_a_later_attempt_replace_an_earlier_one(kernel: Any, run_host: RunHost) -> None:
    run_host(delay=0.01)
    kernel.admit()
    kernel.start(1, "a b c d e", attempt=1)
    kernel.start(1, "a b c d e", attempt=2, accepted=[0, 1])
    kernel.start(1, "a b c d e", attempt=1)
    steps = kernel.steps(1)
    second = [step for step in steps if step["attempt"] == 2]
    assert text_of(second) == "c d e"
    assert second[0]["index"] == 2
    assert steps[-1]["attempt"] == 2


def test_is_a_command_for_an_earlier_attempt_ignored(kernel: Any, run_host: RunHost) -> None:
    run_host(delay=0.05)
    kernel.admit()
    kernel.start(1, "a b c d e", attempt=2)
    kernel.say("cancel", {"burst": 1, "attempt": 1})
    kernel.say("preempt", {"burst": 1, "attempt": 1})
    assert text_of(kernel.steps(1)) == "a b c d e"


def test_is_a_start_refused_while_it_loads(kernel: Any, run_host: RunHost) -> None:
    go = threading.Event()

    def load(announce: Any) -> Any:
        go.wait(60)
        raise ENOENT("no such model")

    run_host(load)
    kernel.hear_kind("register")
    kernel.start(1)
    assert kernel.steps(1)[0]["error"]["code"] == "EBUSY"
    go.set()


def test_does_a_refused_driver_end(kernel: Any, run_host: RunHost) -> None:
    result = run_host()
    kernel.hear_kind("register")
    kernel.say("refuse", {"code": "EAUTH", "message": "the key is wrong"})
    result.thread.join(30)
    assert result.status == 1
