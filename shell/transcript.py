"""A context on stdout: its messages, and the answers that are streamed while they are made.

A streamed answer becomes a message, and either is shown, not both. The kernel answers a connection
in order: of an answer that is in the context by now, all pieces have come before the context did.
It knows nothing about what a process is.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from itertools import chain
from typing import TYPE_CHECKING, Final

import click

from llmagentos.exchange import Piece
from shell.terminal import paint, printable

if TYPE_CHECKING:
    from llmagentos.abi.calls.ctx import ContextMessage
    from llmagentos.client import System
    from llmagentos.stream import Stream

COLOURS: Final = {"system": "magenta", "user": "cyan", "assistant": "green", "tool": "yellow"}


class Transcript:
    def __init__(self, system: System, pid: int) -> None:
        self._system = system
        self._pid = pid
        self._last = 0
        """The id of the last message that was shown."""
        self._at = 0
        """The answer, by the number of its burst, that the open line is of; 0: no line is open."""
        self._said: dict[int, str] = {}
        """Answers that were shown piece by piece, and are no messages yet."""
        self._held: dict[int, str] = {}
        """What has come of answers that were shown as messages already, as it seems."""
        self._screen = sys.stdout.isatty()

    def catch_up(self) -> None:
        """Show the messages that are new."""
        self._look([])

    def follow(self, answers: Stream) -> None:
        """All that is said until the end. ``answers``: a ``proc.wait`` with ``stream``, which was
        opened before anything was shown."""
        self._look([], answers)
        for piece in answers.pieces():
            if piece.burst == self._at:
                self._go_on(piece)
            else:
                self._look([piece], answers)
        answers.result()
        self._look([])

    def _look(self, begun: list[Piece], answers: Stream | None = None) -> None:
        """Show what is new: messages, and answers of which only pieces have come."""
        from llmagentos.abi.calls.ctx import ReadResult

        found = ReadResult.model_validate(self._system.call("ctx.read", pid=self._pid))
        come: dict[int, Piece] = {}
        # These came before the context: an answer that is in it has all its pieces here.
        for piece in chain(begun, answers.arrived() if answers else ()):
            if piece.burst == self._at:
                self._go_on(piece)
            else:
                self._gather(piece, come)
        self._end_line()
        whole = self._show_new(found.messages)
        for number, piece in come.items():
            if piece.text and piece.text in whole:
                whole.remove(piece.text)
                self._held[number] = piece.text
            else:
                self._begin(piece)

    def _gather(self, piece: Piece, come: dict[int, Piece]) -> None:
        before = come.get(piece.burst)
        if before is None and (held := self._held.pop(piece.burst, "")):
            # It goes on, so it is no message yet: one that was shown only began as it does.
            before = Piece(piece.burst, held)
        if before is not None and not piece.anew:
            piece = Piece(piece.burst, before.text + piece.text, before.anew)
        come[piece.burst] = piece

    def _show_new(self, messages: Iterable[ContextMessage]) -> list[str]:
        """The answers among them that were not shown piece by piece."""
        whole = []
        for message in messages:
            if message.id <= self._last:
                continue
            self._last = message.id
            said = message.role == "assistant"
            if not (said and self._was_said(message.content)):
                self._heading(message.role)
                if message.content or not message.tool_calls:
                    self._write(message.content + "\n")
                if said:
                    whole.append(message.content)
            for call in message.tool_calls:
                self._write(f"→ {call.name} {call.arguments}".rstrip() + "\n")
        return whole

    def _was_said(self, content: str) -> bool:
        number = next((n for n, text in self._said.items() if text == content), None)
        return number is not None and self._said.pop(number) == content

    def _begin(self, piece: Piece) -> None:
        self._end_line()
        self._heading("assistant")
        self._at = piece.burst
        self._said.setdefault(piece.burst, "")
        self._go_on(piece)

    def _go_on(self, piece: Piece) -> None:
        said = self._said[piece.burst]
        if piece.anew and said:
            self._write("\n")
            click.echo("llmos: the answer had to be made anew; here it is from its start", err=True)
        self._said[piece.burst] = piece.text if piece.anew else said + piece.text
        self._write(piece.text)

    def _end_line(self) -> None:
        if self._at:
            self._write("\n")
            self._at = 0

    def _heading(self, role: str) -> None:
        self._write(paint(f"── {role} ──", COLOURS.get(role), bold=True) + "\n", ours=True)

    def _write(self, text: str, *, ours: bool = False) -> None:
        sys.stdout.write(printable(text) if self._screen and not ours else text)
        sys.stdout.flush()
