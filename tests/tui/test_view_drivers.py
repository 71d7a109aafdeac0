"""Does the view of drivers show their state and load, and drain the one that is chosen?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import ProgressBar, Static

from llmagentos.abi.calls.drv import ListResult as Drivers
from llmagentos.abi.errors import EPERM
from shell.tui.app import ShellApp
from shell.tui.dialogs import Choice
from shell.tui.feed import Change
from shell.tui.rights import Rights
from tests.tui.stage import SIZES, THEMES, driver, run, said, settled, staged, text_of

CLOUD = {
    "name": "gpt-large", "context_length": 128_000, "price": {"prompt": 2.5, "completion": 10.0},
}  # fmt: skip
SMALL = {
    "name": "smollm2-135m-instruct", "context_length": 8192, "parameters": 134_515_008,
    "dtype": "bfloat16", "kv_bytes_per_token": 23_040, "price": {"prompt": 0, "completion": 0},
}  # fmt: skip


def fleet() -> list[dict[str, Any]]:
    return [
        driver(models=[SMALL], labels=["private"], zone="device"),
        driver(
            "cloud", kind="cloud", models=[CLOUD], running=12, slots=64, os_pid=0, features=[],
            zone="eu", tokens_per_second=812.4, bursts=4012, tokens=1_204_511,
        ),
        driver(
            "edge2", state="loading", progress=0.43, note="download: 42.1 of 98.0 MB", running=0,
            bursts=0, tokens=0, tokens_per_second=0.0,
        ),
        driver("tools", kind="tool", models=[], state="draining", features=[], tokens=0),
        driver("host", kind="host", models=[], slots=32, running=9, tokens=0, bursts=0),
        driver("node", kind="node", state="down", beat_age=None, running=0, note="it was silent"),
    ]  # fmt: skip


def garage(
    folder: Path, *, rights: Rights | None = None, theme: str = THEMES[0], **given: Any
) -> ShellApp:
    answers = {"drv_list": {"drivers": fleet(), "queued": 2}, "drv_drain": {}}
    app = staged(folder, first="drivers", rights=rights, theme=theme, **(answers | given))
    return steady(app)


def steady(app: ShellApp) -> ShellApp:
    """As if its drivers had done for long what they do now."""
    vitals = app.feed.vitals
    vitals.take(Drivers.model_validate(app.link.given["drv.list"]))
    for history in (vitals.pace, vitals.queue, vitals.load):
        history.extend([history[-1]] * 120)
    return app


def details(app: ShellApp) -> str:
    return str(app.screen.query_one("#details", Static).content)


async def down(pilot: Pilot[int], rows: int) -> None:
    await pilot.press(*["j"] * rows)
    await pilot.pause()


def test_all_about_the_chosen_one(tmp_path: Path) -> None:
    app = garage(tmp_path)

    async def play(pilot: Pilot[int]) -> None:
        wanted = (
            "8,192 tokens of context", "134,515,008 parameters bfloat16", "costs nothing",
            "23.0 kB of KV cache", "preempt, fork", "device", "labelled private",
        )  # fmt: skip
        for words in wanted:
            assert words in details(app)
        await down(pilot, 1)
        assert "2.5 to read, 10 to make a million tokens" in details(app)
        assert "no labels" in details(app)

    run(app, play)


def test_a_bar_while_one_loads(tmp_path: Path) -> None:
    app = garage(tmp_path)

    async def play(pilot: Pilot[int]) -> None:
        bar, loading = app.screen.query_one(ProgressBar), app.feed.vitals.drivers[2]
        assert not bar.display
        await down(pilot, 2)
        assert (bar.display, bar.percentage) == (True, 0.43)
        assert "loading 43%  download: 42.1 of 98.0 MB" in text_of(app)
        app.feed.vitals.drivers[2] = loading.model_copy(update={"progress": 0.9})
        app.screen.live(Change(frozenset(), (), vitals=True))
        assert bar.percentage == 0.9
        await down(pilot, 1)
        assert not bar.display

    run(app, play)


@pytest.mark.parametrize(
    ("row", "name", "keys", "on"),
    [(0, "edge", (), True), (3, "tools", (), False), (5, "node", ("j",), False)],
)
def test_drains(tmp_path: Path, row: int, name: str, keys: tuple[str, ...], on: bool) -> None:
    """One that drains already has new work again, unless something else is chosen."""
    app = garage(tmp_path)

    async def play(pilot: Pilot[int]) -> None:
        await down(pilot, row)
        await pilot.press("d")
        assert app.link.calls("drv.drain") == []
        await pilot.press(*keys, "enter")
        await pilot.pause()
        assert app.link.calls("drv.drain") == [{"name": name, "on": on}]
        assert name in said(app)

    run(app, play)


def test_escape_drains_nothing(tmp_path: Path) -> None:
    app = garage(tmp_path)

    async def play(pilot: Pilot[int]) -> None:
        await pilot.press("d", "escape")
        await pilot.pause()
        assert app.link.calls("drv.drain") == []

    run(app, play)


@pytest.mark.parametrize("rights", [Rights(read_only=True), Rights(pid=6)])
def test_only_the_user_drains(tmp_path: Path, rights: Rights) -> None:
    app = garage(tmp_path, rights=rights)

    async def play(pilot: Pilot[int]) -> None:
        await pilot.press("d")
        # Nor if it gets there by another way than its key.
        app.screen.action_drain()
        await pilot.pause()
        assert not isinstance(app.screen, Choice)
        assert said(app)

    run(app, play)


def test_a_refusal_becomes_words(tmp_path: Path) -> None:
    app = garage(tmp_path, drv_drain=EPERM("only the user drains"))

    async def play(pilot: Pilot[int]) -> None:
        await pilot.press("d", "enter")
        await pilot.pause()
        assert "only the user drains" in said(app)

    run(app, play)


def test_the_filter_needs_all_words(tmp_path: Path) -> None:
    app = garage(tmp_path)

    async def play(pilot: Pilot[int]) -> None:
        await pilot.press("slash", *"cl gp")
        await pilot.pause()
        assert app.screen.table.row_count == 1
        assert "2.5 to read" in details(app)
        await pilot.press("9", "9")
        await pilot.pause()
        assert "no driver has the words" in text_of(app)
        await pilot.press("escape")
        await pilot.pause()
        assert app.screen.table.row_count == 6

    run(app, play)


def test_without_drivers_it_says_so(tmp_path: Path) -> None:
    app = garage(tmp_path, drv_list={"drivers": [], "queued": 0})

    async def play(pilot: Pilot[int]) -> None:
        assert "no driver has registered yet" in text_of(app)
        await pilot.press("d", "enter")
        assert app.link.calls("drv.drain") == []

    run(app, play)


def test_a_driver_does_not_command_the_screen(tmp_path: Path) -> None:
    evil = driver(note="a\x1b[31mb [red]c[/red]", zone="\x07z", state="failed")
    app = garage(tmp_path, drv_list={"drivers": [evil], "queued": 0})

    async def play(pilot: Pilot[int]) -> None:
        assert "a[31mb [red]c[/red]" in text_of(app)
        assert not {"\x1b", "\x07"} & set(text_of(app) + details(app))

    run(app, play)


def test_enter_goes_to_the_facts_and_escape_back(tmp_path: Path) -> None:
    app = garage(tmp_path)

    async def play(pilot: Pilot[int]) -> None:
        await pilot.press("enter")
        await pilot.pause()
        assert app.focused is app.screen.query_one("#about")
        await pilot.press("escape")
        assert app.focused is app.screen.table

    run(app, play, SIZES["small"])


def test_does_the_header_count_no_slots_of_a_driver_that_is_gone(tmp_path: Path) -> None:
    gone = driver("box", kind="node", state="down", slots=64, running=0)
    app = staged(tmp_path, drv_list={"drivers": [driver(), gone], "queued": 0})

    async def play(pilot: Pilot[int]) -> None:
        await settled(pilot)
        assert "slots 3/16" in text_of(app)

    run(app, play)
