"""A query: the job that makes a vector of what somebody looks for.

It is the system's own work: no capability for a model is needed, and nobody is charged. What is
looked for has the labels of whoever looks, so only a driver that may see these gets it. It knows
nothing about what is searched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from kernel.calls import Call
from kernel.embed_job import embedders
from kernel.job import NONE, Job, Offer
from kernel.placement import unseen
from kernel.registry import Driver
from llmagentos.abi.calls.llm import EmbedResult
from llmagentos.abi.calls.mem import SearchArgs
from llmagentos.abi.cards import FREE
from llmagentos.abi.errors import EDRIVER, ENODRIVER, LLMOSError
from llmagentos.abi.jobs import EmbedOrder, JobResult
from llmagentos.abi.keys import DEVICE
from llmagentos.abi.model import Model
from llmagentos.abi.process import INIT

if TYPE_CHECKING:
    from kernel.machine import Machine

Outcome = tuple[str, bytes]
"""What a vector is of, as its kind, and the vector. Only vectors of one kind can be compared."""

_PATIENCE: Final = 10.0
"""Seconds that a driver has for a query."""


def own_models(driver: Driver) -> list[str]:
    """The models with which the system may have vectors made there for itself: on this device, and
    free of charge. By name."""
    if driver.card.kind != "edge" or driver.card.zone != DEVICE:
        return []
    return [card.name for card in embedders(driver) if card.price == FREE]


class QueryJob(Job):
    noun = "model"
    reason = "llm"

    def __init__(
        self,
        id: int,
        call: Call,
        args: SearchArgs,
        model: str,
        then: Callable[[Outcome], None],
        otherwise: Callable[[LLMOSError], None],
    ) -> None:
        """``then`` goes on with the call when the vector is there, ``otherwise`` if there will be
        none."""
        super().__init__(id, call, args, model, _PATIENCE)
        self._query = args.query
        self._then = then
        self._otherwise = otherwise
        self.demand = "query", model, self.labels

    def offer(self, driver: Driver) -> Offer:
        if self.name not in own_models(driver):
            return NONE
        return Offer(self.name, unseen(self.labels, driver))

    def unknown(self, drivers: Iterable[Driver]) -> LLMOSError:
        return ENODRIVER(
            f"no driver on this device embeds with {self.name}", hint="see llmos drivers"
        )

    def forbidden(self, objections: dict[str, str]) -> LLMOSError:
        reasons = "; ".join(f"{name} {why}" for name, why in objections.items())
        return ENODRIVER(
            "no driver may embed what this process looks for", hint=reasons, detail=objections
        )

    def reserve(self, now: float) -> None:
        """It is on nobody's account."""

    def begin(self, driver: Driver, now: float) -> None:
        self.driver, self.started = driver, now

    def settle(self, result: JobResult | None, now: float) -> None:
        """As ``reserve``."""

    def order(self) -> tuple[str, Model]:
        return "embed", EmbedOrder(job=self.id, pid=INIT, model=self.name, texts=[self._query])

    def answer(self, result: JobResult, now: float) -> Model:
        vectors = result.vectors or []
        if kind_of(self.name, vectors, 1) is None or quantised(vectors[0]) is None:
            assert self.driver is not None
            raise EDRIVER(f"driver {self.driver.name} gave no vector for a query")
        return EmbedResult(model=self.name, vectors=vectors)

    def finish(self, kernel: Machine, answer: Model) -> None:
        assert isinstance(answer, EmbedResult)
        kind = kind_of(self.name, answer.vectors, 1)
        vector = quantised(answer.vectors[0])
        assert kind is not None
        assert vector is not None
        self._goes_on(kernel)
        self._then((kind, vector))

    def fail(self, kernel: Machine, error: LLMOSError, *, keep: bool) -> None:
        self._goes_on(kernel)
        self._otherwise(error)

    def _goes_on(self, kernel: Machine) -> None:
        """Its call waits for no driver any more."""
        self.call.waits = self.call.on_close = None
        kernel.settle(self.process, f"its {self.call.spec.name} goes on")


def kind_of(model: str, vectors: list[list[float]], texts: int) -> str | None:
    """What these vectors of so many texts are; None, if that is not what they are."""
    lengths = {len(vector) for vector in vectors}
    if len(vectors) != texts or len(lengths) != 1 or 0 in lengths:
        return None
    return f"{model}/{lengths.pop()}"


def model_of(kind: str) -> str:
    return kind.rpartition("/")[0]


def quantised(vector: list[float]) -> bytes | None:
    """Its direction, a byte for each number; None if it has none."""
    most = max(map(abs, vector))
    if most == 0.0:
        return None
    return bytes(round(127 * (number / most)) & 0xFF for number in vector)
