"""Placement: which drivers a burst may go to. Pure functions.

Hard rules first: labels, then what the manifest allows, then what the driver can do; then its
health. It knows nothing about queues, nor about which of the drivers is the best.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final, Literal

from kernel.burst import Resumes
from kernel.demand import Demand
from kernel.registry import Driver
from kernel.rules import Verdict
from llmagentos.abi.driver import PLACES, Feature
from llmagentos.abi.errors import EBUDGET, EDRIVER, ENODRIVER, LLMOSError
from llmagentos.abi.manifest import Place

Outlook = Literal["slot", "loading", "away", "none"]
"""``slot``: as soon as one is free. ``loading``: a driver for it is getting ready. ``away``:
the only drivers for it are down. ``none``: no driver that we know of would take it."""

UNPRICED: Final = "has no price for it, and the money of the process is limited"


@dataclass(frozen=True, slots=True)
class Decision:
    """``drivers``: those that run it as soon as they have a slot, all with ``model``.
    ``considered``: the name of each of the others, and what stands against it."""

    outlook: Outlook
    drivers: tuple[Driver, ...]
    model: str
    considered: dict[str, str]


def decide(demand: Demand, drivers: Iterable[Driver]) -> Decision:
    """Who may run bursts of this demand, as things stand."""
    considered: dict[str, str] = {}
    able: list[tuple[Driver, int]] = []
    for driver in drivers:
        objection = _objection(demand, driver)
        if objection:
            considered[driver.name] = objection
        else:
            rank = next(i for i, m in enumerate(demand.models) if not _unfit(demand, m, driver))
            able.append((driver, rank))
    up = [(driver, rank) for driver, rank in able if _takes(demand, driver)]
    for driver, rank in able:
        if (driver, rank) not in up:
            considered[driver.name] = "is draining" if driver.drained else _condition(driver)
    if not up:
        outlook: Outlook = "none"
        if able:
            loading = any(driver.up and driver.state == "loading" for driver, _ in able)
            outlook = "loading" if loading else "away"
        return Decision(outlook, (), demand.models[0], considered)
    # The best model that any driver has up is worth waiting for: a full driver is no reason to
    # answer with a lesser model.
    best = min(rank for _, rank in up)
    for driver, rank in up:
        if rank > best:
            considered[driver.name] = f"offers only {demand.models[rank]}, which is less wanted"
    chosen = tuple(driver for driver, rank in up if rank == best)
    return Decision("slot", chosen, demand.models[best], considered)


def refusal(
    demand: Demand, decision: Decision, drivers: Collection[Driver], tokens: int
) -> LLMOSError:
    """Why nothing that we know of will ever run a burst that has so many tokens already."""
    cards = [card for driver in drivers for card in driver.card.models]
    offered = sorted({card.name for card in cards if not card.embeds})
    vectors = {card.name for card in cards if card.embeds}.intersection(demand.models)
    wanted = " or ".join(demand.models)
    if not set(demand.models) & set(offered):
        known = ", ".join(offered) if offered else "none: no driver has registered"
        return ENODRIVER(
            f"no driver offers the model {wanted}",
            hint=f"offered are {known}"
            + (f"; {min(vectors)} makes vectors, not text" if vectors else ""),
            detail={"models": offered},
        )
    able = {driver.name for driver in drivers if any(map(driver.model, demand.models))}
    told = decision.considered.items()
    # Who has never had the model is no help to whoever looks for a driver.
    reasons = "; ".join(f"{name} {why}" for name, why in told if name in able)
    detail = dict(decision.considered)
    if tokens:
        message = f"no driver can go on with the {tokens} tokens that it has"
        return EDRIVER(message, hint=reasons, detail=detail)
    if UNPRICED in decision.considered.values():
        return EBUDGET(
            f"{wanted} has no known price, so it is refused where money is limited",
            hint=reasons,
            detail=detail,
        )
    return ENODRIVER(f"no driver may run {wanted} for this process", hint=reasons, detail=detail)


def _objection(demand: Demand, driver: Driver) -> str:
    """Why this driver may never have such a burst; "" if it may."""
    if demand.pinned is not None and driver.name != demand.pinned:
        return f"its KV is kept on {demand.pinned}"
    hidden = unseen(demand.labels, driver)
    if hidden:
        return hidden
    place = PLACES[driver.card.kind]
    if place not in demand.places:
        allowed = " or ".join(_WHERE[one] for one in demand.places)
        return f"computes {_WHERE[place]}, and the process may only be served {allowed}"
    if driver.name in demand.failed_on:
        return "failed with it before"
    if not any(driver.model(model) for model in demand.models):
        return f"does not offer {' or '.join(demand.models)}"
    unfit = [_unfit(demand, model, driver) for model in demand.models]
    if all(unfit):
        return next((why for why in unfit if why != _NOT_OFFERED), unfit[0])
    lacking = next((one for one in demand.features if one not in driver.card.features), None)
    return _LACKS.get(lacking, f"has no {lacking}") if lacking is not None else ""


def by_numbers(resumes: Resumes | None, numbered: str, driver: Driver, model: str) -> bool:
    """Whether what has begun goes on with this model there by the numbers of its tokens."""
    same = resumes == "tokens" and numbered == model
    return same and "resume_tokens" in driver.card.features


def unseen(labels: Iterable[str], driver: Driver) -> str:
    """Why data with these labels may not go to this driver; "" if it may."""
    hidden = sorted(set(labels) - set(driver.card.labels))
    if hidden:
        return f"may not see data labelled {', '.join(hidden)}"
    if "private" in labels and driver.card.zone != "device":
        return "is not on this device, which private data never leaves"
    return ""


_WHERE: Final[dict[Place, str]] = {
    "edge": "on this device",
    "node": "on another machine of ours",
    "cloud": "in the cloud",
}
_LACKS: Final[dict[Feature, str]] = {
    "tools": "knows no calls of tools",
    "grammar": "can't hold an answer to a grammar",
    "logprobs": "tells no probabilities",
}
_NOT_OFFERED: Final = "does not offer it"
_NO_SEQUEL: Final = "can't go on with what another driver has begun"


def _unfit(demand: Demand, model: str, driver: Driver) -> str:
    card = driver.model(model)
    if card is None or card.embeds:
        return _NOT_OFFERED
    said = _verdict(demand, f"llm:{model}@{driver.name}")
    if said == "deny":
        return "is denied by the capabilities of the process, or of one above it"
    if said == "ask" and not demand.approved:
        return "needs an approval"
    if demand.priced and card.price is None:
        return UNPRICED
    if demand.resumes is None or by_numbers(demand.resumes, demand.numbered, driver, model):
        return ""
    return "" if "resume_text" in driver.card.features else _NO_SEQUEL


def _verdict(demand: Demand, capability: str) -> Verdict:
    said = {rules.says(capability) for rules in demand.rights}
    return "deny" if "deny" in said else "ask" if "ask" in said else "allow"


def _takes(demand: Demand, driver: Driver) -> bool:
    """Whether it takes such a burst as soon as there is room. One that drains finishes what it
    has begun, so it takes back a burst whose KV it keeps."""
    kept = demand.pinned == driver.name
    return driver.usable or (kept and driver.up and driver.state == "ready")


def _condition(driver: Driver) -> str:
    breaker = driver.breaker
    if driver.up and driver.shut:
        return "waits for its provider, which takes nothing for now"
    if driver.up and driver.state == "ready" and breaker.state == "open":
        return f"has failed {breaker.failures} times in a row, and is tried again in a while"
    return driver.condition
