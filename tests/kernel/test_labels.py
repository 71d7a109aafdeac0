"""Do labels follow the data to whoever hears of it, also late and also from the past?"""

import pytest

from tests.kernel.rig import FakeHost, Rig, agent

SPAWNS = {"allow": ["proc:spawn"]}


def family(rig: Rig, host: FakeHost, **spec: object) -> tuple[int, int]:
    """An agent without labels, and a child of it."""
    parent = rig.spawn(agent("parent", capabilities=SPAWNS))
    made = host.reply(host.act(parent, "proc.spawn", manifest=agent("child", **spec), text="x"))
    assert made is not None
    return parent, made["result"]["pid"]


def test_is_who_waits_labelled_by_what_the_other_read_meanwhile(rig: Rig) -> None:
    host = rig.host()
    parent, child = family(rig, host)
    host.act(parent, "proc.wait", pid=child)
    rig.call("mem.put", pid=child, key="diary", value="secret", labels=["private"])
    host.act(child, "mem.get", key="diary")
    assert rig.labels(parent) == []
    host.act(child, "proc.exit", answer="secret")
    assert rig.labels(parent) == ["private"]


def test_is_who_hears_a_stream_labelled_before_its_first_word(rig: Rig) -> None:
    driver, host = rig.driver(labels=["private"]), rig.host()
    parent, child = family(rig, host)
    host.act(parent, "proc.wait", pid=child, stream=True)
    rig.call("mem.put", pid=child, key="diary", value="secret", labels=["private"])
    host.act(child, "mem.get", key="diary")
    host.act(child, "llm.generate")
    driver.report(driver.started[-1], "secret", prompt=1)
    assert rig.labels(parent) == ["private"]


def test_is_a_fork_labelled_by_who_tells_it_something(rig: Rig) -> None:
    host = rig.host()
    parent, child = family(rig, host)
    rig.call("mem.put", pid=parent, key="diary", value="secret", labels=["private"])
    host.act(parent, "mem.get", key="diary")
    forked = host.reply(host.act(parent, "proc.fork", pid=child, text="secret"))
    assert forked is not None
    assert rig.labels(forked["result"]["pid"]) == ["private"]


@pytest.mark.parametrize("call", ["proc.wait", "proc.info", "ctx.read"])
def test_does_the_past_label_who_looks_at_it(rig: Rig, call: str) -> None:
    host = rig.host()
    parent, child = family(rig, host, labels=["private"])
    host.act(child, "proc.exit", answer="secret")
    rig.call("proc.wait", pid=child)
    assert rig.labels(parent) == []
    host.act(parent, call, pid=child)
    assert rig.labels(parent) == ["private"]


@pytest.mark.parametrize("call", ["cap.list", "ctx.restore", "proc.info"])
def test_does_what_a_labelled_child_wrote_label_who_reads_it(rig: Rig, call: str) -> None:
    host = rig.host()
    parent, child = family(rig, host)
    rig.call("mem.put", pid=child, key="diary", value="secret", labels=["private"])
    host.act(child, "mem.get", key="diary")
    host.act(child, "ctx.checkpoint", name="what-it-said")
    more = {"checkpoint": "none-such"} if call == "ctx.restore" else {}
    host.act(parent, call, pid=child, **more)
    assert rig.labels(parent) == ["private"]


def test_does_a_checkpoint_that_a_labelled_parent_names_label_the_child(rig: Rig) -> None:
    host = rig.host()
    parent, child = family(rig, host)
    rig.call("mem.put", pid=parent, key="diary", value="secret", labels=["private"])
    host.act(parent, "mem.get", key="diary")
    host.act(parent, "ctx.checkpoint", pid=child, name="what-it-said")
    assert rig.labels(child) == ["private"]


RULES = {"allow": ["proc:spawn", "cap:decide", "tool:*"]}


def three(rig: Rig, host: FakeHost) -> tuple[int, int, int]:
    """An agent, its child and the child of that, which must ask for a tool. The one in the middle
    reads something private then."""
    top = rig.spawn(agent("top", capabilities=RULES))
    pids = [top]
    for rules in (RULES, {**RULES, "ask": ["tool:echo(*)"]}):
        manifest = agent("below", capabilities=rules)
        made = host.reply(host.act(pids[-1], "proc.spawn", manifest=manifest, text="x"))
        assert made is not None
        pids.append(made["result"]["pid"])
    middle = pids[1]
    host.act(pids[2], "tool.call", name="echo")
    rig.call("mem.put", pid=middle, key="diary", value="secret", labels=["private"])
    host.act(middle, "mem.get", key="diary")
    return top, middle, pids[2]


@pytest.mark.parametrize("approve", [True, False])
def test_does_what_a_decider_said_label_who_reads_of_the_decision(rig: Rig, approve: bool) -> None:
    host = rig.host()
    rig.tool()
    top, middle, _ = three(rig, host)
    host.act(middle, "cap.decide", approval=1, approve=approve, reason="secret")
    assert rig.labels(top) == []
    rig.crash()
    host.register()
    rig.wait(10)
    host.act(top, "cap.list", history=10)
    assert rig.labels(top) == ["private"]


@pytest.mark.parametrize(("call", "globs"), [("cap.grant", "allow"), ("cap.revoke", "deny")])
def test_do_the_rules_that_others_wrote_label_who_changes_them(
    rig: Rig, call: str, globs: str
) -> None:
    host = rig.host()
    rig.tool()
    top, middle, below = three(rig, host)
    host.act(middle, "cap.grant", pid=below, allow=["tool:echo(secret)"])
    assert (rig.labels(top), rig.labels(below)) == ([], ["private"])
    told = host.reply(host.act(top, call, pid=below, **{globs: ["tool:other(*)"]}))
    assert told is not None
    assert "secret" in str(told["result"])
    assert rig.labels(top) == ["private"]
