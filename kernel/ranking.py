"""Ranking: of the drivers that may have a burst, the one that gets it now. Pure functions.

Where the manifest prefers it to be; then by the time until the whole answer is there, as measured,
with what the driver has read of its process before taken off; then by price, and by load. It knows
nothing about who may have what.
"""

from __future__ import annotations

import math
from typing import Final

from kernel import ledger
from kernel.burst import Burst
from kernel.demand import Demand
from kernel.placement import Decision
from kernel.registry import Driver
from llmagentos.abi.driver import PLACES

_STEP: Final = math.log(1.25)
"""Times that differ by less than a quarter are taken for the same: then the cheaper one wins."""


def choose(
    burst: Burst, demand: Demand, decision: Decision, now: float
) -> tuple[Driver | None, dict[str, str]]:
    """The best driver that has room for it now, and the verdict on each."""
    considered = dict(decision.considered)
    waits = {driver.name: driver.wait(burst, now) for driver in decision.drivers}
    able = [driver for driver in decision.drivers if driver.room and not waits[driver.name]]
    model = decision.model
    warm = any(_read_before(burst, driver) for driver in able)
    least = min((_price(burst, driver, model) for driver in able), default=0)

    def rank(driver: Driver) -> tuple[bool, float, int, float, bool, str]:
        # One that was not measured, or not of late, is tried, or else it never would be; but not
        # with a burst whose context another one has read, nor if that costs more.
        tried = _price(burst, driver, model) <= least and (
            not warm or _read_before(burst, driver) > 0
        )
        return _rank(burst, demand, driver, model, tried, now)

    chosen = min(able, key=rank, default=None)
    for driver in decision.drivers:
        if not driver.room:
            verdict = f"all of its {driver.card.slots} slots are taken"
        elif waits[driver.name]:
            verdict = f"its provider lets it through in {waits[driver.name]:.1f} s"
        else:
            word = "chosen" if driver is chosen else "ranked lower"
            verdict = f"{word}: {_reasons(burst, driver, model, now)}"
        considered[driver.name] = verdict
    return chosen, considered


def _rank(
    burst: Burst, demand: Demand, driver: Driver, model: str, tried: bool, now: float
) -> tuple[bool, float, int, float, bool, str]:
    unwanted = demand.prefer is not None and PLACES.get(driver.card.kind) != demand.prefer
    seconds = _seconds(burst, driver, now)
    read = _read_before(burst, driver)
    if seconds is not None:
        step: float = round(math.log(max(seconds, 1e-6)) / _STEP)
    else:
        step = -math.inf if tried else math.inf
    price, load = _price(burst, driver, model), _load(driver)
    return unwanted, step, price, load, not read, driver.name


def _seconds(burst: Burst, driver: Driver, now: float) -> float | None:
    """Until its whole answer is there, if it is as long as it may be. A driver shares its time out,
    so a full one is taken to be half as fast as an empty one."""
    prompt = (burst.prompt_tokens or burst.estimate) + len(burst.tokens)
    unread = max(1, prompt - _read_before(burst, driver))
    left = burst.sampling.max_tokens - len(burst.tokens)
    alone = driver.pace.expected(unread, left, now)
    return None if alone is None else alone * (1 + _load(driver))


def _read_before(burst: Burst, driver: Driver) -> int:
    """Tokens of its process's context that the driver has read and, perhaps, keeps."""
    process = burst.process
    keeps = process.driver == driver.name and "fork" in driver.card.features
    return process.context_tokens if keeps else 0


def _load(driver: Driver) -> float:
    return driver.load / driver.card.slots


def _price(burst: Burst, driver: Driver, model: str) -> int:
    """The most that it may cost there, in billionths of a currency unit."""
    card = driver.model(model)
    if card is None or card.price is None:
        return 0
    prompt = burst.prompt_tokens or burst.estimate
    return ledger.price(card.price.prompt, prompt + len(burst.tokens)) + ledger.price(
        card.price.completion, burst.sampling.max_tokens - len(burst.tokens)
    )


def _reasons(burst: Burst, driver: Driver, model: str, now: float) -> str:
    said = [f"{driver.load} of {driver.card.slots} slots taken"]
    if _read_before(burst, driver):
        said.append("has read its context before")
    seconds, price = _seconds(burst, driver, now), _price(burst, driver, model)
    if seconds is not None:
        said.append(f"about {seconds:.1f} s for the whole answer")
    if price:
        said.append(f"at most {price / ledger.MONEY:.2g} in money")
    return ", ".join(said)
