"""Small questions over a screen: one of several, a line of text, yes or no.

They know nothing about what is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from shell.tui.words import Words

_FRAME = """
    {name} {{ align: center middle; background: $background 60%; }}
    {name} > Vertical {{
        width: 64; max-width: 92%; height: auto; max-height: 90%;
        border: round $primary; background: $surface; padding: 0 1;
    }}
    {name} .question {{ padding: 0 0 1 0; text-style: bold; }}
    {name} .hint {{ color: $text-muted; }}
    {name} OptionList {{ height: auto; max-height: 16; border: none; background: $surface; }}
"""


class Choice(ModalScreen[str | None]):
    """One of several; None: none of them. ``choices``: what is returned, and its words."""

    DEFAULT_CSS = _FRAME.format(name="Choice")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss(None)", "Back"),
        Binding("j", "down", show=False),
        Binding("k", "up", show=False),
    ]

    def __init__(self, question: str, choices: Mapping[str, str], chosen: str = "") -> None:
        super().__init__()
        self._question = question
        self._choices = choices
        self._chosen = chosen

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Words(self._question, classes="question")
            yield OptionList(
                *(
                    Option(words, id=f"option-{n}")
                    for n, words in enumerate(self._choices.values())
                ),
                markup=False,
                compact=True,
            )
            yield Static("Enter chooses, Esc goes back", classes="hint")

    def on_mount(self) -> None:
        options = self.query_one(OptionList)
        keys = list(self._choices)
        options.highlighted = keys.index(self._chosen) if self._chosen in keys else 0
        options.focus()

    def action_down(self) -> None:
        self.query_one(OptionList).action_cursor_down()

    def action_up(self) -> None:
        self.query_one(OptionList).action_cursor_up()

    @on(OptionList.OptionSelected)
    def _take(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(list(self._choices)[event.option_index])


class Question(ModalScreen[str | None]):
    """A line of text; None: it was not answered."""

    DEFAULT_CSS = _FRAME.format(name="Question")
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "Back")]

    def __init__(self, question: str, value: str = "", *, example: str = "") -> None:
        super().__init__()
        self._question = question
        self._value = value
        self._example = example

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Words(self._question, classes="question")
            yield Input(self._value, placeholder=self._example)
            yield Static("Enter sends, Esc goes back", classes="hint")

    def on_mount(self) -> None:
        self.query_one(Input).focus()

    @on(Input.Submitted)
    def _take(self, event: Input.Submitted) -> None:
        event.stop()
        self.dismiss(event.value)
