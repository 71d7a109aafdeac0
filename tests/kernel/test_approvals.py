"""Does what must be asked for wait, durably, and does each yes let exactly one call through?"""

from __future__ import annotations

from typing import Any

import pytest

from kernel import approvals
from kernel.effects import FromClient
from kernel.rules import Rules
from llmagentos.abi.calls.cap import MAX_ASKED
from llmagentos.abi.errors import EBUSY, EINVAL, ENOENT, EPERM
from llmagentos.abi.wire import Message
from tests.kernel.rig import MODEL, FakeHost, FakeTool, Program, Rig, agent

SHELL = {"name": "shell", "arguments": {"command": "rm -rf /tmp/x"}}
ASKS = {"allow": ["tool:*", "mem:*", "ipc:*"], "ask": ["tool:shell(*)"]}


@pytest.fixture
def rig() -> Rig:
    return Rig()


@pytest.fixture
def tool(rig: Rig) -> FakeTool:
    return rig.tool("tools", "shell", "echo")


@pytest.fixture
def ann(rig: Rig) -> Program:
    return program(rig, "ann")


def program(rig: Rig, name: str, **rules: list[str]) -> Program:
    """A program that must ask before it uses the shell, or one with these rules."""
    rig.call("proc.adopt", name=name, capabilities=rules or ASKS)
    return Program(rig, name)


def ask(who: Program, command: str | None = None, **more: Any) -> int:
    """Call the shell, and don't wait for the reply."""
    arguments = SHELL["arguments"] if command is None else {"command": command}
    return who.start("tool.call", name="shell", arguments=arguments, **more)


def waiting(rig: Rig, **args: Any) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = rig.call("cap.list", **args)["approvals"]
    return listed


def status(rig: Rig, id: int) -> str:
    (found,) = waiting(rig, approval=id)
    return str(found["status"])


def decide(rig: Rig, id: int, approve: bool = True, **more: Any) -> dict[str, Any]:
    return rig.call("cap.decide", approval=id, approve=approve, **more)


def refused(who: Program, number: int) -> str:
    """The message of the EPERM that a call was answered with."""
    with pytest.raises(EPERM) as caught:
        who.result(number)
    return str(caught.value.message)


def told(rig: Rig, kind: str) -> list[dict[str, Any]]:
    return [event for event in rig.events if event["type"] == kind]


# -- asking ------------------------------------------------------------------------------------


def test_does_a_call_wait_until_it_is_approved(rig: Rig, tool: FakeTool, ann: Program) -> None:
    number = ask(ann)
    assert rig.state(ann.pid) == "WAITING(approval)"
    assert ann.reply(number) is None
    (question,) = waiting(rig)
    assert question["arguments"] == SHELL
    assert (question["pid"], question["name"], question["call"]) == (ann.pid, "ann", "tool.call")
    assert (question["capability"], question["status"]) == ("tool:shell", "pending")
    assert question["expires"] == rig.now + rig.config.approval_patience
    assert not tool.orders
    decided = decide(rig, question["id"], hash=question["hash"])["approval"]
    assert (decided["status"], decided["by"], decided["decided"]) == ("used", 1, rig.now)
    (order,) = tool.orders
    assert order.arguments == SHELL["arguments"]
    assert rig.state(ann.pid) == "WAITING(tool)"
    tool.result(order, "done")
    assert ann.result(number)["content"] == "done"
    assert rig.state(ann.pid) == "READY"
    # The call is not held for ever.
    assert rig.machine.approvals.find(question["id"]).parked is None
    assert waiting(rig) == []


def test_is_a_rejected_call_refused_and_a_repeat_of_it_too(
    rig: Rig, tool: FakeTool, ann: Program
) -> None:
    ask(ann, id=7)
    decide(rig, 1, False, reason="not on my machine")
    assert "not on my machine" in refused(ann, 7)
    assert rig.state(ann.pid) == "READY"
    rig.crash()
    ask(ann, id=7)
    assert "not on my machine" in refused(ann, 7)
    assert waiting(rig) == []
    assert status(rig, 1) == "rejected"
    assert not tool.orders


