"""Is in grey what the kernel would refuse, and nothing else?"""

from __future__ import annotations

import pytest

from llmagentos.abi.calls.cap import RuleSet
from shell.tui.actions import ACTIONS
from shell.tui.rights import Rights

PROGRAM = Rights(7, (RuleSet(allow=["llm:*", "proc:spawn", "mem:self:rw"]),))


def test_may_the_user_do_everything() -> None:
    assert [a.id for a in ACTIONS if Rights().refusal(a.calls, [3])] == []


def test_may_a_screen_that_only_reads_change_nothing() -> None:
    rights = Rights(read_only=True)
    for action in ACTIONS:
        assert bool(rights.refusal(action.calls, [3])) == bool(action.calls)


@pytest.mark.parametrize(
    ("call", "family", "may"),
    [
        ("proc.kill", [9, 7, 1], True),
        ("proc.kill", [7, 1], True),
        ("proc.kill", [3, 1], False),
        ("proc.spawn", None, True),
        ("mem.delete", [7, 1], True),
        ("fs.delete", [7, 1], False),
        ("cap.decide", [9, 7, 1], False),
        ("drv.drain", None, False),
        ("ctx.rewind", [3, 1], False),
    ],
)
def test_may_a_program_only_what_its_rules_and_its_place_allow(
    call: str, family: list[int] | None, may: bool
) -> None:
    assert bool(PROGRAM.refusal([call], family)) != may


def test_does_a_rule_that_denies_or_an_ancestors_silence_win() -> None:
    own = RuleSet(allow=["proc:spawn"])
    assert Rights(7, (RuleSet(allow=["*"], deny=["proc:*"]),)).refusal(["proc.spawn"])
    assert Rights(7, (own, RuleSet(allow=["llm:*"]))).refusal(["proc.spawn"])
    assert not Rights(7, (own, RuleSet(ask=["proc:spawn"]))).refusal(["proc.spawn"])
