"""Does what must be asked for wait, and has it an end?"""

from __future__ import annotations

import pytest

from kernel import approvals
from llmagentos.abi.calls.cap import MAX_ASKED
from llmagentos.abi.errors import EBUSY, EINVAL, ENOENT, EPERM
from tests.kernel.asking import (
    ASKS,
    DECIDES,
    SHELL,
    ann,
    answer,
    ask,
    decide,
    family,
    program,
    refused,
    status,
    told,
    tool,
    waiting,
)
from tests.kernel.rig import FakeTool, Program, Rig

__all__ = ["ann", "tool"]  # fixtures

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
