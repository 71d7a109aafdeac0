"""Is one action asked for once, where both a built-in tool and the syscall behind it must be?"""

from __future__ import annotations

import pytest

from kernel.rules import Rules
from llmagentos.abi.errors import EBUSY, EPERM
from tests.kernel.asking import decide, program, refused, waiting
from tests.kernel.rig import Program, Rig, agent

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
