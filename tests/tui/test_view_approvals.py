"""Does the inbox show exactly what is asked for?"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from llmagentos.abi.errors import ECONNREFUSED, ENOENT, EPERM
from shell.tui.reader import Reader
from tests.tui.inbox import PLAN, asking, inbox, listed, pane, stat, writing
from tests.tui.stage import SIZES, again, run, said, settled, text_of

pytestmark = pytest.mark.usefixtures("seen")


def test_all_of_the_chosen_one_is_shown(tmp_path: Path) -> None:
    buffer = {"size": 1234, "hash": "cd" * 32}
    app = inbox(tmp_path, asking(), asking(8, name="critic", buffers=[buffer]))

    async def play(pilot: Pilot[int]) -> None:
        assert "approval 7 of ops (pid 8): asked 2h05m ago, expires in 20h50m" in text_of(app)
        for words in ('"the disk is full"', "tool.call", "tool:shell.run", "private", "07" * 32,
                      '"command": "rm -r /tmp/build"'):  # fmt: skip
            assert words in pane(app)
        assert app.screen.target() == 8
        await pilot.press("j")
        await settled(pilot)
        assert "approval 8 of critic" in text_of(app)
        assert f"1,234 bytes, SHA-256 {'cd' * 32}" in pane(app)

    run(app, play, SIZES["large"])


def test_every_page_is_read(tmp_path: Path) -> None:
    def pages(args: dict[str, Any]) -> dict[str, Any]:
        return listed(asking(args["after"] + 1), more=args["after"] < 2)

    app = inbox(tmp_path, cap_list=lambda args: pages(args) if "after" in args else listed())

    async def play(pilot: Pilot[int]) -> None:
        assert app.screen.table.row_count == 3

    run(app, play)


def test_a_text_for_a_file_is_shown_as_a_difference(tmp_path: Path) -> None:
    app = inbox(tmp_path, writing())

    async def play(pilot: Pilot[int]) -> None:
        lines = pane(app).split("\n")
        assert {"-wait", "+write", " read"} <= set(lines)
        assert '  "labels": [' in lines
        assert '"text"' not in pane(app)
        kinds = dict(app.screen.query_one("#whole", Reader)._shown)
        assert (kinds["-wait"], kinds["+write"], kinds[" read"]) == ("removed", "added", "")
        assert app.link.calls("content") == [{"path": PLAN, "version": 3, "pid": 2}]
        await again(pilot)
        assert len(app.link.calls("content")) == 1
        app.link.given["fs.stat"] = stat(version=4)
        await again(pilot)
        assert "version 4, as it is now" in pane(app)

    run(app, play)


def test_a_new_file(tmp_path: Path) -> None:
    app = inbox(tmp_path, writing(), fs_stat=ENOENT("there is no such file"))

    async def play(pilot: Pilot[int]) -> None:
        assert f"{PLAN}, which is new" in pane(app)
        assert {"+# Plan", "+read", "+write"} <= set(pane(app).split("\n"))
        assert app.link.calls("content") == []

    run(app, play)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"fs_stat": EPERM("this file is not for you")}, "this file is not for you"),
        ({"fs_stat": stat(size=5_000_000)}, "it has 5.0 MB"),
    ],
)
def test_without_a_comparison_all_of_the_text_is_shown(
    tmp_path: Path, given: dict[str, Any], why: str
) -> None:
    app = inbox(tmp_path, writing(), **given)

    async def play(pilot: Pilot[int]) -> None:
        assert why in pane(app)
        assert r'"text": "# Plan\nread\nwrite\n"' in pane(app)

    run(app, play)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("# Plan\nread\nwait\r\n", r"+wait\r"),
        ("# Plan\nread\u2028rest\nwait\n", r"+read\u2028rest"),
        ("# Plan\nread \u202egpj\nwait\n", r"+read \u202egpj"),
    ],
)
def test_a_difference_that_hides_itself_is_seen(tmp_path: Path, text: str, line: str) -> None:
    app = inbox(tmp_path, writing(text=text))

    async def play(pilot: Pilot[int]) -> None:
        assert line in pane(app).split("\n")

    run(app, play)


def test_what_can_not_be_seen_is_written_out(tmp_path: Path) -> None:
    evil = "a\u202eb\u200bc\x1b[31md\u3164"
    arguments = {evil: [evil]}
    row = asking(arguments=arguments, reason=evil, capability=f"tool:{evil}", name=evil)
    app = inbox(tmp_path, row)

    async def play(pilot: Pilot[int]) -> None:
        assert pane(app).count(r"a\u202eb\u200bc\u001b[31md\u3164") == 4
        await pilot.press("N")
        await settled(pilot)
        assert r"a\u202eb\u200bc\u001b[31md\u3164" in text_of(app)
        await pilot.press("escape")
        assert not {"\u202e", "\u200b", "\x1b", "\u3164"} & set(text_of(app))

    run(app, play, SIZES["large"])


def test_the_filter_needs_all_words(tmp_path: Path) -> None:
    app = inbox(tmp_path, asking(), writing())

    async def play(pilot: Pilot[int]) -> None:
        await pilot.press("slash", *"fs re")
        await pilot.pause()
        assert app.screen.table.row_count == 1
        assert "approval 9 of research" in text_of(app)
        await pilot.press("9", "9")
        await pilot.pause()
        assert "nothing here has the words" in text_of(app)
        await pilot.press("escape")
        await pilot.pause()
        assert app.screen.table.row_count == 2
        assert app.screen.query_one("#line", Input).has_class("hidden")

    run(app, play)


def test_those_that_are_settled(tmp_path: Path) -> None:
    now = time.time()
    refused = asking(5, status="rejected", decided=now - 7530, by=1, note="not here")
    over = listed(asking(4, status="expired"), refused, asking())
    app = inbox(tmp_path, cap_list=lambda args: over if args.get("history") else listed(asking()))

    async def play(pilot: Pilot[int]) -> None:
        assert app.screen.table.row_count == 1
        await pilot.press("h")
        await settled(pilot)
        assert {"history": 100, "after": 0} in app.link.calls("cap.list")
        assert app.screen.table.row_count == 3
        await pilot.press("j")
        await settled(pilot)
        assert "approval 5 of ops (pid 8): asked 2h05m ago, rejected 2h05m ago by the user" in (
            text_of(app)
        )
        assert '"not here"' in pane(app)
        await pilot.press("y")
        await settled(pilot)
        assert app.link.calls("cap.decide") == []
        assert "approval 5 is settled: rejected" in said(app)

    run(app, play, SIZES["large"])


def test_what_was_shown_stays_while_the_kernel_is_away(tmp_path: Path) -> None:
    app = inbox(tmp_path, writing())

    async def play(pilot: Pilot[int]) -> None:
        app.link.given["cap.list"] = ECONNREFUSED("the system is not up")
        await again(pilot)
        assert "+write" in pane(app)
        assert "the system is not up" in text_of(app)
        app.link.given["cap.list"] = EPERM("not for you")
        await again(pilot)
        assert "not for you" in text_of(app)
        assert app.screen.table.row_count == 0

    run(app, play)
