"""Fusion: rows that were found by words and rows that were found by meaning, ranked together.

Those that have all the words come first: whoever names a thing wants that. Among these, and among
the others, a row's score is a convex combination: eight tenths of how near its meaning is, and two
of how well its words fit, each as a share of the best of its kind. Bruch, Gai and Ingber ("An
Analysis of Fusion Functions for Hybrid Retrieval", TOIS 2023) found that to rank better than the
sum of reciprocal ranks (Cormack et al., SIGIR 2009), and eight tenths to be right where nothing was
fitted; here it was the same (docs/memory.md). It knows nothing about what found the rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from kernel.memory_store import Match

_MEANING: Final = 0.8


def fused(
    every: Sequence[Match],
    some: Sequence[Match],
    near: Sequence[Match],
    cosines: Mapping[str, float],
    limit: int,
) -> list[Match]:
    """The best rows of one space, their keys deciding between equals. ``every``: those with all the
    words; ``some``: with some of them, best first; ``near``: the nearest ones. ``cosines``: of the
    rows with words, by key. A score is at most 1, and 1 more for a row with all the words."""
    words = {found.key: found.score for found in (*some, *every)}
    meaning = {**cosines, **{found.key: found.score for found in near}}
    whole = {found.key for found in every}
    most_words = max(words.values(), default=0.0) or 1.0
    most_meaning = max(meaning.values(), default=0.0)
    found = {one.key: one for one in (*near, *some, *every)}
    scores = {
        key: (key in whole)
        + _share(meaning.get(key, 0.0), most_meaning) * _MEANING
        + _share(words.get(key, 0.0), most_words) * (1 - _MEANING)
        for key in found
    }
    best = sorted(scores, key=lambda key: (-scores[key], key))[:limit]
    return [found[key]._replace(score=round(scores[key], 6)) for key in best]


def _share(score: float, most: float) -> float:
    """What points away is no nearer than what has nothing to do with it."""
    return max(0.0, score) / most if most > 0 else 0.0
