"""Does the kernel hear of each burst what it must, once, whatever it says meanwhile?"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from drivers.bursts import Bursts
from drivers.scripted.engine import ScriptedEngine
from llmagentos.abi.cards import ModelCard
from llmagentos.abi.driver import BurstRef, Start, StepReport
from tests.drivers.conftest import CARD
from tests.drivers.orders import order

RunHost = Callable[..., SimpleNamespace]


@pytest.fixture
def bursts() -> Bursts:
    bursts = Bursts()
    bursts.engine = ScriptedEngine(ModelCard(name="tiny", context_length=100), 2)
    return bursts


def ref(burst: int, attempt: int = 1) -> BurstRef:
    return BurstRef(burst=burst, attempt=attempt)


def test_is_a_count_reported_without_a_step(kernel: Any, run_host: RunHost) -> None:
    run_host()
    kernel.admit()
    kernel.start(1, "a b c", hold=True)
    (count,) = kernel.hear_kind("report").body["steps"]
    assert (count["prompt_tokens"], count["tokens"], count["index"]) == (3, [], 0)
    assert "finish" not in count
    with pytest.raises(TimeoutError):
        kernel.hear_kind("report", 0.3)
    kernel.say("resume", {"burst": 1, "attempt": 1})
    steps = kernel.steps(1)
    assert "".join(step["text"] for step in steps) == "a b c"
    assert not any("prompt_tokens" in step for step in steps)


def test_does_a_count_not_wait_for_the_step_of_others(kernel: Any, run_host: RunHost) -> None:
    run_host(delay=0.2)
    kernel.admit()
    kernel.start(1, "w " * 100)
    kernel.hear_kind("report")
    kernel.start(2, "a b c", hold=True)
    counted = kernel.hear_until(
        lambda m: m.kind == "report" and any(step["burst"] == 2 for step in m.body["steps"])
    )
    assert [step["burst"] for step in counted.body["steps"]] == [2]


def test_is_a_count_that_was_cancelled_not_reported(bursts: Bursts) -> None:
    bursts.start(order(1, "a b c", hold=True))
    bursts.start(order(2, "a b c", hold=True))
    bursts.steer("cancel", ref(1))
    assert [step.burst for step in bursts.take_reports()] == [2]
    bursts.steer("resume", ref(1))
    assert not bursts.busy


def test_is_a_hold_that_fails_reported_as_any_start(bursts: Bursts) -> None:
    bursts.start(order(1, "a b c", hold=True, max_tokens=500))
    (step,) = bursts.take_reports()
    assert (step.finish, step.prompt_tokens) == ("error", None)
    assert step.error is not None
    assert step.error.code == "ECONTEXT"
    bursts.steer("resume", ref(1))
    assert bursts.take_reports() == []


def test_are_commands_for_a_burst_that_has_ended_meanwhile_ignored(bursts: Bursts) -> None:
    bursts.start(order(1, "word"))
    bursts.step()  # the kernel has not heard of its end, and says:
    for command in ("preempt", "resume", "preempt", "cancel"):
        bursts.steer(command, ref(1))
    assert [step.finish for step in bursts.take_reports()] == ["stop"]
    bursts.step()
    assert bursts.take_reports() == []
    complete = order(2, "word", accepted=[0])
    bursts.start(complete)
    bursts.steer("resume", ref(2))
    assert [step.finish for step in bursts.take_reports()] == ["stop"]


def test_does_a_later_attempt_replace_one_that_is_held(bursts: Bursts) -> None:
    first = order(1, "a b c", hold=True)
    again = Start.model_validate(first.model_dump() | {"attempt": 2, "accepted": [0]})
    bursts.start(first)
    bursts.start(again)
    assert [(step.attempt, step.index) for step in bursts.take_reports()] == [(2, 1)]
    bursts.steer("resume", ref(1, attempt=1))
    assert not bursts.busy
    bursts.steer("resume", ref(1, attempt=2))
    bursts.step()
    assert [step.text for step in bursts.take_reports()] == ["b "]


def test_does_a_resume_without_a_slot_fail_that_burst_only(bursts: Bursts) -> None:
    for burst in (1, 2):
        bursts.start(order(burst, "a b c"))
    bursts.start(order(3, "a b c", hold=True))
    bursts.take_reports()
    bursts.steer("resume", ref(3))
    (step,) = bursts.take_reports()
    assert step.error is not None
    assert (step.burst, step.error.code) == (3, "EBUSY")
    bursts.step()
    assert {step.burst for step in bursts.take_reports()} == {1, 2}
    engine = bursts.engine
    assert engine is not None
    engine.preempt(1)
    engine.resume(3)  # it holds nothing that nobody will ever ask for
    assert engine.stats.active == 1


def test_does_it_beat_while_it_takes_in_a_hundred_prompts(kernel: Any, run_host: RunHost) -> None:
    class Slow(ScriptedEngine):
        def start(self, order: Start) -> StepReport | None:
            time.sleep(0.04)  # a long prompt for a slow tokenizer
            return super().start(order)

    run_host(lambda announce: Slow(CARD, 4))
    kernel.admit(beat_interval=0.1)
    for burst in range(1, 51):
        kernel.start(burst, hold=True)
    between = [0]  # prompts that were reported from one beat to the next
    while sum(between) < 50:
        message = kernel.hear()
        if message.kind == "beat":
            between.append(0)
        elif message.kind == "report":
            between[-1] += len(message.body["steps"])
    assert max(between) <= 6, "three take longer than a beat, and twice as many may be reported"
    reports = [m.body["steps"] for m in kernel.seen if m.kind == "report"]
    assert [step["burst"] for steps in reports for step in steps] == [*range(1, 51)]
