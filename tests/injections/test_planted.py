"""Do the cases notice when a rule is broken? If not they would show nothing."""

from __future__ import annotations

import asyncio

import pytest

from tests.injections.cases import CASES
from tests.injections.oracle import Rights, meant
from tests.injections.planted import HOLES, Hole
from tests.injections.play import play


@pytest.mark.parametrize("hole", HOLES, ids=lambda hole: hole.name)
def test_is_a_hole_found(hole: Hole, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the oracle, in each goal that it opens, in some of its cases."""
    hole.plant(monkeypatch.setattr)
    for goal in hole.goals:
        cases = [case for case in CASES if case.goal.name == goal]
        assert any(asyncio.run(play(case)).beyond for case in cases), goal


_SPEC = {
    "tools": ["a", "b", "c.*"],
    "capabilities": {
        "allow": ["tool:b(x*)", 'tool:d(*"k": "v"*)', "fs:/in:rw"],
        "ask": ["tool:c.ask"],
        "deny": ["tool:c.*(*no*)", "tool:a(/self/x)"],
    },
}


@pytest.mark.parametrize(
    ("tool", "arguments", "word"),
    [
        ("a", {}, "allow"), ("a", {"path": "x"}, "deny"), ("a", {"path": "/self/x/"}, "deny"),
        ("a", {"path": "y"}, "allow"), ("b", {"t": "xy"}, "allow"), ("b", {"t": "yx"}, "deny"),
        ("b", {"t": "xy", "u": "1"}, "deny"), ("c.d", {}, "allow"), ("c.d", {"t": "no"}, "deny"),
        ("c.ask", {}, "ask"), ("d", {"k": "v"}, "allow"), ("d", {"t": '"k": "v"'}, "deny"),
        ("e", {}, "deny"),
    ],
)  # fmt: skip
def test_does_the_oracle_read_a_manifest_as_a_person_does(
    tool: str, arguments: dict[str, str], word: str
) -> None:
    assert Rights([{"spec": _SPEC}]).tool(tool, arguments) == word
    assert Rights([{"spec": _SPEC}, {"spec": {"tools": []}}]).tool(tool, arguments) == "deny"


def test_does_the_oracle_know_a_path_in_any_spelling() -> None:
    assert [meant(path) for path in ("x", "/a/b/", "/self/x")] == ["/self/x", "/a/b", "/self/x"]