def test_does_a_call_that_need_not_ask_go_on(rig: Rig, tool: FakeTool, ann: Program) -> None:
    ann.start("tool.call", name="echo")
    assert len(tool.orders) == 1
    rig.call("cap.list", pid=ann.pid)
    assert waiting(rig) == []


def test_is_a_question_without_an_answer_a_no(rig: Rig, tool: FakeTool, ann: Program) -> None:
    number = ask(ann)
    rig.wait(rig.config.approval_patience - 1)
    assert ann.reply(number) is None
    rig.wait(2)
    assert "nobody decided within 86400 s" in refused(ann, number)
    assert status(rig, 1) == "expired"
    assert rig.state(ann.pid) == "READY"
    assert not tool.orders
    with pytest.raises(EBUSY, match="expired already"):
        decide(rig, 1)


def test_does_a_question_end_in_time_though_the_kernel_was_down(rig: Rig, ann: Program) -> None:
    ask(ann, id=7)
    rig.wait(10)
    rig.crash()
    ask(ann, id=7)
    rig.wait(rig.config.approval_patience - 11)
    assert status(rig, 1) == "pending"
    rig.now += 1_000_000
    rig.crash()
    rig.wait(1)
    assert status(rig, 1) == "expired"


def test_is_a_yes_that_nobody_uses_not_good_for_ever(
    rig: Rig, tool: FakeTool, ann: Program
) -> None:
    ask(ann, id=7)
    rig.crash()
    decide(rig, 1)
    rig.wait(rig.config.approval_patience + 1)
    assert status(rig, 1) == "expired"
    ask(ann, id=7)
    assert not tool.orders
    assert [one["id"] for one in waiting(rig)] == [2]


def test_are_refusals_and_decisions_written_down(rig: Rig, ann: Program) -> None:
    ask(ann, "xyzzy")
    ask(ann, "plugh")
    decide(rig, 1, False)
    rig.wait(rig.config.approval_patience + 1)
    entries = rig.call("sys.audit")["entries"][-3:]
    assert [(e["pid"], e["action"], e["verdict"]) for e in entries] == [
        (1, "cap.decide", "ok"), (ann.pid, "tool.call", "EPERM"), (ann.pid, "tool.call", "EPERM"),
    ]  # fmt: skip
    assert "rejected" in entries[0]["detail"]
    asked, decided = told(rig, "approval.asked"), told(rig, "approval.decided")
    assert [event["data"]["approval"] for event in asked] == [1, 2]
    assert decided[0]["data"] == {
        "approval": 1, "capability": "tool:shell", "status": "rejected", "by": 1,
    }  # fmt: skip
    said = str([rig.events, rig.call("sys.audit")])
    assert "xyzzy" not in said
    assert "plugh" not in said


# -- crashes -----------------------------------------------------------------------------------


def test_does_a_repeat_find_its_question(rig: Rig, tool: FakeTool, ann: Program) -> None:
    ask(ann, id=7)
    rig.crash()
    assert rig.state(ann.pid) == "READY"
    assert status(rig, 1) == "pending"
    ask(ann, id=7)
    assert [one["id"] for one in waiting(rig)] == [1]
    assert rig.state(ann.pid) == "WAITING(approval)"
    tool.register()
    decide(rig, 1)
    assert len(tool.orders) == 1


def test_does_a_yes_wait_for_the_call(rig: Rig, tool: FakeTool, ann: Program) -> None:
    ask(ann, id=7)
    rig.crash()
    assert decide(rig, 1)["approval"]["status"] == "approved"
    rig.crash()
    tool.register()
    ask(ann, "something else")
    assert not tool.orders
    ask(ann, id=7)
    assert len(tool.orders) == 1
    assert status(rig, 1) == "used"
    ask(ann, id=8)
    assert len(tool.orders) == 1
    assert [one["id"] for one in waiting(rig)] == [2, 3]


def test_does_a_no_wait_for_the_call(rig: Rig, ann: Program) -> None:
    ask(ann, id=7)
    rig.crash()
    decide(rig, 1, False, reason="no")
    rig.crash()
    ask(ann, id=7)
    assert "no" in refused(ann, 7)
    assert waiting(rig) == []
    # It was heard: the next one asks anew, now and after a crash.
    rig.crash()
    ask(ann, id=8)
    assert [one["id"] for one in waiting(rig)] == [2]


