"""The header: is the system up, how much runs, and how tokens/s, queue and load went of late.

It is told what to show, and knows nothing about where that comes from.
"""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Sparkline, Static

from shell.terminal import counted, duration
from shell.tui.feed import Vitals
from shell.tui.words import Words


class Meters(Horizontal):
    """Two lines: words, and three sparklines."""

    DEFAULT_CSS = """
    Meters { height: 2; layout: vertical; background: $panel; }
    Meters #facts { height: 1; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
    Meters #lines { height: 1; }
    Meters .label { width: auto; padding: 0 1; color: $text-muted; }
    Meters Sparkline { width: 1fr; height: 1; min-width: 4; }
    Meters.down #facts { background: $error; color: $text; text-style: bold; }
    """

    def compose(self) -> ComposeResult:
        yield Words(id="facts")
        with Horizontal(id="lines"):
            for name in ("pace", "queue", "load"):
                yield Words("", id=f"{name}-label", classes="label")
                yield Sparkline([0.0], id=name, summary_function=max)

    def show(self, vitals: Vitals, down: str, silence: float, *, note: str = "") -> None:
        """``down``: why nothing is heard of the kernel. ``note``: of this screen."""
        self.set_class(bool(down), "down")
        facts = f"{down}; waiting for it ({duration(silence)})" if down else _facts(vitals)
        self._say("facts", f"{facts}  {note}" if note else facts)
        if not vitals.pace:
            return
        self._say("pace-label", f"tok/s {vitals.pace[-1]:.0f}")
        self._say("queue-label", f"queue {vitals.queued}")
        self._say("load-label", f"slots {_slots(vitals)}")
        for name, line in (("pace", vitals.pace), ("queue", vitals.queue), ("load", vitals.load)):
            data = [0.0, *line]
            spark = self.query_one(f"#{name}", Sparkline)
            if spark.data != data:
                spark.data = data

    def _say(self, id: str, words: str) -> None:
        label = self.query_one(f"#{id}", Static)
        if label.content != words:
            label.update(words)


def _facts(vitals: Vitals) -> str:
    info = vitals.info
    if info is None:
        return "connecting"
    asks = f"  {vitals.approvals}{'+' * vitals.more} to approve" if vitals.approvals else ""
    return (
        f"llmos {info.version}  up {duration(info.uptime)}  "
        f"{counted(info.processes, 'process', 'processes')}  "
        f"{info.running} running  {vitals.queued} queued{asks}"
    )


def _slots(vitals: Vitals) -> str:
    engines = vitals.engines
    return f"{sum(e.running for e in engines)}/{sum(e.slots for e in engines)}"
