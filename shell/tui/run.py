"""Opening the TUI on this terminal, and closing it.

It knows nothing about what it shows.
"""

from __future__ import annotations

import asyncio
import logging
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Final

from llmagentos.abi.errors import ECONNREFUSED, EINVAL, EIO
from llmagentos.home import Home
from shell.tui.app import ShellApp
from shell.tui.link import Link
from shell.tui.settings import Settings

_PICTURE: Final = (120, 36)
_A_LOOK: Final = 0.3
_LOOKS: Final = 20


def main(
    *, read_only: bool = False, theme: str = "", screenshot: str = "", fresh: bool = False
) -> int:
    """The exit status. ``fresh``: the system has only just been started. ``screenshot``: a file for
    a picture of the screen, instead of showing it. Raises ``EINVAL`` for settings that can't be
    used, ``EIO`` if the screen failed."""
    home = Home.default()
    settings = Settings.load(home)
    settings.theme = theme or settings.theme
    _log_to(home)
    app = ShellApp(Link.default(read_only=read_only), settings, fresh=fresh)
    if screenshot:
        picture = asyncio.run(_picture(app))
        try:
            Path(screenshot).write_text(picture, encoding="utf-8")
        except OSError as error:
            raise EINVAL(f"{screenshot} can't be written: {error.strerror}") from None
        return 0
    status = app.run()
    if app.last_words:
        raise EIO(app.last_words, hint=f"see {home.logs / 'tui.log'}")
    return status or 0


async def _picture(app: ShellApp) -> str:
    """Of what it shows when it has looked at the system."""
    async with app.run_test(size=_PICTURE) as pilot:
        for _ in range(_LOOKS):
            await pilot.pause(_A_LOOK)
            if app.board.rows:
                break
        await pilot.pause(_A_LOOK)
        if app.feed.down:
            raise ECONNREFUSED(app.feed.down, hint="start it: llmos up --detach")
        return app.export_screenshot()


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
