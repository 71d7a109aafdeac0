"""Can everything that the TUI does be found: by a key, in the palette, on the page of help, and as
a command?
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from importlib import import_module

import click
import pytest

from shell.cli import cli
from shell.tui import actions
from shell.tui.actions import ACTIONS, ANYWHERE, Action
from shell.tui.app import ShellApp
from shell.tui.view import VIEWS, View

PLACES = sorted({action.where for action in ACTIONS} - {ANYWHERE})


def view_of(where: str) -> type[View]:
    found: type[View] = getattr(
        import_module(f"shell.tui.views.{where}"), f"{where.capitalize()}View"
    )
    return found


def ids(action: Action) -> str:
    return action.id


@pytest.mark.parametrize("action", ACTIONS, ids=ids)
def test_has_every_action_a_key_words_of_help_and_a_method(action: Action) -> None:
    assert action.keys
    assert action.title
    assert action.help.endswith(".")
    owner = ShellApp if action.where == ANYWHERE else view_of(action.where)
    assert callable(getattr(owner, f"action_{action.name.partition('(')[0]}"))


@pytest.mark.parametrize("action", ACTIONS, ids=ids)
def test_is_the_twin_of_every_action_a_command_that_there_is(action: Action) -> None:
    for line in action.twin.split(";"):
        words = shlex.split(line)
        assert words[0] == "llmos"
        command: click.Command = cli
        context = click.Context(cli)
        rest = words[1:]
        while rest and isinstance(command, click.Group) and re.match(r"[a-z]", rest[0]):
            found = command.get_command(context, rest[0])
            assert found is not None, f"there is no {line}"
            command, rest = found, rest[1:]
        options = {name for parameter in command.params for name in parameter.opts} | {"--help"}
        for word in rest:
            if word.startswith("-"):
                assert word in options, f"{line}: {word} is no option of {command.name}"


def test_is_no_action_there_twice_and_no_key_taken_twice() -> None:
    assert [id for id, n in Counter(action.id for action in ACTIONS).items() if n > 1] == []
    for where in (*PLACES, ANYWHERE):
        keys = Counter(key for action in actions.of(where) for key in action.keys.split(","))
        assert [key for key, n in keys.items() if n > 1] == [], where


@pytest.mark.parametrize("where", PLACES)
def test_has_every_view_the_bindings_of_its_actions(where: str) -> None:
    view = view_of(where)
    assert where == view.NAME
    bound = {binding.id for binding in view.BINDINGS if hasattr(binding, "id")}
    assert {action.id for action in actions.of(where)} <= bound


def test_is_every_view_at_the_top_reached_by_a_key() -> None:
    reached = {
        match[1] for action in ACTIONS if (match := re.fullmatch(r"view\('(\w+)'\)", action.name))
    }
    assert reached == set(VIEWS)
    assert set(VIEWS) <= set(PLACES)
