"""The TUI as a program: its views, the look at the system a few times a second, and what is the
same in every view.

It knows nothing about what the views show.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Awaitable, Callable
from functools import partial
from importlib import import_module
from typing import Any, ClassVar, Final

from textual.app import App
from textual.binding import Binding, BindingType
from textual.command import Provider
from textual.screen import Screen
from textual.suggester import SuggestFromList
from textual.worker import Worker, WorkerState

from llmagentos.abi.errors import LLMOSError
from shell.terminal import printable
from shell.tui import actions, themes
from shell.tui.actions import ANYWHERE, Action
from shell.tui.board import Board
from shell.tui.dialogs import Choice
from shell.tui.feed import TICK, Feed
from shell.tui.guard import Guard
from shell.tui.link import Link
from shell.tui.palette import Palette, doing
from shell.tui.settings import Settings
from shell.tui.view import VIEWS, View

_log = logging.getLogger("shell.tui")

_MOST_FAULTS: Final = 20
"""Of our own in ten seconds, with which there is no point in going on."""


class ShellApp(Guard, App[int]):
    """``first``: the view to begin with. ``settings``: what a person has set. ``fresh``: the system
    is only just coming up. ``tick``: seconds between two looks at the system."""

    TITLE = "llmos"
    CSS_PATH = "shell.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        *actions.bindings(ANYWHERE),
        # The shell's own key, as in any program: it is no action on the system.
        Binding("ctrl+z", "suspend_process", "Suspend", show=False),
    ]
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = {Palette}
    ENABLE_COMMAND_PALETTE = True
    MODES: ClassVar[dict[str, str | Callable[[], Screen[Any]]]] = {}

    def __init__(
        self,
        link: Link,
        settings: Settings,
        *,
        first: str = "processes",
        fresh: bool = False,
        tick: float = TICK,
    ) -> None:
        super().__init__()
        self._first = first
        self._fresh = fresh
        self._tick = tick
        self.link = link
        self.board = Board()
        self.feed = Feed(link, self.board)
        self._settings = settings
        self._faults: list[float] = []
        self._last_words = ""
        for name in VIEWS:
            self.add_mode(name, partial(_view, name))
        for theme in themes.THEMES:
            self.register_theme(theme)

    def on_mount(self) -> None:
        theme = self._settings.theme or themes.DEFAULT
        if theme not in self.available_themes:
            self.notify(f"there is no theme {theme}", severity="warning")
            theme = themes.DEFAULT
        self.theme = theme
        unknown = self._settings.keys.keys() - {action.id for action in actions.ACTIONS}
        if unknown:
            self.notify(f"tui.yaml has keys for what is no action: {', '.join(sorted(unknown))}",
                        severity="warning")  # fmt: skip
        self.set_keymap(self._settings.keys)
        self.switch_mode(self._first)
        if self._fresh:
            from shell.tui.views.start import StartView

            self.push_screen(StartView())
        self.run_worker(self._look(), exit_on_error=False, group="look")
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            # Else the terminal would be left as the screen needs it.
            for number in (signal.SIGTERM, signal.SIGHUP):
                asyncio.get_running_loop().add_signal_handler(number, self.exit, 128 + number)

    async def on_unmount(self) -> None:
        self.feed.close()
        await self.link.close()

    async def _look(self) -> None:
        """As long as the screen is there, and whatever happens."""
        while True:
            begun = time.monotonic()
            try:
                change = await self.feed.tick()
                view = self.screen
                if isinstance(view, View) and view.is_mounted:
                    view.tick(change)
            except Exception as error:
                if not self._running or self._exit:
                    # Its widgets are gone already.
                    return
                self.fault(error)
            await asyncio.sleep(max(self._tick / 5, self._tick - (time.monotonic() - begun)))

    # -- doing things --------------------------------------------------------------------------

    def refusal(self, action: Action, target: int | None) -> str:
        """Why this session can't do it; "" if it may."""
        family = self.board.family(target) if target is not None else None
        return self.link.rights.refusal(action.calls, family)

    def act(self, doing: Callable[[], Awaitable[str | None]]) -> None:
        """Do something that may fail, and say how it went: with the words that it returns, or the
        error's."""
        self.run_worker(self._acted(doing), exit_on_error=False)

    async def _acted(self, doing: Callable[[], Awaitable[str | None]]) -> None:
        try:
            said = await doing()
        except LLMOSError as error:
            self.notify(f"{error.message}\n{error.hint}".strip(), severity="error")
        except Exception as error:
            self.fault(error)
        else:
            if said:
                self.notify(said)

    def obey(self, view: View, words: str) -> None:
        """A line after ``:``, which names an action by the beginning of its name."""
        action = actions.meant(view.NAME, words)
        if action is None:
            self.notify(f"there is no action {words} here; ? shows which there are",
                        severity="warning")  # fmt: skip
            return
        self.run_worker(doing(view, action)(), exit_on_error=False)

    def suggester(self, view: View) -> SuggestFromList:
        slugs = [action.slug.replace("_", " ") for action in actions.known(view.NAME)]
        return SuggestFromList(slugs, case_sensitive=False)

    # -- views ---------------------------------------------------------------------------------

    def go(self, name: str) -> None:
        """To one of the views at the top."""
        if self.current_mode != name:
            self.switch_mode(name)
        while len(self.screen_stack) > 1:
            self.pop_screen()

    def action_view(self, name: str) -> None:
        self.go(name)

    def action_filter(self) -> None:
        if isinstance(self.screen, View):
            self.screen.filter_line()

    def action_command(self) -> None:
        if isinstance(self.screen, View):
            self.screen.ask(":")

    def open_agent(self, pid: int, *, talk: bool = False) -> None:
        """All about one process. ``talk``: ready to write to it."""
        from shell.tui.views.agent import AgentView

        if isinstance(self.screen, AgentView) and self.screen.pid == pid:
            return
        self.go("processes")
        self.push_screen(AgentView(pid, talk=talk))

    def action_help(self) -> None:
        from shell.tui.help import Help

        if isinstance(self.screen, View):
            self.push_screen(Help(self.screen))

    def action_theme(self) -> None:
        names = [theme.name for theme in themes.THEMES]
        names += sorted(self.available_themes.keys() - set(names))
        self.push_screen(
            Choice("Colours", {name: name for name in names}, self.theme), self._themed
        )

    def _themed(self, name: str | None) -> None:
        if name:
            self.theme = self._settings.theme = name
            try:
                self._settings.save(self.link.home)
            except OSError as error:
                self.notify(f"it could not be kept: {error.strerror}", severity="warning")

    def action_screenshot(self, filename: str | None = None, path: str | None = None) -> None:
        folder = self.link.home.root / "screenshots"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            kept = self.save_screenshot(path=str(folder))
        except OSError as error:
            self.notify(f"it could not be kept: {error.strerror}", severity="error")
        else:
            self.notify(f"kept as {kept}")

    async def action_quit(self) -> None:
        agents = [row for row in self.board.rows.values() if row.kind == "agent" and not row.exit]
        if self.feed.down or self.link.rights.read_only or not self.link.rights.is_user:
            self.exit(0)
            return
        running = f"{len(agents)} agents are" if len(agents) != 1 else "1 agent is"
        question = f"{running} still there." if agents else "No agent is there."
        self.push_screen(
            Choice(
                f"Quit. {question}",
                {
                    "keep": "Leave the system up; agents go on",
                    "down": "Take the system down; agents go on when it is up again",
                    "stay": "Stay here",
                },
            ),
            self._leave,
        )

    def _leave(self, choice: str | None) -> None:
        if choice == "keep":
            self.exit(0)
        elif choice == "down":
            self.act(self._take_down)

    async def _take_down(self) -> None:
        from shell.boot import take_down

        self.notify("taking the system down")
        await asyncio.to_thread(take_down, self.link.home)
        self.exit(0)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        if event.state == WorkerState.ERROR and isinstance(event.worker.error, Exception):
            self.fault(event.worker.error)

    # -- what goes wrong -----------------------------------------------------------------------

    def notify(self, message: str, **more: Any) -> None:
        """Words of others are in it: nothing of them is obeyed."""
        super().notify(printable(message), **{**more, "markup": False})

    def fault(self, error: Exception) -> None:
        """Our own fault: into the log, and a word of it here. Never a traceback on the screen."""
        _log.error("a fault of the TUI", exc_info=error)
        now = time.monotonic()
        self._faults = [*(at for at in self._faults if now - at < 10), now]
        if len(self._faults) > _MOST_FAULTS:
            self._last_words = f"the screen failed again and again: {error!r}"
            self.exit(1)
        elif len(self._faults) == 1:
            self.notify(f"a fault of this screen: {error!r}; logs/tui.log has it",
                        severity="error")  # fmt: skip

    def _handle_exception(self, error: Exception) -> None:
        """Something can't be drawn, or was not made: there is no screen to go on with."""
        _log.critical("the screen failed", exc_info=error)
        self._last_words = self._last_words or f"the screen failed: {error!r}"
        self.exit(1)

    @property
    def last_words(self) -> str:
        """Why it ended by itself; "" if it did not."""
        return self._last_words

    def colour_of(self, state: str) -> str:
        """Of a state, in this theme, as Rich writes it."""
        return themes.colour_of(state, self.theme_variables)


def _view(name: str) -> Screen[Any]:
    """Its module is imported when it is first looked at."""
    module = import_module(f"shell.tui.views.{name}")
    found: Screen[Any] = getattr(module, f"{name.capitalize()}View")()
    return found
