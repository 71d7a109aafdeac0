"""Snippets: a few words of a text, around one that somebody looks for.

SQLite has a function for this, whose time grows with the square of how often a word stands in a
text: a single row could hold up everybody. It knows nothing about where the text is from.
"""

from __future__ import annotations

import re
from typing import Final

_LOOKED_AT: Final = 100_000
"""Letters of a text in which a word is looked for."""

_BEFORE: Final = 60
_AFTER: Final = 100
"""Letters of it that are shown."""


def snippet(text: str, words: list[str]) -> str:
    """Where the first of these words stands, or else one that begins like it, since an index folds
    endings together; or else how the text begins."""
    found = _first(text, words) or _first(text, [word[: max(3, len(word) - 3)] for word in words])
    at = found.start() if found else 0
    start, end = max(0, at - _BEFORE), at + _AFTER
    shown = " ".join(text[start:end].split())
    return f"{'…' if start else ''}{shown}{'…' if end < len(text) else ''}"


def _first(text: str, words: list[str]) -> re.Match[str] | None:
    anyone = "|".join(map(re.escape, words))
    pattern = re.compile(rf"(?<![^\W_])(?:{anyone})", re.IGNORECASE)
    return pattern.search(text, 0, _LOOKED_AT)
