"""Opening the TUI on this terminal, and closing it.

It knows nothing about what it shows.
"""

from __future__ import annotations

import logging
from logging.handlers import RotatingFileHandler

from llmagentos.abi.errors import EIO
from llmagentos.home import Home
from shell.tui.app import ShellApp
from shell.tui.link import Link
from shell.tui.settings import Settings


def main(*, read_only: bool = False, theme: str = "", first: str = "processes") -> int:
    """The exit status. Raises ``EINVAL`` for settings that can't be used, ``EIO`` if the screen
    failed."""
    home = Home.default()
    settings = Settings.load(home)
    settings.theme = theme or settings.theme
    _log_to(home)
    app = ShellApp(Link.default(read_only=read_only), settings, first=first)
    status = app.run()
    if app.last_words:
        raise EIO(app.last_words, hint=f"see {home.logs / 'tui.log'}")
    return status or 0


def _log_to(home: Home) -> None:
    """What goes wrong goes into a file: the terminal is the screen's."""
    log = logging.getLogger("shell.tui")
    log.propagate = False
    try:
        handler = RotatingFileHandler(
            home.logs / "tui.log", maxBytes=1_000_000, backupCount=1, delay=True
        )
    except OSError:
        return
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(handler)
