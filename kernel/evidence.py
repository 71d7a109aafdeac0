"""Evidence: what the audit log is told of calls of tools: each one that begins, and what it was
denied.

Arguments are in it as a hash only, so that somebody who has them can prove what was asked for. What
was denied is the driver's word. It knows nothing about how a call goes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, NamedTuple

from kernel.job import Job
from kernel.tool_job import ToolJob
from llmagentos.abi.audit import arguments_hash
from llmagentos.abi.jobs import Denial

if TYPE_CHECKING:
    from kernel.machine import Machine

_ACTION: Final = "tool.call"
_MOST: Final = 1000


class _Aborted(NamedTuple):
    driver: str
    pid: int
    title: str


class Evidence:
    def __init__(self, kernel: Machine) -> None:
        self._kernel = kernel
        self._aborted: OrderedDict[int, _Aborted] = OrderedDict()
        """Jobs of which nothing more is wanted but what they were denied, oldest first."""

    def begun(self, job: Job, driver: str) -> None:
        if isinstance(job, ToolJob):
            words = f"{_title(job, driver)}, arguments {arguments_hash(job.arguments)}"
            self._note(job.process.pid, "begun", words)

    def denied(self, job: Job, driver: str, denials: Iterable[Denial]) -> None:
        for one in denials:
            self._deny(job.process.pid, _title(job, driver), one)

    def aborted(self, job: Job, driver: str) -> None:
        """It may have been denied something already."""
        self._aborted[job.id] = _Aborted(driver, job.process.pid, _title(job, driver))
        if len(self._aborted) > _MOST:
            self._aborted.popitem(last=False)

    def late(self, id: int, driver: str, denials: Iterable[Denial]) -> None:
        """Of a job that was aborted. What nobody has given to the driver is nobody's."""
        known = self._aborted.get(id)
        if known is not None and known.driver == driver:
            del self._aborted[id]
            for one in denials:
                self._deny(known.pid, known.title, one)

    def _deny(self, pid: int, title: str, denial: Denial) -> None:
        times = f" ({denial.times:,} times)" if denial.times > 1 else ""
        self._note(pid, "denied", f"{title}: {denial.what}: {denial.detail}{times}")

    def _note(self, pid: int, verdict: str, words: str) -> None:
        self._kernel.journal.audit(self._kernel.now, pid, _ACTION, verdict, words)


def _title(job: Job, driver: str) -> str:
    return f"job {job.id}, {job.name} on {driver}"
