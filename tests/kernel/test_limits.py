"""Are limits kept, over the whole tree, and do the books balance?"""

import pytest

from kernel.ledger import reserve, settle
from kernel.limits import lowered, tighter
from kernel.process import Process
from llmagentos.abi.errors import EPERM, EQUOTA
from llmagentos.abi.process import Limits
from tests.kernel.rig import FakeHost, Rig, agent


def generate(host: FakeHost, pid: int, **args: object) -> dict[str, object] | None:
    return host.reply(host.act(pid, "llm.generate", **args))


def test_is_a_call_refused_that_could_pass_the_limit(rig: Rig) -> None:
    rig.driver()
    host = rig.host()
    pid = rig.spawn(agent(limits={"tokens": 50}, sampling={"max_tokens": 51}))
    reply = generate(host, pid)
    assert reply is not None
    assert reply["error"]["code"] == "EQUOTA"  # type: ignore[index]
    assert "50 of its 50 tokens left" in reply["error"]["message"]  # type: ignore[index]


def test_does_a_prompt_count_that_breaks_the_limit_end_the_burst(rig: Rig) -> None:
    driver, host = rig.driver(), rig.host()
    pid = rig.spawn(agent(limits={"tokens": 50}, sampling={"max_tokens": 40}))
    call = host.act(pid, "llm.generate")
    driver.report(driver.started[0], "one", prompt=11)
    reply = host.reply(call)
    assert reply is not None
    assert reply["error"]["code"] == "EQUOTA"
    assert len(driver.heard("cancel")) == 1


def test_can_children_together_not_spend_more_than_their_parent_may(rig: Rig) -> None:
    driver, host = rig.driver(slots=64), rig.host(slots=64)
    allowed = {"allow": ["proc:spawn"]}
    parent = rig.spawn(agent(capabilities=allowed, limits={"tokens": 100}))
    children = []
    for number in range(8):
        made = host.reply(host.act(parent, "proc.spawn", manifest=agent(f"c{number}"), text="x"))
        assert made is not None
        children.append(made["result"]["pid"])
    replies = [generate(host, child, sampling={"max_tokens": 20}) for child in children]
    refused = [reply for reply in replies if reply is not None]
    assert len(refused) == 3, "five of twenty tokens fit into a hundred"
    for start in driver.started:
        driver.report(start, "a b", finish="stop", prompt=0)
    account = rig.machine.table.get(parent).account("tokens")
    assert (account.spent, account.reserved) == (10, 0)


def test_are_turns_counted(rig: Rig) -> None:
    driver, host = rig.driver(), rig.host()
    pid = rig.spawn(agent(limits={"turns": 1}))
    host.act(pid, "llm.generate")
    driver.answer()
    reply = generate(host, pid)
    assert reply is not None
    assert reply["error"]["code"] == "EQUOTA"  # type: ignore[index]


def test_is_a_cancelled_burst_charged_for_what_it_used(rig: Rig) -> None:
    driver, host = rig.driver(), rig.host()
    pid = rig.spawn()
    host.act(pid, "llm.generate")
    driver.report(driver.started[0], "one two", prompt=9)
    rig.call("proc.kill", pid=pid, signal="INT")
    process = rig.machine.table.get(pid)
    assert (process.account("tokens").spent, process.account("tokens").reserved) == (11, 0)
    assert process.usage.completion_tokens == 2


def test_do_limits_only_shrink(rig: Rig) -> None:
    rig.host()
    pid = rig.spawn(agent(limits={"tokens": 100}))
    assert rig.call("proc.limits", pid=pid, limits={"tokens": 60})["limits"]["tokens"] == 60
    with pytest.raises(EPERM, match="can't be raised"):
        rig.call("proc.limits", pid=pid, limits={"tokens": 61})
    with pytest.raises(EPERM, match="no limit"):
        rig.call("proc.limits", pid=pid, limits={"tokens": None})


def test_does_a_lowered_limit_reach_the_whole_tree(rig: Rig) -> None:
    host = rig.host()
    parent = rig.spawn(agent(capabilities={"allow": ["proc:spawn"]}))
    made = host.reply(host.act(parent, "proc.spawn", manifest=agent("c")))
    assert made is not None
    rig.call("proc.limits", pid=parent, limits={"turns": 2})
    child = rig.call("proc.limits", pid=made["result"]["pid"])
    assert child["limits"]["turns"] == 2


def test_is_nothing_reserved_when_one_account_of_the_chain_refuses() -> None:
    parent = Process(2, 1, "p", "program", 0.0, limits=Limits(tokens=100))
    child = Process(3, 2, "c", "program", 0.0, limits=Limits(tokens=1000), payer=parent)
    settle(parent, "tokens", 0, 95)
    with pytest.raises(EQUOTA, match="process 2 has 5 of its 100 tokens left"):
        reserve(child, "tokens", 6)
    assert child.account("tokens").reserved == parent.account("tokens").reserved == 0
    reserve(child, "tokens", 5)
    settle(child, "tokens", 5, 2)
    books = [
        (one.account("tokens").spent, one.account("tokens").reserved) for one in (child, parent)
    ]
    assert books == [(2, 0), (97, 0)]


def test_is_the_tightest_of_several_limits_the_one_that_holds() -> None:
    both = tighter(Limits(tokens=10), None, Limits(tokens=20, turns=3))
    assert (both.tokens, both.turns, both.money) == (10, 3, None)
    assert lowered(Limits(tokens=10), Limits(turns=1)) == Limits(tokens=10, turns=1)
    with pytest.raises(EPERM, match="is limited to 1234567 and can't be raised to 1234568"):
        lowered(Limits(tokens=1_234_567), Limits(tokens=1_234_568))