def test_does_one_yes_let_one_of_two_through(rig: Rig, tool: FakeTool, ann: Program) -> None:
    first, second = ask(ann), ask(ann)
    one, two = waiting(rig)
    assert one["hash"] == two["hash"]
    decide(rig, one["id"])
    assert len(tool.orders) == 1
    decide(rig, two["id"], False)
    assert len(tool.orders) == 1
    refused(ann, second)
    assert ann.reply(first) is None


def test_does_one_yes_let_one_of_two_through_after_a_crash(
    rig: Rig, tool: FakeTool, ann: Program
) -> None:
    ask(ann, id=7)
    ask(ann, id=8)
    rig.crash()
    tool.register()
    decide(rig, 2)
    ask(ann, id=8)
    ask(ann, id=7)
    assert len(tool.orders) == 1
    assert [one["id"] for one in waiting(rig)] == [1]
    rig.crash()
    tool.register()
    ask(ann, id=8)
    ask(ann, id=7)
    # What was let through died with the kernel; whether it had its effect, nobody knows.
    assert not tool.orders
    assert [one["id"] for one in waiting(rig)] == [1, 3]


def test_does_a_question_outlive_its_client_and_its_host(rig: Rig, tool: FakeTool) -> None:
    host = rig.host()
    pid = rig.spawn(agent(capabilities=ASKS))
    host.act(pid, "tool.call", **SHELL)
    assert rig.state(pid) == "WAITING(approval)"
    host.die()
    assert status(rig, 1) == "pending"
    other = rig.host("other")
    other.act(pid, "tool.call", **SHELL)
    assert [one["id"] for one in waiting(rig)] == [1]
    decide(rig, 1)
    assert len(tool.orders) == 1


def test_is_a_question_withdrawn_when_its_process_ends(rig: Rig, ann: Program) -> None:
    number = ask(ann, id=7)
    ask(ann, "other", id=8)
    rig.drop_client(ann.peer)
    decide(rig, 2)
    rig.call("proc.kill", pid=ann.pid, signal="KILL")
    assert [status(rig, 1), status(rig, 2)] == ["withdrawn", "withdrawn"]
    assert ann.reply(number) is None
    with pytest.raises(EBUSY, match="withdrawn already"):
        decide(rig, 1)
    rig.crash()
    assert waiting(rig) == []


def test_does_a_no_stay_a_no(rig: Rig, ann: Program) -> None:
    bob = program(rig, "bob")
    ask(ann, id=7)
    ask(bob, id=7)
    rig.crash()
    decide(rig, 1, False)
    decide(rig, 2, False)
    rig.call("proc.kill", pid=bob.pid, signal="KILL")
    assert status(rig, 2) == "rejected"
    rig.wait(rig.config.approval_patience + 1)
    assert status(rig, 1) == "rejected"
    # It is not kept for longer than a yes is.
    ask(ann, id=7)
    assert [one["id"] for one in waiting(rig)] == [3]


def test_is_everything_about_a_question_kept(rig: Rig, tool: FakeTool, ann: Program) -> None:
    ask(ann)
    decide(rig, 1, always=True, reason="go on")
    ann.start("cap.request", capability="fs:/x:rw", reason="please", timeout=60)
    ann.label("private")
    ann.start("cap.request", capability="fs:/y:rw")
    decide(rig, 2, False, reason="no")
    before = waiting(rig, history=9)
    assert [one["status"] for one in before] == ["used", "rejected", "pending"]
    rig.crash()
    assert waiting(rig, history=9) == before


def test_do_ids_grow_over_crashes(rig: Rig, ann: Program) -> None:
    ask(ann, "one")
    decide(rig, 1, False)
    rig.crash()
    ask(ann, "two")
    assert [one["id"] for one in waiting(rig)] == [2]


