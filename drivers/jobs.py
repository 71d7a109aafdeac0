"""The jobs of one driver: calls of its tools, and texts that its engine makes vectors of.

Each job runs in a thread of its own, at most ``slots`` of them at once; the others wait here, in
order. What is done in the background takes no slot, and gives way to all of them. All else happens
in the host's thread: a thread hands its result over and wakes the host. A job that fails, fails
alone, and each that is not aborted gets exactly one result. It knows nothing about sockets, or what
a tool does.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from pydantic import ValidationError

from drivers.engine import Embedder, Engine
from drivers.faults import first_problem, record
from drivers.tool import Job, Tool
from llmagentos.abi.cards import ToolCard
from llmagentos.abi.errors import EBUSY, ECANCELED, EDRIVER, ENOENT, EPROTO, LLMOSError
from llmagentos.abi.jobs import EmbedOrder, JobRef, JobResult, ToolOrder
from llmagentos.abi.wire import MAX_DRIVER_VALUES, Message, decode, encode

log = logging.getLogger("driver")

_GIVES_WAY: Final = 2.0
"""Seconds that a text waits in the background: then it is done all the same."""

Work = Callable[[Job], JobResult]


class Jobs:
    """``wake`` is called from the jobs' threads when there is a result. ``engine`` is set when
    there is one."""

    def __init__(self, tools: Sequence[Tool], slots: int, wake: Callable[[], None]) -> None:
        self.engine: Engine | None = None
        self.offer(tools)
        self._slots = slots
        self._wake = wake
        self._open: dict[int, Job] = {}  # those whose result somebody waits for
        self._waiting: dict[int, tuple[Job, Work]] = {}  # those of them without a thread
        self._threads = 0
        self._background: set[Job] = set()  # those that have a thread beside the slots
        self._idle = threading.Event()  # no slot is taken
        self._idle.set()
        self._aborted: set[Job] = set()  # those whose denials somebody may still want
        self._done: deque[tuple[Job, JobResult]] = deque()  # filled by the threads
        self._outbox: list[JobResult] = []

    def offer(self, tools: Sequence[Tool]) -> None:
        """These and no others, from now on. Jobs that have begun go on."""
        self._tools = {tool.card.name: tool for tool in tools}

    @property
    def cards(self) -> list[ToolCard]:
        return [tool.card for tool in self._tools.values()]

    @property
    def active(self) -> int:
        """Threads at work. One whose job was aborted counts until it notices."""
        return self._threads + len(self._background)

    def call(self, order: ToolOrder) -> None:
        tool, names = self._tools.get(order.tool), ", ".join(self._tools) or "none"

        def work(job: Job) -> JobResult:
            if tool is None:
                raise ENOENT(f"this driver has no tool {order.tool!r}", hint=f"it has: {names}")
            return _filled(job, content=tool.run(order.arguments, job))

        self._begin(Job(order.job, order.pid, order.key), work)

    def embed(self, order: EmbedOrder) -> None:
        engine = self.engine

        def work(job: Job) -> JobResult:
            if engine is None:
                raise EBUSY("the driver is still loading", hint="wait until it is ready")
            if not isinstance(engine, Embedder):
                raise ENOENT("this driver has no model that embeds", hint="ask another driver")
            vectors: list[list[float]] = []
            tokens = 0
            for texts in self._portions(order, job):
                made, count = engine.embed(order.model, texts)
                if len(made) != len(texts):
                    raise EDRIVER(f"the engine gave {len(made)} vectors for {len(texts)}")
                vectors, tokens = vectors + made, tokens + count
            return _filled(job, vectors=vectors, tokens=tokens)

        self._begin(Job(order.job, order.pid), work, background=order.background)

    def _portions(self, order: EmbedOrder, job: Job) -> Iterator[Sequence[str]]:
        """What of it is done in one go; in the background a text, when nothing else is at work. In
        the job's thread."""
        if not order.background:
            yield order.texts
            return
        for text in order.texts:
            self._idle.wait(_GIVES_WAY)
            if job.aborted.is_set():
                raise ECANCELED("the job was aborted")
            yield [text]

    def abort(self, which: JobRef) -> None:
        """Nothing more is reported of it but what it was denied. Its thread is free when the work
        has noticed."""
        job = self._open.pop(which.job, None)
        begun = self._waiting.pop(which.job, None) is None
        if job is not None:
            job.aborted.set()
            if begun:
                self._aborted.add(job)
        kept = (_wanted(result, which.job) for result in self._outbox)
        self._outbox = [result for result in kept if result is not None]

    def take_results(self) -> list[JobResult]:
        """All since the last time. Threads that have become free take what waits."""
        self._collect()
        self._fill()
        taken, self._outbox = self._outbox, []
        return taken

    def fail(self, number: int, error: LLMOSError) -> None:
        """The result of a job that never began."""
        self._outbox.append(JobResult(job=number, error=record(error)))

    def fail_all(self, error: LLMOSError) -> None:
        self._collect()
        for number in self._open:
            self.fail(number, error)
        self._abort_all()

    def drop_all(self, why: str) -> None:
        """Forget all jobs; nobody wants to hear of them."""
        if self._open:
            log.warning("%s: dropping %d jobs", why, len(self._open))
        self._abort_all()
        self._outbox.clear()

    def _abort_all(self) -> None:
        for job in self._open.values():
            job.aborted.set()
        self._open.clear()
        self._waiting.clear()
        self._aborted.clear()

    def _begin(self, job: Job, work: Work, *, background: bool = False) -> None:
        if job.number in self._open:
            return  # said twice
        self._open[job.number] = job
        if background:
            self._background.add(job)
            self._start(job, work)
            return
        self._waiting[job.number] = (job, work)
        self._fill()

    def _fill(self) -> None:
        while self._waiting and self._threads < self._slots:
            job, work = self._waiting.pop(next(iter(self._waiting)))
            self._threads += 1
            self._idle.clear()
            self._start(job, work)

    def _start(self, job: Job, work: Work) -> None:
        # A daemon: work that never ends must not keep the driver from ending.
        name = f"job-{job.number}"
        threading.Thread(target=self._run, args=(job, work), name=name, daemon=True).start()

    def _run(self, job: Job, work: Work) -> None:
        """In the job's thread."""
        self._done.append((job, _result(job, work)))
        self._wake()

    def _collect(self) -> None:
        while self._done:
            job, result = self._done.popleft()
            if job in self._background:
                self._background.remove(job)
            else:
                self._threads -= 1
                if not self._threads:
                    self._idle.set()
            # A number may be used again after an abort, so it is not enough to look at that.
            if self._open.get(job.number) is job:
                del self._open[job.number]
                self._outbox.append(result)
            elif job in self._aborted:
                self._aborted.remove(job)
                if (told := _wanted(result, job.number)) is not None:
                    self._outbox.append(told)


