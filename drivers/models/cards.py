"""What can be said of a model before it is loaded, so that bursts for it wait for its driver.

It knows nothing about how a model is loaded.
"""

from __future__ import annotations

import json

from drivers.models.known import KNOWN
from drivers.models.store import Store
from llmagentos.abi.driver import FREE, ModelCard
from llmagentos.abi.errors import LLMOSError


def guessed(name: str) -> list[ModelCard]:
    """Its card; nothing, if it is not known yet or its folder is broken: loading it will say so
    better."""
    try:
        folder = Store.default().path(name)
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        length = config["max_position_embeddings"]
        return [ModelCard(name=name, context_length=length, price=FREE)]
    except (LLMOSError, OSError, ValueError, LookupError, TypeError):
        known = KNOWN.get(name)
        if known is None:
            return []
        return [ModelCard(name=name, context_length=known.context_length, price=FREE)]
