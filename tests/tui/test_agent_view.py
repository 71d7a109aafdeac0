"""Does the view of one process tell what it has and may, and do what its keys say?"""

from __future__ import annotations

from pathlib import Path

from textual.pilot import Pilot
from textual.widgets import Input

from shell.tui.conversation import Conversation
from shell.tui.meters import Meters
from shell.tui.palette import Palette
from tests.tui.stage import run, settled, text_of
from tests.tui.talk import PID, detail, link, message, opened, talking


def test_are_budget_rights_family_history_and_manifest_told(tmp_path: Path) -> None:
    rules = {"allow": ["llm:*"], "ask": ["tool:shell(*)"], "deny": [], "approved": []}
    caps = {"rules": [rules], "labels": ["private"], "approvals": [], "more": False}
    app = talking(tmp_path, cap_list=caps)

    async def play(pilot: Pilot[int]) -> None:
        await opened(app, pilot)
        for words in (
            ["≈TOKENS", "A boat."],
            ["1,500 + 200 set aside of 2,000"],
            ["private", "ask      tool:shell(*)", "allow    llm:*"],
            ["2 messages wait"],
            ["→ edge: chosen", "cloud: labels", "it was assigned"],
            ["name: assistant"],
        ):
            await pilot.press("right_square_bracket")
            await settled(pilot)
            for word in words:
                assert word in text_of(app), text_of(app)

    run(app, play)


def test_do_checkpoint_rewind_fork_and_limits_call_what_they_say(tmp_path: Path) -> None:
    app = talking(tmp_path)

    async def play(pilot: Pilot[int]) -> None:
        await opened(app, pilot)
        await pilot.press("c", *"mark", "enter")
        await settled(pilot)
        await pilot.press("b", "enter")
        await settled(pilot)
        await pilot.press("b", "j", "enter")
        await settled(pilot)
        await pilot.press("l", *"tokens=5", "enter")
        await settled(pilot)
        await pilot.press("l", *"tokens", "enter")
        await settled(pilot)
        assert "not of the form NAME=VALUE" in text_of(app)
        await pilot.press("f", *"go", "enter")
        await settled(pilot)
        calls = link(app).calls
        assert calls("ctx.checkpoint") == [{"pid": PID, "name": "mark"}]
        assert calls("ctx.restore") == [{"pid": PID, "checkpoint": "start"}]
        assert calls("ctx.rewind") == [{"pid": PID, "message": 3}]
        assert calls("proc.limits") == [{"pid": PID, "limits": {"tokens": 5}}]
        assert calls("proc.fork") == [{"pid": PID, "text": "go"}]
        assert app.screen.target() == 9  # type: ignore[attr-defined]

    run(app, play)


def test_does_escape_leave_the_line_first_and_then_the_view(tmp_path: Path) -> None:
    app = talking(tmp_path)

    async def play(pilot: Pilot[int]) -> None:
        await opened(app, pilot)
        await pilot.press("i", "escape")
        assert app.screen.NAME == "agent"  # type: ignore[attr-defined]
        await pilot.press("escape")
        assert app.screen.NAME == "processes"  # type: ignore[attr-defined]

    run(app, play)


def test_is_there_room_for_what_is_said_on_a_small_screen(tmp_path: Path) -> None:
    app = talking(tmp_path)

    async def play(pilot: Pilot[int]) -> None:
        await opened(app, pilot)
        assert app.screen.query_one(Conversation).size.height >= 6
        assert "A boat." in text_of(app)
        app.screen.query_one(Meters).show(app.feed.vitals, "the system is not up", 1.0)
        await settled(pilot)
        assert "the system is not up" in text_of(app), "that is told in any case"

    run(app, play, (40, 10))


def test_are_keys_that_write_not_offered_for_anything_else(tmp_path: Path) -> None:
    app = talking(tmp_path)

    async def play(pilot: Pilot[int]) -> None:
        await opened(app, pilot)
        assert "i Talk" in text_of(app)
        await pilot.press("i")
        await settled(pilot)
        offered = text_of(app).splitlines()[-1]
        assert "Back" in offered
        assert "Talk" not in offered
        await pilot.press("slash")
        assert app.screen.query_one("#say", Input).value == "/"

    run(app, play)


def test_does_the_palette_say_a_name_once(tmp_path: Path) -> None:
    app = talking(tmp_path)

    async def play(pilot: Pilot[int]) -> None:
        await opened(app, pilot)
        palette = Palette(app.screen)
        hits = {str(hit.text) async for hit in palette.search("kill")}
        assert "Kill" in hits
        assert "Kill kill" not in hits
        assert any([hit async for hit in palette.search("hold")]), "names are found too"

    run(app, play)


def test_is_an_end_told(tmp_path: Path) -> None:
    record = {
        "pid": PID, "name": "assistant", "code": 4, "signal": None, "answer": "", "usage": {},
        "error": {"code": "EBUDGET", "message": "no tokens are left", "hint": "", "detail": {}},
        "started": 1.0, "ended": 2.0,
    }  # fmt: skip
    app = talking(tmp_path, proc_info=detail(state="ZOMBIE", reason=None, exit=record, ended=2.0))

    async def play(pilot: Pilot[int]) -> None:
        await opened(app, pilot)
        assert "ended with code 4: no tokens are left (EBUDGET)" in text_of(app)
        assert "It has ended, and reads nothing any more" in text_of(app)

    run(app, play)


def test_is_it_told_which_driver_is_waited_for(tmp_path: Path) -> None:
    considered = {"vectors": "does not offer small", "edge": "is loading: the model small"}
    placement = {"chosen": None, "considered": considered, "time": 1.0}
    app = talking(
        tmp_path, proc_info=detail(state="WAITING", reason="driver") | {"placement": placement}
    )

    async def play(pilot: Pilot[int]) -> None:
        await opened(app, pilot)
        assert "waits for a driver: edge is loading: the model small" in text_of(app)
        assert "does not offer" not in text_of(app)

    run(app, play)


def test_does_nothing_that_is_said_command_the_screen(tmp_path: Path) -> None:
    trap = "[@click=app.simulate_key('3')]look[/] [/x] \x1b]0;gone\x07\x9b31m\u202eback"
    record = {
        "pid": PID, "name": "assistant", "code": 4, "signal": None, "answer": "", "usage": {},
        "error": {"code": "EIO", "message": trap, "hint": "", "detail": {}},
        "started": 1.0, "ended": 2.0,
    }  # fmt: skip
    said = [message(n, role, trap) for n, role in enumerate(("system", "user", "tool") * 9, 1)]
    ended = detail(state="ZOMBIE", reason=None, exit=record, ended=2.0)
    app = talking(tmp_path, said, proc_info=ended)

    async def play(pilot: Pilot[int]) -> None:
        await opened(app, pilot)
        shown = text_of(app)
        assert "[@click=app.simulate_key('3')]look[/] [/x]" in shown
        assert not any(sign in shown for sign in "\x1b\x07\x9b\u202e")
        for title in list(app.screen.query("CollapsibleTitle"))[-2:]:
            await pilot.click(title)
        await settled(pilot)
        assert app.current_mode == "processes"

    run(app, play)
