"""What a driver says of its model before it is loaded, so that bursts for it wait.

It knows nothing about how a model is loaded.
"""

from __future__ import annotations

import json
from pathlib import Path

from drivers.engine import Announce
from drivers.models.known import KNOWN
from drivers.models.pulling import ensure
from drivers.models.store import Store
from llmagentos.abi.cards import FREE, ModelCard
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


def ensure_announced(name: str, announce: Announce) -> Path:
    """The model's folder; what is not here is pulled, while ``announce`` says how far it is."""

    def pulling(stage: str, done: int, total: int, unit: str) -> None:
        share = min(done / total, 1.0) if total else None
        announce(f"getting the model {name}: {stage}", share)

    return ensure(name, pulling)
