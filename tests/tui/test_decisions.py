"""Does the inbox decide exactly what was shown, once, and only for who may?"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from llmagentos.abi.errors import EINVAL, EPERM, LLMOSError
from shell.tui.dialogs import Question
from shell.tui.feed import Change
from shell.tui.rights import Rights
from shell.tui.views import approvals
from tests.tui.inbox import asking, inbox, listed
from tests.tui.stage import again, run, said, settled, text_of

pytestmark = pytest.mark.usefixtures("seen")


@pytest.mark.parametrize(
    ("keys", "decision"),
    [
        (("y",), {"approve": True, "always": False}),
        (("A",), {"approve": True, "always": True}),
        (("enter", "enter"), {"approve": True, "always": False}),
        (("N", *"no", "enter"), {"approve": False, "reason": "no"}),
        (("delete", "enter"), {"approve": False, "reason": ""}),
    ],
)
def test_decides_what_was_shown(
    tmp_path: Path, keys: tuple[str, ...], decision: dict[str, Any]
) -> None:
    app = inbox(tmp_path, asking(), asking(8))

    async def play(pilot: Pilot[int]) -> None:
        await pilot.press("j")
        await settled(pilot)
        for key in keys:
            await pilot.press(key)
        await settled(pilot)
        assert app.link.calls("cap.decide") == [{"approval": 8, "hash": "08" * 32, **decision}]
        assert app.screen.table.row_count == 1
        words = "was approved" if decision["approve"] else "was refused"
        assert f"approval 8: tool:shell.run of ops (pid 8) {words}" in said(app)

    run(app, play)


def test_enter_opens_first(tmp_path: Path) -> None:
    app = inbox(tmp_path, asking())

    async def play(pilot: Pilot[int]) -> None:
        await pilot.press("enter")
        await settled(pilot)
        assert app.focused is app.screen.query_one("#whole")
        assert app.link.calls("cap.decide") == []
        await pilot.press("escape")
        assert app.focused is app.screen.table

    run(app, play)


def test_escape_decides_nothing(tmp_path: Path) -> None:
    app = inbox(tmp_path, asking())

    async def play(pilot: Pilot[int]) -> None:
        await pilot.press("N", "x")
        assert isinstance(app.screen, Question)
        await pilot.press("escape")
        await settled(pilot)
        assert app.link.calls("cap.decide") == []
        assert app.screen.table.row_count == 1

    run(app, play)


def test_one_that_came_by_itself_is_read_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``y`` for one that goes at that moment must not let the next one through."""
    app = inbox(tmp_path, asking(), asking(8))

    async def play(pilot: Pilot[int]) -> None:
        monkeypatch.setattr(approvals, "_UNSEEN", 60.0)
        app.link.given["cap.list"] = listed(asking(8))
        await again(pilot)
        assert "approval 8 of ops" in text_of(app)
        await pilot.press("y")
        await settled(pilot)
        assert app.link.calls("cap.decide") == []
        assert "read it first" in said(app)

    run(app, play)


def test_what_is_decided_was_seen_even_if_the_cursor_is_elsewhere(tmp_path: Path) -> None:
    """A question stays about the one it was asked for."""
    app = inbox(tmp_path, asking(), asking(8))

    async def play(pilot: Pilot[int]) -> None:
        await pilot.press("N")
        app.link.given["cap.list"] = listed(asking(8))
        app.screen_stack[-2].live(Change(None, (), vitals=True))
        await settled(pilot)
        await pilot.press("enter")
        await settled(pilot)
        (decided,) = app.link.calls("cap.decide")
        assert (decided["approval"], decided["hash"]) == (7, "07" * 32)

    run(app, play)


@pytest.mark.parametrize(
    "error", [EPERM("process 8 is not below you"), EINVAL("it has another hash by now")]
)
def test_a_refusal_becomes_words(tmp_path: Path, error: LLMOSError) -> None:
    app = inbox(tmp_path, asking(), cap_decide=error)

    async def play(pilot: Pilot[int]) -> None:
        await pilot.press("y")
        await settled(pilot)
        assert error.message in said(app)
        assert app.screen.table.row_count == 1
        await pilot.press("y")
        await settled(pilot)
        assert len(app.link.calls("cap.decide")) == 2

    run(app, play)


def test_nothing_is_decided_twice(tmp_path: Path) -> None:
    app = inbox(tmp_path, asking())
    decide = app.link.given["cap.decide"]
    call = app.link.call

    late = asyncio.Event()

    async def slow(name: str, /, **args: Any) -> Any:
        answer = call(name, **args)
        if name == "cap.decide":
            await late.wait()
        return await answer

    app.link.call = slow
    decided: list[int] = []
    app.link.given["cap.decide"] = lambda args: decided.append(args["approval"]) or decide(args)

    async def play(pilot: Pilot[int]) -> None:
        await pilot.press("y", "y")
        late.set()
        await settled(pilot)
        assert decided == [7]

    run(app, play)


def test_read_only_decides_nothing(tmp_path: Path) -> None:
    app = inbox(tmp_path, asking(), rights=Rights(read_only=True))

    async def play(pilot: Pilot[int]) -> None:
        await pilot.press("y", "A", "N", "delete")
        # Nor if it gets there by another way than its key.
        app.screen.action_decide("once")
        app.screen.action_decide("reject")
        await settled(pilot)
        assert app.link.calls("cap.decide") == []
        assert not isinstance(app.screen, Question)
        assert "only reads" in said(app)

    run(app, play)


def test_no_descendant_of_this_session(tmp_path: Path) -> None:
    app = inbox(tmp_path, asking(), rights=Rights(pid=6))

    async def play(pilot: Pilot[int]) -> None:
        app.screen.action_decide("once")
        await settled(pilot)
        assert app.link.calls("cap.decide") == []
        assert "no descendant of process 6" in said(app)

    run(app, play)
