"""Are drivers told what their KV is worth, and are tokens charged for what they take?"""

from __future__ import annotations

from typing import Any

import pytest

from llmagentos.abi.errors import EINVAL, ENODRIVER
from tests.kernel.calling import rig
from tests.kernel.rig import FakeDriver, Program, Rig, agent, said

__all__ = ["rig"]  # a fixture

FEATURES = ["preempt", "resume_tokens", "count", "fork", "snapshot"]


@pytest.fixture
def edge(rig: Rig) -> FakeDriver:
    return rig.driver(features=FEATURES)


def generate(program: Program, **sampling: Any) -> int:
    return program.start("llm.generate", messages=said(), sampling=sampling)


def test_is_a_driver_told_how_long_a_tool_takes(rig: Rig, edge: FakeDriver) -> None:
    ann, tools = Program(rig, "ann", "*"), rig.tool()
    generate(ann)
    edge.answer()
    for seconds in (10.0, 20.0):
        ann.start("tool.call", name="echo")
        rig.wait(seconds)
        tools.result(tools.orders[-1])
    told = [(one.pid, one.seconds) for one in edge.heard("expect")]
    assert told == [(ann.pid, None), (ann.pid, 0.0), (ann.pid, pytest.approx(10)), (ann.pid, 0.0)]


def test_does_a_process_that_waits_for_two_tools_come_back_after_both(
    rig: Rig, edge: FakeDriver
) -> None:
    ann, tools = Program(rig, "ann", "*"), rig.tool()
    generate(ann)
    edge.answer()
    for _ in range(2):
        ann.start("tool.call", name="echo")
    first, second = tools.orders
    tools.result(first)
    assert [one.seconds for one in edge.heard("expect")] == [None, None]
    rig.wait(30.0)
    tools.result(second, error={"code": "EIO", "message": "no"})
    assert [one.seconds for one in edge.heard("expect")] == [None, None, 0.0]
    ann.start("tool.call", name="echo")
    assert edge.heard("expect")[-1].seconds == pytest.approx(0.0), "what failed tells nothing"


def test_is_nobody_told_of_processes_that_it_never_ran(rig: Rig, edge: FakeDriver) -> None:
    ann, tools = Program(rig, "ann", "*"), rig.tool()
    ann.start("tool.call", name="echo")
    tools.result(tools.orders[-1])
    ann.call("proc.exit", code=0)
    assert edge.heard("expect") == edge.heard("drop") == []


def test_does_a_driver_without_the_feature_hear_nothing(rig: Rig) -> None:
    edge, ann, tools = rig.driver(), Program(rig, "ann", "*"), rig.tool()
    generate(ann)
    edge.answer()
    ann.start("tool.call", name="echo")
    tools.result(tools.orders[-1])
    rig.call("proc.kill", pid=ann.pid, signal="KILL")
    assert {kind for kind, _ in rig.commands[edge.peer]} == {"welcome", "start"}


def test_has_a_fork_what_its_parent_has_read_and_is_it_dropped_at_the_end(
    rig: Rig, edge: FakeDriver
) -> None:
    host = rig.host()
    parent = rig.spawn(agent())
    host.act(parent, "llm.generate")
    edge.answer()
    child = rig.call("proc.fork", pid=parent)["pid"]
    assert [(one.pid, one.child) for one in edge.heard("fork")] == [(parent, child)]
    for pid in (parent, child):
        rig.call("proc.kill", pid=pid, signal="KILL")
    assert {one.pid for one in edge.heard("drop")} == {parent, child}


def test_is_a_stopped_burst_snapshotted_and_a_preempted_one_not(rig: Rig) -> None:
    edge = rig.driver(slots=1, features=FEATURES)
    ann, bob = Program(rig, "ann", "*"), Program(rig, "bob", "*")
    rig.machine.scheduler._policy.quantum = 2
    generate(ann, max_tokens=20)
    generate(bob, max_tokens=20)
    first = edge.started[0]
    edge.report(first, "one two", prompt=1)
    assert [ref.burst for ref in edge.heard("preempt")] == [first.burst]
    assert edge.heard("snapshot") == []
    second = edge.started[1]
    rig.call("proc.kill", pid=bob.pid, signal="STOP")
    rig.call("proc.kill", pid=ann.pid, signal="STOP")
    assert [ref.burst for ref in edge.heard("snapshot")] == [second.burst, first.burst]


