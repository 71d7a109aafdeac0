"""Markers: words that stand for one piece of labelled data each, and are known wherever they are.

``mkp00001fz`` is private, ``mkt00002az`` the team's. Each is made once, and nobody guesses any, so
whoever says it was told, by whatever way. A driver's tokens are numbers; those of markers are known
as well. It knows nothing about who may see what.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

LABELS: Final = {"p": "private", "t": "team"}
PRIVATE, TEAM = LABELS.values()

_MARKER: Final = re.compile(r"mk[pt][0-9a-f]{6}z")
_PACKED: Final = re.compile(rb"mk[pt][0-9a-f]{6}z")
_TOKENS: Final = 1_000
"""Where the tokens of markers begin; those of other words are less."""


class Markers:
    def __init__(self) -> None:
        self._made = 0

    def new(self, label: str) -> str:
        self._made += 1
        return f"mk{label[0]}{self._made:06x}z"


def found(data: str | bytes) -> list[str]:
    """The markers in it, each once, in their order."""
    if isinstance(data, bytes):
        return list(dict.fromkeys(one.decode() for one in _PACKED.findall(data)))
    return list(dict.fromkeys(_MARKER.findall(data)))


def labels_of(markers: Iterable[str]) -> set[str]:
    """The labels that must go with them."""
    return {LABELS[one[2]] for one in markers}


def token(word: str, place: int) -> int:
    """A driver's token for a word of its answer."""
    if not _MARKER.fullmatch(word):
        return place
    return _TOKENS + 2 * int(word[3:9], 16) + (word[2] == "t")


def spoken(tokens: Iterable[int]) -> list[str]:
    """The markers that are among these tokens."""
    known = [divmod(one - _TOKENS, 2) for one in tokens if one >= _TOKENS]
    return [f"mk{'pt'[team]}{number:06x}z" for number, team in known]
