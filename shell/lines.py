"""Several streams of text on one screen: whole lines, each under its speaker's name.

Text is held back until a line is complete or as long as the screen is wide, so that streams
which come at once stay readable. It knows nothing about where they come from.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

from shell.terminal import is_screen, paint, printable, width

_COLOURS: Final = ("cyan", "green", "yellow", "magenta", "blue")
_PIPE_WIDTH: Final = 100
_NARROWEST: Final = 20


class Speakers:
    """``say`` what came from whom; ``finish`` one that will say no more."""

    def __init__(self, names: Sequence[str]) -> None:
        margin = max(map(len, names))
        self._leads = {
            name: paint(name.rjust(margin), _COLOURS[index % len(_COLOURS)]) + " │ "
            for index, name in enumerate(names)
        }
        self._held = dict.fromkeys(names, "")
        room = width() if is_screen(sys.stdout) else _PIPE_WIDTH
        self._room = max(_NARROWEST, room - margin - 4)

    def say(self, name: str, text: str) -> None:
        held = self._held[name] + printable(text)
        while True:
            line, rest = _split(held, self._room)
            if rest is None:
                break
            self._put(name, line)
            held = rest
        self._held[name] = held

    def finish(self, name: str) -> None:
        if self._held[name].strip():
            self._put(name, self._held[name])
        self._held[name] = ""

    def _put(self, name: str, line: str) -> None:
        sys.stdout.write(f"{self._leads[name]}{line.rstrip()}\n")
        sys.stdout.flush()


def _split(text: str, room: int) -> tuple[str, str | None]:
    """The first line and what follows it; None for the rest if the line may still go on."""
    line, end, rest = text.partition("\n")
    if len(line) > room:
        # At the last space that fits; a word longer than the line is cut.
        space = line.rfind(" ", 0, room + 1)
        cut = space if space > 0 else room
        return text[:cut], text[cut:].removeprefix(" ")
    return (line, rest) if end else (line, None)
