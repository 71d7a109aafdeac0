"""``llmos top``: the process table on one screen, again and again."""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import click

from shell.input import Amount
from shell.session import open_system, terminable
from shell.terminal import clip, counted, duration, height, is_screen, paint, width

if TYPE_CHECKING:
    from llmagentos.abi.process import ProcessInfo
    from llmagentos.client import System

_ENTER: Final = "\x1b[?1049h\x1b[?25l"
_LEAVE: Final = "\x1b[?25h\x1b[?1049l"
_BUSY: Final = {"RUNNING": 0, "READY": 1, "WAITING": 2, "NEW": 3, "STOPPED": 4, "ZOMBIE": 5}


@click.command()
@click.option(
    "--interval", type=Amount(0.1, 3600), default=1.0, show_default=True,
    help="Seconds between two looks.",
)  # fmt: skip
def top(interval: float) -> None:
    """The process table, live.

    q or Ctrl-C quits. Into a pipe: one look.

    \b
    llmos top
    llmos top | head
    """
    with open_system() as system:
        if not is_screen(sys.stdout):
            return click.echo(_frame(system))
        with terminable(), _screen():
            while True:
                lines = _fitting(_frame(system).splitlines(), height() - 1)
                body = "\x1b[K\n".join(lines)
                sys.stdout.write(f"\x1b[H{body}\x1b[K\x1b[J")
                sys.stdout.flush()
                if _quit_within(interval):
                    return None


def _frame(system: System) -> str:
    from llmagentos.abi.calls.drv import ListResult
    from shell.engines import load_line
    from shell.processes import process_table

    info = system.call("sys.info")
    listed = ListResult.model_validate(system.call("drv.list"))
    processes = sorted(system.processes(), key=_busiest_first)
    head = (
        f"llmos {info['version']}  up {duration(info['uptime'])}  "
        f"{counted(len(processes), 'process', 'processes')}  {info['running']} running  "
        f"{info['queued']} queued  {time.strftime('%H:%M:%S')}"
    )
    room = width()
    return "\n".join(
        [
            paint(clip(head, room), None, bold=True),
            clip(load_line(listed.drivers, listed.queued), room),
            "",
            process_table(processes),
        ]
    )


def _fitting(lines: list[str], room: int) -> list[str]:
    """The last line says what there is no room for."""
    if len(lines) <= room:
        return lines
    kept = max(0, room - 1)
    return [*lines[:kept], f"… and {len(lines) - kept} more"]


def _busiest_first(process: ProcessInfo) -> tuple[int, int]:
    return _BUSY.get(process.state, 9), -process.usage.tokens


@contextmanager
def _screen() -> Iterator[None]:
    """The alternate screen, and keys without Enter; all as before at the end."""
    keyboard = _keyboard()
    before = termios.tcgetattr(keyboard) if keyboard is not None else None

    def enter() -> None:
        if keyboard is not None:
            tty.setcbreak(keyboard)
        sys.stdout.write(_ENTER)
        sys.stdout.flush()

    def leave() -> None:
        if keyboard is not None and before is not None:
            termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
        sys.stdout.write(_LEAVE)
        sys.stdout.flush()

    def step_aside(*_: object) -> None:
        # Ctrl-Z: whoever gets the terminal meanwhile must not find himself in our screen.
        leave()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, step_aside)
        enter()

    enter()
    on_stop = signal.signal(signal.SIGTSTP, step_aside)
    try:
        yield
    finally:
        signal.signal(signal.SIGTSTP, on_stop)
        leave()


def _keyboard() -> int | None:
    return None if sys.stdin is None or not sys.stdin.isatty() else sys.stdin.fileno()


def _quit_within(seconds: float) -> bool:
    """Whether q is pressed meanwhile."""
    keyboard = _keyboard()
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        if keyboard is None:
            time.sleep(left)
        elif select.select([keyboard], [], [], left)[0]:
            key = os.read(keyboard, 64)
            if not key or b"q" in key.lower():
                return True
    return False
