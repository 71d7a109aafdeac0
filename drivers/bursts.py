"""The bursts of one driver: commands to the engine, and reports out of it.

Between the kernel and the engine it keeps two promises. A burst that fails, fails alone and
with a report: nothing that an engine raises goes further. And the engine sees each burst once:
commands for another attempt, or for one that has ended meanwhile, stop here. It knows nothing
about sockets, or what the engine computes.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from drivers.engine import Engine, EngineStats, Keeper
from drivers.faults import record, typed
from llmagentos.abi.driver import BurstRef, Expected, Forked, ProcessRef, Start, StepReport
from llmagentos.abi.errors import EBUSY, LLMOSError

log = logging.getLogger("driver")


@dataclass(slots=True)
class _Live:
    """A burst that the engine has: its attempt, and how many tokens it was given or made."""

    attempt: int
    index: int


class Bursts:
    """``engine`` is set when there is one. Reports gather in ``outbox`` until they are taken."""

    def __init__(self) -> None:
        self.engine: Engine | None = None
        self._live: dict[int, _Live] = {}
        self._outbox: list[StepReport] = []

    @property
    def busy(self) -> bool:
        return self.engine is not None and self.engine.busy

    @property
    def stats(self) -> EngineStats | None:
        return self.engine.stats if self.engine is not None else None

    @property
    def _keeper(self) -> Keeper | None:
        engine: object = self.engine
        return engine if isinstance(engine, Keeper) else None

    def take_reports(self) -> list[StepReport]:
        """All since the last time, in order."""
        taken, self._outbox = self._outbox, []
        return taken

    def start(self, order: Start) -> None:
        live = self._live.get(order.burst)
        if live is not None:
            if live.attempt >= order.attempt:
                return  # said twice
            self._forget(order.burst)
        self._live[order.burst] = _Live(order.attempt, len(order.accepted))
        with self._alone(order.burst):
            if self.engine is None:
                raise EBUSY("the driver is still loading", hint="wait until it is ready")
            said = self.engine.start(order)
            if said is not None:
                self._put(said)

    def steer(
        self, command: Literal["preempt", "resume", "cancel", "snapshot"], which: BurstRef
    ) -> None:
        live = self._live.get(which.burst)
        if live is None or live.attempt != which.attempt or self.engine is None:
            return  # it ended while the command was under way
        if command == "cancel":
            self._forget(which.burst)
            return
        with self._alone(which.burst):
            if command == "preempt":
                self.engine.preempt(which.burst)
            elif command == "snapshot":
                if (keeper := self._keeper) is not None:
                    keeper.snapshot(which.burst)
            else:
                self.engine.resume(which.burst)

    def expect(self, expected: Expected) -> None:
        if (keeper := self._keeper) is not None:
            with _harmless("expect"):
                keeper.expect(expected.pid, expected.seconds)

    def fork(self, forked: Forked) -> None:
        if (keeper := self._keeper) is not None:
            with _harmless("fork"):
                keeper.fork(forked.pid, forked.child)

    def drop(self, gone: ProcessRef) -> None:
        if (keeper := self._keeper) is not None:
            with _harmless("drop"):
                keeper.drop(gone.pid)

    def step(self) -> None:
        """One step of the engine. If all of it fails, all bursts do, and the driver goes on."""
        if self.engine is None:
            return
        try:
            steps = self.engine.step()
        except Exception as error:
            log.exception("the engine failed in a step; its %d bursts fail", len(self._live))
            self.fail_all(typed(error))
            return
        for step in steps:
            self._put(step)

    def fail(self, burst: int, attempt: int, error: LLMOSError) -> None:
        """Report the end of a burst that the engine never got."""
        self._put(_failure(burst, attempt, 0, error))

    def fail_all(self, error: LLMOSError) -> None:
        for burst, live in list(self._live.items()):
            self._put(_failure(burst, live.attempt, live.index, error))
        self.drop_all("")

    def drop_all(self, why: str) -> None:
        """Forget all bursts; nobody wants to hear of them."""
        if self._live:
            log.warning("%s: dropping %d bursts", why, len(self._live))
        self._live.clear()
        if self.engine is not None:
            self.engine.clear()

    def _put(self, step: StepReport) -> None:
        self._outbox.append(step)
        if step.finish is not None:
            self._live.pop(step.burst, None)
        elif live := self._live.get(step.burst):
            live.index = step.index + len(step.tokens)

    def _forget(self, burst: int) -> None:
        del self._live[burst]
        self._outbox = [step for step in self._outbox if step.burst != burst]
        if self.engine is not None:
            self.engine.cancel(burst)

    @contextlib.contextmanager
    def _alone(self, burst: int) -> Iterator[None]:
        """What is raised ends this burst, with a report, and nothing else."""
        try:
            yield
        except Exception as error:
            if not isinstance(error, LLMOSError):
                log.exception("burst %d failed", burst)
            live = self._live[burst]
            self._forget(burst)
            self._put(_failure(burst, live.attempt, live.index, error))


@contextlib.contextmanager
def _harmless(command: str) -> Iterator[None]:
    """What is raised while it is seen to what is worth keeping is logged, and changes no answer."""
    try:
        yield
    except Exception:
        log.exception("the engine failed in %s", command)


def _failure(burst: int, attempt: int, index: int, error: Exception) -> StepReport:
    return StepReport(
        burst=burst,
        attempt=attempt,
        index=index,
        finish="error",
        error=record(error),
    )
