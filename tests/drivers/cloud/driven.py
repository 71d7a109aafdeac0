"""A cloud engine without a host: what it is told, and what is heard of its bursts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from drivers.cloud.api import ApiName
from drivers.cloud.client import make_client
from drivers.cloud.endpoint import Endpoint
from drivers.cloud.engine import CloudEngine
from drivers.cloud.key import NO_KEY, Key
from drivers.cloud.loop import Loop
from llmagentos.abi.cards import ModelCard
from llmagentos.abi.driver import StepReport
from tests.drivers.cloud.endpoint import MODEL


class Driven:
    """An engine, and what is heard of its bursts."""

    def __init__(self, engine: CloudEngine) -> None:
        self.engine = engine
        self.reports: list[StepReport] = []
        self.news = 0
        engine.attend(self._wake)

    def _wake(self, *, news: bool = False) -> None:
        self.news += news

    def answer(self, order: Any, seconds: float = 60.0) -> list[StepReport]:
        """All reports of this burst, up to its end."""
        said = self.engine.start(order)
        return [said] if said is not None else self.rest(order.burst, seconds)

    def rest(self, burst: int, seconds: float = 60.0) -> list[StepReport]:
        end = time.monotonic() + seconds
        while not any(r.burst == burst and r.finish for r in self.reports):
            assert time.monotonic() < end, f"no end; heard: {self.reports}"
            if self.engine.busy:
                self.reports += self.engine.step()
            else:
                time.sleep(0.001)
        return [report for report in self.reports if report.burst == burst]


@contextmanager
def driving(url: str, api: ApiName = "openai") -> Iterator[Callable[..., Driven]]:
    """Makes engines for this address: ``make(key=…, rates=…, patience=…)``."""
    loops: list[Loop] = []

    def make(
        *, url: str = url, key: Key = NO_KEY, slots: int = 8, rates: Any = (), **declared: Any
    ) -> Driven:
        loop = Loop()
        loops.append(loop)
        endpoint = Endpoint(url=url, upstream={"tiny": MODEL}, api=api, **declared)
        card = ModelCard(name="tiny", context_length=4096)
        engine = CloudEngine(endpoint, key, [card], slots, loop, rates=rates)

        async def connect() -> None:
            client = make_client(endpoint, key, slots, engine.heard)
            loop.at_close(client.close)
            engine.connect(client)

        loop.result(connect())
        return Driven(engine)

    yield make
    for loop in loops:
        loop.close()
