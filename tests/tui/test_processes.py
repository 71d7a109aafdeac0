"""Does the process view do to which processes what its keys say?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from llmagentos.abi.errors import EPERM
from shell.tui.app import ShellApp
from shell.tui.rights import Rights
from tests.tui.stage import StagedLink, process, run, settled, staged, text_of, town


def link(app: ShellApp) -> StagedLink:
    assert isinstance(app.link, StagedLink)
    return app.link


@pytest.fixture
def app(tmp_path: Path) -> ShellApp:
    return staged(
        tmp_path,
        proc_kill=lambda args: {"signalled": [args["pid"]]},
        proc_nice={},
    )


def test_is_a_signal_sent_to_the_one_under_the_cursor(app: ShellApp) -> None:
    async def play(pilot: Pilot[int]) -> None:
        await pilot.press("j", "x", "enter")
        await settled(pilot)
        assert link(app).calls("proc.kill") == [{"pid": 2, "signal": "TERM", "tree": False}]
        assert "TERM was sent to 1 process" in text_of(app)

    run(app, play)


def test_is_a_signal_sent_to_all_that_are_marked_and_to_their_trees(app: ShellApp) -> None:
    async def play(pilot: Pilot[int]) -> None:
        await pilot.press("j", "space", "j", "j", "space", "x")
        assert "Which signal to 2 processes?" in text_of(app)
        await pilot.press("j", "enter")
        await settled(pilot)
        sent = [(args["pid"], args["tree"]) for args in link(app).calls("proc.kill")]
        assert sent == [(2, True), (5, True)]
        assert app.board.marks == set(), "what was marked was for this"

    run(app, play)


def test_does_escape_in_the_menu_send_nothing(app: ShellApp) -> None:
    async def play(pilot: Pilot[int]) -> None:
        await pilot.press("j", "x", "escape", "u")
        await settled(pilot)
        assert link(app).calls("proc.kill") == []

    run(app, play)


def test_is_one_that_is_stopped_let_go_on_and_another_stopped(app: ShellApp) -> None:
    async def play(pilot: Pilot[int]) -> None:
        await pilot.press("j", "s")
        await pilot.press(*"jjjjj", "s")
        await pilot.press(*"jj", "s")
        await settled(pilot)
        sent = [(args["pid"], args["signal"]) for args in link(app).calls("proc.kill")]
        assert sent == [(2, "STOP"), (7, "CONT")]
        assert "ended already" in text_of(app)

    run(app, play)


def test_is_init_never_signalled(app: ShellApp) -> None:
    async def play(pilot: Pilot[int]) -> None:
        await pilot.press("x", "s", "f7")
        await settled(pilot)
        assert "Which signal" not in text_of(app)
        assert link(app).calls("proc.kill") == link(app).calls("proc.nice") == []

    run(app, play)


def test_do_brackets_change_the_nice_value_within_its_bounds(tmp_path: Path) -> None:
    rows = [process(2, priority=19), process(3)]
    listed = {"processes": rows, "next": None}
    app = staged(tmp_path, proc_list=lambda args: {"processes": [], "next": None}
                 if args.get("pids") == [] else listed, proc_nice={})  # fmt: skip

    async def play(pilot: Pilot[int]) -> None:
        await pilot.press("right_square_bracket", "j", "left_square_bracket")
        await settled(pilot)
        calls = [(args["pid"], args["priority"]) for args in link(app).calls("proc.nice")]
        assert calls == [(2, 19), (3, -1)]

    run(app, play)


def test_does_a_filter_show_only_some_and_escape_all_again(app: ShellApp) -> None:
    async def play(pilot: Pilot[int]) -> None:
        await pilot.press("slash", *"worker")
        await settled(pilot)
        assert "critic" not in text_of(app)
        await pilot.press("enter", "j")
        assert app.screen.target() == 4  # type: ignore[attr-defined]
        await pilot.press("escape")
        await settled(pilot)
        assert "critic" in text_of(app)

    run(app, play)


def test_is_the_order_what_was_chosen_by_key_or_by_a_click_on_its_title(app: ShellApp) -> None:
    async def play(pilot: Pilot[int]) -> None:
        def first() -> str:
            return text_of(app).splitlines()[4].split()[1]

        await pilot.press("o", "j", "enter")
        await settled(pilot)
        assert first() == "assistant"
        await pilot.press("r")
        await settled(pilot)
        assert first() == "worker"
        await pilot.click("#processes", offset=(3, 0))
        await settled(pilot)
        assert first() != "worker"

    run(app, play)


def test_does_a_frozen_list_stay_as_it_is(app: ShellApp) -> None:
    async def play(pilot: Pilot[int]) -> None:
        await pilot.press("z")
        rows = [*town(), process(77, "latecomer")]
        link(app).given["proc.list"] = lambda args: {"processes": rows, "next": None}
        app.feed._complete = False
        await settled(pilot)
        assert "latecomer" not in text_of(app)
        await pilot.press("z")
        await settled(pilot)
        assert "latecomer" in text_of(app)

    run(app, play)


@pytest.mark.parametrize("key", ["x", "s", "n", "f7", "f8"])
def test_is_nothing_changed_by_who_may_only_read(tmp_path: Path, key: str) -> None:
    app = staged(tmp_path, rights=Rights(read_only=True))

    async def play(pilot: Pilot[int]) -> None:
        await pilot.press("j", key)
        await settled(pilot)
        made = {name for name, _ in link(app).made}
        assert made <= {"sys.info", "drv.list", "cap.list", "proc.list"}
        assert len(app.screen_stack) == 1

    run(app, play)


def test_is_a_refusal_of_the_kernel_told_in_words(tmp_path: Path) -> None:
    app = staged(tmp_path, proc_kill=EPERM("that is not yours [red]", hint="ask its owner"))

    async def play(pilot: Pilot[int]) -> None:
        await pilot.press("j", "x", "enter")
        await settled(pilot)
        assert "that is not yours [red]" in text_of(app)
        assert "ask its owner" in text_of(app)

    run(app, play)


def test_does_no_name_command_the_screen(tmp_path: Path) -> None:
    rows = [process(2, "[@click=app.quit]x"), process(3, "a\x1b[2Jb")]
    app = staged(tmp_path, proc_list={"processes": rows, "next": None})

    async def play(pilot: Pilot[int]) -> None:
        assert not app.feed.down or "makes no sense" in app.feed.down
        assert "\x1b" not in text_of(app)

    run(app, play)


def test_does_a_line_after_a_colon_do_what_it_names(app: ShellApp) -> None:
    async def play(pilot: Pilot[int]) -> None:
        await pilot.press("j", "colon", *"tree", "enter")
        assert app.board.tree
        await pilot.press("colon", *"view", "space", *"drivers", "enter")
        await settled(pilot)
        assert app.current_mode == "drivers"
        await pilot.press("1", "colon", *"dance", "enter")
        await settled(pilot)
        assert "there is no action dance" in text_of(app)

    run(app, play)


def test_does_a_refusal_of_one_leave_the_others_their_signal(app: ShellApp) -> None:
    def kill(args: dict[str, Any]) -> Any:
        return EPERM("not this one") if args["pid"] == 2 else {"signalled": [args["pid"]]}

    link(app).given["proc.kill"] = kill

    async def play(pilot: Pilot[int]) -> None:
        await pilot.press("j", "space", "j", "space", "x", "enter")
        await settled(pilot)
        assert "TERM was sent to 1 process" in text_of(app)
        assert "not this one" in text_of(app)

    run(app, play)


def test_is_what_a_filter_hides_not_signalled_though_it_is_marked(app: ShellApp) -> None:
    async def play(pilot: Pilot[int]) -> None:
        await pilot.press("j", "space", "slash", *"critic", "enter", "s")
        await settled(pilot)
        assert [args["pid"] for args in link(app).calls("proc.kill")] == [5]

    run(app, play)
