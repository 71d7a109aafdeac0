"""The drivers and agent hosts: what computes, its load, and all about the one under the cursor.

It knows what a driver says of itself; the feed knows where that comes from.
"""

from __future__ import annotations

from typing import ClassVar, Final

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical, VerticalScroll
from textual.widgets import ProgressBar, Static

from llmagentos.abi.calls.drv import DriverInfo
from llmagentos.abi.cards import ModelCard, Rate
from shell.engines import first_token, troubles
from shell.terminal import clip, duration, size
from shell.tui import actions
from shell.tui.dialogs import Choice
from shell.tui.feed import Change
from shell.tui.table import Cell, Column, LiveTable
from shell.tui.view import View, bound
from shell.tui.words import Words

COLUMNS: Final = (
    Column("name", "NAME", 10),
    Column("kind", "KIND", 5),
    Column("state", "STATE", 12),
    Column("models", "MODELS", 16, grow=True),
    Column("load", "RUNNING", 7, right=True),
    Column("pace", "TOK/S", 6, right=True),
    Column("bursts", "BURSTS", 6, 2, right=True),
    Column("tokens", "TOKENS", 7, 1, right=True),
    Column("beat", "BEAT", 5, 3, right=True),
    Column("pid", "PID", 7, 4, right=True),
    Column("note", "NOTE", 14, 5, grow=True),
)
_KINDS: Final = {
    "edge": "a model on this machine",
    "cloud": "models of a provider",
    "node": "models on another machine",
    "tool": "tools",
    "host": "runs agents",
}


class DriversView(View):
    NAME = "drivers"
    BINDINGS: ClassVar[list[BindingType]] = bound("drivers")
    DEFAULT_CSS = """
    DriversView #list { height: 1fr; }
    DriversView #about { height: 2fr; }
    DriversView #progress { height: 1; width: 100%; }
    DriversView #progress Bar { width: 1fr; }
    DriversView.bare #drivers { max-height: 1; }
    DriversView.bare #about { display: none; }
    """

    def body(self) -> ComposeResult:
        with Vertical(id="list"):
            yield LiveTable(*COLUMNS, id="drivers")
            yield Words(id="nothing", classes="empty")
        with VerticalScroll(id="about", classes="pane"):
            yield Words(id="headline")
            yield ProgressBar(id="progress", show_eta=False)
            yield Words(id="details")

    @property
    def table(self) -> LiveTable:
        return self.query_one("#drivers", LiveTable)

    @property
    def _chosen(self) -> DriverInfo | None:
        """The one under the cursor."""
        drivers = self.app.feed.vitals.drivers
        return next((driver for driver in drivers if driver.name == self.table.key), None)

    def live(self, change: Change) -> None:
        if not change.vitals and change.pids is not None:
            return
        rows = {driver.name: self._row(driver) for driver in self.app.feed.vitals.drivers}
        seen = self.filtered(rows)
        self.table.show(seen)
        self.set_class(not seen, "bare")
        nothing = self.query_one("#nothing", Static)
        nothing.display = not seen
        empty = "no driver has the words of the filter" if rows else "no driver has registered yet"
        nothing.update(empty)
        self._look()

    def _row(self, driver: DriverInfo) -> tuple[Cell, ...]:
        return (
            clip(driver.name, 64),
            driver.kind,
            Text(_state(driver), self.app.colour_of(driver.state)),
            clip(", ".join(card.name for card in driver.models), 500) or "-",
            f"{driver.running}/{driver.slots}",
            f"{driver.tokens_per_second:.1f}" if driver.tokens else "-",
            str(driver.bursts),
            str(driver.tokens),
            duration(driver.beat_age) if driver.beat_age is not None else "-",
            str(driver.os_pid or "-"),
            clip("; ".join(filter(None, (troubles(driver), driver.note))), 500),
        )

    # -- the one under the cursor --------------------------------------------------------------

    @on(LiveTable.RowHighlighted, "#drivers")
    def _moved(self, event: LiveTable.RowHighlighted) -> None:
        event.stop()
        self._look()

    @on(LiveTable.RowSelected, "#drivers")
    def _entered(self, event: LiveTable.RowSelected) -> None:
        event.stop()
        self.query_one("#about").focus()

    def _look(self) -> None:
        driver = self._chosen
        if driver is None:
            return
        headline = Text(f"{clip(driver.name, 64)}: ", "bold")
        headline.append(f"{_KINDS[driver.kind]}, ")
        headline.append(_state(driver), self.app.colour_of(driver.state))
        if driver.note:
            headline.append(f"  {clip(driver.note, 500)}")
        self._say("headline", headline)
        bar = self.query_one("#progress", ProgressBar)
        bar.display = driver.state == "loading" and driver.progress is not None
        if driver.progress is not None:
            bar.update(total=1.0, progress=driver.progress)
        self._say("details", _facts(driver))

    def _say(self, id: str, words: Text) -> None:
        label = self.query_one(f"#{id}", Static)
        if label.content != words:
            label.update(words)

    # -- actions -------------------------------------------------------------------------------

    def key_escape(self) -> None:
        super().key_escape()
        self.focus_body()

    def action_drain(self) -> None:
        driver, found = self._chosen, actions.named(self.NAME, "drain")
        why = self.app.refusal(found, None) if found else ""
        if driver is None or why:
            self.notify(why or "there is no driver yet", severity="warning", markup=False)
            return
        name, drained = driver.name, driver.state == "draining"
        does = f"{name} is {_state(driver)}, and runs {driver.running}"
        # Of one that is down nobody can see whether it is drained: so both can be chosen.
        choices = {
            "on": "Drain it: it finishes what it runs, and gets nothing new",
            "off": "Let it have new work again",
        }

        async def do(on: bool) -> str:
            await self.app.link.call("drv.drain", name=name, on=on)
            return f"{name} gets nothing new" if on else f"{name} has new work again"

        def chosen(choice: str | None) -> None:
            if choice is not None:
                self.app.act(lambda: do(choice == "on"))

        self.app.push_screen(Choice(does, choices, "off" if drained else "on"), chosen)


