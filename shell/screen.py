"""``llmos`` without a command: the TUI, on a system that is started if it isn't up.

The supervisor is forked before anything heavy is imported; the screen comes after. It knows nothing
about what the screen shows.
"""

from __future__ import annotations

import sys

from llmagentos.abi.errors import EINVAL, ENOSYS
from llmagentos.home import Home
from shell import boot
from shell.plan import kernel_program, programs_of
from shell.terminal import is_screen


def can_open() -> bool:
    """Whether a person sits before it."""
    return is_screen(sys.stdout) and sys.stdin is not None and sys.stdin.isatty()


def open_screen(*, read_only: bool, theme: str, screenshot: str) -> int:
    """The exit status. Raises ``EINVAL`` without a terminal."""
    if not (can_open() or screenshot):
        raise EINVAL(
            "there is no terminal to show the screen on", hint="llmos --help lists the commands"
        )
    home = Home.default()
    fresh = False
    if not (read_only or screenshot or boot.is_up(home)):
        boot.launch(home, kernel_program(home), programs_of(home), detach=True)
        fresh = True
    try:
        from shell.tui import run
    except ImportError as error:
        raise ENOSYS(
            f"the screen needs the package {error.name!r}", hint=f"pip install {error.name}"
        ) from None
    return run.main(read_only=read_only, theme=theme, screenshot=screenshot, fresh=fresh)
