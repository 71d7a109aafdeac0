"""What the host loop asks of an engine: run bursts, one step at a time.

An engine is driven from one thread and holds no socket and no clock of the kernel's. A burst
is named by its number alone here; the host sees to it that a number is live once. Commands
may raise an ``LLMOSError``: it ends that burst only. It knows nothing about the protocol's
frames.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, Protocol, runtime_checkable

from llmagentos.abi.cards import ModelCard, Rate
from llmagentos.abi.driver import Start, StepReport


class EngineStats(NamedTuple):
    """``active``: sequences in the batch; ``kv_bytes``: bytes that the KV cache takes; ``kv``: of
    each process, by pid; ``prefill_weight``, ``rates`` and ``closed``: as in ``Beat``."""

    active: int
    kv_bytes: int
    kv: Mapping[int, int] = MappingProxyType({})
    prefill_weight: float | None = None
    rates: Sequence[Rate] = ()
    closed: float | None = None


class Engine(Protocol):
    """Runs bursts. ``start`` … ``cancel`` are cheap; all the work is done in ``step``."""

    @property
    def models(self) -> Sequence[ModelCard]:
        """The models that it serves."""

    @property
    def busy(self) -> bool:
        """Would a ``step`` do anything? Held (preempted) bursts alone do not make it busy."""

    @property
    def stats(self) -> EngineStats: ...

    def start(self, order: Start) -> StepReport | None:
        """Take a burst in. ``EBUSY`` if every slot is taken, ``ECONTEXT`` if it cannot fit.

        What can be said of it without a step is given back: the count of one that is to be held
        (which needs no slot), or the end of one whose accepted tokens are the whole answer.
        """

    def preempt(self, burst: int) -> None:
        """Hold it from the next token boundary on; its KV is kept, its slot is free."""

    def resume(self, burst: int) -> None:
        """Go on with a held burst, with the token that would have come next."""

    def cancel(self, burst: int) -> None:
        """Stop and forget it. Nothing more is reported of it."""

    def clear(self) -> None:
        """Forget all bursts."""

    def step(self) -> list[StepReport]:
        """One step for all sequences together, and what each of them got: at most one report
        for a burst. What fails for one burst is reported for it, with an error."""


@runtime_checkable
class Keeper(Protocol):
    """An engine that keeps what a process has read between its bursts. Nothing here changes an
    answer; it is about what is worth its room."""

    def snapshot(self, burst: int) -> None:
        """The KV of a held burst shall outlive the driver."""

    def expect(self, pid: int, seconds: float | None) -> None:
        """When the process comes back; None, if nobody knows."""

    def fork(self, pid: int, child: int) -> None:
        """What the one has read the other has too."""

    def drop(self, pid: int) -> None:
        """The process does not come back."""


@runtime_checkable
class Embedder(Protocol):
    """An engine that also makes vectors of texts."""

    def embed(self, model: str, texts: Sequence[str]) -> tuple[list[list[float]], int]:
        """A vector for each text, and how many tokens they were. Unlike the rest it is called
        from other threads, several at once and beside a step; ``ENOENT`` for another model."""


class Wake(Protocol):
    """How an engine that works beside the host's loop says that there is something for it. From
    any thread. ``news``: its ``stats`` are such that the kernel should have them now."""

    def __call__(self, *, news: bool = False) -> None: ...


@runtime_checkable
class Remote(Protocol):
    """An engine whose work is done elsewhere, so that a ``step`` only takes in what has come. It
    is ``busy`` only when something has, and says so by itself."""

    def attend(self, wake: Wake) -> None:
        """Call ``wake`` from now on."""


class Announce(Protocol):
    """How an engine that is being loaded says what it is doing (``note``, for people) and how
    far it is (``progress``, 0 to 1)."""

    def __call__(self, note: str, progress: float | None = None) -> None: ...


Loader = Callable[[Announce], Engine]
"""Makes the engine. Called in a thread of its own, as it may take minutes; raises an
``LLMOSError`` if there is nothing to serve."""
