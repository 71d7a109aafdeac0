"""A job: one order to a driver, and its one result: a call of a tool, or vectors for texts. (One
that somebody's search needs is in ``query``.)

It says which drivers may have the job, what it may cost, and what its result means to the caller.
It knows nothing about slots, nor about other jobs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable
from typing import TYPE_CHECKING, ClassVar, Final, Literal, NamedTuple

from kernel import budget, ledger, offers, rights
from kernel.calls import Call
from kernel.connections import SHARED
from kernel.placement import UNPRICED, unseen
from kernel.registry import Driver
from kernel.table import digest
from llmagentos.abi.calls.llm import EmbedArgs, EmbedResult
from llmagentos.abi.calls.tool import CallArgs, CallResult
from llmagentos.abi.cards import ModelCard, ToolCard
from llmagentos.abi.driver import PLACES, EmbedOrder, JobResult, ToolOrder
from llmagentos.abi.errors import (
    EBUDGET,
    EDRIVER,
    ELABEL,
    ENODRIVER,
    ENOENT,
    LLMOSError,
)
from llmagentos.abi.model import Model
from llmagentos.abi.process import Usage

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


class ToolJob(Job):
    noun = "tool"
    reason = "tool"

    def __init__(self, id: int, call: Call, args: CallArgs, key: str = "") -> None:
        """``key``: see ``ToolOrder``; default: that of the call."""
        super().__init__(id, call, args, args.name, args.timeout)
        self.arguments = args.arguments
        self._append = args.append
        self._key = key
        self._card: ToolCard | None = None
        self.demand = self.noun, self.name, self.labels

    @property
    def append(self) -> str | None:
        return self._append

    def offer(self, driver: Driver) -> Offer:
        if driver.card.kind != "tool" or driver.tool(self.name) is None:
            return NONE
        return Offer(self.name, unseen(self.labels, driver))

    def unknown(self, drivers: Iterable[Driver]) -> LLMOSError:
        near = offers.meant(self.name, offers.tools(drivers))
        hint = f"did you mean {near}?" if near else "tool.list says which there are"
        return ENOENT(f"there is no tool {self.name}", hint=hint)

    def forbidden(self, objections: dict[str, str]) -> LLMOSError:
        reasons = "; ".join(f"driver {name} {why}" for name, why in objections.items())
        return ELABEL(
            f"tool {self.name} may not have this data: {reasons}",
            hint="only the user may declassify a process, or let a driver see more",
            detail={"labels": list(self.labels), "drivers": objections},
        )

    def reserve(self, now: float) -> None:
        ledger.reserve(self.process, "tool_calls", 1)

    def begin(self, driver: Driver, now: float) -> None:
        self.driver, self.started = driver, now
        self._card = driver.tool(self.name)

    def settle(self, result: JobResult | None, now: float) -> None:
        begun = int(self.driver is not None)
        ledger.settle(self.process, "tool_calls", 1, begun)
        self.process.usage += Usage(tool_calls=begun)

    def order(self) -> tuple[str, Model]:
        call = self.call
        lasting = call.scope == self.process.session or call.scope.startswith(SHARED)
        # Where another client may get the same scope, its call must not be taken for a repeat.
        own = digest(f"{call.scope} {call.id}" + ("" if lasting else f" {self.id}"))
        key = self._key or own
        return "call", ToolOrder(
            job=self.id, key=key, pid=self.process.pid, tool=self.name, arguments=self.arguments
        )

    def answer(self, result: JobResult, now: float) -> Model:
        assert self.driver is not None
        return CallResult(
            content=result.content,
            driver=self.driver.name,
            seconds=round(now - self.started, 6),
            labels=sorted(self.made(result)),
        )

    def made(self, result: JobResult) -> set[str]:
        return {*result.labels, *(self._card.labels if self._card else ())}


class EmbedJob(Job):
    """Without a model of its own it takes the first one, by name, that it may have."""

    noun = "model"
    reason = "llm"

    def __init__(self, id: int, call: Call, args: EmbedArgs) -> None:
        super().__init__(id, call, args, args.model or "")
        self._wanted = args.model
        self._texts = args.texts
        self._approved = call.approved and args.model is not None
        # No token stands for less than a byte, and a model puts a few around each text.
        self._bound = sum(len(text.encode()) for text in args.texts) + 16 * len(args.texts) + 64
        self._price = 0.0
        self._money = 0
        process, wanted = self.process, (self._wanted, self._approved)
        priced = ledger.is_limited(process, "money")
        self.demand = self.noun, wanted, self.labels, process.places, process.rights, priced

    @property
    def title(self) -> str:
        return f"model {self.name}" if self.name else "an embedding model"

    def offer(self, driver: Driver) -> Offer:
        offers = [Offer(one.name, self._objection(driver, one)) for one in self._cards(driver)]
        fit = (offer for offer in offers if not offer.objection)
        return next(fit, offers[0] if offers else NONE)

    def unknown(self, drivers: Iterable[Driver]) -> LLMOSError:
        wanted = self._wanted
        known = sorted({card.name for driver in drivers for card in embedders(driver)})
        return ENODRIVER(
            f"no driver offers the embedding model {wanted}" if wanted else "no driver embeds",
            hint=f"offered are {', '.join(known) or 'none'}; see llmos drivers",
            detail={"models": known},
        )

    def forbidden(self, objections: dict[str, str]) -> LLMOSError:
        reasons = "; ".join(f"{name} {why}" for name, why in objections.items())
        kind = EBUDGET if UNPRICED in objections.values() else ENODRIVER
        model = self._wanted or "any embedding model"
        return kind(f"no driver may run {model} for this process", hint=reasons, detail=objections)

    def reserve(self, now: float) -> None:
        budget.check_rate(self.process, self._bound, now)
        ledger.reserve(self.process, "tokens", self._bound)

    def begin(self, driver: Driver, now: float) -> None:
        self.name = self.offer(driver).name
        card = next(card for card in self._cards(driver) if card.name == self.name)
        price = card.price.prompt if card.price else 0.0
        money = ledger.price(price, self._bound)
        ledger.reserve(self.process, "money", money)
        self._price, self._money = price, money
        self.driver, self.started = driver, now

    def settle(self, result: JobResult | None, now: float) -> None:
        if self.driver is None:
            used = 0
        else:
            # What became of it nobody knows: it may have cost the most that it could.
            used = min(result.tokens, self._bound) if result else self._bound
        cost = ledger.price(self._price, used)
        ledger.settle(self.process, "tokens", self._bound, used)
        ledger.settle(self.process, "money", self._money, cost)
        budget.count(self.process, used, now)
        self.process.usage += Usage(prompt_tokens=used, money=cost / ledger.MONEY)

    def order(self) -> tuple[str, Model]:
        return "embed", EmbedOrder(
            job=self.id, pid=self.process.pid, model=self.name, texts=self._texts
        )

    def answer(self, result: JobResult, now: float) -> Model:
        assert self.driver is not None
        vectors, texts = result.vectors or [], len(self._texts)
        lengths = {len(vector) for vector in vectors}
        if len(vectors) != texts or len(lengths) != 1 or 0 in lengths:
            shown = f"{len(vectors)} vectors of {sorted(lengths)} numbers"
            raise EDRIVER(f"driver {self.driver.name} gave {shown} for {texts} texts")
        if result.tokens > self._bound:
            raise EDRIVER(
                f"driver {self.driver.name} counted {result.tokens} tokens, more than the texts "
                f"can have"
            )
        return EmbedResult(model=self.name, vectors=vectors)

    def _cards(self, driver: Driver) -> list[ModelCard]:
        """The models it could use there, by name."""
        return [card for card in embedders(driver) if self._wanted in (None, card.name)]

    def _objection(self, driver: Driver, card: ModelCard) -> str:
        process, kind = self.process, driver.card.kind
        if hidden := unseen(self.labels, driver):
            return hidden
        if PLACES[kind] not in process.places:
            return f"is {kind}; the process may use {', '.join(process.places)}"
        said = rights.verdict(process, f"llm:{card.name}@{driver.name}")
        if said == "deny" or (said == "ask" and not self._approved):
            return "is denied by the capabilities of the process, or of one above it"
        if card.price is None and ledger.is_limited(process, "money"):
            return UNPRICED
        return ""


def embedders(driver: Driver) -> list[ModelCard]:
    """The models with which a driver makes vectors, by name."""
    if driver.card.kind not in PLACES or "embed" not in driver.card.features:
        return []
    return sorted((card for card in driver.card.models if card.embeds), key=lambda card: card.name)
