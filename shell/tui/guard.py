"""A guard around what a widget does with its messages: a fault of one of them is told, and the rest
goes on.

Textual's own way is to end the program with a traceback. It knows nothing about what is done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import events
from textual.message import Message
from textual.message_pump import MessagePump

if TYPE_CHECKING:
    from shell.tui.app import ShellApp


class Guard(MessagePump):
    """To be put before a Textual class."""

    async def _dispatch_message(self, message: Message) -> None:
        try:
            await super()._dispatch_message(message)
        except Exception as error:
            if isinstance(message, events.Compose | events.Mount):
                # What was not made can't be used.
                raise
            app: ShellApp = self.app  # type: ignore[assignment]
            app.fault(error)
