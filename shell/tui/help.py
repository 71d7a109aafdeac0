"""The page of help: what can be done in a view, with which key, and with which command.

Made from the table of actions, with the keys as they are set. It knows nothing else.
"""

from __future__ import annotations

from typing import ClassVar

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from shell.tui import actions
from shell.tui.actions import ANYWHERE, Action
from shell.tui.view import View


class Help(ModalScreen[None]):
    DEFAULT_CSS = """
    Help { align: center middle; background: $background 60%; }
    Help > VerticalScroll {
        width: 100; max-width: 96%; height: auto; max-height: 96%;
        border: round $primary; background: $surface; padding: 0 1;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,f1", "dismiss(None)", "Back"),
        Binding("j,down", "scroll(1)", show=False),
        Binding("k,up", "scroll(-1)", show=False),
        Binding("g,home", "scroll(-9999)", show=False),
        Binding("G,end", "scroll(9999)", show=False),
        Binding("pagedown", "scroll(10)", show=False),
        Binding("pageup", "scroll(-10)", show=False),
    ]

    def __init__(self, view: View) -> None:
        super().__init__()
        self._view = view

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield Static(Text(f"{self._view.NAME.capitalize()}\n", "bold"))
            yield Static(self._table(list(actions.of(self._view.NAME))))
            yield Static(Text("\nAnywhere\n", "bold"))
            yield Static(self._table(list(actions.of(ANYWHERE))))
            yield Static(
                Text(
                    "\nLists: arrows or hjkl, g and G for the first and the last, click. Keys can "
                    "be changed in LLMOS_HOME/tui.yaml, for example\n"
                    "keys: {processes.kill: ctrl+k}. Esc closes this page.",
                    "dim",
                )
            )

    def _table(self, rows: list[Action]) -> Table:
        """Key, title, help and command; in grey what this session may not do."""
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True, justify="right")
        table.add_column(no_wrap=True)
        table.add_column()
        keys = self._keys()
        for action in rows:
            refused = self._view.app.refusal(action, self._view.target())
            style = "dim strike" if refused else ""
            words = Text(action.help, style)
            words.append(f"\n{action.twin}", "dim")
            table.add_row(Text(keys.get(action.id, ""), "bold"), Text(action.title, style), words)
        return table

    def _keys(self) -> dict[str, str]:
        """As they are set now, by the action's id."""
        shown: dict[str, list[str]] = {}
        for owner in (self._view, self._view.app):
            for key, bindings in owner._bindings.key_to_bindings.items():
                for binding in bindings:
                    if binding.id:
                        told = self.app.get_key_display(binding)
                        shown.setdefault(binding.id, []).append(told or key)
        return {id: " ".join(dict.fromkeys(keys)) for id, keys in shown.items()}

    def action_scroll(self, lines: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=lines, animate=False)
