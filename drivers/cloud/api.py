"""An API: the dialect that an endpoint speaks, and the library that speaks it.

All that differs between two of them is here; whatever is shared knows only this. Each is in a
module of its own, which is imported when an endpoint is of it. It knows nothing about endpoints.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, cast

if TYPE_CHECKING:
    import httpx2

    from drivers.cloud.answer import Answer
    from drivers.cloud.endpoint import Endpoint
    from llmagentos.abi.driver import Start

ApiName = Literal["openai", "anthropic"]
EXTRAS: Final[dict[ApiName, str]] = {"openai": "cloud", "anthropic": "anthropic"}
"""The extra of this project that has its library."""


class Client(Protocol):
    """What is used of a library's client."""

    async def get(self, path: str, *, cast_to: type[object]) -> object: ...

    async def post(
        self, path: str, *, cast_to: type[object], body: Any, stream: Literal[True], stream_cls: Any
    ) -> Any: ...

    async def close(self) -> None: ...


class Connect(Protocol):
    """Makes a client. What is declared in the environment must have no say in it."""

    def __call__(
        self, *, base_url: str, api_key: str, max_retries: int, timeout: httpx2.Timeout,
        default_headers: dict[str, str], http_client: httpx2.AsyncClient,
    ) -> Client: ...  # fmt: skip


@dataclass(frozen=True, slots=True)
class Api:
    """``chat`` and ``models``: paths below the base URL. ``stream``: the class of what its ``post``
    gives. ``failed``: the root of its own errors, which it passes on and repeats nothing for;
    ``refused``: of them, those that have a status and the words of the endpoint. ``body``: the
    JSON of an order, or ``EINVAL``. ``answer``: for that order, of at most so many pieces."""

    chat: str
    models: str
    connect: Connect
    stream: Any
    failed: type[Exception]
    refused: type[Exception]
    body: Callable[[Start, Endpoint], dict[str, Any]]
    answer: Callable[[Start, int], Answer]


@cache
def api_of(name: ApiName) -> Api:
    """Raises ``ImportError`` if its library is not there."""
    return cast("Api", import_module(f"drivers.cloud.{name}_api").API)