def _state(driver: DriverInfo) -> str:
    if driver.state == "loading" and driver.progress is not None:
        return f"{driver.state} {driver.progress:.0%}"
    return driver.state


def _facts(driver: DriverInfo) -> Text:
    work = "processes" if driver.kind == "host" else "bursts"
    beat = f"{duration(driver.beat_age)} ago" if driver.beat_age is not None else "none is heard"
    pace = f", {driver.tokens_per_second:.1f} tok/s" if driver.tokens else ""
    rows = {
        "runs": f"{driver.running} of {driver.slots} {work}{pace}",
        "has made": f"{driver.bursts:,} bursts, {driver.tokens:,} tokens",
        "first token": f"after {first_token(driver)}, median and 95 %",
        "health": troubles(driver) or "nothing is wrong",
        "lets through": ", ".join(map(_rate, driver.rates)),
        "last beat": beat,
        "process": f"{driver.os_pid} of this machine" if driver.os_pid else "not known",
        "zone": driver.zone or "none",
        "may see": f"what is labelled {', '.join(driver.labels)}" if driver.labels else "no labels",
        "features": ", ".join(driver.features) or "none",
    }
    if driver.ttft_p50 is None:
        del rows["first token"]
    lines = (f"{name:<12} {clip(value, 500)}" for name, value in rows.items() if value)
    text = Text("\n".join(lines))
    for card in driver.models:
        text.append(f"\n\n{clip(card.name, 200)}\n", "bold")
        text.append("\n".join(f"  {fact}" for fact in _about(card)))
    return text


def _rate(rate: Rate) -> str:
    return f"{rate.left:,} of {rate.limit:,} {rate.what} in {duration(rate.period)}"


def _about(card: ModelCard) -> list[str]:
    facts = [f"{card.context_length:,} tokens of context"]
    if card.parameters:
        facts.append(f"{card.parameters:,} parameters {clip(card.dtype, 40)}".rstrip())
    if card.price is not None:
        prompt, completion = card.price.prompt, card.price.completion
        free = not prompt and not completion
        cost = f"{prompt:g} to read, {completion:g} to make a million tokens"
        facts.append("costs nothing" if free else cost)
    if card.kv_bytes_per_token:
        facts.append(f"{size(card.kv_bytes_per_token)} of KV cache for a token")
    if card.embeds:
        facts.append("makes vectors, not text")
    return facts
