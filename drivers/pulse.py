"""The pulse: what a driver says of itself, and when it is time to say it.

Written from two threads (the loop, and the one that loads the engine) by plain assignments:
what counts is the newest. It knows nothing about sockets.
"""

from __future__ import annotations

import heapq
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Final

from drivers.engine import EngineStats
from llmagentos.abi.cards import ModelCard, Rate, ToolCard
from llmagentos.abi.driver import BEAT_INTERVAL, KV, Beat, DriverState

log = logging.getLogger("driver")

_TOLD: Final = 1000
_NEWS_INTERVAL: Final = 0.2
"""Seconds between two beats that only bring a new note or progress."""


class Pulse:
    """``state``, ``note`` and ``progress`` as in ``Beat``; ``interval`` in seconds."""

    def __init__(self) -> None:
        self.interval = BEAT_INTERVAL
        self.state: DriverState = "loading"
        self.note = "starting"
        self.progress: float | None = None
        self._models: list[ModelCard] | None = None
        self._tools: list[ToolCard] | None = None
        self._rates: Sequence[Rate] = ()
        self._news = False
        self._last = float("-inf")

    def announce(self, note: str, progress: float | None = None) -> None:
        """New words for people; they go out soon, though not each of a hundred a second."""
        if note != self.note:
            log.info("%s", note)
        self.note, self.progress, self._news = note, progress, True

    def turn(
        self,
        state: DriverState,
        note: str = "",
        models: list[ModelCard] | None = None,
        tools: list[ToolCard] | None = None,
    ) -> None:
        """Another state, and with it perhaps other models or tools; it goes out with the next
        beat, which is due at once."""
        if tools is not None:
            self._tools = tools  # beside those of an earlier turn, which may not be out yet
        self.state, self.note, self.progress, self._models = state, note, None, models
        self.hurry()

    def hurry(self) -> None:
        """The next beat is due at once."""
        self._last = float("-inf")

    @property
    def due_in(self) -> float:
        """Seconds until the next beat; 0: now."""
        wait = _NEWS_INTERVAL if self._news else self.interval
        return max(0.0, self._last + min(wait, self.interval) - time.monotonic())

    def beat(self, stats: EngineStats | None, jobs: int = 0) -> Beat:
        """What to send now; the next one is due an interval later. ``jobs``: at work now."""
        rates = stats.rates if stats else self._rates
        beat = Beat(
            state=self.state,
            note=self.note[:500],
            progress=self.progress,
            active=jobs + (stats.active if stats else 0),
            kv_bytes=stats.kv_bytes if stats else 0,
            kv=_most(stats.kv) if stats else [],
            prefill_weight=stats.prefill_weight if stats else None,
            models=self._models,
            tools=self._tools,
            rates=None if rates == self._rates else list(rates),
            closed=stats.closed if stats else None,
        )
        self._last, self._news = time.monotonic(), False
        self._models, self._tools, self._rates = None, None, rates
        return beat


def _most(kv: Mapping[int, int]) -> list[KV]:
    """Those with the most, as many as a beat holds."""
    chosen = heapq.nlargest(_TOLD, kv.items(), key=lambda one: one[1])
    return [KV(pid=pid, bytes=count) for pid, count in chosen]
