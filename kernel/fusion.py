"""Fusion: several rankings of the same rows made into one.

By reciprocal ranks (Cormack, Clarke and Büttcher, SIGIR 2009): a row gets 1 / (60 + rank) of each
ranking that it is in. Scores of different kinds need not be comparable for that. It knows nothing
about what ranked the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kernel.memory import Found

_DAMPING: Final = 60
"""As in the paper: how little the first ranks stand above those after them."""


def fused(rankings: Sequence[Sequence[Found]], limit: int) -> list[Found]:
    """The best rows of one space, their keys' order deciding between equals. Each is as the first
    ranking that has it found it, but for its score."""
    scores: dict[str, float] = {}
    first: dict[str, Found] = {}
    for ranking in rankings:
        for rank, found in enumerate(ranking, 1):
            key = found.row.key
            scores[key] = scores.get(key, 0.0) + 1 / (_DAMPING + rank)
            first.setdefault(key, found)
    best = sorted(scores, key=lambda key: (-scores[key], key))[:limit]
    return [first[key]._replace(score=round(scores[key], 6)) for key in best]