def _result(job: Job, work: Work) -> JobResult:
    """What the work gives, or why it gives nothing. Whatever is raised, there is a result."""
    try:
        return _sendable(work(job))
    except BaseException as error:  # a tool may call sys.exit, and somebody waits for this job
        if not isinstance(error, LLMOSError) and not job.aborted.is_set():
            log.exception("job %d failed", job.number)
        reason = error
    try:
        return _sendable(_refused(job, reason))
    except Exception:
        log.exception("job %d failed, and its error can't be sent", job.number)
        lost = EDRIVER("the job failed, and its error can't be sent", hint="see the driver's log")
        return JobResult(job=job.number, error=record(lost))


def _wanted(result: JobResult, aborted: int) -> JobResult | None:
    """What of it is wanted if this job was aborted."""
    if result.job != aborted:
        return result
    error = record(ECANCELED("the job was aborted"))
    denied = result.denied
    return JobResult(job=aborted, error=error, denied=denied) if denied else None


def _refused(job: Job, reason: BaseException) -> JobResult:
    return JobResult(job=job.number, error=record(reason), denied=job.denied)


def _filled(job: Job, **fields: Any) -> JobResult:
    try:
        return JobResult(job=job.number, denied=job.denied, **fields)
    except ValidationError as error:
        raise _unsendable(first_problem(error)) from None


def _sendable(result: JobResult) -> JobResult:
    """Refuses what the kernel's decoder would refuse (too large, too deep): it would be dropped
    there, and the job would never end."""
    try:
        frames = encode(Message("result", body=result.model_dump(exclude_none=True)))
        decode(frames, MAX_DRIVER_VALUES)
    except EPROTO as error:
        raise _unsendable(error.message) from None
    return result


def _unsendable(why: str) -> EDRIVER:
    return EDRIVER(f"the result can't be sent: {why}", hint="ask for less, or for something else")
