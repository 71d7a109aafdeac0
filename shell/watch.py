"""Watching a system come up: which drivers are still loading, and how far they are.

It knows nothing about who waits for it, nor about how they are started.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from llmagentos.abi.errors import LLMOSError
from llmagentos.home import Home
from shell.engines import coming_up, computing, progress
from shell.supervisor import services_file
from shell.terminal import StatusLine

if TYPE_CHECKING:
    from llmagentos.abi.calls.drv import DriverInfo
    from llmagentos.client import System
    from llmagentos.stream import Stream

Enough = Callable[["list[DriverInfo]"], bool]

_GLANCE: Final = 0.25
"""Seconds between two looks at the drivers."""

_QUIET: Final = 0.5
"""Seconds for which waiting needs no explanation."""

_PIPES_QUIET: Final = 3.0
"""The same where no person looks on, who might wonder."""


def drivers_of(system: System) -> list[DriverInfo]:
    from llmagentos.abi.calls.drv import ListResult

    return ListResult.model_validate(system.call("drv.list")).drivers


def services_of(home: Home) -> list[dict[str, Any]]:
    """What the supervisor says of its programs; nothing if there is none."""
    try:
        services = json.loads(services_file(home).read_text(encoding="utf-8"))["services"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return services if isinstance(services, list) else []


def explain_silence(system: System, answer: Stream, pid: int) -> None:
    """While nothing can run an agent yet, say on stderr why nothing comes; ends when it can.

    Looks at the drivers only as long as one is missing or still loading, which may be the one that
    the agent ``pid`` waits for, so a ready system pays one call for it.
    A screen is told at once and shows progress; whoever else reads stderr is told one time.
    """
    line = StatusLine(sys.stderr)
    began = time.monotonic()
    told = False
    try:
        while not answer.inbox and not answer.done:
            drivers = drivers_of(system)
            missing = _missing(drivers)
            loading = coming_up(computing(drivers))
            if not (missing or loading):
                return
            if not missing:
                reason = _reason(system, pid)
                if reason == "mail":
                    return
                missing = _coming(loading) if reason == "driver" else ""
            silence = time.monotonic() - began
            if line.visible and silence > _QUIET:
                line.show(missing)
            elif missing and not line.visible and not told and silence > _PIPES_QUIET:
                print(f"llmos: {missing}", file=sys.stderr, flush=True)
                told = True
            time.sleep(_GLANCE)
    finally:
        line.clear()


def _missing(drivers: list[DriverInfo]) -> str:
    """What an agent would wait for; nothing if all is there."""
    engines = computing(drivers)
    absent = []
    if not _any_ready(engines):
        if loading := coming_up(engines):
            return _coming(loading)
        absent.append("no driver is up")
    if not _any_ready([driver for driver in drivers if driver.kind == "host"]):
        absent.append("no agent host is up")
    return f"waiting: {' and '.join(absent)}; look at llmos status" if absent else ""


def _coming(loading: list[DriverInfo]) -> str:
    return "waiting for " + " · ".join(progress(driver) for driver in loading)


def _reason(system: System, pid: int) -> str | None:
    """What it waits for, if it does."""
    try:
        return system.info(pid).process.reason
    except LLMOSError:
        return None


def _any_ready(drivers: list[DriverInfo]) -> bool:
    return any(driver.state == "ready" for driver in drivers)


class Announcer:
    """Tells on stderr what comes up: one moving line on a screen, a line a change elsewhere."""

    def __init__(self) -> None:
        self._line = StatusLine(sys.stderr)
        self._states: dict[str, str] = {}

    def tell(self, drivers: list[DriverInfo], services: list[dict[str, Any]]) -> None:
        states = {driver.name: str(driver.state) for driver in drivers}
        told = {driver.name: progress(driver) for driver in drivers}
        for service in services:
            if service.get("given_up"):
                name = str(service["name"])
                states[name] = "given up"
                told[name] = f"{name} is given up: {service['given_up']}"
        for name, state in states.items():
            if self._states.get(name) != state:
                self._line.clear()
                print(told[name], file=sys.stderr, flush=True)
        self._states = states
        self._line.show(" · ".join(progress(driver) for driver in coming_up(drivers)))

    def clear(self) -> None:
        self._line.clear()


def watch(home: Home, alive: Callable[[], bool], enough: Enough) -> None:
    """Show what comes up until there is ``enough``, or until it is no longer ``alive``.

    The kernel may come and go meanwhile: its supervisor starts it again.
    """
    from llmagentos.client import connect

    announcer = Announcer()
    try:
        while alive():
            try:
                with connect(home=home.root, user=True, patience=1.0) as system:
                    while alive():
                        drivers = drivers_of(system)
                        announcer.tell(drivers, services_of(home))
                        if enough(drivers):
                            return
                        time.sleep(_GLANCE)
            except LLMOSError:
                time.sleep(_GLANCE)
    finally:
        announcer.clear()
