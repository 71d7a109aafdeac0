"""The registry: the drivers and agent hosts that the kernel has met since it was booted.

It knows who is there and how they are; what to give them is the scheduler's and the hosts'
affair.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

from kernel.authority import free
from kernel.breaker import Breaker
from kernel.bucket import Bucket
from kernel.burst import Burst
from kernel.pace import Pace
from llmagentos.abi.calls.drv import DriverInfo
from llmagentos.abi.cards import ModelCard, ToolCard
from llmagentos.abi.driver import PLACES, Beat, DriverState, Registration

_RATE_WINDOW = 10.0

HALF: Final = 0.5
"""What a token of a prompt takes beside one of an answer, at most, and until it was measured."""


@dataclass(slots=True, eq=False)
class Driver:
    """One of them. ``peer`` is empty while it is away."""

    card: Registration
    peer: bytes
    state: DriverState | Literal["down"]
    heard: float
    note: str = ""
    """In words of its own, or of what it has said: for the user only. Whose data is in it nobody
    knows."""
    away: str = ""
    """Why it is away, in words of the kernel's."""
    progress: float | None = None
    drained: bool = False
    running: set[Burst] = field(default_factory=set)
    jobs: set[int] = field(default_factory=set)
    """Calls of tools, and embeddings, that are on it."""
    tools: dict[str, ToolCard] = field(default_factory=dict)
    pids: set[int] = field(default_factory=set)
    bursts: int = 0
    tokens: int = 0
    rate: float = 0.0
    kv: dict[int, int] = field(default_factory=dict)
    """Bytes, by the pid whose they are."""
    prefill_weight: float = HALF
    breaker: Breaker = field(default_factory=Breaker)
    retry_at: float = 0.0
    """When an open breaker lets the next burst through."""
    buckets: dict[tuple[str, float], Bucket] = field(default_factory=dict)
    """What its provider lets through, by what is counted and for how long."""
    shut: bool = False
    """Its provider takes nothing from it, and not only for a moment."""
    shut_until: float = 0.0
    pace: Pace = field(default_factory=Pace)
    far: bool = False
    """It came with a key, from another machine."""
    _rate_since: float = 0.0
    _rate_tokens: int = 0

    @property
    def name(self) -> str:
        return self.card.name

    @property
    def is_host(self) -> bool:
        return self.card.kind == "host"

    @property
    def up(self) -> bool:
        return bool(self.peer)

    @property
    def load(self) -> int:
        return len(self.pids) if self.is_host else len(self.running) + len(self.jobs)

    @property
    def usable(self) -> bool:
        """Whether it takes new work, as far as it has room."""
        healthy = self.breaker.state != "open" and not self.shut
        return self.up and self.state == "ready" and not self.drained and healthy

    @property
    def room(self) -> int:
        """Slots that can take up work now, also what it has kept though it is drained."""
        if not self.up or self.state != "ready" or self.shut:
            return 0
        # One burst shows whether it is well again.
        slots = 1 if self.breaker.state == "half-open" else self.card.slots
        return max(0, slots - self.load)

    @property
    def free(self) -> int:
        """Slots that can take new work now."""
        return self.room if self.usable else 0

    def wait(self, burst: Burst, now: float) -> float:
        """Seconds until its provider lets this burst through."""
        waits = (
            bucket.ready_in(1 if what == "requests" else burst.most, now)
            for (what, _), bucket in self.buckets.items()
        )
        return max(0.0, self.shut_until - now, *waits)

    def model(self, name: str) -> ModelCard | None:
        return next((card for card in self.card.models if card.name == name), None)

    def tool(self, name: str) -> ToolCard | None:
        return self.tools.get(name)

    def count(self, tokens: int, now: float) -> None:
        """Take note of tokens that it made, for its rate."""
        self.tokens += tokens
        self._rate_tokens += tokens
        if not self._rate_since:
            self._rate_since = now
        elif now - self._rate_since >= _RATE_WINDOW / 10:
            fresh = self._rate_tokens / (now - self._rate_since)
            self.rate = fresh if not self.rate else 0.7 * self.rate + 0.3 * fresh
            self._rate_since, self._rate_tokens = now, 0

    @property
    def condition(self) -> str:
        """How it is, without a word of its own: for events, and for whoever asks."""
        return f"is {self.state}" + (f": {self.away}" if self.away else "")

    def info(self, now: float, *, candid: bool) -> DriverInfo:
        """``candid``: with its note."""
        recent = self.running and now - self._rate_since < _RATE_WINDOW
        return DriverInfo(
            name=self.name,
            kind=self.card.kind,
            state="draining" if self.drained and self.up else self.state,
            note=self.note if candid else self.away,
            progress=self.progress,
            models=self.card.models,
            slots=self.card.slots,
            running=self.load,
            features=list(self.card.features),
            zone=self.card.zone,
            labels=list(self.card.labels),
            os_pid=self.card.os_pid,
            beat_age=round(now - self.heard, 3) if self.up else None,
            bursts=self.bursts,
            tokens=self.tokens,
            tokens_per_second=round(self.rate, 1) if recent else 0.0,
            ttft_p50=_rounded(self.pace.percentile(0.5)),
            ttft_p95=_rounded(self.pace.percentile(0.95)),
            breaker=self.breaker.state,
            retry_in=_rounded(self._retry_in(now)),
            rates=[
                bucket.rate.model_copy(update={"left": max(0, int(bucket.there(now)))})
                for bucket in self.buckets.values()
            ],
        )

    def _retry_in(self, now: float) -> float | None:
        until = self.shut_until
        if self.breaker.state == "open":
            until = max(until, self.retry_at)
        return until - now if until > now else None


