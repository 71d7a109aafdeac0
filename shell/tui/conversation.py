"""The conversation with one process: its messages, and the answer that it gives just now.

Told which messages the context has, it changes only what is different. It knows nothing about where
they come from.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from textual.containers import VerticalScroll
from textual.widgets import Collapsible, Static

from llmagentos.abi.calls.ctx import ContextMessage
from llmagentos.abi.talk import ToolCall
from shell.tui.bubble import Bubble
from shell.tui.words import Words

MOST: Final = 200
"""Messages that are shown, the last ones."""


class Conversation(VerticalScroll):
    DEFAULT_CSS = """
    Conversation { height: 1fr; padding: 0; }
    Conversation > .note { color: $text-muted; margin: 0 2; height: auto; }
    """

    can_focus = True

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._calls: dict[str, ToolCall] = {}
        """That its answers want made, by their ids."""
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
        self._calls = {call.id: call for message in messages for call in message.tool_calls}
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
        if growing is not None and message.role == "assistant":
            if growing.text == message.content:
                await growing.finish(message)
                return
            # What was heard of it was not all.
            await growing.remove()
            growing = None
        answers = self._calls.get(message.tool_call or "")
        await self.mount(Bubble(message, answers), before=growing)

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
            growing = Bubble()
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