def test_is_the_answer_to_a_stopped_process_held(rig: Rig, ann: Program) -> None:
    number = ask(ann)
    rig.call("proc.kill", pid=ann.pid, signal="STOP")
    decide(rig, 1, False)
    assert ann.reply(number) is None
    rig.call("proc.kill", pid=ann.pid, signal="CONT")
    refused(ann, number)


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


# -- who may decide ----------------------------------------------------------------------------


def family(rig: Rig, host: FakeHost, parent: dict[str, Any], child: dict[str, Any]) -> list[int]:
    top = rig.spawn(agent("parent", capabilities=parent))
    reply = host.reply(
        host.act(top, "proc.spawn", manifest=agent("child", capabilities=child), text="x")
    )
    assert reply is not None
    return [top, reply["result"]["pid"]]


def answer(host: FakeHost, pid: int, id: int, **more: Any) -> str:
    """What comes of an agent's attempt to decide."""
    reply = host.reply(host.act(pid, "cap.decide", approval=id, **{"approve": True, **more}))
    assert reply is not None
    return "ok" if reply["ok"] else str(reply["error"]["code"])


DECIDES = ["proc:spawn", "cap:decide", "tool:*"]


def test_may_a_parent_decide_for_its_child(rig: Rig, tool: FakeTool) -> None:
    host = rig.host()
    parent, child = family(rig, host, {"allow": DECIDES}, ASKS)
    host.act(child, "tool.call", **SHELL)
    assert answer(host, child, 1) == "EPERM"
    assert answer(host, parent, 1) == "ok"
    assert len(tool.orders) == 1
    assert waiting(rig, approval=1)[0]["by"] == parent
    host.act(child, "tool.call", **SHELL)
    assert answer(host, parent, 2, always=True) == "ok"
    host.act(child, "tool.call", **SHELL)
    assert len(tool.orders) == 3


def test_does_nobody_decide_for_himself(rig: Rig, tool: FakeTool) -> None:
    host = rig.host()
    pid = rig.spawn(agent(capabilities={"allow": DECIDES, "ask": ["tool:shell(rm *)"]}))
    host.act(pid, "tool.call", **SHELL)
    assert answer(host, pid, 1) == answer(host, pid, 1, approve=False) == "EPERM"
    assert status(rig, 1) == "pending"


def test_may_nobody_else_decide(rig: Rig, tool: FakeTool) -> None:
    host = rig.host()
    parent, child = family(rig, host, {"allow": ["proc:spawn", "tool:*"]}, ASKS)
    host.act(child, "tool.call", **SHELL)
    stranger, sibling = (
        Program(rig, "stranger", "*"),
        rig.spawn(agent(capabilities={"allow": ["*"]})),
    )
    assert answer(host, parent, 1) == "EPERM"
    assert answer(host, sibling, 1) == "EPERM"
    texts = []
    for id in (1, 99):
        with pytest.raises(EPERM) as caught:
            stranger.call("cap.decide", approval=id, approve=True)
        texts.append(caught.value.message.replace(str(id), "N"))
    assert texts[0] == texts[1]
    assert status(rig, 1) == "pending"
    assert not tool.orders


@pytest.mark.parametrize(
    ("rules", "once", "always"),
    [
        ({"allow": DECIDES}, "ok", "ok"),
        ({"allow": DECIDES, "ask": ["tool:shell(rm *)"]}, "EPERM", "EPERM"),
        ({"allow": DECIDES, "ask": ["tool:shell(dd *)"]}, "ok", "EPERM"),
        ({"allow": DECIDES, "ask": ["tool:cat(*)"]}, "ok", "ok"),
        ({"allow": [*DECIDES[:2], "tool:shell(rm *)"]}, "ok", "EPERM"),
    ],
)
def test_does_nobody_say_yes_to_what_he_may_not_do_himself(
    rig: Rig, rules: dict[str, Any], once: str, always: str
) -> None:
    host = rig.host()
    parent, child = family(rig, host, rules, ASKS)
    host.act(child, "tool.call", **SHELL)
    assert answer(host, parent, 1, always=True) == always
    if always != "ok":
        assert answer(host, parent, 1) == once
    if once != "ok":
        assert answer(host, parent, 1, approve=False) == "ok"


