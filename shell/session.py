"""The shell's session: it acts as the user, without a process of its own.

The client is imported when it is first used; ``llmos --help`` and ``llmos up`` do without.
It knows nothing about what is called.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from llmagentos.abi.errors import ECONNREFUSED, EINVAL, ETIMEOUT
from llmagentos.home import Home
from shell import disk
from shell.failure import Terminated
from shell.lock import supervisor_pid
from shell.ping import listening

if TYPE_CHECKING:
    from llmagentos.client import System


def open_system(patience: float = 30.0) -> System:
    """Connect as the user. Raises ``ECONNREFUSED`` when the system isn't up or is hung."""
    from llmagentos.client import connect

    try:
        return connect(user=True, patience=patience)
    except (ECONNREFUSED, ETIMEOUT) as error:
        home = Home.default()
        if supervisor_pid(home) is None and not listening(home):
            raise
        if disk.is_full(home.root):
            full = f"the disk of {home.root} is full"
            raise ECONNREFUSED(
                f"the system in {home.root} does not answer: {full}", hint="make room on it"
            ) from error
        raise ECONNREFUSED(
            f"the system in {home.root} is running, but does not answer",
            hint=f"look at {home.logs / 'kernel.log'}",
        ) from error


def process_rows(
    system: System, *, history: int | None = None, within: float | None = None
) -> list[dict[str, Any]]:
    """The whole process table, and so many collected processes with it, page by page."""
    page = system.call("proc.list", history=history, within=within)
    rows: list[dict[str, Any]] = page["processes"]
    while page["next"] is not None:
        page = system.call("proc.list", after=page["next"], within=within)
        rows += page["processes"]
    return rows


def limits_from(pairs: tuple[str, ...]) -> dict[str, Any] | None:
    """``("tokens=2000", "wall=5m")`` as limits. Raises ``EINVAL`` with the names there are."""
    if not pairs:
        return None
    from pydantic import ValidationError

    from llmagentos.abi.process import Limits

    given: dict[str, Any] = {}
    for pair in pairs:
        name, sign, value = pair.partition("=")
        if not sign or name not in Limits.model_fields:
            problem = f"{name} is no limit" if sign else f"{pair} is not of the form NAME=VALUE"
            raise EINVAL(problem, hint="limits are: " + ", ".join(Limits.model_fields))
        given[name] = _number(value)
    try:
        return Limits.model_validate(given).model_dump(mode="json", exclude_unset=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = str(first["loc"][0])
        raise EINVAL(
            f"the limit {name}={given[name]} is not right: "
            f"{first['msg'].removeprefix('Value error, ').lower()}",
            hint="numbers are counts; wall takes 30s, 5m, 1h30m",
        ) from None


@contextmanager
def terminable() -> Iterator[None]:
    """Within it SIGTERM raises ``Terminated``, as SIGINT raises ``KeyboardInterrupt``.

    Also where SIGINT was ignored before, as a script's background jobs ignore it: what is asked
    to end takes down with it what it has started.
    """

    def end(*_: object) -> None:
        raise Terminated

    on_term = signal.signal(signal.SIGTERM, end)
    on_int = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, on_term)
        signal.signal(signal.SIGINT, on_int)


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