def _rounded(seconds: float | None) -> float | None:
    return seconds if seconds is None else round(seconds, 3)


class Registry:
    def __init__(self) -> None:
        self._by_name: dict[str, Driver] = {}
        self._by_peer: dict[bytes, Driver] = {}
        self.drained: set[str] = set()
        """The names of those that get nothing new, also of some that are not there."""

    def __iter__(self) -> Iterator[Driver]:
        return iter(self._by_name.values())

    def named(self, name: str | None) -> Driver | None:
        return self._by_name.get(name) if name else None

    def of(self, peer: bytes) -> Driver | None:
        return self._by_peer.get(peer)

    def kv(self, pid: int) -> int:
        """Bytes that a process has in the memory of all drivers."""
        return sum(driver.kv.get(pid, 0) for driver in self)

    def compute(self) -> list[Driver]:
        """Those that run bursts."""
        return [driver for driver in self if driver.card.kind in PLACES]

    def hosts(self) -> list[Driver]:
        return [driver for driver in self if driver.is_host]

    def register(self, card: Registration, peer: bytes, now: float) -> Driver:
        """A driver that is new, or one that came back. The caller has seen to it that no
        other one is up under this name."""
        driver = self._by_name.get(card.name)
        if driver is None:
            driver = Driver(card, peer, card.state, now)
            self._by_name[card.name] = driver
        driver.card, driver.peer, driver.state, driver.heard = card, peer, card.state, now
        driver.tools = {tool.name: tool for tool in card.tools}
        driver.note, driver.away, driver.progress = "", "", None
        driver.drained = card.name in self.drained
        self._by_peer[peer] = driver
        return driver

    def beat(self, driver: Driver, beat: Beat, now: float) -> bool:
        """Take in a sign of life; True if it can do more, or less, than before."""
        before = (driver.state, driver.card.models, driver.card.tools)
        driver.heard = now
        driver.state, driver.note, driver.progress = beat.state, beat.note, beat.progress
        driver.kv = {held.pid: held.bytes for held in beat.kv}
        if beat.prefill_weight is not None:
            driver.prefill_weight = min(HALF, beat.prefill_weight)
        if beat.models is not None:
            models = free(beat.models) if driver.far else beat.models
            driver.card = driver.card.model_copy(update={"models": models})
        if beat.tools is not None:
            driver.card = driver.card.model_copy(update={"tools": beat.tools})
            driver.tools = {tool.name: tool for tool in beat.tools}
        return before != (driver.state, driver.card.models, driver.card.tools)

    def lose(self, driver: Driver, why: str, told: str) -> None:
        """It is away: its connection ended, or it fell silent. ``told``: what others than the user
        hear of ``why``."""
        if self._by_peer.get(driver.peer) is driver:
            del self._by_peer[driver.peer]
        driver.peer, driver.state, driver.kv = b"", "down", {}
        driver.note, driver.away, driver.progress = why, told, None