def test_does_one_more_argument_not_fool_the_one_who_decides(rig: Rig) -> None:
    host = rig.host()
    rules = {"allow": DECIDES, "ask": ["tool:shell(rm *)"]}
    parent, child = family(rig, host, rules, {"allow": ["tool:*"]})
    host.act(child, "tool.call", name="shell", arguments={"command": "rm x", "more": 1})
    assert answer(host, parent, 1) == "EPERM"


# -- bounds ------------------------------------------------------------------------------------


def test_has_what_a_process_asks_an_end(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = program(rig, "ann")
    for number in range(100):
        ask(ann, str(number))
    with pytest.raises(EBUSY, match="100 approvals"):
        ann.call("tool.call", **SHELL)
    decide(rig, 1, False)
    ask(ann)
    assert len(waiting(rig, after=90)) == 11
    monkeypatch.setattr(approvals, "_MOST_BYTES_ALL", 100_000)
    with pytest.raises(EBUSY, match="too many"):
        program(rig, "bob").call("tool.call", **SHELL)


def test_is_there_room_again_when_questions_are_settled(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(approvals, "_MOST_BYTES_ALL", 3000)
    ann = program(rig, "ann")
    for id in range(1, 10):
        ask(ann)
        decide(rig, id, False)
    assert not rig.machine.approvals._of
    monkeypatch.setattr(approvals, "_MOST_BYTES", 1500)
    ask(ann)
    with pytest.raises(EBUSY):
        ann.call("tool.call", **SHELL)


def test_is_what_nobody_could_read_refused(rig: Rig, ann: Program) -> None:
    with pytest.raises(EINVAL, match="too long for anybody to read"):
        ann.call("tool.call", name="shell", arguments={"command": "ü" * (MAX_ASKED // 2)})
    ask(ann, "ü" * (MAX_ASKED // 2 - 100))
    assert len(waiting(rig)[0]["arguments"]["arguments"]["command"]) == MAX_ASKED // 2 - 100


def test_is_one_shown_its_own_questions_and_those_below(rig: Rig, ann: Program) -> None:
    bob = program(rig, "bob")
    ask(ann)
    ask(bob)
    decide(rig, 2, False)
    ask(bob)
    assert [one["id"] for one in waiting(rig, pid=bob.pid, history=9)] == [2, 3]
    assert [one["id"] for one in ann.call("cap.list", history=9)["approvals"]] == [1]
    assert ann.call("cap.list", approval=1)["approvals"][0]["id"] == 1
    with pytest.raises(ENOENT):
        waiting(rig, pid=bob.pid, approval=1)
    with pytest.raises(EPERM):
        ann.call("cap.list", approval=2)


def test_does_a_list_of_many_come_in_pages(rig: Rig, ann: Program) -> None:
    for who in (ann, program(rig, "bob")):
        for number in range(60):
            ask(who, str(number))
    page = rig.call("cap.list")
    assert (len(page["approvals"]), page["more"]) == (100, True)
    page = rig.call("cap.list", after=100)
    assert (len(page["approvals"]), page["more"]) == (20, False)


def test_does_a_long_list_come_in_pages(rig: Rig, ann: Program) -> None:
    for number in range(15):
        ask(ann, str(number) + "x" * 200_000)
    page = rig.call("cap.list")
    assert page["more"] is True
    ids = [one["id"] for one in page["approvals"]]
    while page["more"]:
        page = rig.call("cap.list", after=ids[-1])
        ids += [one["id"] for one in page["approvals"]]
    assert ids == list(range(1, 16))


def test_has_the_history_an_end(rig: Rig, ann: Program) -> None:
    for id in range(1, 1012):
        ask(ann)
        decide(rig, id, False)
    assert [one["id"] for one in waiting(rig, history=3)] == [1009, 1010, 1011]
    for _ in range(2):
        with pytest.raises(ENOENT):
            status(rig, 11)
        assert status(rig, 12) == "rejected"
        rig.crash()
    assert rig.store._rows("SELECT count(*) AS n FROM approvals") == [{"n": 1000}]


def test_is_a_long_history_shorter(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(approvals, "_KEPT_BYTES", 10_000)
    ann = program(rig, "ann")
    for id in range(1, 30):
        ask(ann, "x" * 1000)
        decide(rig, id, False)
    assert [one["id"] for one in waiting(rig, history=99)] == list(range(21, 30))


# -- labels ------------------------------------------------------------------------------------


def test_is_whoever_reads_a_question_labelled(rig: Rig) -> None:
    host = rig.host()
    parent, child = family(rig, host, {"allow": DECIDES}, ASKS)
    rig.call("mem.put", pid=child, key="x", value=1, labels=["private"])
    host.act(child, "mem.get", key="x")
    host.act(child, "tool.call", **SHELL)
    assert waiting(rig)[0]["labels"] == ["private"]
    assert rig.labels(parent) == rig.labels(1) == []
    host.act(parent, "cap.list", pid=parent)
    assert rig.labels(parent) == ["private"]


def test_has_a_question_the_labels_of_each_that_asks_it(rig: Rig, ann: Program) -> None:
    ask(ann, id=7)
    rig.drop_client(ann.peer)
    ann.label("private")
    ask(ann, id=7)
    assert waiting(rig)[0]["labels"] == ["private"]
    rig.crash()
    assert waiting(rig)[0]["labels"] == ["private"]


def test_is_whoever_decides_labelled_and_does_his_word_carry_labels(rig: Rig) -> None:
    host = rig.host()
    parent, child = family(rig, host, {"allow": DECIDES}, ASKS)
    ids = iter(range(1, 9))

    def label(pid: int, name: str) -> None:
        rig.call("mem.put", pid=pid, key=name, value=1, labels=[name])
        host.act(pid, "mem.get", key=name)

    host.act(child, "tool.call", **SHELL)
    label(child, "later")
    answer(host, parent, next(ids))
    assert rig.labels(parent) == []
    host.act(child, "tool.call", **SHELL)
    answer(host, parent, next(ids), approve=False)
    assert rig.labels(parent) == ["later"]
    label(parent, "parents")
    host.act(child, "tool.call", **SHELL)
    answer(host, parent, next(ids), approve=False)
    assert rig.labels(child) == ["later"]
    host.act(child, "tool.call", **SHELL)
    answer(host, parent, next(ids), approve=False, reason="because")
    assert rig.labels(child) == ["later", "parents"]


# -- requests ----------------------------------------------------------------------------------


def test_is_what_is_held_granted_at_once(rig: Rig, ann: Program) -> None:
    assert ann.call("cap.request", capability="mem:notes:rw") == {
        "granted": True, "approval": None, "note": "",
    }  # fmt: skip
    free = rig.program("free")[1]
    assert rig.call("cap.request", capability="fs:/x:rw", session=free)["granted"] is True
    assert waiting(rig, history=9) == []


def test_is_what_is_denied_in_so_many_words_not_asked_for(rig: Rig) -> None:
    ann = program(rig, "ann", deny=["fs:/x:w"])
    with pytest.raises(EPERM, match="denied to ann"):
        ann.call("cap.request", capability="fs:/x:rw")
    assert waiting(rig) == []
    assert rig.call("sys.audit")["entries"][-1]["verdict"] == "EPERM"
    with pytest.raises(EINVAL):
        ann.call("cap.request", capability="fs:/*:r")


def test_is_a_request_granted_for_good(rig: Rig, tool: FakeTool, ann: Program) -> None:
    with pytest.raises(EPERM):
        ann.call("fs.list", path="/x")
    number = ann.start("cap.request", capability="fs:/x:rw", reason="to save my work")
    assert rig.state(ann.pid) == "WAITING(approval)"
    (question,) = waiting(rig)
    assert (question["call"], question["reason"]) == ("cap.request", "to save my work")
    assert question["capability"] == "fs:/x:r fs:/x:w"
    decide(rig, 1, reason="well then")
    assert ann.result(number) == {"granted": True, "approval": 1, "note": "well then"}
    for _ in range(2):
        ann.call("fs.write", path="/x/a", text="x")
        assert status(rig, 1) == "used"
        rig.crash()
    # What had to be asked for each time need not be asked for any more.
    tool.register()
    ask(ann)
    ann.start("cap.request", capability="tool:shell")
    decide(rig, 3)
    assert len(tool.orders) == 1
    ask(ann)
    assert len(tool.orders) == 2


def test_is_a_request_turned_down(rig: Rig, ann: Program) -> None:
    number = ann.start("cap.request", capability="fs:/x:r", id=7)
    decide(rig, 1, False, reason="why?")
    assert ann.result(number) == {"granted": False, "approval": 1, "note": "why?"}
    assert ann.call("cap.request", capability="fs:/x:r", id=7)["granted"] is False
    with pytest.raises(EPERM):
        ann.call("fs.list", path="/x")


def test_is_a_request_that_was_decided_while_nobody_waited_heard_of(rig: Rig, ann: Program) -> None:
    ann.start("cap.request", capability="fs:/x:r", id=7)
    ann.start("cap.request", capability="fs:/y:r", id=8)
    rig.crash()
    decide(rig, 1)
    decide(rig, 2, False)
    rig.crash()
    assert ann.call("cap.request", capability="fs:/x:r", id=7)["granted"] is True
    assert ann.call("cap.request", capability="fs:/y:r", id=8)["granted"] is False
    assert waiting(rig) == []


def test_has_a_request_a_patience_of_its_own(rig: Rig, ann: Program) -> None:
    number = ann.start("cap.request", capability="fs:/x:r", timeout=5)
    rig.wait(4)
    assert ann.reply(number) is None
    rig.wait(2)
    assert "within 5 s" in refused(ann, number)
    with pytest.raises(EPERM):
        ann.call("fs.list", path="/x")


def test_does_a_grant_answer_a_request(rig: Rig, ann: Program) -> None:
    number = ann.start("cap.request", capability="fs:/x:r")
    rig.call("cap.grant", pid=ann.pid, allow=["fs:*"])
    assert ann.result(number)["granted"] is True
    assert waiting(rig) == []


@pytest.mark.parametrize(
    ("wanted", "rules", "outcome"),
    [
        ("fs:/x:r", {"allow": [*DECIDES, "fs:/x:*"]}, "ok"),
        ("fs:/x:rw", {"allow": [*DECIDES, "fs:/x:r"]}, "EPERM"),
        ("fs:/x:r", {"allow": DECIDES}, "EPERM"),
        ("fs:/x:r", {"allow": [*DECIDES, "fs:/x:*"], "ask": ["fs:*"]}, "EPERM"),
        ("fs:/x:r", {"allow": [*DECIDES, "fs:/x:*"], "deny": ["fs:/y:*"]}, "ok"),
        ("tool:shell", {"allow": DECIDES, "ask": ["tool:shell(rm *)"]}, "EPERM"),
        ("tool:shell", {"allow": DECIDES, "ask": ["tool:cat(rm *)"]}, "ok"),
    ],
)
def test_does_nobody_grant_a_request_for_what_he_has_not(
    rig: Rig, wanted: str, rules: dict[str, Any], outcome: str
) -> None:
    host = rig.host()
    parent, child = family(rig, host, rules, {})
    host.act(child, "cap.request", capability=wanted)
    assert answer(host, parent, 1) == outcome


def test_may_a_program_not_grant_mail_that_it_could_not_send(rig: Rig) -> None:
    ann, bob = Program(rig, "ann", "*"), Program(rig, "bob", "*")
    host = rig.host()
    child = ann.call("proc.spawn", manifest=agent(), text="x")["pid"]
    number = host.act(child, "cap.request", capability=f"ipc:mail/{bob.pid}:w")
    with pytest.raises(EPERM):
        ann.call("cap.decide", approval=1, approve=True)
    decide(rig, 1)
    assert host.reply(number)["result"]["granted"] is True  # type: ignore[index]
    assert host.reply(host.act(child, "ipc.send", pid=bob.pid, body="hi"))["ok"]  # type: ignore[index]


# -- built-in tools: a call, and the syscall behind it -------------------------------------------

BOTH = {"allow": ["tool:*", "fs:*", "cap:*"], "ask": ["tool:fs.write", "fs:/shared:w"]}


def write(who: Program, text: str = "x", path: str = "/shared/a") -> int:
    return who.start("tool.call", name="fs.write", arguments={"path": path, "text": text})


def test_is_one_action_asked_for_once_though_both_its_names_ask(rig: Rig) -> None:
    ann = program(rig, "ann", **BOTH)
    number = write(ann)
    (question,) = waiting(rig)
    assert question["capability"] == "tool:fs.write fs:/shared:w"
    assert question["arguments"]["arguments"] == {"path": "/shared/a", "text": "x"}
    decide(rig, question["id"])
    assert ann.result(number)["content"]["version"] == 1
    assert waiting(rig) == []
    entries = rig.call("sys.audit")["entries"]
    (said,) = [one["detail"] for one in entries if one["action"] == "cap.decide"]
    assert said.endswith("tool:fs.write fs:/shared:w approved")


def test_is_a_yes_to_both_good_for_this_call_only(rig: Rig) -> None:
    ann = program(rig, "ann", **BOTH)
    first = write(ann)
    decide(rig, waiting(rig)[0]["id"])
    assert ann.result(first)
    for again in (write(ann), write(ann, "y")):
        assert ann.reply(again) is None
    ann.start("fs.write", path="/shared/a", text="x")
    named = [question["capability"] for question in waiting(rig)]
    assert named == ["tool:fs.write fs:/shared:w"] * 2 + ["fs:/shared:w"]


def test_is_the_syscall_alone_asked_for_where_only_it_asks(rig: Rig) -> None:
    ann = program(rig, "ann", allow=["tool:*", "fs:*"], ask=["fs:/shared:w"])
    number = write(ann)
    (question,) = waiting(rig)
    assert (question["call"], question["capability"]) == ("fs.write", "fs:/shared:w")
    decide(rig, question["id"])
    assert ann.result(number)
    write(ann, path="own")
    assert waiting(rig) == []


def test_does_a_yes_to_the_tool_alone_not_cover_what_is_asked_for_by_then(rig: Rig) -> None:
    ann = program(rig, "ann", allow=["tool:*", "fs:*"], ask=["tool:fs.write"])
    number = write(ann)
    asker = rig.machine.table.get(ann.pid)
    (rules,) = asker.rights
    asker.rights = (Rules(rules.allow, (*rules.ask, "fs:/shared:w"), rules.deny),)
    with pytest.raises(EBUSY, match="asked anew"):
        decide(rig, waiting(rig)[0]["id"])
    (question,) = waiting(rig)
    assert question["capability"] == "tool:fs.write fs:/shared:w"
    decide(rig, question["id"])
    assert ann.result(number)


def test_does_a_no_to_both_do_nothing(rig: Rig) -> None:
    ann = program(rig, "ann", **BOTH)
    number = write(ann)
    decide(rig, waiting(rig)[0]["id"], approve=False)
    assert "was refused" in refused(ann, number)
    assert rig.call("fs.list", path="/shared")["files"] == []


def test_may_only_who_has_both_say_yes_to_both(rig: Rig) -> None:
    allow = ["tool:*", "fs:*", "llm:*", "cap:decide", "proc:spawn"]
    rules = {"allow": allow, "ask": ["fs:/shared:w"]}
    boss = program(rig, "boss", **rules)
    host = rig.host()
    pid = boss.call("proc.spawn", manifest=agent(tools=["fs.write"], capabilities=BOTH))["pid"]
    host.act(pid, "tool.call", name="fs.write", arguments={"path": "/shared/a", "text": "x"})
    (question,) = waiting(rig)
    with pytest.raises(EPERM, match="or would be asked"):
        boss.call("cap.decide", approval=question["id"], approve=True)
    decide(rig, question["id"])
    assert rig.call("fs.stat", path="/shared/a")["version"] == 1


def test_is_a_yes_to_both_for_good_a_yes_to_each(rig: Rig) -> None:
    ann = program(rig, "ann", **BOTH)
    first = write(ann)
    decide(rig, waiting(rig)[0]["id"], always=True)
    assert ann.result(first)
    assert ann.result(write(ann, "other"))
    assert ann.call("fs.write", path="/shared/b", text="x")
