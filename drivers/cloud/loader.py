"""Bringing the cloud engine up: it is there when its endpoint answers, however long that takes.

It knows nothing about the protocol.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from drivers.cloud.api import Client, api_of
from drivers.cloud.client import list_models, make_client
from drivers.cloud.endpoint import Endpoint
from drivers.cloud.engine import CloudEngine
from drivers.cloud.faults import fault_of
from drivers.cloud.key import Key
from drivers.cloud.loop import Loop
from drivers.cloud.transport import PATIENCE, Patience
from drivers.engine import Announce
from llmagentos.abi.cards import ModelCard, Rate
from llmagentos.abi.errors import EAUTH, ECANCELED, LLMOSError
from llmagentos.abi.model import MAX_COUNT

log = logging.getLogger("driver")

_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 30.0
_LIST_PATIENCE: Final = 10.0
_LENGTHS: Final = ("max_model_len", "context_length", "context_window", "max_input_tokens")
"""What different endpoints call it."""
_NO_LIST: Final = (403, 404, 405, 501)


def load_engine(
    endpoint: Endpoint, key: Key, cards: Sequence[ModelCard], slots: int, rates: Sequence[Rate],
    loop: Loop, announce: Announce, *, lengths_known: bool,
) -> CloudEngine:  # fmt: skip
    """Returns when the endpoint answers; raises ``EAUTH`` if it refuses the key."""
    engine = CloudEngine(endpoint, key, cards, slots, loop, rates=rates)

    async def connect() -> Client:
        return make_client(endpoint, key, slots, engine.heard)

    client = loop.result(connect())
    loop.at_close(client.close)
    engine.connect(client)
    announce(f"asking {endpoint.url} for its models")
    pause = _FIRST_PAUSE
    while True:
        try:
            told = loop.result(_ask(client, endpoint, key))
        except (EAUTH, ECANCELED):
            raise
        except LLMOSError as error:
            announce(f"{endpoint.url}: {error.message}; trying again in {pause:g} s")
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
            continue
        break
    if told:
        engine.learn([_learned(card, endpoint, told, lengths_known) for card in cards])
    return engine


async def _ask(client: Client, endpoint: Endpoint, key: Key) -> dict[str, dict[str, Any]]:
    PATIENCE.set(Patience(0.0))
    api = api_of(endpoint.api)
    try:
        async with asyncio.timeout(_LIST_PATIENCE):
            return await list_models(client, api)
    except Exception as error:
        fault = fault_of(error, key, api).error
        if fault.detail.get("status") in _NO_LIST:
            return {}  # it answers, though it shows us no list
        raise fault from None


def _learned(
    card: ModelCard, endpoint: Endpoint, told: Mapping[str, Mapping[str, Any]], known: bool
) -> ModelCard:
    theirs = endpoint.upstream[card.name]
    row = told.get(theirs)
    if row is None:
        log.warning("%s does not list a model %r; asking for it all the same", endpoint.url, theirs)
        return card
    length = next((row[name] for name in _LENGTHS if isinstance(row.get(name), int)), 0)
    if known or not 1 <= length <= MAX_COUNT:
        return card
    return card.model_copy(update={"context_length": length})
