"""Does a built-in tool do not one bit more than its caller may, however the call is spelled?"""

from __future__ import annotations

import pytest

from tests.kernel.rig import Rig
from tests.kernel.wishes import Asked


def test_needs_it_the_capability_of_the_syscall_too(rig: Rig) -> None:
    ask = Asked(rig, "fs.write", "proc.spawn")
    assert ask("fs.write", path="/inbox/a", text="x").startswith("EPERM: ")
    assert ask("proc.spawn", manifest="summarise", text="x").startswith("EPERM: ")
    assert (
        len([one for one in rig.call("sys.audit")["entries"] if one["action"] == "fs.write"]) == 1
    )


def test_needs_it_the_capability_of_the_tool(rig: Rig) -> None:
    ask = Asked(rig, "fs.read")
    number = ask.make(ask.want("fs.write", path="a", text="x"), "fs.write", path="a", text="x")
    body = ask.host.reply(number)
    assert body is not None
    assert body["error"]["code"] == "EPERM"


@pytest.mark.parametrize("capability", ["tool:fs.write", "fs:/inbox:w"])
@pytest.mark.parametrize("approve", [True, False])
def test_does_it_wait_for_an_approval(rig: Rig, capability: str, approve: bool) -> None:
    given = {"allow": ["fs:/inbox:rw"], "ask": [capability]}
    ask = Asked(rig, "fs.*", capabilities=given)
    arguments = {"path": "/inbox/a", "text": "x"}
    number = ask.make(ask.want("fs.write", **arguments), "fs.write", **arguments)
    assert ask.host.reply(number) is None
    info = rig.call("proc.info", pid=ask.pid)["process"]
    assert (info["state"], info["reason"]) == ("WAITING", "approval")
    (asked,) = rig.call("cap.list")["approvals"]
    rig.call("cap.decide", approval=asked["id"], approve=approve)
    body = ask.host.reply(number)
    assert body is not None
    there = rig.call("fs.list", path="/inbox")["files"] if approve else []
    assert len(there) == int(approve)
    told = ask.told() if body["ok"] else body["error"]["code"]
    assert ("EPERM" in told) is not approve


def test_is_an_approval_found_again_when_its_host_has_died(rig: Rig) -> None:
    ask = Asked(rig, "fs.*", capabilities={"allow": ["fs:/inbox:rw"], "ask": ["fs:/inbox:w"]})
    arguments = {"path": "/inbox/a", "text": "x"}
    id = ask.want("fs.write", **arguments)
    ask.make(id, "fs.write", **arguments)
    ask.host.die()
    (asked,) = rig.call("cap.list")["approvals"]
    rig.call("cap.decide", approval=asked["id"], approve=True)
    ask.host = rig.host("other")
    assert ask.host.reply(ask.make(id, "fs.write", **arguments)) is not None
    assert "version" in ask.told()
    assert rig.call("fs.stat", path="/inbox/a")["version"] == 1


@pytest.mark.parametrize("path", ["a", "a/", "/self/a", "/self/a/"])
@pytest.mark.parametrize("kind", ["deny", "ask"])
def test_is_a_path_meant_however_it_is_spelled(rig: Rig, path: str, kind: str) -> None:
    ask = Asked(rig, "fs.*", capabilities={kind: ["tool:fs.write(/self/a)"]})
    arguments = {"path": path, "text": "x"}
    body = ask.host.reply(ask.make(ask.want("fs.write", **arguments), "fs.write", **arguments))
    if kind == "deny":
        assert body is not None
        assert body["error"]["code"] == "EPERM"
    else:
        assert body is None
        assert len(rig.call("cap.list")["approvals"]) == 1
    assert rig.call("fs.list", pid=ask.pid)["files"] == []


def test_is_a_number_in_quotes_denied_as_one(rig: Rig) -> None:
    denied = 'tool:proc.kill({"pid": 7})'
    ask = Asked(rig, "proc.kill", capabilities={"deny": [denied]})
    for pid in (7, "7"):
        body = ask.host.reply(ask.make(ask.want("proc.kill", pid=pid), "proc.kill", pid=pid))
        assert body is not None
        assert body["error"]["message"].startswith("tool:proc.kill(…) is denied")


def test_is_what_was_left_out_denied_too(rig: Rig) -> None:
    ask = Asked(rig, "fs.*", capabilities={"deny": ["tool:fs.list(/self)"]})
    body = ask.host.reply(ask.make(ask.want("fs.list"), "fs.list"))
    assert body is not None
    assert not body["ok"]


def test_do_labels_come_with_what_is_read(rig: Rig) -> None:
    ask = Asked(rig, "mem.*", capabilities={"allow": ["mem:notes:r"]})
    rig.call("mem.put", space="notes", key="k", value="v", labels=["private"])
    ask("mem.get", space="notes", key="k")
    assert rig.labels(ask.pid) == ["private"]
