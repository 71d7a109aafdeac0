"""Does the command line that is shown say what is sent, and is a broken form told so?"""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from llmagentos.abi.errors import EINVAL
from llmagentos.home import Home
from shell.tui.order import Order, manifests


def test_is_what_was_left_empty_neither_sent_nor_shown() -> None:
    order = Order("poet", limits={"tokens": " ", "wall": ""}, sampling={"max_tokens": ""})
    assert order.arguments() == {"manifest": "poet"}
    assert order.command() == "llmos run poet --detach"


def test_does_the_command_line_say_all_that_is_sent() -> None:
    order = Order(
        "poet", "it's \"late\"\n$HOME", "bard", "big-model",
        {"tokens": "2000", "wall": "5m"}, {"max_tokens": "20", "temperature": "0.5"},
        ("edge", "node"), "edge",
    )  # fmt: skip
    assert order.arguments() == {
        "manifest": "poet",
        "text": 'it\'s "late"\n$HOME',
        "name": "bard",
        "model": "big-model",
        "limits": {"tokens": 2000, "wall": 300.0},
        "sampling": {"max_tokens": 20, "temperature": 0.5},
        "placement": {"allow": ["edge", "node"], "prefer": "edge"},
    }
    assert shlex.split(order.command()) == [
        "llmos", "run", "poet", "it's \"late\"\n$HOME", "--name", "bard", "--model", "big-model",
        "--max-tokens", "20", "--temperature", "0.5", "--limit", "tokens=2000", "--limit",
        "wall=5m", "--place", "edge", "--place", "node", "--prefer", "edge", "--detach",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("order", "word"),
    [
        (Order("poet", limits={"tokens": "many"}), "tokens"),
        (Order("poet", limits={"tokens": "-1"}), "tokens"),
        (Order("poet", sampling={"max_tokens": "1.5"}), "max_tokens"),
        (Order("poet", sampling={"temperature": "99"}), "temperature"),
    ],
)
def test_is_a_number_that_can_not_be_told_by_its_name(order: Order, word: str) -> None:
    with pytest.raises(EINVAL, match=word):
        order.arguments()


def test_are_the_users_manifests_before_those_that_ship_and_broken_ones_named(
    tmp_path: Path,
) -> None:
    home = Home(tmp_path)
    home.create()
    head = "apiVersion: llmagentos/v1\nkind: Agent\nmetadata: "
    (home.manifests / "mine.yaml").write_text(f"{head}{{name: dialogue, description: Mine}}\n")
    (home.manifests / "odd.yaml").write_text(f"{head}{{name: odd}}\nspec: {{colour: red}}\n")
    (home.manifests / "torn.yaml").write_text("a: [")
    found = {one.name: one for one in manifests(home)}
    assert found["dialogue"].description == "Mine"
    assert {"assistant", "summarise", "odd", "torn"} <= found.keys()
    assert "spec.colour" in found["odd"].problem
    assert found["torn"].problem
    assert found["odd"].manifest is None
