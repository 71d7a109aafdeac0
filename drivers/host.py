"""The host loop: a driver's life, the same for every engine and every set of tools.

It registers first thing, so that the kernel knows of the driver while its engine is still
being loaded (in a thread); it beats; it hands on the kernel's commands before each step and
sends one report for all that a step gave. Jobs run in threads beside it; their results leave
from here. Only a load that fails, a refusal, a signal or the death of the parent end it. It
knows nothing about models, tokens, tools, or where the engine computes.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from drivers.bursts import Bursts
from drivers.ending import is_orphan, on_signals
from drivers.engine import Engine, Loader, Remote
from drivers.faults import first_problem
from drivers.jobs import Jobs
from drivers.link import Link
from drivers.pulse import Pulse
from drivers.tool import Source, Tool
from llmagentos.abi.driver import (
    FROM_KERNEL,
    BurstRef,
    DriverState,
    Registration,
    Report,
    StepReport,
    Welcome,
)
from llmagentos.abi.errors import EDRIVER, EPROTO, LLMOSError
from llmagentos.abi.jobs import JobRef
from llmagentos.abi.process import ErrorRecord
from llmagentos.abi.wire import Message

log = logging.getLogger("driver")

_CONNECT_SECONDS: Final = 1.0
_NEVER: Final = float("-inf")
_REPORT: Final = 512 * 1024
"""Characters of text in one report."""

Ref = TypeVar("Ref", BurstRef, JobRef)


class Host:
    """One driver. ``run`` returns the exit status of its process."""

    def __init__(
        self,
        dial: Callable[[], Link],
        registration: Registration,
        load: Loader | None = None,
        *,
        tools: Sequence[Tool] = (),
        source: Source | None = None,
        parent: int | None = None,
    ) -> None:
        """``dial`` makes the line to the kernel. Without ``load`` there is no engine, only
        ``tools``, or those of a ``source``. ``parent``: the process id of who started us; when it
        is no more our parent we end."""
        self._dial = dial
        self._registration = registration
        self._load = load
        self._source = source
        self._parent = parent
        self._bursts = Bursts()
        self._jobs = Jobs(tools, registration.slots, self._wake)
        self._pulse = Pulse()
        self._loaded: Engine | LLMOSError | None = None
        self._offers: deque[tuple[DriverState, str, Sequence[Tool] | None]] = deque()
        self._boot: int | None = None
        self._registered_at = _NEVER
        self._line = 0
        """On which line it has registered."""
        self._exit: int | None = None
        self._link: Link
        self._commands: dict[str, Callable[[Any], None]] = {
            "welcome": self._welcomed,
            "refuse": self._refused,
            "start": self._bursts.start,
            "preempt": partial(self._bursts.steer, "preempt"),
            "resume": partial(self._bursts.steer, "resume"),
            "cancel": partial(self._bursts.steer, "cancel"),
            "snapshot": partial(self._bursts.steer, "snapshot"),
            "expect": self._bursts.expect,
            "fork": self._bursts.fork,
            "drop": self._bursts.drop,
            "call": self._jobs.call,
            "embed": self._jobs.embed,
            "abort": self._jobs.abort,
        }

    def run(self) -> int:
        self._link = self._dial()
        try:
            with on_signals(self.stop):
                # Wait for the line, so that we are known before loading takes the machine.
                self._link.wait_connected(_CONNECT_SECONDS)
                if self._load is None and self._source is None:
                    self._pulse.turn("ready")
                self._register()
                if self._source is not None:
                    self._source.start(self._offered)
                if self._load is not None:
                    work = partial(self._load_engine, self._load)
                    threading.Thread(target=work, name="load", daemon=True).start()
                while self._exit is None:
                    self._turn()
                self._farewell()
        finally:
            if self._source is not None:
                self._source.stop()
            self._link.close()
        return self._exit

    def stop(self, reason: str = "asked to stop", status: int = 0) -> None:
        """End ``run`` at the next turn. From any thread or signal handler."""
        if self._exit is None:
            log.info("ending: %s", reason)
            self._pulse.turn("failed" if status else "draining", reason)
            self._exit = status
            self._wake()

    def _turn(self) -> None:
        """Commands first, then the beat, then one step: a cancel waits for one step at most."""
        for message in self._link.receive():
            self._obey(message)
            if self._pulse.due_in == 0:
                break  # taking in a hundred prompts must not look like death; the rest waits
        if self._loaded is not None:
            self._take_over(self._loaded)
        while self._offers:
            self._present(*self._offers.popleft())
        if is_orphan(self._parent):
            self.stop("the process that started this driver is gone")
        if self._exit is not None:
            return
        if self._line != self._link.line:
            self._drop_all("the line to the kernel is a new one")
            self._register()
        if self._pulse.due_in == 0:
            self._link.send("beat", self._pulse.beat(self._bursts.stats, self._jobs.active))
        self._report()  # what the commands brought about need not wait for a step
        if self._bursts.busy:
            self._bursts.step()
            self._report()
        if not self._bursts.busy:
            self._link.wait(self._pulse.due_in)

    # -- what the kernel says -----------------------------------------------------------------

    def _obey(self, message: Message) -> None:
        if message.kind == "who":
            self._forgotten()
            return
        obey = self._commands.get(message.kind)
        if obey is None:
            log.warning("the kernel sent %r, which is not for drivers; ignored", message.kind)
            return
        try:
            body = FROM_KERNEL[message.kind].model_validate(message.body)
        except ValidationError as error:
            self._reject(message, error)
            return
        obey(body)

    def _reject(self, message: Message, error: ValidationError) -> None:
        log.warning("the kernel sent a bad %r, ignored: %s", message.kind, error)
        reason = EPROTO(f"the driver cannot read this {message.kind}: {first_problem(error)}")
        # Somebody waits for this work, so it must not vanish here, if we can tell which it is.
        with contextlib.suppress(ValidationError):
            if message.kind == "start":
                which = _part(BurstRef, message.body)
                self._bursts.fail(which.burst, which.attempt, reason)
            elif message.kind in ("call", "embed"):
                self._jobs.fail(_part(JobRef, message.body).job, reason)

    def _welcomed(self, welcome: Welcome) -> None:
        if self._boot not in (None, welcome.boot):
            self._drop_all("the kernel has restarted")
        self._boot, self._pulse.interval = welcome.boot, welcome.beat_interval

    def _refused(self, error: ErrorRecord) -> None:
        log.error("the kernel refuses this driver: %s; %s", error.message, error.hint)
        self.stop("refused by the kernel", 1)

    def _forgotten(self) -> None:
        # Beats that were under way each bring a `who`; one registration answers them all.
        if time.monotonic() - self._registered_at > self._pulse.interval:
            self._drop_all("the kernel does not know this driver")
            self._register()

    def _drop_all(self, why: str) -> None:
        self._bursts.drop_all(why)
        self._jobs.drop_all(why)

    # -- what the driver says -----------------------------------------------------------------

    def _register(self) -> None:
        now = {"state": self._pulse.state, "tools": self._jobs.cards}
        current = self._registration.model_copy(update=now)
        if self._link.send("register", current):
            self._registered_at, self._line = time.monotonic(), self._link.line

    def _report(self) -> None:
        steps = self._bursts.take_reports()
        sent = all(self._link.send("report", Report(steps=part)) for part in _parts(steps))
        for result in self._jobs.take_results():
            sent = sent and self._link.send("result", result)
        if not sent:
            self._drop_all("the kernel is gone")

    def _farewell(self) -> None:
        """Hand all work back at once, rather than let the kernel find out by itself."""
        ended = EDRIVER(f"the driver ended: {self._pulse.note}")
        self._bursts.fail_all(ended)
        self._jobs.fail_all(ended)
        self._report()
        self._link.send("beat", self._pulse.beat(None))

    # -- loading ------------------------------------------------------------------------------

    def _load_engine(self, load: Loader) -> None:
        """In the loading thread: leaves an engine or an error for the loop to take over."""
        try:
            self._loaded = load(self._announce)
        except LLMOSError as error:
            self._loaded = error
        except Exception as error:
            log.exception("loading failed")
            self._loaded = EDRIVER(f"loading failed: {type(error).__name__}: {error}")
        self._wake()

    def _announce(self, note: str, progress: float | None = None) -> None:
        self._pulse.announce(note, progress)
        self._wake()

    def _wake(self, *, news: bool = False) -> None:
        if news:
            self._pulse.hurry()
        self._link.wake()

    def _take_over(self, loaded: Engine | LLMOSError) -> None:
        self._loaded = None
        if isinstance(loaded, LLMOSError):
            log.error("%s; %s", loaded.message, loaded.hint)
            self.stop(f"{loaded.message}; {loaded.hint}", 1)
            return
        cards = list(loaded.models)
        self._bursts.engine = self._jobs.engine = loaded
        if isinstance(loaded, Remote):
            loaded.attend(self._wake)
        self._registration = self._registration.model_copy(update={"models": cards})
        self._pulse.turn("ready", models=cards)
        log.info("ready: %s", ", ".join(card.name for card in cards))

    # -- tools that come and go ---------------------------------------------------------------

    def _offered(
        self, state: DriverState, note: str = "", tools: Sequence[Tool] | None = None
    ) -> None:
        """In the source's thread."""
        self._offers.append((state, note, tools))
        self._wake()

    def _present(self, state: DriverState, note: str, tools: Sequence[Tool] | None) -> None:
        if tools is not None:
            self._jobs.offer(tools)
        self._pulse.turn(state, note, tools=None if tools is None else self._jobs.cards)


def _parts(steps: list[StepReport]) -> Iterator[list[StepReport]]:
    """In reports of a size that the kernel takes."""
    part: list[StepReport] = []
    size = 0
    for step in steps:
        if part and size + len(step.text) > _REPORT:
            yield part
            part, size = [], 0
        part.append(step)
        size += len(step.text)
    if part:
        yield part


def _part(shape: type[Ref], body: dict[str, Any]) -> Ref:
    """Which burst or job a message is about that can't be read as a whole."""
    return shape.model_validate({key: body.get(key) for key in shape.model_fields})