def test_costs_a_prompt_what_the_driver_says_and_nothing_where_it_was_cached(
    rig: Rig, edge: FakeDriver
) -> None:
    """Ann's prompt was read before; Bob's was not. So Ann is next."""
    edge.beat(prefill_weight=0.1)
    charged = {}
    for name, cached in (("ann", 90), ("bob", 0)):
        program = Program(rig, name, "*")
        number = generate(program)
        start = edge.started[-1]
        edge._step(start, index=0, prompt_tokens=100, cached_tokens=cached)
        edge._step(start, index=0, tokens=[1], text="x", finish="stop")
        usage = program.result(number)["usage"]
        assert (usage["prompt_tokens"], usage["cached_tokens"]) == (100, cached)
        accounts = rig.machine.scheduler._policy._accounts
        account = accounts[rig.machine.table.get(program.pid).tree]
        charged[name] = account.counter - account.floor
    assert charged == {"ann": pytest.approx(2 * (0.1 * 10 + 1)), "bob": pytest.approx(2 * (10 + 1))}


def test_is_it_seen_what_a_process_has_in_the_memory_of_drivers(rig: Rig, edge: FakeDriver) -> None:
    ann = Program(rig, "ann", "*")
    edge.beat(kv_bytes=700, kv=[{"pid": ann.pid, "bytes": 700}])
    assert rig.call("proc.info", pid=ann.pid)["process"]["kv_bytes"] == 700
    edge.die()
    assert rig.call("proc.info", pid=ann.pid)["process"]["kv_bytes"] == 0


@pytest.mark.parametrize(
    ("feature", "sampling"),
    [("grammar", {"grammar": {"regex": "a+"}}), ("logprobs", {"logprobs": 2})],
)
def test_goes_a_burst_only_where_what_it_asks_for_is_done(
    rig: Rig, feature: str, sampling: dict[str, Any]
) -> None:
    plain, ann = rig.driver("plain"), Program(rig, "ann", "*")
    with pytest.raises(ENODRIVER):
        ann.result(generate(ann, **sampling))
    able = rig.driver("able", features=[*FEATURES, feature])
    generate(ann, **sampling)
    assert (len(plain.started), len(able.started)) == (0, 1)


def test_are_the_probabilities_that_a_driver_tells_in_the_answer(rig: Rig) -> None:
    edge, ann = rig.driver(features=[*FEATURES, "logprobs"]), Program(rig, "ann", "*")
    number = generate(ann, logprobs=1)
    chosen = [
        {
            "token": n,
            "text": "x",
            "logprob": -0.5,
            "top": [{"token": 1, "text": "x", "logprob": -1.0}],
        }
        for n in range(2)
    ]
    start = edge.started[0]
    for index in range(2):
        edge._step(start, index=index, tokens=[index], text="x", logprobs=chosen[index : index + 1],
                   finish="stop" if index else None)  # fmt: skip
    assert ann.result(number)["logprobs"] == chosen


def test_is_an_answer_that_could_not_be_sent_refused_before_it_is_made(
    rig: Rig, edge: FakeDriver
) -> None:
    ann = Program(rig, "ann", "*")
    with pytest.raises(EINVAL, match="probabilities"):
        ann.result(generate(ann, logprobs=20, max_tokens=6000))
    with pytest.raises(EINVAL, match="20,000"):
        ann.call(
            "llm.generate", sampling={"grammar": {"json_schema": {"description": "x" * 30_000}}}
        )
    assert edge.started == []


def test_are_probabilities_that_nobody_asked_for_refused(rig: Rig) -> None:
    edge, ann = rig.driver(features=[*FEATURES, "logprobs"]), Program(rig, "ann", "*")
    number = generate(ann)
    one = {"token": 1, "text": "x", "logprob": -0.5}
    edge._step(edge.started[0], index=0, tokens=[1], text="x", logprobs=[one] * 5000)
    burst = next(iter(rig.machine.table.get(ann.pid).bursts), None)
    assert burst is None or burst.logprobs == []
    assert ann.reply(number) is None or not ann.reply(number)["ok"]
