"""Does an agent wait for a yes to what its manifest makes it ask for, whatever dies meanwhile?

A real kernel, host and driver of tools, and a scripted model; decided by the command line and by a
program.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llmagentos import System
from llmagentos.abi.errors import EPERM
from llmagentos.home import Home
from tests.shell.standins import run_llmos
from tests.system.machines import MODEL, Machines, agent, eventually

ASKS: dict[str, Any] = {"tools": ["shell"], "capabilities": {"ask": ["tool:shell(*)"]}}
HIDDEN = "\u202e\u200b\x1b[2J\u2066\U000e0041\ufeff\u0301\u3164"


def wish(command: str) -> dict[str, Any]:
    arguments = json.dumps({"command": command}, ensure_ascii=False)
    return {"text": "", "calls": [{"name": "shell", "arguments": arguments}]}


class Town(Machines):
    """``turns``: the commands that the model wants run, one after the other; then it is done."""

    def begin(self, *turns: str) -> None:
        self.start_kernel()
        script = [*(wish(command) for command in turns), {"text": "it is done"}]
        self.start_driver("--turns", json.dumps(script))
        words = ("-m", "drivers.sandbox", "--name", "box", "--no-parent", "--unconfined")
        self.await_driver("box", self.start(*words).pid)
        self.host = self.start_host()

    def llmos(self, *words: str) -> subprocess.CompletedProcess[str]:
        done = run_llmos(self.home, *words)
        assert done.returncode == 0, done
        return done


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    town = Town(Home(tmp_path / "h"))
    try:
        yield town
    finally:
        town.close()


def waiting(user: System, pid: int) -> dict[str, Any]:
    """What it waits for, as soon as it does."""

    def found() -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = user.call("cap.list", pid=pid)["approvals"]
        return rows if is_parked(user, pid) else []

    (one,) = eventually(found)
    assert isinstance(one, dict)
    return one


def is_parked(user: System, pid: int) -> bool:
    process = user.call("proc.info", pid=pid)["process"]
    return (process["state"], process["reason"]) == ("WAITING", "approval")


def answers(user: System, pid: int) -> list[str]:
    """What came of its calls."""
    messages = user.call("ctx.read", pid=pid)["messages"]
    return [one["content"] for one in messages if one["role"] == "tool"]


def ended(user: System, pid: int) -> None:
    found = eventually(lambda: user.call("proc.info", pid=pid)["process"]["exit"])
    assert (found["code"], found["answer"]) == (0, "it is done")


def test_is_an_agent_asked_once_always_and_never_in_vain(town: Town) -> None:
    town.begin("echo one", "echo one", "echo three", "echo four")
    with town.user() as user:
        pid = user.call("proc.spawn", manifest=agent(**ASKS), text="go")["pid"]
        asked = waiting(user, pid)
        assert asked["arguments"]["arguments"] == {"command": "echo one"}
        assert "WAITING(approval)" in town.llmos("ps").stdout
        # Neither the kernel's death nor the host's lets it through, or asks twice.
        town.kill_kernel()
    town.start_kernel()
    with town.user() as user:
        again = waiting(user, pid)
        assert (again["id"], again["hash"]) == (asked["id"], asked["hash"])
        town.host.kill()
        town.host.wait(30)
        eventually(lambda: not is_parked(user, pid))
        town.start_host("another")
        again = waiting(user, pid)
        assert (again["id"], again["hash"]) == (asked["id"], asked["hash"])
        assert answers(user, pid) == []
        # Once is once: the same words are asked for again.
        town.llmos("approvals", "approve", str(asked["id"]), "--hash", asked["hash"])
        second = eventually(lambda: (one := waiting(user, pid))["id"] != asked["id"] and one)
        assert second["arguments"]["arguments"] == asked["arguments"]["arguments"]
        assert '"stdout": "one\\n"' in answers(user, pid)[0]
        # A no is told to the model, which goes on.
        town.llmos("approvals", "reject", str(second["id"]), "--reason", "not twice")
        third = eventually(lambda: (one := waiting(user, pid))["id"] != second["id"] and one)
        assert answers(user, pid)[1].startswith("EPERM: ")
        assert "not twice" in answers(user, pid)[1]
        # Always is for good: the fourth is not asked for.
        town.llmos("approvals", "approve", str(third["id"]), "--always")
        ended(user, pid)
        assert [
            '"stdout": "three' in answers(user, pid)[2],
            '"stdout": "four' in answers(user, pid)[3],
        ]
        assert user.call("cap.list", history=10)["approvals"][-1]["id"] == third["id"]


def test_are_the_exact_arguments_in_view(town: Town) -> None:
    command = f"echo {HIDDEN} rm -rf /" + "x" * 5000 + " end"
    town.begin(command)
    with town.user() as user:
        pid = user.call("proc.spawn", manifest=agent(**ASKS), text="go")["pid"]
        id = str(waiting(user, pid)["id"])
        shown = town.llmos("approvals", "show", id).stdout
        listed = town.llmos("approvals", "list").stdout
        for text in (shown, listed):
            assert not set(text) & set(HIDDEN) - set("[2J")
        exact = json.loads(shown.partition("arguments\n")[2])
        given = {"command": command}
        assert exact == {"append": "call-0-0", "arguments": given, "name": "shell"}
        assert json.dumps(command)[1:-1] in shown
        for words in (("approvals", "--json"), ("approvals", "list", "--json")):
            (row,) = json.loads(town.llmos(*words).stdout)["approvals"]
            assert row["arguments"]["arguments"] == {"command": command}
        row = json.loads(town.llmos("approvals", "show", id, "--json").stdout)
        assert row["arguments"]["arguments"] == {"command": command}
        town.llmos("approvals", "approve", id)
        ended(user, pid)


def test_does_a_program_decide_for_those_below_it_only(town: Town) -> None:
    town.begin("echo one")
    rights = {"allow": ["cap:decide", "proc:spawn", f"llm:{MODEL}", "tool:*"]}
    with town.user() as user:
        boss = user.call("proc.adopt", name="boss", capabilities=rights)["session"]
        stranger = user.call("proc.adopt", name="stranger", capabilities=rights)["session"]
        rights["allow"].remove("cap:decide")
        clerk = user.call("proc.adopt", name="clerk", capabilities=rights)["session"]
        with town.program(session=boss) as program:
            pid = program.call("proc.spawn", manifest=agent(**ASKS), text="go")["pid"]
            id = waiting(user, pid)["id"]
            with (
                town.program(session=stranger) as other,
                pytest.raises(EPERM, match="is not one that process"),
            ):
                other.call("cap.decide", approval=id, approve=True)
            (asked,) = program.call("cap.list", pid=pid)["approvals"]
            assert asked["arguments"]["arguments"] == {"command": "echo one"}
            with pytest.raises(Exception, match="something else"):
                program.call("cap.decide", approval=id, approve=True, hash="0" * 64)
            program.call("cap.decide", approval=id, approve=True, hash=asked["hash"])
            ended(user, pid)
            assert '"stdout": "one\\n"' in answers(user, pid)[0]
        with town.program(session=clerk) as program:
            pid = program.call("proc.spawn", manifest=agent(**ASKS), text="go")["pid"]
            id = waiting(user, pid)["id"]
            with pytest.raises(EPERM, match="cap:decide"):
                program.call("cap.decide", approval=id, approve=True)
        audited = [
            one for one in user.call("sys.audit")["entries"] if one["action"] == "cap.decide"
        ]
        assert [one["verdict"] for one in audited] == ["EPERM", "ok", "EPERM"]
