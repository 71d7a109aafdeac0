"""Wishes: what bursts are asked, and how their tokens are to be chosen.

Many begin alike, end within or at the end of a block of KV, or want one token only. It knows
nothing about who asks.
"""

from __future__ import annotations

import random
from typing import Any, Final

from llmagentos.abi.manifest import Sampling

_SOURCE: Final = "the quick brown fox jumps over the lazy dog, naïve café ünïcödé " * 5
_KINDS: Final[list[dict[str, Any]]] = [
    {}, {}, {}, {"stop": ["o", "th"]}, {"logprobs": 2}, {"repetition_penalty": 1.3},
    {"frequency_penalty": 1.5, "presence_penalty": -0.5},
    {"temperature": 1.0, "seed": 3, "top_k": 5, "min_p": 0.1},
    {"temperature": 0.8, "seed": 2**63 - 1, "top_p": 0.7},
    {"grammar": {"regex": "[a-f ]{3,40}"}},
]  # fmt: skip


def text(chance: random.Random, own: str) -> str:
    """``own``: what nobody else says."""
    return _SOURCE[: chance.randint(1, len(_SOURCE))] + chance.choice(["", "", "x", "🙂", own])


def sampling(chance: random.Random) -> Sampling:
    most = chance.choice([1, 2, 15, 16, 17, 30, 60])
    return Sampling(max_tokens=most, **chance.choice(_KINDS))
