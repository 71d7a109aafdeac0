"""How long a program waits for a reply, and what of that the kernel is told.

The calls that the kernel may keep for ever take a ``timeout``. A program that waits only for so
long says so there: then the kernel ends the call itself, so none stays open for nobody, and no mail
is given to a program that has left. It knows nothing about connections.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from llmagentos.abi import model
from llmagentos.abi.errors import EINVAL, ETIMEOUT

ENDLESS: Final[dict[str, str]] = {
    "proc.wait": "",
    "ipc.recv": "mail",
    "ipc.subscribe": "messages",
}
"""The calls that wait for ever if nobody says for how long, and the list in their result that is
empty when that was too short. The end of a process is an ``ETIMEOUT`` then, and no list."""

_SHORTEST: Final = 0.001
"""Seconds: the kernel waits for no less."""

_ON_THE_WAY: Final = 2.0
"""Seconds that its word of the end of a wait may take to get here."""


def seconds(given: float | None, what: str = "a time to wait") -> float | None:
    """That many; None: without an end, as is whatever is longer than the kernel can count. Raises
    ``EINVAL`` for what is negative or no number."""
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int | float) or not given >= 0:
        raise EINVAL(
            f"{what} is a number of seconds, 0 or more, and not {given!r:.100}",
            hint="leave it out, or give None, to wait without an end",
        )
    return float(given) if given <= model.LONGEST else None


def limited(
    name: str, args: Mapping[str, Any], within: float | None
) -> tuple[dict[str, Any], float | None]:
    """The limit that the kernel is to be told beside these arguments, if there is one, and for how
    many seconds to wait for its reply. Raises ``EINVAL``."""
    patience = seconds(within)
    if patience is None or name not in ENDLESS or args.get("block") is False:
        return {}, patience
    if _shorter(args.get("timeout"), patience):
        return {}, patience
    return {"timeout": max(patience, _SHORTEST)}, patience + _ON_THE_WAY


def check_in_time(name: str, result: Mapping[str, Any], within: float | None) -> None:
    """Of a call that was limited. Raises ``ETIMEOUT`` if nothing had come by then."""
    what = ENDLESS[name]
    if what and not result.get(what):
        raise too_late(within)


def too_late(within: float | None) -> ETIMEOUT:
    return ETIMEOUT(f"no reply came within {within:g} s")


def _shorter(given: Any, patience: float) -> bool:
    """Whether the call has a limit of its own that ends before. What is no time the kernel
    refuses."""
    try:
        own = model.seconds(given)
    except ValueError:
        return True
    return own is not None and not (isinstance(own, int | float) and own > patience)
