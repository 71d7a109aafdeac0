"""Does the audit log say which tools were called, with what, and what they were denied?"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from llmagentos.abi.audit import first_break
from llmagentos.abi.calls.sys import AuditEntry
from llmagentos.abi.jobs import MAX_DENIED
from tests.kernel.calling import ann
from tests.kernel.rig import FakeTool, Program, Rig, settled

__all__ = ["ann"]  # a fixture

DENIED = {"what": "file", "detail": "openat /etc/shadow: not there", "times": 3}


@pytest.fixture
def rig() -> Rig:
    return settled(audit_kept=40)


@pytest.fixture
def tool(rig: Rig) -> FakeTool:
    return rig.tool("box", "shell")


def entries(rig: Rig, verdict: str = "") -> list[dict[str, Any]]:
    """Those about tools."""
    found = rig.call("sys.audit", limit=1000)["entries"]
    assert first_break([AuditEntry(**entry) for entry in found]) is None
    own = [entry for entry in found if entry["action"] == "tool.call"]
    return [entry for entry in own if verdict in ("", entry["verdict"])]


def call(ann: Program, **more: Any) -> int:
    return ann.start("tool.call", name="shell", arguments={"b": "ü", "a": [1, None]}, **more)


def test_does_each_call_that_begins_leave_its_hash(rig: Rig, ann: Program, tool: FakeTool) -> None:
    call(ann)
    (entry,) = entries(rig)
    hashed = hashlib.sha256('{"a":[1,null],"b":"ü"}'.encode()).hexdigest()
    assert (entry["pid"], entry["verdict"]) == (ann.pid, "begun")
    assert entry["detail"] == (f"job {tool.orders[0].job}, shell on box, arguments sha256:{hashed}")
    assert "ü" not in json.dumps(entry, ensure_ascii=False)


def test_does_a_call_that_never_begins_leave_no_such_entry(
    rig: Rig, ann: Program, tool: FakeTool
) -> None:
    tool.beat("draining")
    call(ann)
    assert entries(rig, "begun") == []


@pytest.mark.parametrize("error", [None, {"code": "EINVAL", "message": "no"}])
def test_does_each_denial_leave_an_entry(
    rig: Rig, ann: Program, tool: FakeTool, error: dict[str, Any] | None
) -> None:
    call(ann)
    job = tool.orders[0].job
    denied = [DENIED, {"what": "limit", "detail": "time: more than 30 seconds"}]
    tool.result(tool.orders[0], error=error, denied=denied)
    assert [(entry["pid"], entry["detail"]) for entry in entries(rig, "denied")] == [
        (ann.pid, f"job {job}, shell on box: file: openat /etc/shadow: not there (3 times)"),
        (ann.pid, f"job {job}, shell on box: limit: time: more than 30 seconds"),
    ]


@pytest.mark.parametrize("how", ["timeout", "kill"])
def test_is_it_heard_what_an_aborted_call_was_denied(
    rig: Rig, ann: Program, tool: FakeTool, how: str
) -> None:
    call(ann, timeout=1.0)
    (order,) = tool.orders
    if how == "timeout":
        rig.wait(2)
    else:
        rig.call("proc.kill", pid=ann.pid, signal="KILL")
    assert tool.aborted == [order.job]
    assert entries(rig, "denied") == []
    for _ in range(2):  # the second one is nobody's
        tool.result(order, error={"code": "ECANCELED", "message": "aborted"}, denied=[DENIED])
    (entry,) = entries(rig, "denied")
    assert entry["pid"] == ann.pid
    assert f"job {order.job}, shell on box: file:" in entry["detail"]


def test_does_a_driver_speak_of_its_own_jobs_only(rig: Rig, ann: Program, tool: FakeTool) -> None:
    other = rig.tool("other", "nothing")
    call(ann, timeout=1.0)
    (order,) = tool.orders
    other.result(order, denied=[DENIED])
    rig.wait(2)
    other.result(order, denied=[DENIED])
    tool.result(order.model_copy(update={"job": order.job + 1000}), denied=[DENIED])
    assert entries(rig, "denied") == []


@pytest.mark.parametrize(
    "denied",
    [
        [DENIED] * (MAX_DENIED + 1),
        [{"what": "Not a code", "detail": ""}],
        [{"what": "file", "detail": "x" * 501}],
        [{"what": "file", "times": 0}],
    ],
)
def test_is_a_denial_without_bounds_no_result(
    rig: Rig, ann: Program, tool: FakeTool, denied: list[dict[str, Any]]
) -> None:
    call(ann)
    tool.result(tool.orders[0], denied=denied)
    assert entries(rig, "denied") == []


def test_is_the_log_bounded_and_whole_under_a_flood(rig: Rig, ann: Program, tool: FakeTool) -> None:
    for _ in range(5):
        call(ann)
        tool.result(tool.orders[-1], denied=[DENIED] * MAX_DENIED)
    kept = rig.call("sys.audit", limit=1000)["entries"]
    assert len(kept) <= 40 + 100 + MAX_DENIED
    assert "audit.cut" in [entry["action"] for entry in kept]
    assert first_break([AuditEntry(**entry) for entry in kept]) is None
