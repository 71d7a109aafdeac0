"""Is what drivers say of tokens, prices and themselves taken for no more than it is worth?"""

from __future__ import annotations

from typing import Any

import pytest

from kernel.effects import FromDriver
from llmagentos.abi.errors import EDRIVER
from llmagentos.abi.keys import NodeKey
from llmagentos.abi.wire import Message
from tests.kernel.rig import MODEL, FakeDriver, Rig, agent


def _ask(rig: Rig, most: int = 256, **args: Any) -> int:
    messages = [{"role": "user", "content": "hi"}]
    return rig.send("llm.generate", messages=messages, sampling={"max_tokens": most}, **args)


def _step(driver: FakeDriver, **fields: Any) -> None:
    """Of the burst that was started last."""
    start = driver.started[-1]
    step = {"burst": start.burst, "attempt": start.attempt, "index": len(start.accepted), **fields}
    driver.say("report", {"steps": [step]})


def test_is_the_bill_of_one_driver_none_of_the_next(rig: Rig) -> None:
    cloud = rig.driver("cloud", kind="cloud", features=["resume_text"])
    number = _ask(rig)
    broken = {"code": "EDRIVER", "message": "it broke off"}
    other = rig.driver("other", features=["resume_text"])
    _step(cloud, tokens=[0, 0], text="a b ")
    start = cloud.started[-1]
    cloud.say("report", {"steps": [{
        "burst": start.burst, "attempt": 1, "index": 2, "finish": "error", "error": broken,
        "prompt_tokens": 3, "completion_tokens": 2,
    }]})  # fmt: skip
    _step(other, tokens=[0] * 50, text="c " * 50, finish="stop", prompt_tokens=5)
    usage = rig.reply(number)["result"]["usage"]  # type: ignore[index]
    assert usage["completion_tokens"] == 52
    assert usage["prompt_tokens"] == 3  # the text that it brought is part of the answer


def test_does_a_refusal_say_nothing_of_what_was_read_before(rig: Rig) -> None:
    edge, number = rig.driver(), _ask(rig)
    edge.report(edge.started[-1], "one ", prompt=1000)
    cloud = rig.driver("cloud", kind="cloud", features=["resume_text"])
    edge.die()
    _step(cloud, finish="error", error={"code": "EINVAL", "message": "no"}, prompt_tokens=0)
    assert rig.reply(number)["error"]["code"] == "EINVAL"  # type: ignore[index]
    assert rig.call("proc.info", pid=1)["process"]["usage"]["prompt_tokens"] == 1000


@pytest.mark.parametrize("how", ["cancel", "stop"])
def test_may_those_behind_go_when_the_first_one_leaves(rig: Rig, how: str) -> None:
    rates = [{"what": "tokens", "limit": 600, "period": 6000.0}]
    cloud = rig.driver("cloud", kind="cloud", slots=64, rates=rates)
    host, pid = rig.host(), rig.spawn()
    _ask(rig, 300)
    large = {"messages": [{"role": "user", "content": "x"}], "sampling": {"max_tokens": 500}}
    host.act(pid, "llm.generate", **large)
    _ask(rig, 10)
    assert [start.sampling.max_tokens for start in cloud.started] == [300]
    if how == "cancel":
        rig.call("llm.cancel", pid=pid)
    else:
        rig.call("proc.kill", pid=pid, signal="STOP")
    assert [start.sampling.max_tokens for start in cloud.started] == [300, 10]


def test_is_a_provider_that_is_shut_for_long_as_good_as_away(rig: Rig) -> None:
    cloud = rig.driver("cloud", kind="cloud")
    rig.driver("edge", models=[{"name": "other", "context_length": 99}])
    host = rig.host()
    pid = rig.spawn(agent(placement={"patience": 10}))
    number = host.act(pid, "llm.generate")
    full = {"code": "ERATE", "message": "429", "detail": {"retry_after": 86_400}}
    cloud.report(cloud.started[-1], finish="error", error=full)
    assert host.reply(number)["error"]["code"] == "ERATE"  # type: ignore[index]
    late = _ask(rig, model=[MODEL, "other"])
    assert rig.machine.registry.named("edge").load == 1  # type: ignore[union-attr]
    assert rig.reply(late) is None
    waits = host.act(pid, "llm.generate")
    rig.wait(11)
    assert host.reply(waits)["error"]["code"] == EDRIVER("").code  # type: ignore[index]
    cloud.register()
    _ask(rig)
    assert cloud.started  # a new process of it is asked again


def test_does_patience_hold_for_a_driver_that_loads_too(rig: Rig) -> None:
    driver, host = rig.driver(state="loading"), rig.host()
    pid = rig.spawn(agent(placement={"patience": 5}))
    number = host.act(pid, "llm.generate")
    for _ in range(7):
        rig.now += 1
        driver.beat("loading")
        rig.wait(0)
    rig.wait(0.1)
    assert host.reply(number)["error"]["code"] == EDRIVER("").code  # type: ignore[index]


def test_is_an_answer_that_could_not_be_kept_ended(rig: Rig) -> None:
    driver, host = rig.driver(), rig.host()
    pid = rig.spawn()
    number = host.act(pid, "llm.generate")
    for index in range(2):
        _step(driver, index=index, tokens=[0], text="x" * 600_000)
    assert host.reply(number)["error"]["code"] == "ECONTEXT"  # type: ignore[index]
    assert len(rig.call("ctx.read", pid=pid)["messages"]) == 1
    assert driver.heard("cancel")


def test_does_a_held_burst_get_no_token(rig: Rig) -> None:
    driver, host = rig.driver(), rig.host()
    pid = rig.spawn(agent(limits={"tokens": 1000}))
    host.act(pid, "llm.generate")
    assert driver.started[-1].hold
    _step(driver, tokens=[1], text="greedy", prompt_tokens=5)
    assert driver.heard("refuse")


def test_does_a_node_send_no_bills(rig: Rig) -> None:
    key = NodeKey(name="lab", public="0" * 40, zone="lab")
    dear = {"name": MODEL, "context_length": 99, "price": {"prompt": 1e6, "completion": 1e6}}
    card = {"name": "lab", "kind": "node", "models": [dear], "slots": 1, "state": "ready"}

    def say(kind: str, body: dict[str, Any]) -> None:
        message = Message(kind, session="", body=body)
        rig.put_in(FromDriver(b"lab-1", message, key))

    say("register", card)
    say("beat", {"state": "ready", "models": [dear]})
    (told,) = [row for row in rig.call("drv.list")["drivers"] if row["name"] == "lab"]
    assert told["models"][0]["price"] == {"prompt": 0.0, "completion": 0.0}
    say("beat", {"state": "ready", "tools": [{"name": "shell"}]})
    assert rig.call("drv.info", name="lab")["state"] == "down"


def test_is_a_dear_driver_not_tried_while_a_free_one_is_idle(rig: Rig) -> None:
    edge = rig.driver()
    _ask(rig)
    edge.report(edge.started[-1], "one ", prompt=5)
    edge.report(edge.started[-1], "two", index=1, finish="stop")
    dear = {"name": MODEL, "context_length": 99, "price": {"prompt": 9.0, "completion": 9.0}}
    rig.driver("cloud", kind="cloud", models=[dear])
    _ask(rig)
    assert len(edge.started) == 2
