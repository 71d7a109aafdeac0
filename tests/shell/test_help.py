"""Do the examples of the help, and the commands that the screen names, run as they are written?

Each is parsed as it would be, up to where it would do anything.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator

import click
import pytest

from shell.cli import cli
from shell.tui.actions import ACTIONS

Parse = Callable[[str], None]

GIVEN = {
    "PID": "12", "PID…": "12 14", "SIGNAL": "TERM", "N": "3", "NAME=VALUE": "tokens=5",
    "MESSAGE": "31", "VERSION": "2", "COLUMN": "out", "ID": "7",
}  # fmt: skip
"""What is written in the place of these; any other word stands for itself."""


def every(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for sub in command.list_commands(context):
            found = command.get_command(context, sub)
            assert found is not None
            yield from every(found, f"{name} {sub}")


def examples() -> Iterator[str]:
    """Without the words that explain them, and what other programs do then."""
    for _, command in every(cli, "llmos"):
        for line in (command.help or "").splitlines():
            if line.strip().startswith("llmos "):
                yield re.split(r" {2,}| [|<>] | && ", line.strip())[0]


def twins() -> Iterator[str]:
    for action in ACTIONS:
        for line in action.twin.split("; "):
            if "COMMAND" not in line:
                yield " ".join(GIVEN.get(word, word) for word in line.split())


@pytest.fixture
def parse(monkeypatch: pytest.MonkeyPatch) -> Parse:
    """Raises what the command line would raise before it does anything."""
    monkeypatch.setattr(click.Context, "invoke", lambda *_, **__: None)
    return lambda line: cli.main(shlex.split(line)[1:], prog_name="llmos", standalone_mode=False)


@pytest.mark.parametrize("name", sorted(name for name, _ in every(cli, "llmos")))
def test_has_every_command_an_example_of_itself(name: str) -> None:
    command = dict(every(cli, "llmos"))[name]
    lines = [line.strip() for line in (command.help or "").splitlines()]
    assert [line for line in lines if line == name or line.startswith(f"{name} ")]


@pytest.mark.parametrize("line", sorted({*examples()}))
def test_is_an_example_a_command_line(parse: Parse, line: str) -> None:
    parse(line)


@pytest.mark.parametrize("line", sorted({*twins()}))
def test_is_what_the_screen_names_a_command_line(parse: Parse, line: str) -> None:
    parse(line)


@pytest.mark.parametrize("line", ["llmos nonsense", "llmos ps --nonsense", "llmos nice 12 99"])
def test_is_a_mistake_seen(parse: Parse, line: str) -> None:
    with pytest.raises(click.UsageError):
        parse(line)
