"""Vectors for a process's texts, as a job: which models on which drivers may make them, and what
they cost.

It knows nothing about what the vectors are for.
"""

from __future__ import annotations

from collections.abc import Iterable

from kernel import budget, ledger, rights
from kernel.calls import Call
from kernel.job import NONE, Job, Offer
from kernel.placement import UNPRICED, unseen
from kernel.registry import Driver
from llmagentos.abi.calls.llm import EmbedArgs, EmbedResult
from llmagentos.abi.cards import ModelCard
from llmagentos.abi.driver import PLACES
from llmagentos.abi.errors import EBUDGET, EDRIVER, ENODRIVER, LLMOSError
from llmagentos.abi.jobs import EmbedOrder, JobResult
from llmagentos.abi.model import Model
from llmagentos.abi.process import Usage


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
