"""Placement: which driver a burst goes to, and why not to the others. Pure functions.

Hard rules first (labels, then what the manifest allows), then health, then room, then
preference and load. It knows nothing about queues.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from kernel.burst import Burst
from kernel.registry import Driver
from kernel.rights import may_use
from llmagentos.abi.driver import PLACES
from llmagentos.abi.errors import EDRIVER, ENODRIVER, LLMOSError

Outlook = Literal["placed", "slot", "loading", "away", "none"]
"""``slot``: as soon as one is free. ``loading``: a driver for it is getting ready. ``away``:
the only drivers for it are down. ``none``: no driver that we know of would take it."""


@dataclass(frozen=True, slots=True)
class Decision:
    """``considered``: each driver's name, and the verdict on it."""

    outlook: Outlook
    driver: Driver | None
    model: str
    considered: dict[str, str]


def decide(burst: Burst, drivers: Iterable[Driver]) -> Decision:
    """The best driver that can take the burst now."""
    considered: dict[str, str] = {}
    able: list[tuple[Driver, int]] = []
    for driver in drivers:
        objection = _objection(burst, driver)
        if objection:
            considered[driver.name] = objection
        else:
            rank = next(i for i, model in enumerate(burst.models) if _fits(burst, model, driver))
            able.append((driver, rank))
    up = [(driver, rank) for driver, rank in able if _takes(burst, driver)]
    if not up:
        for driver, _ in able:
            considered[driver.name] = "is draining" if driver.drained else _condition(driver)
        outlook: Outlook = "none"
        if able:
            loading = any(driver.up and driver.state == "loading" for driver, _ in able)
            outlook = "loading" if loading else "away"
        return Decision(outlook, None, burst.models[0], considered)
    # The best model that any driver has up is worth waiting for: a full driver is no reason to
    # answer with a lesser model.
    best = min(rank for _, rank in up)
    free: list[Driver] = []
    for driver, rank in up:
        if rank > best:
            considered[driver.name] = f"offers only {burst.models[rank]}, which is less wanted"
        elif driver.load >= driver.card.slots:
            considered[driver.name] = f"all of its {driver.card.slots} slots are taken"
        else:
            free.append(driver)
    if not free:
        return Decision("slot", None, burst.models[best], considered)
    chosen = min(free, key=lambda driver: _cost(burst, driver))
    for driver in free:
        load = f"{driver.load} of {driver.card.slots} slots taken"
        considered[driver.name] = f"chosen: {load}" if driver is chosen else f"ranked lower: {load}"
    return Decision("placed", chosen, burst.models[best], considered)


def refusal(burst: Burst, decision: Decision, drivers: Iterable[Driver]) -> LLMOSError:
    """Why nothing that we know of will ever run the burst."""
    offered = sorted({card.name for driver in drivers for card in driver.card.models})
    wanted = " or ".join(burst.models)
    if not set(burst.models) & set(offered):
        known = ", ".join(offered) if offered else "none: no driver has registered"
        return ENODRIVER(
            f"no driver offers the model {wanted}",
            hint=f"offered are {known}",
            detail={"models": offered},
        )
    reasons = "; ".join(f"{name} {why}" for name, why in decision.considered.items())
    detail = dict(decision.considered)
    if burst.tokens:
        message = f"its driver died after {len(burst.tokens)} tokens, and no other can go on"
        return EDRIVER(message, hint=reasons, detail=detail)
    return ENODRIVER(f"no driver may run {wanted} for this process", hint=reasons, detail=detail)


def _objection(burst: Burst, driver: Driver) -> str:
    """Why this driver may never have this burst; "" if it may."""
    if burst.kept and driver.name != burst.driver:
        return f"its KV is kept on {burst.driver}"
    unseen = sorted(set(burst.process.labels) - set(driver.card.labels))
    if unseen:
        return f"may not see data labelled {', '.join(unseen)}"
    if "private" in burst.process.labels and driver.card.zone != "device":
        return "is not on this device, which private data never leaves"
    place = PLACES.get(driver.card.kind)
    allowed = burst.process.places
    if place is None or place not in allowed:
        return f"is {driver.card.kind}; the manifest allows {', '.join(allowed)}"
    if not any(driver.offers(model) for model in burst.models):
        return f"does not offer {' or '.join(burst.models)}"
    if not any(_fits(burst, model, driver) for model in burst.models):
        return "is denied by the capabilities of the process, or of one above it"
    if burst.tokens and not burst.kept and "resume_tokens" not in driver.card.features:
        return f"can't go on from {len(burst.tokens)} tokens of another driver"
    return ""


def _fits(burst: Burst, model: str, driver: Driver) -> bool:
    return driver.offers(model) and may_use(burst.process, model, driver.name)


def _takes(burst: Burst, driver: Driver) -> bool:
    """Whether it takes the burst as soon as there is room. One that drains finishes what it has
    begun, so it takes back a burst whose KV it keeps."""
    return driver.usable or (burst.kept and driver.up and driver.state == "ready")


def _condition(driver: Driver) -> str:
    return f"is {driver.state}" + (f": {driver.note}" if driver.note else "")


def _cost(burst: Burst, driver: Driver) -> tuple[bool, float, str]:
    prefer = burst.process.spec.placement.prefer
    unwanted = prefer is not None and PLACES.get(driver.card.kind) != prefer
    return unwanted, driver.load / driver.card.slots, driver.name
