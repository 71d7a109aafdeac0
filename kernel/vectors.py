"""Vectors: what rows of memory mean, made of them when the drivers that can have nothing to do.

One batch is under way at a time, oldest rows first, and none is given to a driver while anything
waits for it. It takes no slot: whatever comes meanwhile goes first. A row goes only to a driver
that may see its labels. It is the system's own work, on nobody's account; it begins anew for rows
that change meanwhile, and for all of them when the model does. It knows nothing about how vectors
are compared.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from kernel.calls import Call, Deferred
from kernel.memory_store import Lacking
from kernel.placement import unseen
from kernel.query import Outcome, QueryJob, kind_of, model_of, own_models, quantised
from kernel.registry import Driver
from llmagentos.abi.calls.mem import SearchArgs
from llmagentos.abi.errors import ENODRIVER, LLMOSError
from llmagentos.abi.jobs import EmbedOrder, JobRef, JobResult
from llmagentos.abi.process import INIT

if TYPE_CHECKING:
    from kernel.machine import Machine

_ROWS: Final = 32
MOST_TEXT: Final = 32 * 1024
"""Rows, and bytes of them, in one batch. A larger row has no vector: one for so much text would
say little."""

_NOTED_AT_ONCE: Final = 500
_SHED_AT_ONCE: Final = 500

_LEISURE: Final = 0.25
_PAUSE: Final = 0.01
"""Seconds from a put, or from when a driver was found busy, and from the last batch."""

_OVERDUE: Final = 120.0
"""Seconds that a driver has for a batch."""

_PENALTY: Final = 5.0
_LONGEST: Final = 300.0
"""Seconds that a driver which failed gets no batch; twice as long each time, up to so many."""

_FAULTY: Final = ("ECONTEXT", "EINVAL")
"""Errors that are about a text, and no fault of the driver."""

_TURN: Final = ("vectors", "turn")
_LATE: Final = ("vectors", "overdue")


@dataclass(eq=False, slots=True)
class Batch:
    """``changed``: of its rows, those that are not any more what the driver was given."""

    number: int
    driver: Driver
    model: str
    rows: list[Lacking]
    started: float
    changed: set[int] = field(default_factory=set)


class Vectors:
    def __init__(self, kernel: Machine) -> None:
        self._kernel = kernel
        self._store = kernel.services.memory.vectors
        self._batch: Batch | None = None
        self._due = False
        self._alone: set[int] = set()
        """Rows of batches that failed: each is tried by itself."""
        self._failures: dict[str, int] = {}
        self._paused: dict[str, float] = {}
        kernel.timers.set(_TURN, 0.0, self._turn)

    # -- what somebody looks for -------------------------------------------------------------

    def ask(
        self,
        call: Call,
        args: SearchArgs,
        space: str,
        then: Callable[[Outcome], None],
        otherwise: Callable[[LLMOSError], None],
    ) -> Deferred:
        """Have a vector made of the query. Raises why that can't be, ``ENODRIVER`` mostly."""
        model, kind = self._model(), self._store.kind()
        if model is None:
            raise ENODRIVER(
                "no driver on this device makes vectors, so nothing is found by its meaning",
                hint="add one of kind embedding to config.yaml; docs/memory.md says how",
            )
        if kind is None or self._store.lacking(space, kind) == self._store.rows(space) > 0:
            raise ENODRIVER(
                "no row of this space has a vector yet",
                hint="they are made when the embedding driver has nothing else to do; search by "
                "words meanwhile",
            )
        job = QueryJob(self._kernel.new_burst(), call, args, model, then, otherwise)
        if not any(one.usable and job.offer(one).name for one in self._kernel.registry):
            raise ENODRIVER(
                f"no driver for the embedding model {model} is up",
                hint="llmos drivers shows why; search by words meanwhile",
            )
        return self._kernel.jobs.submit(job)

    # -- as rows and drivers come and go -----------------------------------------------------

    def added(self) -> None:
        """There is a row that may lack a vector."""
        self._soon(_LEISURE)

    def changed(self, id: int) -> None:
        """The row of this id is another one than it was."""
        if self._batch is not None:
            self._batch.changed.add(id)
        self._alone.discard(id)

    def driver_changed(self) -> None:
        self._soon(_LEISURE)

    def driver_lost(self, driver: Driver) -> None:
        if self._batch is not None and self._batch.driver is driver:
            self._over()
        self._soon(_LEISURE)

    # -- batches -----------------------------------------------------------------------------

    def dispatch(self) -> None:
        """Called at the end of every turn, when all that others want has got its slots."""
        if not self._due or self._batch is not None:
            return
        self._due = False
        model, kind = self._model(), self._store.kind()
        if model is None:
            return
        if self._store.note(_NOTED_AT_ONCE):
            self._soon(_PAUSE)
        if kind is not None and model_of(kind) != model and self._store.shed("", _SHED_AT_ONCE):
            self._soon(_PAUSE)
        makers = [one for one in self._kernel.registry if model in own_models(one) and one.usable]
        for driver in sorted(makers, key=lambda one: one.name):
            sets = self._store.labels()
            seen = [labels for labels in sets if not unseen(json.loads(labels), driver)]
            if not seen or self._paused.get(driver.name, 0.0) > self._kernel.now:
                continue  # when a pause is over there is a turn
            if driver.load or not driver.free:
                self._soon(_LEISURE)
            elif rows := self._rows_of(seen):
                self._start(driver, model, rows)
                return

    def result(self, driver: Driver, result: JobResult) -> None:
        """The end of a job: of a batch, perhaps."""
        batch = self._batch
        if batch is None or batch.number != result.job or batch.driver is not driver:
            return
        self._over()
        vectors = result.vectors or []
        kind = kind_of(batch.model, vectors, len(batch.rows))
        if result.error is not None:
            self._failed(batch, result.error.code)
        elif kind is None or not set(result.labels) <= _common(batch.rows):
            self._failed(batch, "EDRIVER")
        else:
            self._done(batch, kind, vectors)

    def _done(self, batch: Batch, kind: str, vectors: list[list[float]]) -> None:
        kernel, name = self._kernel, batch.driver.name
        given = zip(batch.rows, map(quantised, vectors), strict=True)
        made = [(row.id, vector) for row, vector in given if row.id not in batch.changed]
        self._store.keep(kind, [(id, vector) for id, vector in made if vector])
        self._store.keep("", [(id, b"") for id, vector in made if not vector])
        self._store.shed(kind, _SHED_AT_ONCE)
        self._alone.difference_update(id for id, _ in made)
        self._failures.pop(name, None)
        if made:
            kernel.journal.event(
                kernel.now, "vectors.made", 0, driver=name, model=batch.model, rows=len(made),
                seconds=round(kernel.now - batch.started, 3),
            )  # fmt: skip
        self._soon(_PAUSE)

    def _failed(self, batch: Batch, code: str) -> None:
        """Rows that no driver can take are set aside, until they change; a driver that fails gets
        no more for a while."""
        kernel, name = self._kernel, batch.driver.name
        rows = [row.id for row in batch.rows if row.id not in batch.changed]
        kernel.journal.event(
            kernel.now, "vectors.failed", 0, driver=name, model=batch.model, rows=len(rows),
            error=code,
        )  # fmt: skip
        if code in _FAULTY and len(batch.rows) == 1:
            self._store.keep("", [(id, b"") for id in rows])
            self._soon(_PAUSE)
        elif code in _FAULTY:
            self._alone.update(rows)
            self._soon(_PAUSE)
        else:
            self._pause(name)

    def _pause(self, name: str) -> None:
        failures = self._failures[name] = self._failures.get(name, 0) + 1
        until = self._kernel.now + min(_LONGEST, _PENALTY * 2 ** min(failures - 1, 16))
        self._paused[name] = until
        self._kernel.timers.set(("vectors", "paused", name), until, self._turn)

    def _rows_of(self, labels: Sequence[str]) -> list[Lacking]:
        """The next batch, of rows with one of these sets of labels."""
        rows = self._store.pick(labels, _ROWS, MOST_TEXT)
        large = [(row.id, b"") for row in rows if row.text is None]
        if large:
            self._store.keep("", large)
            self._soon(_PAUSE)
        rows = [row for row in rows if row.text is not None]
        if rows and rows[0].id in self._alone:
            return rows[:1]
        return [row for row in rows if row.id not in self._alone]

    def _start(self, driver: Driver, model: str, rows: list[Lacking]) -> None:
        kernel = self._kernel
        self._batch = batch = Batch(kernel.new_burst(), driver, model, rows, kernel.now)
        texts = [row.text for row in rows if row.text is not None]
        order = EmbedOrder(job=batch.number, pid=INIT, model=model, texts=texts, background=True)
        kernel.command(driver, "embed", order)
        kernel.timers.set(_LATE, kernel.now + _OVERDUE, self._overdue)

    def _overdue(self) -> None:
        batch = self._batch
        if batch is not None:
            self._kernel.command(batch.driver, "abort", JobRef(job=batch.number))
            self._over()
            self._failed(batch, "ETIMEOUT")

    def _over(self) -> None:
        self._batch = None
        self._kernel.timers.cancel(_LATE)

    def _model(self) -> str | None:
        """With which vectors are made now: the one that those we have are of, as long as a driver
        that we have met since the boot offers it."""
        kernel = self._kernel
        drivers = list(kernel.registry)
        offered = {model for driver in drivers for model in own_models(driver)}
        kind = self._store.kind()
        if kind is not None:
            if (kept := model_of(kind)) in offered:
                return kept
            settled = kernel.booted + kernel.config.boot_patience
            if kernel.now < settled:
                # Its driver may still be on its way.
                kernel.timers.set(("vectors", "settled"), settled, self._turn)
                return None
        up = {model for one in drivers if one.usable for model in own_models(one)}
        return min(up, default=None)

    def _turn(self) -> None:
        self._due = True

    def _soon(self, seconds: float) -> None:
        due = self._kernel.now + seconds
        if seconds < _LEISURE:
            self._kernel.timers.set(_TURN, due, self._turn)
        else:
            self._kernel.timers.set_once(_TURN, due, self._turn)


def _common(rows: Sequence[Lacking]) -> set[str]:
    """The labels that all of them have."""
    return set.intersection(*(set(json.loads(row.labels)) for row in rows))
