"""The terminal: its width, its colours, JSON, and words for amounts and times.

Colours and moving lines only where a person looks on, and never with ``NO_COLOR``. It knows
nothing about what is shown.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any, Final, TextIO

import click

PIPE_WIDTH: Final = 100_000
"""What a pipe gets is not cut to fit anything."""

_KEPT: Final = {ord("\n"), ord("\t")}
_HIDDEN: Final = (
    0x061C, 0x200B, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2060, 0x2070), 0xFEFF,
)  # fmt: skip
"""What takes no room and turns the line around or breaks it, so that it reads as something else."""
_CONTROLS: Final = {c: None for c in (*range(32), *range(127, 160), *_HIDDEN) if c not in _KEPT}


def is_screen(stream: TextIO) -> bool:
    """Whether a person looks on."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def width(stream: TextIO | None = None) -> int:
    """Columns; as good as endless for a pipe."""
    stream = stream or sys.stdout
    if not stream.isatty():
        return PIPE_WIDTH
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except OSError:
        return 80


def height() -> int:
    try:
        return os.get_terminal_size(sys.stdout.fileno()).lines or 24
    except OSError:
        return 24


def paint(text: str, colour: str | None, stream: TextIO | None = None, **style: Any) -> str:
    """Coloured, if the stream shows colours."""
    if not is_screen(stream or sys.stdout) or os.environ.get("NO_COLOR"):
        return text
    return click.style(text, fg=colour, **style)


def printable(text: str) -> str:
    """Without control characters: a model's answer must not command the terminal, nor read as
    something that it is not."""
    return text.translate(_CONTROLS)


def print_json(value: Any, *, line: bool = False) -> None:
    """One JSON document; with ``line`` on a single line, sent off at once."""
    indent = None if line else 2
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=indent) + "\n")
    sys.stdout.flush()


def clock(moment: float) -> str:
    """``2026-11-30 12:05:09``, here."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))


def duration(seconds: float) -> str:
    """``4.2s``, ``3m12s``, ``2h05m``, ``3d04h``."""
    if seconds < 0:
        seconds = 0.0
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02}h"


def counted(number: int, one: str, more: str) -> str:
    """``1 process``, ``3 processes``."""
    return f"{number} {one if number == 1 else more}"


def size(count: float) -> str:
    """``98.4 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def clip(text: str, columns: int) -> str:
    """On one line, and cut to fit."""
    text = printable(text).replace("\n", " ").replace("\t", " ")
    return text if len(text) <= columns else text[: max(0, columns - 1)] + "…"


class StatusLine:
    """One line on a screen that is written over and over; nothing at all elsewhere."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._shown = ""
        self.visible = is_screen(stream)

    def show(self, text: str) -> None:
        text = clip(text, width(self._stream) - 1) if self.visible else ""
        if text != self._shown:
            self._stream.write(f"\r\x1b[K{text}")
            self._stream.flush()
            self._shown = text

    def clear(self) -> None:
        self.show("")
