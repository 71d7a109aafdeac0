"""A call: one burst's talk with the endpoint, from the request to the end of its answer.

It runs as a task of the cloud's event loop, and hands on what comes, part by part. It knows
nothing about the protocol between drivers and kernel.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from drivers.cloud.answer import Answer, End
from drivers.cloud.api import Client, api_of
from drivers.cloud.endpoint import Endpoint
from drivers.cloud.faults import fault_of
from drivers.cloud.key import Key
from drivers.cloud.transport import PATIENCE, Patience
from llmagentos.abi.errors import ETIMEOUT

_LAST_WORDS: Final = 2.0
"""Seconds for what comes after the end: what was used, and the end of the body."""


class Part(NamedTuple):
    """A text, or the end. ``seconds``: since the part before; ``first``: since the request."""

    text: str
    seconds: float
    first: bool
    end: End | None = None
    refused_for: float | None = None


Hand = Callable[[Part], None]


class Call:
    """``hand`` takes the parts, in the loop's thread; the last one has an ``end``."""

    def __init__(
        self, client: Client, endpoint: Endpoint, key: Key, body: dict[str, Any],
        answer: Answer, hand: Hand,
    ) -> None:  # fmt: skip
        self._client = client
        self._endpoint = endpoint
        self._api = api_of(endpoint.api)
        self._key = key
        self._body = body
        self._answer = answer
        self._hand = hand
        self._task: asyncio.Task[None] | None = None
        self._cancelled = False
        self._first = True
        self._since = 0.0

    def start(self) -> None:
        if not self._cancelled:
            self._task = asyncio.get_running_loop().create_task(self._run())

    def cancel(self) -> None:
        """Closes the connection, if the answer is not whole."""
        self._cancelled = True
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        patience = Patience(self._endpoint.patience)
        PATIENCE.set(patience)
        self._since = time.monotonic()
        try:
            stream = await self._ask()
            async with stream:
                await self._listen(stream)
        except Exception as error:
            fault = fault_of(error, self._key, self._api)
            unused = fault.unused and not patience.sent and self._first
            end = End("error", prompt_tokens=0 if unused else None, error=fault.error)
            self._put("", end, patience.refused_for)

    async def _ask(self) -> Any:
        return await self._client.post(
            self._api.chat,
            cast_to=object,
            body=self._body,
            stream=True,
            stream_cls=self._api.stream,
        )

    async def _listen(self, stream: Any) -> None:
        answer, now = self._answer, asyncio.get_running_loop().time
        ended = False
        try:
            async with asyncio.timeout(self._endpoint.first_token) as patience:
                async for event in stream:
                    if ended:
                        continue  # what is read to its end leaves a connection for the next call
                    heard = answer.hear(event)
                    if heard.text:
                        self._put(heard.text)
                    if answer.cut:
                        break
                    if answer.said:
                        patience.reschedule(now() + _LAST_WORDS)
                    elif heard.alive:
                        patience.reschedule(now() + self._endpoint.between)
                    if answer.whole:
                        self._put("", answer.end())
                        ended = True
        except TimeoutError:
            if not answer.said:
                raise self._late() from None
        except Exception:
            if not ended:
                raise
        if not ended:
            self._put("", answer.end())

    def _late(self) -> ETIMEOUT:
        what = "does not begin its answer" if self._first else "stopped in the middle of its answer"
        return ETIMEOUT(
            f"the endpoint {what}",
            hint="try again, or give its driver more time: --first-token, --between-tokens",
        )

    def _put(self, text: str, end: End | None = None, refused_for: float | None = None) -> None:
        now = time.monotonic()
        part = Part(text, now - self._since, self._first, end, refused_for)
        self._since, self._first = now, False
        self._hand(part)
