"""A process's limits from the screen: lowered, since they are never raised.

It knows nothing about how a view shows them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from shell.session import limits_from
from shell.tui.dialogs import Question

if TYPE_CHECKING:
    from shell.tui.app import ShellApp


def lower(app: ShellApp, pid: int, then: Callable[[], None]) -> None:
    """Ask which, and to what. ``then``: once they are."""

    def asked(pairs: str | None) -> None:
        if pairs:
            app.act(lambda: lowered(pairs))

    async def lowered(pairs: str) -> str:
        limits = limits_from(tuple(pairs.split()))
        await app.link.call("proc.limits", pid=pid, limits=limits)
        then()
        return f"{pairs} holds for it and its descendants"

    question = "Lower a limit (limits are never raised)"
    app.push_screen(Question(question, example="tokens=2000 wall=5m"), asked)
