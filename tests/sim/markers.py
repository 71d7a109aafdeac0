"""Markers: words by which data is known wherever it turns up, and the labels that go with them.

Each is made once, so nothing that holds one can be there twice unseen. Some stand for labelled
data: ``pq7x`` is private, ``tq8x`` the team's. Whoever is told such a word carries its label from
then on, and may say it himself. It knows nothing about where words are found.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict

_LABELS = {"p": "private", "t": "team"}
LABELS = tuple(_LABELS.values())

_MARKER = re.compile(r"\b[zpt]q\d+x\b")
_LABELLED = re.compile(rb"\b[pt]q\d+x\b")


class Markers:
    """``heard``: the labelled words that each process was told, by pid."""

    def __init__(self, chance: random.Random) -> None:
        self.heard: dict[int, list[str]] = defaultdict(list)
        self._chance = chance
        self._made = 0
        self._labelled: dict[str, list[str]] = {label: [] for label in LABELS}
        self._free: set[str] = set()

    def plain(self) -> str:
        self._made += 1
        return f"zq{self._made}x"

    def labelled(self, label: str) -> str:
        self._made += 1
        made = f"{label[0]}q{self._made}x"
        self._labelled[label].append(made)
        return made

    def words(self, pid: int, labels: tuple[str, ...]) -> str:
        """What a process with these labels might say; the first word is new."""
        said = [self.plain()]
        if labels and self._chance.random() < 0.5:
            said.append(self.labelled(self._chance.choice(labels)))
        heard = self.heard[pid]
        if heard and self._chance.random() < 0.6:
            said.append(self._chance.choice(heard))
        return " ".join(said)

    def declassify(self, label: str) -> None:
        """The user has taken this label from somebody, who may know any word that there is by
        now."""
        self._free.update(self._labelled[label])

    def found(self, data: bytes) -> set[str]:
        """The labelled words in it."""
        return {word.decode() for word in _LABELLED.findall(data)} - self._free

    def hears(self, pid: int, words: set[str]) -> None:
        """A process was told these words, and carries their labels."""
        self.heard[pid] += sorted(words)


def labels_of(words: set[str]) -> set[str]:
    """The labels that must go with these words."""
    return {_LABELS[word[0]] for word in words}


def every(text: str) -> tuple[str, ...]:
    """All markers in a text, in no order."""
    return tuple(sorted(_MARKER.findall(text)))


def first(text: str) -> str:
    """The first marker in a text; "" if there is none."""
    found = _MARKER.search(text)
    return found[0] if found else ""
