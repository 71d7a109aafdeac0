"""Can an interactive agent be talked with? With a real kernel and host, a terminal and a pipe."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from shell import image
from shell.commands.conversation import converse
from tests.system.machines import Machines, agent, eventually
from tests.tui.terminal import Terminal

Command = Callable[..., tuple[int, str, str]]
Talk = Callable[..., Any]


@pytest.fixture
def talker(tmp_path: Path) -> str:
    file = tmp_path / "talker.yaml"
    file.write_text(json.dumps(agent("talker", prompt="Talk.", interactive=True)), encoding="utf-8")
    return str(file)


@pytest.fixture
def talk(machines: Machines, talker: str) -> Talk:
    """``with talk("Hello") as terminal``; ``into``: a file for what is said."""

    @contextmanager
    def talking(*words: str, into: str = "") -> Iterator[Terminal]:
        command = image.command("shell", "run", talker, "--name", "talked-with", *words)
        if into:
            command = ["sh", "-c", f"exec {shlex.join(command)} > {shlex.quote(into)}"]
        with Terminal(command, 80, 24, image.environment(machines.home)) as terminal:
            yield terminal
        assert "Traceback" not in terminal.text

    return talking


def prompted(terminal: Terminal) -> None:
    terminal.until(lambda: terminal.text.rstrip().endswith(">"), "the prompt")


def alive(machines: Machines) -> list[int]:
    """The agents that are talked with."""
    with machines.user() as user:
        return [p.pid for p in user.processes() if p.name == "talked-with" and p.exit is None]


def test_does_a_pipe_get_one_answer(on_machines: Command, talker: str) -> None:
    assert on_machines("run", talker, "one two") == (0, "one two\n", "")


def test_is_an_answer_told_that_was_there_before_anybody_listened(
    machines: Machines, capsys: pytest.CaptureFixture[str]
) -> None:
    with machines.user() as user:
        quick = user.spawn(agent("quick", interactive=True), "one two")
        eventually(lambda: quick.info().process.reason == "mail")
        assert converse(user, quick, told=True) == 0
    assert capsys.readouterr().out == "one two\n"


def test_has_a_conversation_no_end_as_json(
    machines: Machines, on_machines: Command, talker: str
) -> None:
    status, out, err = on_machines("run", talker, "x", "--json", "--name", "talked-with")
    assert (status, out) == (2, "")
    assert "talked-with is interactive" in err
    assert "--detach" in err
    eventually(lambda: not alive(machines))


def test_does_a_terminal_ask_on_until_ctrl_d(machines: Machines, talk: Talk) -> None:
    with talk("first things") as terminal:
        prompted(terminal)
        assert terminal.text.startswith("first things\n")
        terminal.press("", "enter")
        terminal.press("second thoughts", "enter")
        terminal.until(lambda: terminal.text.count("second thoughts") == 2, "the answer")
        prompted(terminal)
        terminal.press("\x04")
        assert terminal.status(10) == 0
    assert alive(machines) == []


def test_does_ctrl_c_end_the_answer_and_then_the_agent(machines: Machines, talk: Talk) -> None:
    with talk("on and on " * 1000) as terminal:
        terminal.shows("on and on")
        terminal.press("\x03")
        prompted(terminal)
        assert len(alive(machines)) == 1
        terminal.press("still there?", "enter")
        terminal.until(lambda: terminal.text.count("still there?") == 2, "the answer")
        prompted(terminal)
        terminal.press("\x03")
        assert terminal.status(10) == 130
    assert alive(machines) == []


def test_does_a_second_ctrl_c_end_an_agent_that_answers(machines: Machines, talk: Talk) -> None:
    with talk("on and on " * 1000) as terminal:
        terminal.shows("on and on")
        (pid,) = alive(machines)
        terminal.press("\x03", "\x03")
        assert terminal.status(10) == 130
    with machines.user() as user:
        record = user.info(pid).process.exit
    # Asked to end, and not killed.
    assert record is not None
    assert (record.signal, record.code) == ("TERM", 143)


@pytest.mark.parametrize("keys", [["are you there?", "enter"], ["\x04"]], ids=["a line", "its end"])
def test_is_the_end_of_an_agent_told_that_somebody_else_has_ended(
    machines: Machines, on_machines: Command, talk: Talk, keys: list[str]
) -> None:
    with talk() as terminal:
        prompted(terminal)
        (pid,) = alive(machines)
        assert on_machines("kill", str(pid))[0] == 0
        eventually(lambda: not alive(machines))
        terminal.press(*keys)
        assert terminal.status(10) == 143
        assert "llmos: TERM ended it" in terminal.text


def test_do_only_answers_go_into_a_file(talk: Talk, tmp_path: Path) -> None:
    file = tmp_path / "answers"
    with talk("first things", into=str(file)) as terminal:
        prompted(terminal)
        terminal.press("second thoughts", "enter")
        eventually(lambda: "second thoughts\n" in file.read_text())
        prompted(terminal)
        terminal.press("\x04")
        assert terminal.status(10) == 0
    assert file.read_text() == "first things\nsecond thoughts\n"
