"""A terminal that a program believes in: a pty, and what its screen shows.

It sends keys and clicks, and reads cells. For tests and benchmarks of the TUI; it knows nothing
about what is on the screen.
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping, Sequence

import pyte

_KEYS = {
    "enter": "\r", "escape": "\x1b", "tab": "\t", "backspace": "\x7f", "space": " ",
    "up": "\x1b[A", "down": "\x1b[B", "right": "\x1b[C", "left": "\x1b[D",
    "f1": "\x1bOP", "f2": "\x1bOQ", "f5": "\x1b[15~", "f9": "\x1b[20~",
    "ctrl+p": "\x10", "ctrl+q": "\x11", "ctrl+t": "\x14",
}  # fmt: skip


PATIENCE = 30.0
"""Seconds after which what did not come yet will not come, however loaded the machine is."""
_AGAIN = 5.0
"""Seconds after which a person thinks that a key or a click was lost."""
_TRIES = 3


_CLAIM = """import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])"""
"""What makes the terminal that of a program before it runs."""


class Terminal:
    """``with Terminal([...], 80, 24, …) as terminal``: the program runs in it until the end."""

    def __init__(
        self, command: Sequence[str], columns: int, lines: int, environment: Mapping[str, str]
    ) -> None:
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self._master, slave = pty.openpty()
        size = struct.pack("HHHH", lines, columns, 0, 0)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, size)
        # A runner of tests may say otherwise how large the screen is, and would be believed.
        told = {name: v for name, v in environment.items() if name not in ("COLUMNS", "LINES")}
        # Not by a fork of our own: in a process that has had a model's threads its child may hang.
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _CLAIM, *command],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=told | {"TERM": "xterm-256color"},
            start_new_session=True,
        )
        os.close(slave)
        self.pid = self._process.pid
        self._given_back = b""
        self.left = False
        """The alternate screen was left, and the mouse given back."""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        if self.status(0.0) is None:
            self._process.kill()
            self._process.wait()
        os.close(self._master)

    # -- in ------------------------------------------------------------------------------------

    def press(self, *keys: str) -> None:
        """Keys by their names, any other text as it is."""
        for key in keys:
            os.write(self._master, _KEYS.get(key, key).encode())
            # What comes right after Esc would be taken for a part of one key.
            self.read(0.3 if key == "escape" else 0.05)

    def write_at(self, hint: str, text: str) -> None:
        """Into the empty field that says this, in one piece, as what is pasted comes. Only when the
        cursor stands there: a person looks where he writes."""
        self.until(lambda: self.is_at(hint), f"the cursor at {hint!r}")
        os.write(self._master, f"\x1b[200~{text}\x1b[201~".encode())
        self.read(0.05)

    def is_at(self, hint: str) -> bool:
        """Whether the cursor, which blinks, stands just now at the beginning of this text."""
        line, text = next(((n, t) for n, t in enumerate(self.lines) if hint in t), (-1, ""))
        if line < 0:
            return False
        at = text.index(hint)
        first, second = (self._screen.buffer[line][at + n] for n in (0, 1))
        return (first.bg, first.reverse) != (second.bg, second.reverse)

    def click(self, column: int, line: int) -> None:
        """The left button, in cells from 0."""
        for end in "Mm":
            os.write(self._master, f"\x1b[<0;{column + 1};{line + 1}{end}".encode())
            self.read(0.02)

    def click_on(self, text: str, *, last: bool = False) -> None:
        """Where this text is on the screen, once it is there."""
        self.until(lambda: text in self.text, f"{text!r} to click on")
        lines = self.lines
        numbers = range(len(lines) - 1, -1, -1) if last else range(len(lines))
        number = next(n for n in numbers if text in lines[n])
        self.click(lines[number].index(text) + len(text) // 2, number)

    def press_for(self, key: str, *shown: str) -> None:
        self.insist(lambda: self.press(key), lambda: self.has(*shown), f"{shown} for {key}")

    def click_for(self, target: str, *shown: str) -> None:
        self.insist(lambda: self.click_on(target), lambda: self.has(*shown), f"{shown}")

    def insist(self, act: Callable[[], None], fact: Callable[[], object], what: str) -> None:
        """Do what may be done twice; once more whenever nothing came of it for a while, as a person
        does with a screen that looked elsewhere just then."""
        for _ in range(_TRIES - 1):
            act()
            if self._comes(fact, _AGAIN):
                return
        act()
        self.until(fact, what)

    # -- out -----------------------------------------------------------------------------------

    def read(self, seconds: float) -> bool:
        """Take in what the program writes, for so long at most; whether anything came."""
        end, came = time.monotonic() + seconds, False
        while select.select([self._master], [], [], max(0.0, end - time.monotonic()))[0]:
            try:
                data = os.read(self._master, 65536)
            except OSError:
                return came
            if not data:
                return came
            came = True
            self._answer(data)
            self._stream.feed(data)
        return came

    def _answer(self, data: bytes) -> None:
        """What a terminal says of itself when it is asked."""
        if b"\x1b[?2026$p" in data:
            os.write(self._master, b"\x1b[?2026;0$y")
        self._given_back += data[-4096:]
        self._given_back = self._given_back[-8192:]
        self.left = all(code in self._given_back for code in (b"\x1b[?1049l", b"\x1b[?1000l"))

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in self._screen.display]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def cursor_hidden(self) -> bool:
        return bool(self._screen.cursor.hidden)

    def colour(self, line: int, column: int = 1) -> str:
        """Of the background of one cell."""
        background: str = self._screen.buffer[line][column].bg
        return background

    def has(self, *texts: str) -> bool:
        return all(text in self.text for text in texts)

    def until(self, fact: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
        """Raises ``AssertionError`` with the screen if it does not come true."""
        if not self._comes(fact, seconds):
            raise AssertionError(f"waited {seconds:g} s for {what}\n{self.text}")

    def _comes(self, fact: Callable[[], object], seconds: float) -> bool:
        end = time.monotonic() + seconds
        while not fact():
            if time.monotonic() > end:
                return False
            self.read(0.05)
        return True

    def shows(self, *texts: str, seconds: float = PATIENCE) -> None:
        for text in texts:
            self.until(lambda text=text: text in self.text, repr(text), seconds)  # type: ignore[misc]

    def status(self, seconds: float) -> int | None:
        """Its exit status, once it has ended; None: it lives."""
        end = time.monotonic() + seconds
        while self._process.poll() is None and time.monotonic() < end:
            self.read(0.05)
        return self._process.returncode
