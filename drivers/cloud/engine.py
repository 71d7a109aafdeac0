"""The cloud engine: bursts that are calls of one endpoint, all at the same time.

The calls run in an event loop of their own; what they hear waits here until the host takes it in
with a ``step``. It holds nothing of an answer but that, so nothing can be preempted or kept. It
knows nothing about HTTP.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from drivers.cloud import limits
from drivers.cloud.answer import End
from drivers.cloud.api import Client, api_of
from drivers.cloud.call import Call, Part
from drivers.cloud.endpoint import Endpoint
from drivers.cloud.key import Key
from drivers.cloud.loop import Loop
from drivers.engine import EngineStats, Wake
from drivers.faults import record
from llmagentos.abi.cards import ModelCard, Rate
from llmagentos.abi.driver import Start, StepReport
from llmagentos.abi.errors import EBUSY, EINVAL, ENOENT, ENOSYS, ERATE, LLMOSError


@dataclass(slots=True, eq=False)
class _Live:
    """``index``: the pieces that it was given or has reported."""

    order: Start
    index: int
    call: Call | None = None

    def report(self, parts: Sequence[Part] = (), end: End | None = None) -> StepReport:
        texts = [part.text for part in parts if part.text]
        start, self.index = self.index, self.index + len(texts)
        used = end if end is not None else End("stop")
        return StepReport(
            burst=self.order.burst,
            attempt=self.order.attempt,
            index=start,
            tokens=[0] * len(texts),
            text="".join(texts),
            tool_calls=list(used.tool_calls),
            prompt_tokens=used.prompt_tokens,
            completion_tokens=used.completion_tokens,
            cached_tokens=used.cached_tokens,
            prefill_seconds=sum(part.seconds for part in parts if part.first),
            decode_seconds=sum(part.seconds for part in parts if not part.first),
            finish=end.finish if end is not None else None,
            error=record(end.error) if end is not None and end.error is not None else None,
        )


class CloudEngine:
    """``rates``: those that were declared, of which the endpoint's own word changes nothing."""

    def __init__(
        self,
        endpoint: Endpoint,
        key: Key,
        cards: Sequence[ModelCard],
        slots: int,
        loop: Loop,
        *,
        rates: Sequence[Rate] = (),
    ) -> None:
        self._endpoint = endpoint
        self._api = api_of(endpoint.api)
        self._key = key
        self._cards = list(cards)
        self._slots = slots
        self._loop = loop
        self._declared = list(rates)
        self._rates = list(rates)
        self._client: Client
        self._live: dict[int, _Live] = {}
        # Written in the loop's thread and emptied in the host's; each operation on it is atomic.
        self._arrived: deque[tuple[_Live, Part]] = deque()
        self._closed_until = 0.0
        self._wake: Wake | None = None

    def connect(self, client: Client) -> None:
        """Its client tells us of headers, so it can't be there before us."""
        self._client = client

    def learn(self, cards: Sequence[ModelCard]) -> None:
        """What the endpoint says of its models. Before it is used."""
        self._cards = list(cards)

    @property
    def models(self) -> Sequence[ModelCard]:
        return self._cards

    @property
    def busy(self) -> bool:
        return bool(self._arrived)

    @property
    def stats(self) -> EngineStats:
        closed = self._closed_until - time.monotonic()
        return EngineStats(
            len(self._live), 0, rates=self._rates, closed=closed if closed > 0 else None
        )

    def attend(self, wake: Wake) -> None:
        self._wake = wake

    def start(self, order: Start) -> StepReport | None:
        live = _Live(order, len(order.accepted))
        try:
            self._check(order)
            if live.index >= order.sampling.max_tokens:
                return live.report(end=End("length", 0, 0))
            body = self._api.body(order, self._endpoint)
        except LLMOSError as error:
            # Nothing was used, which one that is raised would not say.
            return live.report(end=End("error", prompt_tokens=0, error=error))
        answer = self._api.answer(order, order.sampling.max_tokens - live.index)
        live.call = Call(
            self._client, self._endpoint, self._key, body, answer,
            lambda part: self._arrive(live, part),
        )  # fmt: skip
        self._live[order.burst] = live
        self._loop.call(live.call.start)
        return None

    def preempt(self, burst: int) -> None:
        raise ENOSYS("an answer that is made elsewhere can't be held", hint="cancel it")

    def resume(self, burst: int) -> None:
        """Nothing is ever held."""

    def cancel(self, burst: int) -> None:
        live = self._live.pop(burst, None)
        if live is not None and live.call is not None:
            self._loop.call(live.call.cancel)

    def clear(self) -> None:
        for burst in list(self._live):
            self.cancel(burst)

    def step(self) -> list[StepReport]:
        gathered: dict[_Live, list[Part]] = {}
        for _ in range(len(self._arrived)):  # what comes meanwhile is for the next step
            live, part = self._arrived.popleft()
            if self._live.get(live.order.burst) is live:
                gathered.setdefault(live, []).append(part)
        return [self._reported(live, parts) for live, parts in gathered.items()]

    def heard(self, headers: Mapping[str, str]) -> None:
        """What the headers of an answer say. In the loop's thread."""
        declared = {rate.what for rate in self._declared}
        told = [rate for rate in limits.rates(headers) if rate.what not in declared]
        if told:
            self._rates = self._declared + told

    def _check(self, order: Start) -> None:
        if order.model not in self._endpoint.upstream:
            raise ENOENT(
                f"this driver has no model {order.model!r}",
                hint=f"it has {', '.join(self._endpoint.upstream)}",
            )
        if not order.messages:
            raise EINVAL("there is no message to answer", hint="append one to the context first")
        if order.hold:
            raise ENOSYS("a cloud driver can't count a prompt", hint="start it without hold")
        if len(self._live) >= self._slots:
            raise EBUSY(f"all {self._slots} slots are taken", hint="cancel a burst first")
        closed = self._closed_until - time.monotonic()
        if closed > 0:
            raise ERATE(
                "the endpoint takes no more for now",
                hint=f"wait {closed:.0f} seconds, or buy more",
                detail={"retry_after": closed},
            )

    def _arrive(self, live: _Live, part: Part) -> None:
        """In the loop's thread."""
        first = not self._arrived
        self._arrived.append((live, part))
        if part.refused_for is not None:
            self._closed_until = time.monotonic() + part.refused_for
        if self._wake is not None and (first or part.refused_for is not None):
            self._wake(news=part.refused_for is not None)

    def _reported(self, live: _Live, parts: list[Part]) -> StepReport:
        end = parts[-1].end
        if end is not None:
            del self._live[live.order.burst]
        return live.report(parts, end)
