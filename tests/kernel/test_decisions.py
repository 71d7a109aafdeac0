"""Does each yes let exactly one call through, and which?"""

from __future__ import annotations

import pytest

from kernel.effects import FromClient
from kernel.rules import Rules
from llmagentos.abi.errors import EBUSY, EINVAL, ENOENT, EPERM
from llmagentos.abi.wire import Message
from tests.kernel.asking import (
    ASKS,
    SHELL,
    ann,
    ask,
    decide,
    program,
    refused,
    status,
    told,
    tool,
    waiting,
)
from tests.kernel.rig import MODEL, FakeTool, Program, Rig, agent

__all__ = ["ann", "tool"]  # fixtures

# -- what a decision is about ------------------------------------------------------------------


def test_is_a_decision_about_these_arguments_and_this_process(
    rig: Rig, tool: FakeTool, ann: Program
) -> None:
    ask(ann, id=7)
    rig.crash()
    tool.register()
    decide(rig, 1)
    ask(program(rig, "bob"), id=7)
    ask(ann, "rm -rf /tmp/y")
    ann.start("tool.call", name="shell", arguments={"other": SHELL["arguments"]["command"]})
    ann.start("tool.call", **SHELL, timeout=5)
    assert not tool.orders
    assert len({one["hash"] for one in waiting(rig, history=9)}) == 5


def test_is_a_decision_about_the_content_of_a_file_too(rig: Rig) -> None:
    ann = program(rig, "ann", ask=["fs:/shared:w"], allow=["fs:/shared:r"])

    def write(id: int, content: bytes) -> None:
        args = {"path": "/shared/x"}
        message = Message("call", id, "fs.write", ann.session, args, (content,))
        rig.put_in(FromClient(ann.peer, message))

    write(7, b"good")
    (question,) = waiting(rig)
    assert question["buffers"][0]["size"] == 4
    rig.crash()
    decide(rig, 1)
    write(8, b"evil")
    assert ann.reply(8) is None
    write(7, b"good")
    assert ann.result(7)["size"] == 4


def test_is_a_decision_about_the_context_that_a_model_reads(rig: Rig) -> None:
    driver, host = rig.driver(), rig.host()
    pid = rig.spawn(agent(capabilities={"ask": ["llm:*"]}))
    host.act(pid, "llm.generate")
    (question,) = waiting(rig)
    assert question["capability"] == f"llm:{MODEL}"
    rig.wait(10)
    rig.call("ctx.append", pid=pid, messages=[{"role": "user", "content": "a secret"}])
    with pytest.raises(EBUSY, match="asked anew as approval 2"):
        decide(rig, question["id"])
    assert not driver.started
    assert status(rig, 1) == "withdrawn"
    assert waiting(rig)[0]["expires"] == question["expires"]
    assert rig.state(pid) == "WAITING(approval)"
    decide(rig, 2)
    assert driver.started[-1].messages[-1].content == "a secret"
    driver.answer()
    # A call that brings its own messages is not about the context.
    host.act(pid, "llm.generate", messages=[{"role": "user", "content": "hi"}])
    rig.call("ctx.append", pid=pid, messages=[{"role": "user", "content": "more"}])
    decide(rig, 3)
    assert len(driver.started) == 2


def test_is_a_model_asked_for_only_if_no_other_driver_has_it(rig: Rig) -> None:
    cloud, host = rig.driver("cloud", kind="cloud"), rig.host()
    pid = rig.spawn(agent(capabilities={"ask": ["llm:*@cloud"]}))
    rig.wait(3)
    host.act(pid, "llm.generate")
    assert len(waiting(rig)) == 1
    assert not cloud.started
    decide(rig, 1)
    assert len(cloud.started) == 1
    edge = rig.driver("edge")
    host.act(pid, "llm.generate")
    assert len(edge.started) == 1
    assert waiting(rig) == []


def test_is_every_model_asked_for_that_the_answer_may_come_from(rig: Rig) -> None:
    models = [{"name": name, "context_length": 99} for name in ("big", "small")]
    rig.driver("cloud", kind="cloud", models=models)
    rig.driver("edge", models=models[1:])
    ann = program(rig, "ann", allow=["llm:*"], ask=["llm:*@cloud"])
    ann.start("llm.generate", messages=[{"role": "user", "content": "x"}], model=["big", "small"])
    assert waiting(rig)[0]["capability"] == "llm:big llm:small"
    decide(rig, 1, always=True)
    (rules,) = rig.call("cap.list", pid=ann.pid)["rules"]
    assert rules["approved"] == ["llm:big", "llm:small"]


def test_is_the_hash_that_was_looked_at_the_one_that_is_decided(rig: Rig, ann: Program) -> None:
    ask(ann)
    with pytest.raises(EINVAL, match="something else"):
        decide(rig, 1, hash="0" * 64)
    assert status(rig, 1) == "pending"


