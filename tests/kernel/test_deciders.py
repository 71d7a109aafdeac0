"""Who may say yes or no to what another process asks for?"""

from __future__ import annotations

from typing import Any

import pytest

from llmagentos.abi.errors import EPERM
from tests.kernel.asking import (
    ASKS,
    DECIDES,
    SHELL,
    answer,
    family,
    status,
    tool,
    waiting,
)
from tests.kernel.rig import FakeTool, Program, Rig, agent

__all__ = ["tool"]  # a fixture


def test_may_a_parent_decide_for_its_child(rig: Rig, tool: FakeTool) -> None:
    host = rig.host()
    parent, child = family(rig, host, {"allow": DECIDES}, ASKS)
    host.act(child, "tool.call", **SHELL)
    assert answer(host, child, 1) == "EPERM"
    assert answer(host, parent, 1) == "ok"
    assert len(tool.orders) == 1
    assert waiting(rig, approval=1)[0]["by"] == parent
    host.act(child, "tool.call", **SHELL)
    assert answer(host, parent, 2, always=True) == "ok"
    host.act(child, "tool.call", **SHELL)
    assert len(tool.orders) == 3


def test_does_nobody_decide_for_himself(rig: Rig, tool: FakeTool) -> None:
    host = rig.host()
    pid = rig.spawn(agent(capabilities={"allow": DECIDES, "ask": ["tool:shell(rm *)"]}))
    host.act(pid, "tool.call", **SHELL)
    assert answer(host, pid, 1) == answer(host, pid, 1, approve=False) == "EPERM"
    assert status(rig, 1) == "pending"


def test_may_nobody_else_decide(rig: Rig, tool: FakeTool) -> None:
    host = rig.host()
    parent, child = family(rig, host, {"allow": ["proc:spawn", "tool:*"]}, ASKS)
    host.act(child, "tool.call", **SHELL)
    stranger, sibling = (
        Program(rig, "stranger", "*"),
        rig.spawn(agent(capabilities={"allow": ["*"]})),
    )
    assert answer(host, parent, 1) == "EPERM"
    assert answer(host, sibling, 1) == "EPERM"
    texts = []
    for id in (1, 99):
        with pytest.raises(EPERM) as caught:
            stranger.call("cap.decide", approval=id, approve=True)
        texts.append(caught.value.message.replace(str(id), "N"))
    assert texts[0] == texts[1]
    assert status(rig, 1) == "pending"
    assert not tool.orders


@pytest.mark.parametrize(
    ("rules", "once", "always"),
    [
        ({"allow": DECIDES}, "ok", "ok"),
        ({"allow": DECIDES, "ask": ["tool:shell(rm *)"]}, "EPERM", "EPERM"),
        ({"allow": DECIDES, "ask": ["tool:shell(dd *)"]}, "ok", "EPERM"),
        ({"allow": DECIDES, "ask": ["tool:cat(*)"]}, "ok", "ok"),
        ({"allow": [*DECIDES[:2], "tool:shell(rm *)"]}, "ok", "EPERM"),
    ],
)
def test_does_nobody_say_yes_to_what_he_may_not_do_himself(
    rig: Rig, rules: dict[str, Any], once: str, always: str
) -> None:
    host = rig.host()
    parent, child = family(rig, host, rules, ASKS)
    host.act(child, "tool.call", **SHELL)
    assert answer(host, parent, 1, always=True) == always
    if always != "ok":
        assert answer(host, parent, 1) == once
    if once != "ok":
        assert answer(host, parent, 1, approve=False) == "ok"


def test_does_one_more_argument_not_fool_the_one_who_decides(rig: Rig) -> None:
    host = rig.host()
    rules = {"allow": DECIDES, "ask": ["tool:shell(rm *)"]}
    parent, child = family(rig, host, rules, {"allow": ["tool:*"]})
    host.act(child, "tool.call", name="shell", arguments={"command": "rm x", "more": 1})
    assert answer(host, parent, 1) == "EPERM"
