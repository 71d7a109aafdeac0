"""One message of a conversation as a person sees it: laid out, and what tools are told and say in
folds.

It knows nothing about which messages there are, nor about their order.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from textual.content import Content
from textual.widget import Widget
from textual.widgets import Collapsible, Markdown, Static
from textual.widgets.markdown import MarkdownStream

from llmagentos.abi.calls.ctx import ContextMessage
from llmagentos.abi.talk import ToolCall
from shell.terminal import clip, printable
from shell.tui.words import Words

_LONGEST: Final = 20_000
"""Characters of one message that are laid out; more would hold up the screen."""
_LINES: Final = 400
_CELLS: Final = 600
"""Lines, and strokes of tables, up to which a message is laid out as Markdown."""
_TITLE: Final = 60
"""Columns of the line that stands for what is folded."""


class Bubble(Widget):
    """``message``: its id; None while it is still being made. ``answers``: the call whose result
    it is, if it is one."""

    DEFAULT_CSS = """
    Bubble { height: auto; margin: 0 1 1 1; padding: 0 1; border-left: thick $panel; }
    Bubble > .role { color: $text-muted; height: 1; }
    Bubble Markdown { padding: 0; margin: 0; background: transparent; }
    Bubble.user { border-left: thick $accent; }
    Bubble.assistant { border-left: thick $success; }
    Bubble.system { border-left: thick $secondary; color: $text-muted; }
    Bubble.tool { border-left: thick $warning; }
    Bubble Collapsible { border: none; padding: 0; background: transparent; }
    """

    def __init__(self, said: ContextMessage | None = None, answers: ToolCall | None = None) -> None:
        self.role: str = said.role if said else "assistant"
        super().__init__(classes=self.role)
        self.text = said.content if said else ""
        self.message = said.id if said else None
        self._calls = said.tool_calls if said else []
        self._answers = answers
        self._stream: MarkdownStream | None = None
        self._cut = False

    def compose(self):  # type: ignore[no-untyped-def]
        shown = _shortened(self.text)
        yield Static(self.role, classes="role")
        if self.role in ("tool", "system"):
            first = shown.strip().partition("\n")[0]
            if self._answers is not None:
                first = f"{self._answers.name}: {first}"
            yield _fold(first or self.role, shown)
        elif self.role == "user" or _is_long(shown):
            yield Words(shown)
        elif shown or not self._calls:
            yield Markdown(shown, open_links=False)
        yield from _calls(self._calls)

    async def write(self, text: str) -> None:
        """The answer goes on. What is too long to be laid out while it comes is shown when it is
        a message."""
        self.text += text
        if self._cut:
            return
        if _is_long(self.text):
            self._cut = True
            text = "\n\n… and so on"
        if self._stream is None:
            self._stream = Markdown.get_stream(self.query_one(Markdown))
        await self._stream.write(printable(text))

    async def finish(self, said: ContextMessage) -> None:
        """It is this message now."""
        self.message = said.id
        await self.stop()
        await self.mount_all(_calls(said.tool_calls))

    async def stop(self) -> None:
        if self._stream is not None:
            stream, self._stream = self._stream, None
            await stream.stop()


def _calls(calls: list[ToolCall]) -> Iterator[Collapsible]:
    """What an answer wants made: each in a line, with its arguments in the fold."""
    for call in calls:
        yield _fold(f"→ {call.name} {call.arguments}", _shortened(call.arguments))


def _fold(title: str, text: str) -> Collapsible:
    # As content: a title in words would be taken for markup, which can do things.
    named = Content(clip(title, _TITLE))
    return Collapsible(Words(_pretty(text)), title=named, collapsed=True)  # type: ignore[arg-type]


def _shortened(text: str) -> str:
    shown = printable(text)
    if len(shown) <= _LONGEST:
        return shown
    return f"{shown[:_LONGEST]}\n\n… {len(shown) - _LONGEST:,} more characters"


def _is_long(text: str) -> bool:
    """Whether to lay it out as Markdown would hold up the screen: that takes a widget a block."""
    return len(text) > _LONGEST or text.count("\n") > _LINES or text.count("|") > _CELLS


def _pretty(text: str) -> str:
    """JSON as people read it; anything else as it is."""
    try:
        return json.dumps(json.loads(text), ensure_ascii=False, indent=2)
    except (ValueError, RecursionError):
        return text
