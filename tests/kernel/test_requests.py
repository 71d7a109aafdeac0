"""Is a capability that is asked for beforehand granted by those only who have it?"""

from __future__ import annotations

from typing import Any

import pytest

from llmagentos.abi.errors import EINVAL, EPERM
from tests.kernel.asking import (
    DECIDES,
    ann,
    answer,
    ask,
    decide,
    family,
    program,
    refused,
    status,
    tool,
    waiting,
)
from tests.kernel.rig import FakeTool, Program, Rig, agent

__all__ = ["ann", "tool"]  # fixtures


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
