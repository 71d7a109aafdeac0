"""The models: those that are here, those that could be, and those that a driver has elsewhere.

It runs the model store as a program, as ``llmos models`` does, and knows its contract: JSON lines.
"""

from __future__ import annotations

import asyncio
import json
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ClassVar, Final

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import Input, Static
from textual.worker import Worker

from llmagentos.abi.errors import LLMOSError
from llmagentos.home import Home
from shell import image
from shell.commands.models import failure, progress
from shell.terminal import clip, printable, size
from shell.tui.dialogs import Question
from shell.tui.feed import Change
from shell.tui.table import Cell, Column, LiveTable
from shell.tui.view import View, bound
from shell.tui.words import Words

COLUMNS: Final = (
    Column("name", "NAME", 22, grow=True),
    Column("here", "HERE", 4),
    Column("size", "SIZE", 8, right=True),
    Column("license", "LICENCE", 11, 1),
    Column("drivers", "SERVED BY", 12, grow=True),
    Column("source", "SOURCE", 14, 2, grow=True),
)
_LONGEST: Final = 16 * 1024 * 1024
"""Line of the store's."""
_READ_ONLY: Final = "this screen only reads: it was started with --read-only"
Step = Callable[[dict[str, Any]], None]


class ModelsView(View):
    NAME = "models"
    BINDINGS: ClassVar[list[BindingType]] = bound("models")
    DEFAULT_CSS = """
    ModelsView #list { height: 1fr; }
    ModelsView #about { height: auto; max-height: 9; }
    ModelsView #pull { height: auto; padding: 0 1; background: $boost; }
    ModelsView.bare #models { max-height: 1; }
    ModelsView.bare #about { display: none; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._store: list[dict[str, Any]] = []
        self._trouble = "looking into the model store …"
        self._listing: Worker[None] | None = None
        self._pulling: Worker[None] | None = None

    def body(self) -> ComposeResult:
        with Vertical(id="list"):
            yield LiveTable(*COLUMNS, id="models")
            yield Words(id="nothing", classes="empty")
        pull = Words(id="pull")
        pull.display = False
        yield pull
        with Vertical(id="about", classes="pane"):
            yield Words(id="details")

    @property
    def table(self) -> LiveTable:
        return self.query_one("#models", LiveTable)

    def on_screen_resume(self) -> None:
        self._list()

    def live(self, change: Change) -> None:
        if change.vitals or change.pids is None:
            self._show()

    # -- what is there -------------------------------------------------------------------------

    def _list(self) -> None:
        if self._listing is None or self._listing.is_finished:
            self._listing = self.run_worker(self._fetch(), exit_on_error=False, group="list")

    async def _fetch(self) -> None:
        try:
            self._store = (await store(self.app.link.home, "list"))["models"]
            self._trouble = ""
        except LLMOSError as error:
            self._trouble = f"{error.message}\n{error.hint}".strip()
        self._show()

    def _models(self) -> dict[str, dict[str, Any]]:
        """By name, each with the names of the ``drivers`` that serve it."""
        models = {str(row["name"]): {**row, "drivers": []} for row in self._store}
        for driver in self.app.feed.vitals.drivers:
            for card in driver.models:
                # Only a driver has it, elsewhere: it is not for the store to bring.
                elsewhere: dict[str, Any] = {"name": card.name, "installed": None, "drivers": []}
                state = "" if driver.state == "ready" else f" ({driver.state})"
                models.setdefault(card.name, elsewhere)["drivers"].append(driver.name + state)
        return models

    def _show(self) -> None:
        rows = {name: self._row(model) for name, model in self._models().items()}
        seen = self.filtered(rows)
        self.table.show(seen)
        self.set_class(not seen, "bare")
        nothing = self.query_one("#nothing", Static)
        nothing.display = not seen or bool(self._trouble)
        empty = "no model has the words of the filter" if rows else "no model is known"
        nothing.update(printable(self._trouble) or empty)
        self._look()

    def _row(self, model: dict[str, Any]) -> tuple[Cell, ...]:
        here = {True: "yes", False: "no", None: "-"}[model["installed"]]
        colour = self.app.colour_of("ready") if model["installed"] else ""
        unknown = "-" if model["installed"] is None else "?"
        return (
            clip(str(model["name"]), 200),
            Text(here, colour),
            size(model["bytes"]) if model.get("bytes") else "-",
            clip(str(model.get("license") or unknown), 100),
            clip(", ".join(model["drivers"]), 500) or "-",
            clip(str(model.get("source") or "-"), 500),
        )

    @on(LiveTable.RowHighlighted, "#models")
    def _moved(self, event: LiveTable.RowHighlighted) -> None:
        event.stop()
        self._look()

    @on(LiveTable.RowSelected, "#models")
    def _entered(self, event: LiveTable.RowSelected) -> None:
        # There is no more to be opened: all of it is below.
        event.stop()

    def _look(self) -> None:
        model = self._models().get(self.table.key or "")
        if model is None:
            return
        where = model.get("path") or "p brings it here"
        facts = {
            "model": model["name"],
            "about": model.get("description"),
            "where": where if model["installed"] is not None else "with its drivers",
            "source": model.get("source"),
            "licence": model.get("license"),
            "served by": ", ".join(model["drivers"]) or "no driver",
        }
        rows = (f"{name:<10} {clip(str(fact), 500)}" for name, fact in facts.items() if fact)
        self.query_one("#details", Static).update("\n".join(rows))

    # -- pulling -------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        # It makes no syscall, so the table of actions can't tell.
        if action == "pull" and self.app.link.rights.read_only:
            return None
        return super().check_action(action, parameters)

    @property
    def _busy(self) -> Worker[None] | None:
        """What pulls now."""
        pulling = self._pulling
        return None if pulling is None or pulling.is_finished else pulling

    def key_escape(self) -> None:
        closed = self.query_one("#line", Input).has_class("hidden")
        if closed and (pulling := self._busy):
            pulling.cancel()
        else:
            super().key_escape()

    def action_pull(self) -> None:
        """The one under the cursor; if that is here, or elsewhere, then which one is asked."""
        model = self._models().get(self.table.key or "")
        if self.app.link.rights.read_only or self._busy:
            why = "one is being pulled; escape cancels that" if self._busy else _READ_ONLY
            self.notify(why, severity="warning")
        elif model is not None and model["installed"] is False:
            self._pull(str(model["name"]))
        else:
            example = "a known name, a hub id, ./folder or file.gguf"
            self.app.push_screen(Question("Pull which model?", example=example), self._pull)

    def _pull(self, what: str | None) -> None:
        if what and what.strip():
            self._pulling = self.run_worker(
                self._pulled(what.strip()), exit_on_error=False, group="pull"
            )

    async def _pulled(self, what: str) -> None:
        name = clip(what, 60)

        def step(told: dict[str, Any]) -> None:
            self._say(f"Esc cancels  {name}: {progress(told)}")

        self._say(f"Esc cancels  {name}: begins …")
        said = ""
        try:
            result = await store(self.app.link.home, "pull", "--", what, on_progress=step)
            self.notify(f"{result['name']} is here: {result['path']}", markup=False)
        except asyncio.CancelledError:
            said = f"{name}: canceled; the next pull goes on where it was"
            raise
        except LLMOSError as error:
            said = f"{name}: {error.message}"
            self.notify(f"{error.message}\n{error.hint}".strip(), severity="error", markup=False)
        finally:
            if not self.is_gone:
                self._say(said)
                self._list()

    def _say(self, words: str) -> None:
        """In the line above what is known of the model."""
        line = self.query_one("#pull", Static)
        line.display = bool(words)
        line.update(words)


async def store(
    home: Home, command: str, *words: str, on_progress: Step | None = None
) -> dict[str, Any]:
    """Run the store's command; its result. Raises the error that it tells; ended, when this is
    canceled. (The one of ``llmos models`` handles signals, which only a main thread may.)"""
    process = await asyncio.create_subprocess_exec(
        *image.command("drivers.models", command, "--json", *words),
        env=image.environment(home),
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
        limit=_LONGEST,
    )
    assert process.stderr is not None
    complaints = asyncio.ensure_future(process.stderr.read())
    try:
        last = await _read(process, on_progress)
        complaint = (await complaints).decode(errors="replace").strip()
        await process.wait()
    finally:
        complaints.cancel()
        await _end(process)
    if last.get("ok") is True:
        return last
    raise failure(last.get("error"), complaint)


async def _read(process: Process, on_progress: Step | None) -> dict[str, Any]:
    """Its last line."""
    assert process.stdout is not None
    last: dict[str, Any] = {}
    async for line in process.stdout:
        with suppress(ValueError):
            last = json.loads(line)
        if "stage" in last and on_progress is not None:
            on_progress(last)
    return last


async def _end(process: Process) -> None:
    """A partial download is kept."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), 5.0)
    except TimeoutError:
        process.kill()
        await process.wait()
