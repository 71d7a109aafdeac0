"""The client: the library of an endpoint's API, set up for it.

It knows nothing about what is asked through it.
"""

from __future__ import annotations

import urllib.request
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2

from drivers.cloud.api import Api, Client, api_of
from drivers.cloud.endpoint import Endpoint
from drivers.cloud.key import Key
from drivers.cloud.transport import Heard, Transport

_RETRIES: Final = 20
"""More than fit into any patience, but not without end where no pause is asked for."""
_IDLE: Final = 30.0
"""Seconds that a connection is kept for the next call."""


def make_client(endpoint: Endpoint, key: Key, slots: int, heard: Heard) -> Client:
    limits = httpx2.Limits(
        # A call may begin while the end of another one, of no interest any more, is still coming.
        max_connections=2 * slots + 2,
        max_keepalive_connections=2 * slots,
        keepalive_expiry=_IDLE,
    )
    inner = httpx2.AsyncHTTPTransport(limits=limits, proxy=_proxy(endpoint.url))
    return api_of(endpoint.api).connect(
        api_key="the transport has it",
        base_url=endpoint.url,
        max_retries=_RETRIES,
        timeout=httpx2.Timeout(None, connect=endpoint.connect),
        default_headers={"Accept-Encoding": "identity"},
        # No redirects: an answer is asked for where we were told to, and nowhere else.
        http_client=httpx2.AsyncClient(
            transport=Transport(inner, endpoint, key, heard), trust_env=False
        ),
    )


async def list_models(client: Client, api: Api) -> dict[str, dict[str, Any]]:
    """What the endpoint says of its models, by their names there."""
    told = await client.get(api.models, cast_to=object)
    rows = told.get("data") if isinstance(told, dict) else None
    return {row["id"]: row for row in rows or () if isinstance(row, dict) and "id" in row}


def _proxy(url: str) -> str | None:
    """Through which the environment says that one gets there."""
    parts = urlsplit(url)
    if urllib.request.proxy_bypass(parts.netloc):
        return None
    return urllib.request.getproxies().get(parts.scheme)