def test_is_nothing_decided_twice_or_that_was_never_asked(rig: Rig, ann: Program) -> None:
    ask(ann)
    decide(rig, 1)
    for again in (True, False):
        with pytest.raises(EBUSY, match="used already"):
            decide(rig, 1, again)
    with pytest.raises(ENOENT):
        decide(rig, 2)
    with pytest.raises(EINVAL, match="always goes with approve"):
        decide(rig, 1, False, always=True)


def test_is_a_call_that_may_not_be_made_any_more_not_approved(
    rig: Rig, tool: FakeTool, ann: Program
) -> None:
    number = ask(ann)
    rig.call("cap.revoke", pid=ann.pid, deny=["mem:*"])
    assert status(rig, 1) == "pending"
    rig.call("cap.revoke", pid=ann.pid, deny=["tool:shell(rm *)"])
    assert "denied to ann" in refused(ann, number)
    assert status(rig, 1) == "rejected"
    assert not tool.orders


def test_is_the_call_checked_again_when_it_is_approved(rig: Rig, tool: FakeTool) -> None:
    ann = program(rig, "ann")
    number = ask(ann)
    rig.machine.table.get(ann.pid).rights = (Rules(),)
    with pytest.raises(EBUSY, match="refused by now"):
        decide(rig, 1)
    assert "has no capability tool:shell" in refused(ann, number)
    assert status(rig, 1) == "withdrawn"
    assert not tool.orders


def test_does_a_call_that_fails_after_its_approval_say_why(rig: Rig) -> None:
    ann = program(rig, "ann", allow=["*"], ask=["proc:spawn"])
    number = ann.start("proc.fork")
    decide(rig, 1)
    with pytest.raises(EINVAL, match="no running agent"):
        ann.result(number)
    assert status(rig, 1) == "used"
    assert rig.state(ann.pid) == "READY"


# -- always ------------------------------------------------------------------------------------


def test_is_what_is_always_approved_not_asked_again(rig: Rig, tool: FakeTool, ann: Program) -> None:
    ask(ann, "one")
    ask(ann, "two")
    assert decide(rig, 1, always=True)["approval"]["always"] is True
    # The other one that waited need not wait any more.
    assert len(tool.orders) == 2
    assert status(rig, 2) == "used"
    rig.crash()
    tool.register()
    ask(ann, "three")
    assert len(tool.orders) == 1
    (rules,) = rig.call("cap.list", pid=ann.pid)["rules"]
    assert rules["approved"] == ["tool:shell"]
    assert (rules["allow"], rules["ask"]) == (ASKS["allow"], ASKS["ask"])


def test_is_a_yes_that_waits_not_given_again(rig: Rig, tool: FakeTool, ann: Program) -> None:
    ask(ann, "one", id=7)
    rig.crash()
    decide(rig, 1)
    ask(ann, "two")
    decide(rig, 2, always=True)
    rig.call("cap.revoke", pid=ann.pid, deny=["tool:shell(one)"])
    assert status(rig, 1) == "approved"
    assert [event["data"]["approval"] for event in told(rig, "approval.decided")] == [1, 2]
    with pytest.raises(EPERM):
        ann.call("tool.call", name="shell", arguments={"command": "one"}, id=7)


def test_does_always_mean_one_capability_of_one_process(rig: Rig, tool: FakeTool) -> None:
    rules = {"allow": ["tool:*", "proc:spawn"], "ask": ["tool:*"], "deny": ["tool:shell(dd *)"]}
    ann, bob = program(rig, "ann", **rules), program(rig, "bob", **rules)
    ask(ann)
    decide(rig, 1, always=True)
    ask(ann, "other")
    assert len(tool.orders) == 2
    with pytest.raises(EPERM):
        ann.call("tool.call", name="shell", arguments={"command": "dd if=/dev/zero"})
    ann.start("tool.call", name="echo")
    ask(bob)
    assert [(one["pid"], one["capability"]) for one in waiting(rig)] == [
        (ann.pid, "tool:echo"), (bob.pid, "tool:shell"),
    ]  # fmt: skip


def test_is_always_no_more_than_was_asked_for(rig: Rig, tool: FakeTool) -> None:
    ann = program(rig, "ann", ask=["tool:shell(git *)"])
    ask(ann, "git push")
    decide(rig, 1, always=True)
    ask(ann, "git pull")
    assert len(tool.orders) == 2
    with pytest.raises(EPERM, match="ann has no capability tool:shell"):
        ann.call("tool.call", **SHELL)


def test_does_a_child_have_to_ask_for_what_its_parent_need_not(rig: Rig, tool: FakeTool) -> None:
    host, ann = rig.host(), program(rig, "ann")
    rig.call("cap.grant", pid=ann.pid, allow=["proc:spawn", "llm:*"])
    ask(ann)
    decide(rig, 1, always=True)
    child = ann.call("proc.spawn", manifest=agent(capabilities=ASKS), text="x")["pid"]
    host.act(child, "tool.call", **SHELL)
    assert len(tool.orders) == 1
    assert rig.state(child) == "WAITING(approval)"
