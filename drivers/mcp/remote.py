"""A remote server: an MCP server at a URL, spoken to over streamable HTTP, in bounded answers.

It knows nothing about tools.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2
from mcp.client.streamable_http import streamable_http_client

from drivers.mcp.child import MOST
from llmagentos.abi.errors import EINVAL

# No limit for reading: a tool may take as long as its caller lets it.
_TIMEOUT: Final = httpx2.Timeout(30.0, read=None)


def host(url: str) -> str:
    """Of an address that can be one of a server. Raises ``EINVAL``."""
    try:
        parts = urlsplit(url)
        found = parts.hostname
    except ValueError:
        found = None
    if not found or parts.scheme not in ("http", "https"):
        raise EINVAL(f"{url} is no address of an MCP server", hint="https://host/path")
    return found


def is_here(name: str) -> bool:
    """Whether that is this device."""
    if name == "localhost":
        return True
    with contextlib.suppress(ValueError):
        return ip_address(name).is_loopback
    return False


class Remote:
    """One connection to it. What ends it is found out by who uses it, or by asking now and then."""

    poll: float | None = 30.0

    def __init__(self, url: str, token: str | None) -> None:
        self.ended = asyncio.Event()
        self.why = ""
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    @contextlib.asynccontextmanager
    async def streams(self) -> AsyncIterator[Any]:
        transport = _Bounded(httpx2.AsyncHTTPTransport())
        async with (
            httpx2.AsyncClient(
                transport=transport, timeout=_TIMEOUT, headers=self._headers
            ) as client,
            streamable_http_client(
                self._url, http_client=client, max_sse_event_size=MOST
            ) as streams,
        ):
            yield streams


class _Bounded(httpx2.AsyncBaseTransport):
    """Breaks off an answer that is too large. One that is a stream of events has no end anyway;
    there each event is bounded."""

    def __init__(self, inner: httpx2.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await self._inner.handle_async_request(request)
        if not response.headers.get("content-type", "").startswith("text/event-stream"):
            assert isinstance(response.stream, httpx2.AsyncByteStream)
            response.stream = _Counted(response.stream)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Counted(httpx2.AsyncByteStream):
    def __init__(self, inner: httpx2.AsyncByteStream) -> None:
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        count = 0
        async for chunk in self._inner:
            count += len(chunk)
            if count > MOST:
                raise httpx2.StreamError(f"an answer of more than {MOST:,} bytes")
            yield chunk

    async def aclose(self) -> None:
        await self._inner.aclose()
