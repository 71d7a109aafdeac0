"""How drivers and agent hosts are shown: their rows, and one line for what is coming up.

It knows nothing about where they come from.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from shell.table import render
from shell.terminal import paint

if TYPE_CHECKING:
    from llmagentos.abi.calls.drv import DriverInfo

COLUMNS: Final = (
    "NAME", "KIND", "ZONE", "STATE", "MODELS", "RUNNING", "TOK/S", "TTFT", "PRICE", "BURSTS",
    "TOKENS", "PID", "NOTE",
)  # fmt: skip
_COLOURS: Final = {"ready": "green", "loading": "yellow", "failed": "red", "down": "red"}
_COMING: Final = ("loading",)


def driver_table(drivers: Sequence[DriverInfo], *, room: int | None = None) -> str:
    """All that has registered."""
    return render(
        [_row(driver) for driver in drivers],
        COLUMNS,
        shorten=("NOTE", "MODELS"),
        omit=("BURSTS", "PID", "TOKENS", "ZONE", "PRICE", "TTFT", "NOTE", "TOK/S"),
        right=("RUNNING", "BURSTS", "TOKENS", "TOK/S", "TTFT", "PRICE", "PID"),
        paint={"STATE": lambda text: paint(text, _COLOURS.get(text.split()[0]))},
        room=room,
    )


def computing(drivers: Iterable[DriverInfo]) -> list[DriverInfo]:
    """Those that run bursts: neither agent hosts nor tools, nor what only makes vectors."""
    kinds = ("edge", "cloud", "node")
    return [driver for driver in drivers if driver.kind in kinds and not _only_embeds(driver)]


def _only_embeds(driver: DriverInfo) -> bool:
    return bool(driver.models) and all(card.embeds for card in driver.models)


def coming_up(drivers: Iterable[DriverInfo]) -> list[DriverInfo]:
    return [driver for driver in drivers if driver.state in _COMING]


def progress(driver: DriverInfo) -> str:
    """``edge loading 43%: download: 42.1 of 98.0 MB``."""
    note = f": {driver.note}" if driver.note else ""
    return f"{driver.name} {_state(driver)}{note}"


def load_line(drivers: Iterable[DriverInfo], queued: int) -> str:
    """``edge 3/8 slots 41.2 tok/s · 5 queued``."""
    parts = [
        f"{driver.name} {driver.running}/{driver.slots} slots {driver.tokens_per_second:.1f} tok/s"
        if driver.state == "ready"
        else progress(driver)
        for driver in computing(drivers)
    ]
    return " · ".join([*(parts or ["no driver"]), f"{queued} queued"])


def _state(driver: DriverInfo) -> str:
    if driver.state in _COMING and driver.progress is not None:
        return f"{driver.state} {driver.progress:.0%}"
    return driver.state


def troubles(driver: DriverInfo) -> str:
    """Why it gets nothing though it is there: ``breaker open, 4 s``; "" if nothing is wrong."""
    wait = f", {driver.retry_in:.0f} s" if driver.retry_in is not None else ""
    if driver.breaker != "closed":
        return f"breaker {driver.breaker}{wait}"
    return f"provider full{wait}" if driver.retry_in is not None else ""


def first_token(driver: DriverInfo) -> str:
    """``0.12/0.50 s``: median and 95th percentile of the time to the first token, of late."""
    if driver.ttft_p50 is None or driver.ttft_p95 is None:
        return "-"
    return f"{driver.ttft_p50:.2f}/{driver.ttft_p95:.2f} s"


def price(driver: DriverInfo) -> str:
    """``0.15/0.60``: for a million tokens of a prompt and of an answer, of its first model."""
    card = next((card for card in driver.models if not card.embeds), None)
    if card is None:
        return "-"
    if card.price is None:
        return "?"
    paid = card.price.prompt or card.price.completion
    return f"{card.price.prompt:g}/{card.price.completion:g}" if paid else "free"


def _row(driver: DriverInfo) -> dict[str, str]:
    return {
        "NAME": driver.name,
        "KIND": driver.kind,
        "ZONE": driver.zone or "-",
        "STATE": _state(driver),
        "MODELS": ", ".join(card.name for card in driver.models) or "-",
        "RUNNING": f"{driver.running}/{driver.slots}",
        "BURSTS": str(driver.bursts),
        "TOKENS": str(driver.tokens),
        "TOK/S": f"{driver.tokens_per_second:.1f}" if driver.tokens else "-",
        "TTFT": first_token(driver),
        "PRICE": price(driver),
        "PID": str(driver.os_pid or "-"),
        "NOTE": "; ".join(filter(None, (troubles(driver), driver.note))),
    }
