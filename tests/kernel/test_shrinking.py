"""Do rights only shrink: capabilities, places, models, budgets, time, and labels that only grow?"""

import pytest

from kernel.ledger import chain
from llmagentos.abi.errors import EPERM
from tests.kernel.rig import MODEL, Rig, agent

SPAWNS = {"allow": ["proc:spawn"]}


def test_does_an_orphan_still_draw_on_the_budget_it_was_born_under(rig: Rig) -> None:
    driver, host = rig.driver(), rig.host()
    top = rig.spawn(agent(limits={"tokens": 1000}, capabilities=SPAWNS))
    middle = host.child(top, agent(capabilities=SPAWNS))
    leaf = host.child(middle, agent(sampling={"max_tokens": 400}))
    host.act(leaf, "llm.generate")
    host.act(middle, "proc.exit")
    rig.call("proc.wait", pid=middle)
    driver.answer("a b c", prompt=300)
    account = rig.machine.table.get(top).account("tokens")
    assert (account.spent, account.reserved) == (303, 0)
    rig.beating.clear()
    rig.crash()
    driver, host = rig.driver(), rig.host(running=[top, leaf])
    rig.wait(rig.config.claim_patience + 1)
    heirs = chain(rig.machine.table.get(leaf))
    assert [p.pid for p in heirs] == [leaf, middle, top, 1]


def test_does_a_child_end_with_the_wall_time_of_its_parent(rig: Rig) -> None:
    host = rig.host()
    parent = rig.spawn(agent(limits={"wall": 60}, capabilities=SPAWNS))
    rig.wait(50)
    child = host.child(parent, agent())
    rig.wait(11)
    assert rig.state(child) == "ZOMBIE"


def test_does_what_a_parent_is_denied_stay_denied_to_its_children(rig: Rig) -> None:
    rig.driver(models=[{"name": n, "context_length": 99} for n in (MODEL, "big")])
    host = rig.host()
    rules = {"allow": ["proc:spawn"], "deny": ["llm:big@*"]}
    parent = rig.spawn(agent(capabilities=rules))
    with pytest.raises(EPERM, match="llm:big"):
        host.child(parent, agent(model="big", capabilities={"allow": ["*"]}))
    child = host.child(parent, agent(capabilities={"allow": ["*"]}))
    reply = host.reply(host.act(child, "llm.generate", model="big"))
    assert reply is not None
    assert reply["error"]["code"] == "EPERM"


def test_may_a_child_run_only_where_its_parent_may(rig: Rig) -> None:
    cloud, host = rig.driver("cloud", kind="cloud"), rig.host()
    parent = rig.spawn(agent(placement={"allow": ["edge"]}, capabilities=SPAWNS))
    with pytest.raises(EPERM, match="edge only"):
        host.child(parent, agent(placement={"allow": ["cloud"]}))
    child = host.child(parent, agent(placement={"allow": ["edge", "cloud"]}))
    rig.wait(3)
    host.act(child, "llm.generate")
    assert not cloud.started


def test_does_a_deny_of_one_driver_keep_bursts_off_it(rig: Rig) -> None:
    first, host = rig.driver("first"), rig.host()
    second = rig.driver("second")
    pid = rig.spawn(agent(capabilities={"deny": ["llm:*@first"]}))
    host.act(pid, "llm.generate")
    assert not first.started
    assert len(second.started) == 1
    considered = rig.call("proc.info", pid=pid)["placement"]["considered"]
    assert "denied" in considered["first"]


def test_does_a_deny_of_all_models_bind_the_default_one(rig: Rig) -> None:
    rig.driver()
    host = rig.host()
    pid = rig.spawn(agent(capabilities={"deny": ["llm:*"]}))
    reply = host.reply(host.act(pid, "llm.generate"))
    assert reply is not None
    assert reply["error"]["code"] == "EPERM"


def test_is_a_fork_a_spawn(rig: Rig) -> None:
    host = rig.host()
    pid = rig.spawn(agent(capabilities={"deny": ["proc:spawn"]}))
    reply = host.reply(host.act(pid, "proc.fork"))
    assert reply is not None
    assert reply["error"]["code"] == "EPERM"


def test_do_labels_follow_what_is_read(rig: Rig) -> None:
    rig.driver("cloud", kind="cloud")
    _, session = rig.program("collector")
    rig.host()
    secret = rig.spawn(agent(labels=["private"]), session=session, peer=b"prog")
    rig.call("ctx.read", pid=secret, session=session, peer=b"prog")
    assert rig.call("proc.info", session=session)["process"]["labels"] == ["private"]
    assert rig.call("proc.info")["process"]["labels"] == []


def test_does_private_data_never_leave_the_device(rig: Rig) -> None:
    cloud = rig.driver("cloud", kind="cloud", zone="elsewhere", labels=["private"])
    host = rig.host()
    pid = rig.spawn(agent(labels=["private"]))
    rig.wait(3)
    host.act(pid, "llm.generate")
    assert not cloud.started
