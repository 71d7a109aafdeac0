"""Does the events view tell what happens: all of it, in order, and without costing much?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from textual.pilot import Pilot
from textual.widgets import Static

from llmagentos.abi.calls.sys import Event
from llmagentos.abi.errors import EPERM
from shell.tui.app import ShellApp
from shell.tui.feed import Change
from shell.tui.rights import Rights
from shell.tui.tail import MOST, Tail
from tests.tui.stage import run, settled, staged, text_of

NOW = 1_750_000_000.0
KINDS = (
    ("proc.spawned", {"name": "research", "parent": 1}),
    ("burst.queued", {"model": "smollm2-135m-instruct"}),
    ("burst.started", {"driver": "edge", "batch": 3}),
    ("ipc.sent", {"to": 6, "bytes": 120}),
    ("approval.asked", {"capability": "tool:shell", "id": 4}),
    ("burst.done", {"driver": "edge", "tokens": 64, "seconds": 0.7}),
    ("proc.state", {"state": "WAITING", "reason": "mail"}),
    ("drv.up", {"name": "edge"}),
    ("kernel.bug", {"where": "mem.put"}),
)


def event(seq: int, **more: Any) -> dict[str, Any]:
    kind, data = KINDS[seq % len(KINDS)]
    pid = None if kind in ("drv.up", "kernel.bug") else 2 + seq % 8
    return {"seq": seq, "time": NOW + seq, "type": kind, "pid": pid, "data": data} | more


def change(*events: dict[str, Any]) -> Change:
    return Change(frozenset(), tuple(map(Event.model_validate, events)), vitals=False)


def many(first: int, last: int) -> Change:
    return change(*(event(seq) for seq in range(first, last + 1)))


def told(last: int) -> Any:
    """What the kernel says when it keeps events up to this one."""

    def events(args: dict[str, Any]) -> dict[str, Any]:
        first = args["since"] + 1
        there = [event(seq) for seq in range(first, last + 1)][: args["limit"]]
        return {"events": there, "oldest": 1, "latest": last, "more": False}

    return events


def events(folder: Path, last: int = 0, **given: Any) -> ShellApp:
    return staged(folder, first="events", **({"sys_events": told(last)} | given))


def about(app: ShellApp) -> str:
    return str(app.screen.query_one("#about", Static).content)


def shown(app: ShellApp) -> list[int]:
    """The numbers of the events that can be seen; 0 for a gap."""
    tail = app.screen.query_one(Tail)
    strips = [tail.render_line(y).text for y in range(tail.size.height)]
    return [int(line[:7].strip() or 0) for line in strips if line.strip()]


def test_history_then_what_comes(tmp_path: Path) -> None:
    app = events(tmp_path, 3000)

    async def play(pilot: Pilot[int]) -> None:
        tail = app.screen.query_one(Tail)
        assert [line.event.seq for line in tail.lines] == list(range(2001, 3001))
        # Some of it is on the socket as well.
        app.screen.live(many(2990, 3005))
        assert [line.event.seq for line in tail.lines] == list(range(2001, 3006))
        assert "missed" not in text_of(app)
        await pilot.pause()
        assert shown(app)[-1] == 3005

    run(app, play)


def test_what_comes_while_it_asks_waits(tmp_path: Path) -> None:
    app = events(tmp_path, 10)

    async def play(pilot: Pilot[int]) -> None:
        app.link.given["sys.events"] = told(20)
        app.screen.live(Change(None, many(19, 22).events, vitals=True))
        await settled(pilot)
        assert shown(app) == list(range(1, 23))

    run(app, play)


def test_another_count_begins_anew(tmp_path: Path) -> None:
    app = events(tmp_path, 50)

    async def play(pilot: Pilot[int]) -> None:
        app.link.given["sys.events"] = told(3)
        app.screen.live(Change(None, (), vitals=True))
        await settled(pilot)
        app.screen.live(many(4, 4))
        assert shown(app)[-5:] == [50, 1, 2, 3, 4]

    run(app, play)


def test_without_the_right_to_history_only_what_comes(tmp_path: Path) -> None:
    app = events(tmp_path, sys_events=EPERM("only the user may"), rights=Rights(pid=5))

    async def play(pilot: Pilot[int]) -> None:
        assert "nothing has happened yet" in text_of(app)
        assert "not for this session" in about(app)
        app.screen.live(many(7, 8))
        await pilot.pause()
        assert shown(app) == [7, 8]
        assert "nothing has happened yet" not in text_of(app)

    run(app, play)


def test_a_gap_is_told(tmp_path: Path) -> None:
    app = events(tmp_path, 10)

    async def play(pilot: Pilot[int]) -> None:
        app.screen.live(many(23, 24))
        app.screen.live(many(26, 26))
        await pilot.pause()
        assert shown(app)[-5:] == [0, 23, 24, 0, 26]
        assert "12 events were missed" in text_of(app)
        assert "1 event was missed" in text_of(app)

    run(app, play)


def test_follows_unless_scrolled_up(tmp_path: Path) -> None:
    app = events(tmp_path, 200)

    async def play(pilot: Pilot[int]) -> None:
        assert shown(app)[-1] == 200
        app.screen.live(many(201, 210))
        await pilot.pause()
        assert shown(app)[-1] == 210
        await pilot.press("k")
        app.screen.live(many(211, 213))
        await pilot.pause()
        assert shown(app)[-1] == 210
        assert "3 new below" in about(app)
        await pilot.press("G")
        await pilot.pause()
        assert shown(app)[-1] == 213
        assert "new" not in about(app)
        await pilot.press("g")
        await pilot.pause()
        assert shown(app)[0] == 1
        app.screen.query_one(Tail).scroll_end(animate=False)
        await pilot.pause()
        app.screen.live(many(214, 214))
        await pilot.pause()
        assert shown(app)[-1] == 214, "at the end it follows again, however it got there"

    run(app, play)


def test_no_more_is_kept_than_the_bound(tmp_path: Path) -> None:
    app = events(tmp_path, 1000)

    async def play(pilot: Pilot[int]) -> None:
        await pilot.press("g", "j", "j")
        app.screen.live(many(1001, 5001))
        await pilot.pause()
        tail = app.screen.query_one(Tail)
        assert (len(tail.lines), len(app.screen._lines)) == (MOST, MOST)
        # The first one is gone, and what was read is still under the cursor.
        assert tail.line.event.seq == 3
        app.screen.live(many(5002, 12000))
        await pilot.pause()
        assert (len(tail.lines), len(app.screen._lines)) == (MOST, MOST)
        assert tail.lines[0].event.seq == 7001
        assert tail.line.event.seq == 7001

    run(app, play)


def test_held_still_and_let_go(tmp_path: Path) -> None:
    app = events(tmp_path, 10)

    async def play(pilot: Pilot[int]) -> None:
        await pilot.press("z")
        app.screen.live(many(11, 14))
        await pilot.pause()
        assert shown(app)[-1] == 10
        assert "held still, 4 new" in about(app)
        await pilot.press("slash", "1")
        await pilot.pause()
        assert 14 not in shown(app), "nor by a filter"
        await pilot.press("escape", "z")
        await pilot.pause()
        assert shown(app)[-1] == 14
        assert "held" not in about(app)

    run(app, play)


def test_the_filter_needs_all_words(tmp_path: Path) -> None:
    app = events(tmp_path, 40)

    async def play(pilot: Pilot[int]) -> None:
        tail = app.screen.query_one(Tail)
        await pilot.press("slash", *"done ed")
        await pilot.pause()
        assert {line.event.type for line in tail.lines} == {"burst.done"}
        app.link.given["sys.events"] = told(60)
        app.screen.live(many(41, 60))
        assert {line.event.type for line in tail.lines} == {"burst.done"}
        assert tail.lines[-1].event.seq > 40
        await pilot.press("escape")
        await pilot.pause()
        assert len(tail.lines) == 60

    run(app, play)


def test_only_those_of_one_process(tmp_path: Path) -> None:
    app = events(tmp_path, 60)

    async def play(pilot: Pilot[int]) -> None:
        tail = app.screen.query_one(Tail)
        await pilot.press("o", "6", "enter")
        await pilot.pause()
        assert {line.event.pid for line in tail.lines} == {6}
        assert "of pid 6 assistant" in about(app)
        await pilot.press("o", "x", "enter")
        await pilot.pause()
        assert {line.event.pid for line in tail.lines} == {6}, "that was no pid"
        await pilot.press("o", "backspace", "enter")
        await pilot.pause()
        assert len(tail.lines) == 60

    run(app, play)


def test_enter_opens_the_process(tmp_path: Path) -> None:
    app = events(tmp_path, 8)
    opened: list[int] = []
    app.open_agent = opened.append

    async def play(pilot: Pilot[int]) -> None:
        await pilot.press("enter")
        await pilot.pause()
        assert opened == [], "the last one is of the kernel"
        await pilot.press("k", "k", "enter")
        await pilot.pause()
        assert opened == [event(6)["pid"]]

    run(app, play)


def test_an_event_does_not_command_the_screen(tmp_path: Path) -> None:
    app = events(tmp_path)
    evil = "a\x1b[31mb\n[red]c[/red] \x07d"

    async def play(pilot: Pilot[int]) -> None:
        app.screen.live(change(event(1, type=evil, data={"name": evil, evil: 1})))
        await pilot.pause()
        assert "name=a[31mb [red]c[/red] d" in text_of(app)
        assert not {"\x1b", "\x07"} & set(text_of(app))
        assert shown(app) == [1]

    run(app, play)


def test_what_is_cut_can_be_scrolled_to(tmp_path: Path) -> None:
    app = events(tmp_path)

    async def play(pilot: Pilot[int]) -> None:
        app.screen.live(change(event(1, data={"text": "x" * 200 + " the end"})))
        await pilot.pause()
        assert "the end" not in text_of(app)
        app.screen.query_one(Tail).scroll_to(x=500, animate=False)
        await pilot.pause()
        assert "the end" in text_of(app)

    run(app, play)
