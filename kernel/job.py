"""A job: one order to a driver, and its one result.

It says which drivers may have the job, what it may cost, and what its result means to the caller.
There are three kinds: a call of a tool (``tool_job``), vectors for texts (``embed_job``), and the
vector that a search needs (``query``). It knows nothing about slots, nor about other jobs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable
from typing import TYPE_CHECKING, ClassVar, Final, Literal, NamedTuple

from kernel.calls import Call
from kernel.registry import Driver
from llmagentos.abi.errors import LLMOSError
from llmagentos.abi.jobs import JobResult
from llmagentos.abi.model import Model

if TYPE_CHECKING:
    from kernel.machine import Machine


class Offer(NamedTuple):
    """What a driver could do for a job: the tool or the model that it would use there, "" if it has
    none, and what stands against that, "" if nothing does."""

    name: str
    objection: str = ""


NONE: Final = Offer("")


class Job(ABC):
    """``name``: the tool or the model that it uses. ``driver``: where it is, once it has begun.
    ``labels``: those of what it sends there. ``timeout``: seconds, from then on."""

    noun: ClassVar[Literal["tool", "model"]]
    reason: ClassVar[Literal["tool", "llm"]]
    """What its process is WAITING for."""

    def __init__(
        self,
        id: int,
        call: Call,
        args: Model,
        name: str,
        timeout: float | None = None,
    ) -> None:
        self.id = id
        self.call = call
        self.args = args
        self.process = call.process
        self.labels = call.process.labels
        self.name = name
        self.timeout = timeout
        self.driver: Driver | None = None
        self.started = 0.0

        self.demand: Hashable = None
        """Jobs of the same demand may go to the same drivers."""

    @property
    def title(self) -> str:
        return f"{self.noun} {self.name}"

    @abstractmethod
    def offer(self, driver: Driver) -> Offer: ...

    def may_come(self, driver: Driver) -> bool:
        """Whether a driver that offers nothing for it may do so when it has got ready."""
        return False

    @abstractmethod
    def unknown(self, drivers: Iterable[Driver]) -> LLMOSError:
        """None of them offers what it needs."""

    @abstractmethod
    def forbidden(self, objections: dict[str, str]) -> LLMOSError:
        """Something stands against each one that does."""

    @abstractmethod
    def reserve(self, now: float) -> None:
        """Raises ``EQUOTA`` or ``ERATE``."""

    @abstractmethod
    def begin(self, driver: Driver, now: float) -> None:
        """On this driver, which has an offer for it. Raises ``EBUDGET``."""

    @abstractmethod
    def settle(self, result: JobResult | None, now: float) -> None:
        """It is over: pay for it. None: nobody knows what became of it."""

    @abstractmethod
    def order(self) -> tuple[str, Model]:
        """The command to its driver, and the command's body."""

    @abstractmethod
    def answer(self, result: JobResult, now: float) -> Model:
        """The result of the call. Raises ``EDRIVER`` if there is none in what the driver gave."""

    def made(self, result: JobResult) -> set[str]:
        """The labels of what the driver gave."""
        return set(result.labels)

    def finish(self, kernel: Machine, answer: Model) -> None:
        """What becomes of its call, now that there is an answer."""
        kernel.calls.complete(self.call, answer)

    def fail(self, kernel: Machine, error: LLMOSError, *, keep: bool) -> None:
        """The same, since there will be none. ``keep``: a repeat must not do it again."""
        kernel.calls.refuse(self.call, error, keep=keep)

    @property
    def append(self) -> str | None:
        """The id of the call that its process's last answer wants made, if it is one."""
        return None
