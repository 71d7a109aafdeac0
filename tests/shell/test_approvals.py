"""Does ``llmos approvals`` show what is asked for exactly, and say yes and no to it?"""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest

from kernel.effects import FromClient
from llmagentos.abi.wire import Message
from shell import terminal
from shell.cli import main
from shell.commands import approvals
from shell.commands.approvals import visible
from tests.kernel.rig import FakeTool, Program, Rig

Main = Callable[..., tuple[int, str, str]]


class _System:
    """The user's session in a kernel that the test plays with."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig

    def __enter__(self) -> _System:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def call(self, name: str, **args: Any) -> dict[str, Any]:
        return self._rig.call(name, **args)


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    rig = Rig()
    monkeypatch.setattr(approvals, "open_system", lambda: _System(rig))
    monkeypatch.setattr(approvals.time, "time", lambda: rig.now + 192)
    return rig


@pytest.fixture
def tool(rig: Rig) -> FakeTool:
    return rig.tool("tools", "shell")


@pytest.fixture
def ann(rig: Rig, tool: FakeTool) -> Program:
    rules = {"allow": ["tool:*"], "ask": ["tool:shell(*)"]}
    rig.call("proc.adopt", name="ann", capabilities=rules)
    return Program(rig, "ann")


@pytest.fixture
def llmos(capsys: pytest.CaptureFixture[str]) -> Main:
    def run(*words: str) -> tuple[int, str, str]:
        status = main(list(words))
        return status, *capsys.readouterr()

    return run


def ask(ann: Program, command: str = "rm -rf /tmp/x") -> int:
    return ann.start("tool.call", name="shell", arguments={"command": command})


def test_does_the_list_show_what_waits(rig: Rig, ann: Program, llmos: Main) -> None:
    assert llmos("approvals") == (0, "nothing waits for a decision\n", "")
    ask(ann)
    for words in (("approvals",), ("approvals", "list")):
        status, out, _ = llmos(*words)
        assert status == 0
        heads, row = out.splitlines()
        assert heads.split() == ["ID", "PID", "NAME", "CAPABILITY", "ARGUMENTS", "ASKED", "EXPIRES"]
        assert row.split(maxsplit=4)[:4] == ["1", str(ann.pid), "ann", "tool:shell"]
        assert '{"arguments": {"command": "rm -rf /tmp/x"}, "name": "shell"}' in row
        assert "3m12s ago" in row
        assert "in 23h56m" in row


def test_is_the_json_one_document_and_complete(rig: Rig, ann: Program, llmos: Main) -> None:
    commands = [str(number) + "x" * 200_000 for number in range(12)]
    for command in commands:
        ask(ann, command)
    for words in (("approvals", "--json"), ("approvals", "list", "--json")):
        _, out, _ = llmos(*words)
        found = json.loads(out)["approvals"]
        assert [one["arguments"]["arguments"]["command"] for one in found] == commands


def test_does_the_history_show_what_was_decided(rig: Rig, ann: Program, llmos: Main) -> None:
    ask(ann)
    ask(ann)
    llmos("approvals", "reject", "1")
    _, out, _ = llmos("approvals", "list", "--history", "5")
    rows = [line.split()[:2] for line in out.splitlines()]
    assert rows == [["ID", "STATUS"], ["1", "rejected"], ["2", "pending"]]
    _, out, _ = llmos("approvals", "list")
    assert len(out.splitlines()) == 2


def test_is_one_shown_with_all_that_there_is_to_know(rig: Rig, ann: Program, llmos: Main) -> None:
    ann.label("private")
    ask(ann, "echo 'ü' \\ \"\nrm -rf /")
    status, out, _ = llmos("approvals", "show", "1")
    assert status == 0
    for fact in ("tool.call", "tool:shell", "private", "ann (pid 2)", "expires in 23h56m"):
        assert fact in out
    hash_ = rig.call("cap.list")["approvals"][0]["hash"]
    assert hash_ in out
    shown = out.partition("arguments\n")[2]
    assert json.loads(shown) == {
        "name": "shell", "arguments": {"command": "echo 'ü' \\ \"\nrm -rf /"},
    }  # fmt: skip
    ann.start("cap.request", capability="fs:/x:r", reason="say \u202e please")
    _, out, _ = llmos("approvals", "show", "2")
    assert 'reason      "say \\u202e please"' in out
    assert "\u202e" not in out
    llmos("approvals", "reject", "2", "--reason", "no\u200b")
    _, out, _ = llmos("approvals", "show", "2")
    assert "rejected, decided 3m12s ago by the user" in out
    assert '"no\\u200b"' in out


def test_is_a_content_shown_by_its_size_and_hash(rig: Rig, llmos: Main) -> None:
    rig.call("proc.adopt", name="bob", capabilities={"ask": ["fs:/shared:w"]})
    bob = Program(rig, "bob")
    message = Message("call", 1, "fs.write", bob.session, {"path": "/shared/x"}, (b"x" * 1234,))
    rig.put_in(FromClient(bob.peer, message))
    _, out, _ = llmos("approvals", "show", "1")
    assert f"content     1,234 bytes, SHA-256 {sha256(b'x' * 1234).hexdigest()}" in out


@pytest.mark.parametrize(
    "hidden",
    ["\u202e", "\u200b", "\x1b[2J", "\x9b", "\u00a0", "\u2028", "\ufeff", "\u3164", "\ufe0f",
     "\U000e0041", "\U000e0100", "\u2800", "\u00ad", "\t", "\r", "\u2066", "\ue000",
     "\u0301", "\u0338", "\u20dd", "\u0488", "\ufe20"],
)  # fmt: skip
@pytest.mark.parametrize("words", [("show", "1"), ("show", "1", "--json"), ("list",), ("--json",)])
def test_is_what_hides_itself_shown(
    hidden: str, words: tuple[str, ...], rig: Rig, ann: Program, llmos: Main
) -> None:
    ask(ann, f"ls {hidden}x")
    _, out, _ = llmos("approvals", *words)
    assert not set(hidden) & set(out) - set("[2J")
    assert f"ls {json.dumps(hidden)[1:-1]}x" in out


def test_is_what_can_be_seen_left_as_it_is() -> None:
    text = "naïve — 日本語 ‘x’ 🦊 \\u202e\nनमस्ते ไม่"
    assert visible(text) == text


def test_does_approve_let_the_call_go_on(
    rig: Rig, ann: Program, tool: FakeTool, llmos: Main
) -> None:
    ask(ann)
    status, out, _ = llmos("approvals", "approve", "1")
    assert (status, out) == (0, "approval 1: tool:shell of ann (pid 2) was approved\n")
    assert len(tool.orders) == 1
    ask(ann)
    _, out, _ = llmos("approvals", "approve", "2", "--always")
    assert "and will not be asked again" in out
    ask(ann, "something else")
    assert len(tool.orders) == 3


def test_is_an_early_answer_told_to_be_one(rig: Rig, ann: Program, llmos: Main) -> None:
    ask(ann)
    rig.crash()
    _, out, _ = llmos("approvals", "approve", "1")
    assert "it is told when it makes the call again" in out


def test_does_reject_tell_the_process_why(rig: Rig, ann: Program, llmos: Main) -> None:
    number = ask(ann)
    status, out, _ = llmos("approvals", "reject", "1", "--reason", "not here", "--json")
    assert status == 0
    assert json.loads(out)["status"] == "rejected"
    reply = ann.reply(number)
    assert reply is not None
    assert "not here" in reply["error"]["message"]


def test_is_only_what_was_looked_at_decided(rig: Rig, ann: Program, llmos: Main) -> None:
    ask(ann)
    status, _, err = llmos("approvals", "approve", "1", "--hash", "0" * 64)
    assert status == 2
    assert "something else" in err
    good = rig.call("cap.list")["approvals"][0]["hash"]
    assert llmos("approvals", "approve", "1", "--hash", good)[0] == 0


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (("show", "9"), 2, "there is no approval 9"),
        (("approve", "9"), 2, "there is no approval 9"),
        (("approve", "1"), 4, "approval 1 is rejected already"),
        (("approve", "x"), 2, "not a whole number"),
        (("approve",), 2, "missing argument"),
        (("--json", "approve", "1"), 2, "--json goes after approve"),
        (("reject", "1", "--always"), 2, "no such option"),
    ],
)
def test_is_every_mistake_one_sentence(
    words: tuple[str, ...], status: int, told: str, rig: Rig, ann: Program, llmos: Main
) -> None:
    ask(ann)
    llmos("approvals", "reject", "1")
    code, out, err = llmos("approvals", *words)
    assert (code, out) == (status, "")
    assert told in err


def test_does_a_narrow_screen_keep_what_matters(
    rig: Rig, ann: Program, llmos: Main, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(ann, "x" * 500)
    monkeypatch.setattr(terminal, "width", lambda stream=None: 50)
    monkeypatch.setattr("shell.table.width", lambda: 50)
    _, out, _ = llmos("approvals")
    assert all(len(line) <= 50 for line in out.splitlines())
    assert "tool:shell" in out
