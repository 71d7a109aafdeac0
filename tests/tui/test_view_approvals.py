"""Does the inbox show exactly what is asked for, and decide exactly what was shown?"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from llmagentos.abi.errors import ECONNREFUSED, EINVAL, ENOENT, EPERM, LLMOSError
from shell.tui.app import ShellApp
from shell.tui.dialogs import Question
from shell.tui.feed import Change
from shell.tui.reader import Reader
from shell.tui.rights import Rights
from shell.tui.views import approvals
from tests.tui.stage import SIZES, run, settled, staged, text_of

PLAN = "/inbox/plan.md"
BEFORE = b"# Plan\nread\nwait\n"


def asking(id: int = 7, **more: Any) -> dict[str, Any]:
    """As ``cap.list`` gives it. Always two hours old, so that it looks the same."""
    now = time.time()
    row: dict[str, Any] = {
        "id": id, "pid": 8, "name": "ops", "call": "tool.call", "capability": "tool:shell.run",
        "arguments": {"tool": "shell.run", "arguments": {"command": "rm -r /tmp/build"}},
        "buffers": [], "labels": ["private"], "hash": f"{id:02}" * 32,
        "reason": "the disk is full", "status": "pending", "created": now - 7530,
        "expires": now + 75_030, "decided": None, "by": None, "always": False, "note": "",
    }  # fmt: skip
    return row | more


def writing(id: int = 9, text: str = "# Plan\nread\nwrite\n", **more: Any) -> dict[str, Any]:
    arguments = {"path": PLAN, "text": text, "labels": ["draft"]}
    return asking(
        id, pid=2, name="research", call="fs.write", capability="fs:/inbox:w", arguments=arguments,
        reason="", labels=[], **more,
    )  # fmt: skip


def stat(version: int = 3, size: int = 20) -> dict[str, Any]:
    file = {"path": PLAN, "version": version, "size": size, "hash": "ab" * 32, "labels": []}
    return file | {"owner": 2, "time": time.time() - 7530, "deleted": False}


def listed(*rows: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"rules": [], "labels": [], "approvals": list(rows), "more": False} | more


def inbox(
    folder: Path,
    *rows: dict[str, Any],
    content: bytes = BEFORE,
    rights: Rights | None = None,
    theme: str = "llmos-dark",
    **given: Any,
) -> ShellApp:
    """``rows``: those that wait. One that is decided goes."""
    waiting = list(rows)

    def decide(args: dict[str, Any]) -> dict[str, Any]:
        (row,) = [row for row in waiting if row["id"] == args["approval"]]
        waiting.remove(row)
        status = "used" if args["approve"] else "rejected"
        return {"approval": row | {"status": status, "always": args.get("always", False)}}

    answers = {
        "cap_list": lambda args: listed(
            *(row for row in waiting if row["id"] > args.get("after", 0))
        ),
        "cap_decide": decide,
        "fs_stat": stat(),
    }
    app = staged(folder, first="approvals", rights=rights, theme=theme, **(answers | given))

    async def read(path: str, version: int | None = None, pid: int | None = None) -> bytes:
        app.link.made.append(("content", {"path": path, "version": version, "pid": pid}))
        await asyncio.sleep(0)
        return content

    app.link.content = read
    return app


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if somebody had read what is there before a key is pressed."""
    monkeypatch.setattr(approvals, "_UNSEEN", 0.0)


pytestmark = pytest.mark.usefixtures("seen")


def pane(app: ShellApp) -> str:
    return app.screen.query_one("#whole", Reader).text


def said(app: ShellApp) -> str:
    return "\n".join(note.message for note in app._notifications)


async def again(pilot: Pilot[int]) -> None:
    """As if the view had come to the front."""
    pilot.app.screen.live(Change(None, (), vitals=True))
    await settled(pilot)


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
