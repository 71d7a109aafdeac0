"""The transport: what goes to the endpoint and what comes, below the library that speaks to it.

It puts the key in, bounds what is taken and how long a refusing endpoint is asked again, and
hears what headers say. Whether a request is repeated, and after which pause, is the library's
decision; here it is only stopped. It knows nothing about chats.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextvars import ContextVar
from typing import Final

import httpx2

from drivers.cloud.api import api_of
from drivers.cloud.endpoint import Endpoint
from drivers.cloud.faults import sent
from drivers.cloud.key import Key
from drivers.cloud.limits import retry_after
from llmagentos.abi.errors import EDRIVER

EVENT_LIMIT: Final = 1024 * 1024
"""Bytes of one event, or of a body that has none."""
ANSWER_LIMIT: Final = 64 * 1024 * 1024
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 8.0
"""The longest that the library waits of its own accord."""
_WORDS: Final = 2.0
"""Seconds for the words of a refusal, which tell no more than its status if they don't come."""


class Patience:
    """Of one call with its endpoint. ``sent``: a request may have reached it and be paid for.
    ``refused_for``: seconds for which it will take nothing, if that is too long to wait."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self._pause = _FIRST_PAUSE
        self.sent = False
        self.refused_for: float | None = None

    def lasts(self, asked: float | None = None) -> bool:
        """Is there time for another try, after the pause that was asked for or the library's?"""
        wait, self._pause = asked or self._pause, min(self._pause * 2, _LONGEST_PAUSE)
        return time.monotonic() + wait <= self._end


PATIENCE: Final[ContextVar[Patience]] = ContextVar("patience")
"""Of the call that the task at work is making."""

Heard = Callable[[Mapping[str, str]], None]


class Transport(httpx2.AsyncBaseTransport):
    """``heard`` is told the headers of each answer."""

    def __init__(
        self, inner: httpx2.AsyncBaseTransport, endpoint: Endpoint, key: Key, heard: Heard
    ) -> None:
        self._inner = inner
        self._endpoint = endpoint
        self._key = key
        self._heard = heard
        # The one kind of error that the library passes on and repeats nothing for.
        self._failed = api_of(endpoint.api).failed

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        # The library doesn't know the key, so it can't tell it.
        request.headers.pop("authorization", None)
        if self._key.value is not None:
            request.headers["authorization"] = f"Bearer {self._key.value}"
        patience = PATIENCE.get()
        try:
            response = await self._ask(request)
        except httpx2.TransportError as error:
            patience.sent |= sent(error)
            # What may have reached it may be paid for: it is not sent again.
            if not patience.sent and patience.lasts():
                raise
            raise self._failed("no answer") from error
        self._heard(response.headers)
        if response.status_code >= 300:
            asked = retry_after(response.headers)
            if not patience.lasts(asked):
                response.headers["x-should-retry"] = "false"
                if response.status_code in (429, 503, 529):
                    patience.refused_for = asked
        if response.headers.get("content-encoding", "identity") != "identity":
            await response.aclose()  # it may unpack to any size
            raise self._failed("compressed") from EDRIVER(
                "the endpoint compresses its answers, though it was told not to",
                hint="turn that off there, or in the proxy before it",
            )
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        refused = response.status_code >= 300
        response.stream = _Bounded(_Prompt(response.stream) if refused else response.stream)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def _ask(self, request: httpx2.Request) -> httpx2.Response:
        try:
            async with asyncio.timeout(self._endpoint.first_token):
                return await self._inner.handle_async_request(request)
        except TimeoutError:
            raise httpx2.ReadTimeout("it said nothing", request=request) from None


class _Prompt(httpx2.AsyncByteStream):
    """A body that ends after some seconds, with what has come of it: the library reads one to its
    end, whenever that is."""

    def __init__(self, inner: httpx2.AsyncByteStream) -> None:
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        end = asyncio.get_running_loop().time() + _WORDS
        chunks = aiter(self._inner)
        while True:
            try:
                async with asyncio.timeout_at(end):
                    chunk = await anext(chunks)
            except (StopAsyncIteration, TimeoutError):
                return
            yield chunk

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Bounded(httpx2.AsyncByteStream):
    """A body that ends with an error when it, or an event in it, gets too long."""

    def __init__(self, inner: httpx2.AsyncByteStream) -> None:
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        whole = event = 0
        tail = b""
        async for chunk in self._inner:
            whole += len(chunk)
            seen = tail + chunk
            end = max(seen.rfind(b"\n\n"), seen.rfind(b"\n\r\n"), seen.rfind(b"\r\r"))
            event = len(seen) - end if end >= 0 else event + len(chunk)
            tail = seen[-2:]
            if event > EVENT_LIMIT or whole > ANSWER_LIMIT:
                raise EDRIVER(
                    "the endpoint's answer is too long to be one",
                    hint="is the address that of the API that its driver was told of?",
                    detail={"bytes": whole},
                )
            yield chunk

    async def aclose(self) -> None:
        await self._inner.aclose()
