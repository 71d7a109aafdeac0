"""The driver port: what drivers and hosts say, decoded and passed on.

It knows nothing about scheduling: it keeps the registry, and tells the scheduler and the hosts.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from pydantic import ValidationError

from kernel.authority import granted
from kernel.builtin import check_names
from kernel.effects import Command
from kernel.registry import Driver
from llmagentos.abi.driver import Beat, Registration, Report, Welcome
from llmagentos.abi.errors import EAUTH, EBUSY, EPERM, EPROTO, LLMOSError
from llmagentos.abi.jobs import JobResult
from llmagentos.abi.keys import NodeKey
from llmagentos.abi.process import ErrorRecord
from llmagentos.abi.wire import Message

if TYPE_CHECKING:
    from kernel.machine import Machine


class Port:
    def __init__(self, kernel: Machine) -> None:
        self._kernel = kernel

    def heard(self, peer: bytes, message: Message, key: NodeKey | None = None) -> None:
        """One message from a driver or host. Nonsense ends the sender's registration. ``key``:
        what the sender has proven to be, if it comes from another machine."""
        driver = self._kernel.registry.of(peer)
        try:
            if message.kind == "register":
                self._register(peer, message, key)
            elif driver is None:
                self._kernel.effects.commands.append(Command(peer, "who"))
            elif message.kind == "beat":
                self._beat(driver, Beat.model_validate(message.body))
            elif message.kind == "report":
                self._report(driver, Report.model_validate(message.body))
            elif message.kind == "result":
                driver.heard = self._kernel.now
                result = JobResult.model_validate(message.body)
                self._kernel.jobs.result(driver, result)
                self._kernel.vectors.result(driver, result)
            else:
                raise EPROTO(f"a driver says no {message.kind!r}")
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False)[0]
            where = ".".join(map(str, first["loc"]))
            self._refuse(peer, EPROTO(f"{message.kind}: {where}: {first['msg']}"))
        except LLMOSError as error:
            self._refuse(peer, error)

    def gone(self, peer: bytes, why: str) -> None:
        driver = self._kernel.registry.of(peer)
        if driver is not None:
            self._lose(driver, why)

    def _register(self, peer: bytes, message: Message, key: NodeKey | None) -> None:
        kernel, known = self._kernel, self._kernel.services.service_key
        if key is None and not hmac.compare_digest(message.session.encode(), known.encode()):
            raise EAUTH("a driver registers with the service key")
        card = Registration.model_validate(message.body)
        if key is not None:
            card = granted(card, key)
        check_names(card.tools)
        there = kernel.registry.named(card.name)
        if there is not None and there.up and there.far != (key is not None):
            raise EBUSY(
                f"a driver named {card.name} is up already, on another machine than this one",
                hint="give one of them another name",
            )
        if there is not None and there.up and there.peer != peer:
            if there.card.os_pid and there.card.os_pid != card.os_pid:
                raise EBUSY(
                    f"a driver named {card.name} is up already (process {there.card.os_pid})",
                    hint="give this one another name",
                )
            # The same process with a new connection: the old one is dead, only unnoticed.
            self._lose(there, "it connected anew")
        elif there is not None and there.up:
            self._lose(there, "it registered anew")
        driver = kernel.registry.register(card, peer, kernel.now)
        driver.far = key is not None
        kernel.command(driver, "welcome", Welcome(boot=kernel.boot))
        kernel.journal.event(
            kernel.now, "drv.up", name=card.name, kind=card.kind, state=card.state,
            os_pid=card.os_pid,
        )  # fmt: skip
        self._watch(driver)
        if driver.is_host:
            kernel.hosts.joined(driver)
        else:
            kernel.health.renewed(driver)
            kernel.health.rates(driver, card.rates)
            kernel.scheduler.driver_changed()
            kernel.jobs.driver_changed()
            kernel.vectors.driver_changed()

    def _beat(self, driver: Driver, beat: Beat) -> None:
        kernel = self._kernel
        if driver.far and beat.tools:
            raise EPERM("a node offers no tools", hint="tool drivers run where the kernel does")
        check_names(beat.tools or ())
        changed = kernel.registry.beat(driver, beat, kernel.now)
        if beat.rates is not None:
            kernel.health.rates(driver, beat.rates)
        if beat.closed is not None:
            kernel.health.shut(driver, beat.closed)
        if not changed:
            return
        # Not its note: that may be the text of an error, and whose data is in it nobody knows.
        kernel.journal.event(kernel.now, "drv.state", name=driver.name, state=beat.state)
        if not driver.is_host:
            kernel.scheduler.driver_changed()
            kernel.jobs.driver_changed()
            kernel.vectors.driver_changed()

    def _report(self, driver: Driver, report: Report) -> None:
        driver.heard = self._kernel.now
        for step in report.steps:
            self._kernel.scheduler.report(driver, step)

    def _watch(self, driver: Driver) -> None:
        """Look again when it could have been silent for too long."""
        kernel = self._kernel
        peer = driver.peer

        def look() -> None:
            if driver.peer != peer:
                return
            if kernel.now - driver.heard >= kernel.config.silence:
                self._lose(driver, f"it was silent for {kernel.now - driver.heard:.0f} s")
            else:
                self._watch(driver)

        kernel.timers.set(("silence", driver.name), driver.heard + kernel.config.silence, look)

    def _refuse(self, peer: bytes, error: LLMOSError) -> None:
        body = ErrorRecord.of(error)
        self._kernel.effects.commands.append(Command(peer, "refuse", body))
        driver = self._kernel.registry.of(peer)
        if driver is not None:
            # An event says no more than the code: what a driver sent may be in the message.
            self._lose(driver, f"it was refused: {error.message}", f"it was refused: {error.code}")

    def _lose(self, driver: Driver, why: str, told: str = "") -> None:
        """``told``: what all but the user hear of it, if that isn't ``why``."""
        kernel, told = self._kernel, told or why
        kernel.timers.cancel(("silence", driver.name))
        kernel.registry.lose(driver, why, told)
        kernel.journal.event(kernel.now, "drv.down", name=driver.name, why=told)
        if driver.is_host:
            kernel.hosts.lost(driver)
        else:
            kernel.vectors.driver_lost(driver)
            kernel.scheduler.driver_lost(driver)
            kernel.jobs.driver_lost(driver)
