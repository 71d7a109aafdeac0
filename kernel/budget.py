"""The budget of a burst: what is reserved before it runs, made exact on the way, and settled.

Turns and the answer's tokens are reserved when it is admitted, money and KV when it has a
driver, since they depend on that, and the prompt when the driver has counted it. Where a limit
binds, the driver holds the burst until then (``Start.hold``); one that can't count beforehand
is given a burst only if the most that its prompt could come to fits. So no limit is ever passed.
It knows nothing about when these moments come.
"""

from __future__ import annotations

from typing import Final

from kernel import ledger
from kernel.burst import Burst
from kernel.ledger import chain
from kernel.process import Process
from kernel.rate import Window
from kernel.registry import Driver
from llmagentos.abi.cards import FREE, ModelCard
from llmagentos.abi.errors import ERATE, LLMOSError

_BINDING: Final = ("tokens", "tokens_per_minute", "money", "kv_bytes")


def admit(burst: Burst, now: float) -> None:
    """Raises ``EQUOTA`` or ``ERATE``, and then nothing is reserved."""
    process, most = burst.process, burst.sampling.max_tokens
    check_rate(process, most, now)
    _reserve(burst, "turns", 1)
    _reserve(burst, "tokens", most)


def place(burst: Burst, driver: Driver, now: float) -> bool:
    """It is about to start on this driver. True if the driver is to hold it until its prompt is
    counted. Raises ``EQUOTA``, ``EBUDGET`` or ``ERATE``."""
    card = driver.model(burst.model)
    binds = any(ledger.is_limited(burst.process, what) for what in _BINDING)
    counts = "count" in driver.card.features
    prompt = burst.prompt_tokens
    paid = card is not None and card.price is not None and card.price != FREE
    if not prompt and not counts and (binds or paid):
        prompt = burst.prompt_bound
    _reserve_tokens(burst, prompt, now)
    _reserve_for(burst, card, prompt)
    # Who counts beforehand has said what it costs; who doesn't says so when it is over.
    burst.metered = counts or not paid
    _risk(burst, burst.sunk_cost if burst.metered else burst.reserved.get("money", 0))
    return binds and counts and not burst.prompt_tokens


def counted(burst: Burst, tokens: int, driver: Driver, now: float) -> None:
    """The driver has counted the prompt: make what is reserved exact. Raises like ``place``."""
    _reserve_tokens(burst, tokens, now)
    _reserve_for(burst, driver.model(burst.model), tokens)
    burst.prompt_tokens = tokens


def unplace(burst: Burst) -> None:
    """It has left its driver, and its KV with it; what it cost there is spent."""
    _release(burst, "kv_bytes")
    burst.sunk_cost, burst.price, burst.metered = burst.cost, None, True
    if burst.paid_tokens is not None:
        # The bill of this driver is no bill of the next one.
        burst.sunk_tokens += max(0, burst.paid_tokens - len(burst.tokens))
        burst.paid_tokens = None


def unused(burst: Burst) -> None:
    """Its driver says that it has used nothing there."""
    burst.price, burst.metered = None, True


def settle(burst: Burst, now: float, *, turn: bool) -> int:
    """It has ended: pay for what it used, and give the rest back. Returns by how much more than was
    set aside it has cost, in billionths of a currency unit: 0, unless a driver's bill says more
    than its texts can come to."""
    process, cost = burst.process, burst.cost
    used = burst.prompt_tokens + burst.made + burst.sunk_tokens if burst.started else 0
    if not burst.metered:
        used = max(used, burst.reserved.get("tokens", 0))
    excess = max(0, cost - burst.reserved.get("money", 0)) if burst.price else 0
    _risk(burst, 0)
    _settle(burst, "tokens", used)
    _settle(burst, "turns", int(turn))
    _settle(burst, "money", cost)
    _release(burst, "kv_bytes")
    count(process, used, now)
    return excess


def count(process: Process, tokens: int, now: float) -> None:
    """These were used in this minute."""
    for one in chain(process):
        if tokens and one.limits.tokens_per_minute is not None:
            one.minute = one.minute or Window()
            one.minute.add(now, tokens)


def check_rate(process: Process, amount: int, now: float) -> None:
    """Raises ``ERATE`` if that would be too much for a minute."""
    for one in chain(process):
        most = one.limits.tokens_per_minute
        if most is None:
            continue
        window = one.minute or Window()
        spent = window.total(now)
        reserved = one.account("tokens").reserved
        excess = spent + reserved + amount - most
        if excess > 0:
            wait = window.room_in(now, excess)
            raise ERATE(
                f"process {one.pid} may use {most} tokens a minute, has used {spent} and reserved "
                f"{reserved}, and this needs up to {amount}",
                hint="lower max_tokens" if amount > most else f"try again in {wait:.0f} s",
                detail={"pid": one.pid, "limit": most, "retry_after": round(wait, 3)},
            )


def _reserve_tokens(burst: Burst, prompt: int, now: float) -> None:
    most = burst.sampling.max_tokens + prompt + burst.sunk_tokens
    fresh = most - burst.reserved.get("tokens", 0)
    if fresh > 0:
        check_rate(burst.process, fresh, now)
    _reserve_up_to(burst, "tokens", most)


def _reserve_for(burst: Burst, card: ModelCard | None, prompt: int) -> None:
    """Money and KV, by the card of the model."""
    if card is None:
        return
    most = burst.sampling.max_tokens
    if card.kv_bytes_per_token:
        _reserve_up_to(burst, "kv_bytes", (prompt + most) * card.kv_bytes_per_token)
    if card.price is not None:
        # Last, since a burst with a price pays it: nothing may go wrong after that.
        _reserve_up_to(burst, "money", burst.cost_of(prompt, most, card.price))
        burst.price = card.price


def _risk(burst: Burst, amount: int) -> None:
    """So much of its money is out of our hands by now."""
    ledger.risk(burst.process, "money", amount - burst.risked)
    burst.risked = amount


def _reserve(burst: Burst, what: str, amount: int) -> None:
    try:
        ledger.reserve(burst.process, what, amount)
    except LLMOSError:
        for other in list(burst.reserved):
            _release(burst, other)
        raise
    burst.reserved[what] = burst.reserved.get(what, 0) + amount


def _reserve_up_to(burst: Burst, what: str, amount: int) -> None:
    """Reserve more, or give some back, so that ``amount`` is reserved in all."""
    held = burst.reserved.get(what, 0)
    if amount > held:
        ledger.reserve(burst.process, what, amount - held)
    else:
        ledger.settle(burst.process, what, held - amount, 0)
    burst.reserved[what] = amount


def _settle(burst: Burst, what: str, used: int) -> None:
    ledger.settle(burst.process, what, burst.reserved.pop(what, 0), used)


def _release(burst: Burst, what: str) -> None:
    held = burst.reserved.pop(what, 0)
    if held:
        ledger.settle(burst.process, what, held, 0)
