"""The palette: every action that can be done here, found by its name.

It knows the table of actions, and nothing about how one is carried out.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from textual.command import DiscoveryHit, Hit, Hits, Provider

from shell.tui import actions
from shell.tui.actions import ANYWHERE, Action
from shell.tui.view import View


class Palette(Provider):
    """Every action that can be done here, for ctrl+p."""

    @property
    def _actions(self) -> list[tuple[View, Action]]:
        view = self.screen
        if not isinstance(view, View):
            return []
        return [(view, action) for action in actions.known(view.NAME)]

    async def discover(self) -> Hits:
        for view, action in self._actions:
            yield DiscoveryHit(action.title, doing(view, action), help=_helped(action))

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for view, action in self._actions:
            words = _words(action)
            if (score := matcher.match(words)) > 0:
                yield Hit(
                    score, matcher.highlight(words), doing(view, action), help=_helped(action)
                )


def doing(view: View, action: Action) -> Callable[[], Awaitable[None]]:
    async def do() -> None:
        if why := view.app.refusal(action, view.target()):
            view.app.notify(why, severity="warning")
            return
        await view.app.run_action(action.name, view.app if action.where == ANYWHERE else view)

    return do


def _words(action: Action) -> str:
    """By which it is found: its title, and its name where that is another one."""
    name = action.slug.replace("_", " ")
    return action.title if action.title.lower() == name else f"{action.title} {name}"


def _helped(action: Action) -> str:
    return f"{action.help}  [{action.twin}]"
