"""Does what was asked for and decided outlive the kernel, the client and the host?"""

from __future__ import annotations

import pytest

from llmagentos.abi.errors import EBUSY
from tests.kernel.asking import (
    ASKS,
    SHELL,
    ann,
    ask,
    decide,
    program,
    refused,
    status,
    tool,
    waiting,
)
from tests.kernel.rig import FakeTool, Program, Rig, agent

__all__ = ["ann", "tool"]  # fixtures


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
