"""The conversation with one process: its messages, and the answer that it gives just now.

Told which messages the context has, it changes only what is different. It knows nothing about where
they come from.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Final

from textual.containers import VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Collapsible, Markdown, Static
from textual.widgets.markdown import MarkdownStream

from llmagentos.abi.calls.ctx import ContextMessage
from shell.terminal import printable
from shell.tui.words import Words

MOST: Final = 200
"""Messages that are shown, the last ones."""
_LONGEST: Final = 20_000
"""Characters of one message that are laid out; more would hold up the screen."""
_LINES: Final = 400
_CELLS: Final = 600
"""Lines, and strokes of tables, up to which a message is laid out as Markdown."""


class Bubble(Widget):
    """One message. ``message`` is None while it is still being made."""

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

    def __init__(self, role: str, text: str = "", message: int | None = None) -> None:
        super().__init__(classes=role)
        self.role = role
        self.text = text
        self.message = message
        self._stream: MarkdownStream | None = None
        self._cut = False

    def compose(self):  # type: ignore[no-untyped-def]
        shown = printable(self.text)
        if len(shown) > _LONGEST:
            shown = f"{shown[:_LONGEST]}\n\n… {len(shown) - _LONGEST:,} more characters"
        yield Static(self.role, classes="role")
        if self.role in ("tool", "system"):
            first = shown.strip().partition("\n")[0][:60]
            # As content: a title in words would be taken for markup, which can do things.
            with Collapsible(title=Content(first or self.role), collapsed=True):  # type: ignore[arg-type]
                yield Words(_pretty(shown))
        elif self.role == "user" or _is_long(shown):
            yield Words(shown)
        else:
            yield Markdown(shown, open_links=False)

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

    async def finish(self, message: int) -> None:
        """It is this message now."""
        self.message = message
        await self.stop()

    async def stop(self) -> None:
        if self._stream is not None:
            stream, self._stream = self._stream, None
            await stream.stop()


class Conversation(VerticalScroll):
    DEFAULT_CSS = """
    Conversation { height: 1fr; padding: 0; }
    Conversation > .note { color: $text-muted; margin: 0 2; height: auto; }
    """

    can_focus = True

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._turn = asyncio.Lock()
        """Who shows and who hears come from two sides."""

    def on_mount(self) -> None:
        self.anchor()

    async def show(self, messages: Sequence[ContextMessage], *, idle: bool) -> None:
        """The context as it is. ``idle``: no answer is being made."""
        async with self._turn:
            await self._show_all(messages, idle)

    async def _show_all(self, messages: Sequence[ContextMessage], idle: bool) -> None:
        await self._show(messages)
        growing = self.growing
        if idle and growing is not None and messages and messages[-1].content == growing.text:
            # It was a message before its last piece was heard.
            await growing.remove()

    async def _show(self, messages: Sequence[ContextMessage]) -> None:
        known = [bubble for bubble in self._bubbles if bubble.message is not None]
        if [bubble.message for bubble in known] == [message.id for message in messages]:
            return
        ids = {message.id for message in messages}
        kept = [bubble for bubble in known if bubble.message in ids]
        if [b.message for b in kept] != [message.id for message in messages[: len(kept)]]:
            # The context went back, or was compacted.
            await self.remove_children(Bubble)
            kept = []
        else:
            for bubble in known:
                if bubble.message not in ids:
                    await bubble.remove()
        for message in messages[len(kept) :]:
            await self._add(message)

    async def _add(self, message: ContextMessage) -> None:
        growing = self.growing
        if growing is not None:
            if message.role == "assistant":
                if growing.text == message.content:
                    await growing.finish(message.id)
                    return
                # What was heard of it was not all.
                await growing.remove()
            else:
                await self.mount(Bubble(message.role, message.content, message.id), before=growing)
                return
        await self.mount(Bubble(message.role, message.content, message.id))

    async def hear(self, text: str, *, anew: bool = False) -> None:
        """A piece of the answer that is being made. ``anew``: it begins again."""
        async with self._turn:
            await self._hear(text, anew)

    async def _hear(self, text: str, anew: bool) -> None:
        growing = self.growing
        if growing is not None and anew:
            await growing.remove()
            growing = None
        if growing is None:
            growing = Bubble("assistant")
            await self.mount(growing)
        await growing.write(text)

    async def hush(self) -> None:
        """The answer that was being made did not become a message."""
        if (growing := self.growing) is not None:
            await growing.stop()

    def note(self, words: str) -> None:
        """A line of ours at the end; instead of the last one."""
        for old in self.query(".note").results(Static):
            if old.content == words:
                return
            old.remove()
        if words:
            self.mount(Words(words, classes="note"))

    def fold(self) -> None:
        """Fold all, or if all are folded, unfold them."""
        folded = list(self.query(Collapsible))
        shut = not all(one.collapsed for one in folded)
        for one in folded:
            one.collapsed = shut

    @property
    def growing(self) -> Bubble | None:
        return next((bubble for bubble in self._bubbles if bubble.message is None), None)

    @property
    def _bubbles(self) -> list[Bubble]:
        return [child for child in self.children if isinstance(child, Bubble)]


def _is_long(text: str) -> bool:
    """Whether to lay it out as Markdown would hold up the screen: that takes a widget a block."""
    return len(text) > _LONGEST or text.count("\n") > _LINES or text.count("|") > _CELLS


def _pretty(text: str) -> str:
    """JSON as people read it; anything else as it is."""
    try:
        return json.dumps(json.loads(text), ensure_ascii=False, indent=2)
    except (ValueError, RecursionError):
        return text
