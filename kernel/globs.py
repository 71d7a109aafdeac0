"""Globs: patterns over capabilities, as a shell has them: ``*``, ``?``, ``[abc]``, ``[!a-z]``.

Matched without regular expressions where only ``*`` is used, since who writes a glob and who
writes what it is matched against may both be hostile: the time grows with the length of the text
alone. ``*`` is any text, line ends and ``/`` too. It knows nothing about what globs stand for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, NamedTuple

_TOKEN: Final = re.compile(r"\*+|\?|\[!?+\]?+[^\]]*+\]|.", re.DOTALL)
"""A ``[`` that nothing closes is a letter. A ``]`` right at the beginning closes nothing."""

_STAR, _ONE, _SET = "\ud800", "\ud801", "\ud802"
"""Stand for wildcards where a glob itself is looked at as a text. No real text has them."""


class _Token(NamedTuple):
    """``shape``: the letter, or what stands for the wildcard."""

    shape: str
    regex: str


class _Wild(NamedTuple):
    """A part of a glob between two stars that has other wildcards."""

    regex: re.Pattern[str]
    width: int

    def stands_at(self, text: str, at: int) -> bool:
        return self.regex.match(text, at) is not None

    def find(self, text: str, start: int, end: int) -> int:
        found = self.regex.search(text, start, end)
        return found.start() if found else -1


class _Letters(NamedTuple):
    """A part of a glob between two stars that has no wildcards."""

    letters: str
    width: int

    def stands_at(self, text: str, at: int) -> bool:
        return text.startswith(self.letters, at)

    def find(self, text: str, start: int, end: int) -> int:
        return text.find(self.letters, start, end)


class Glob:
    """``letters``: what it matches, if that is one text only. ``shape``: the glob as a text.
    ``cost``: of matching it, for each letter of the text."""

    __slots__ = ("_first", "_head", "_last", "_middle", "cost", "letters", "shape", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        parts: list[list[_Token]] = [[]]
        for token in _TOKEN.findall(text):
            if token[0] == "*":
                parts.append([])
            else:
                parts[-1].append(_token(token))
        pieces = [_piece(part) for part in parts]
        self.shape = _STAR.join("".join(token.shape for token in part) for part in parts)
        self._head = re.split(f"[{_STAR}{_ONE}{_SET}]", self.shape, maxsplit=1)[0]
        self.letters = self._head if self._head == self.shape else None
        self._first, *self._middle = pieces
        self._last = self._middle.pop() if self._middle else None
        self.cost = max(piece.width if isinstance(piece, _Wild) else 1 for piece in pieces)

    def matches(self, text: str) -> bool:
        if not text.startswith(self._head):
            return False
        first, last = self._first, self._last
        if last is None:
            return len(text) == first.width and first.stands_at(text, 0)
        at, end = first.width, len(text) - last.width
        if at > end or not first.stands_at(text, 0) or not last.stands_at(text, end):
            return False
        for piece in self._middle:
            # The first place is as good as any: what comes after it has the most room.
            found = piece.find(text, at, end)
            if found < 0:
                return False
            at = found + piece.width
        return True

    def covers(self, other: Glob) -> bool:
        """Whether it matches all that the other one matches. Where it has other wildcards than
        ``*``, only the same glob will do: a no may be wrong, a yes never."""
        if self.text == other.text:
            return True
        return not {_ONE, _SET} & {*self.shape} and self.matches(other.shape)

    def touches(self, name: str, marks: str) -> bool:
        """Whether it may match ``name``, or something that begins with it and one of ``marks``. A
        yes may be wrong, a no never."""
        if self.letters is None and name.startswith(self._head):
            return True
        return self._head == name or self._head.startswith(tuple(name + mark for mark in marks))


class Globs:
    """Many of them: most are plain names, and looked up at once."""

    __slots__ = ("_names", "_wild", "cost", "each")

    def __init__(self, texts: Iterable[str]) -> None:
        self.each = [Glob(text) for text in texts]
        self._names = {glob.letters for glob in self.each}
        self._wild = [glob for glob in self.each if glob.letters is None]
        self.cost = sum(glob.cost for glob in self._wild)

    def match(self, texts: Iterable[str]) -> bool:
        """Whether any of the texts is matched by any of the globs."""
        for text in texts:
            if text in self._names:
                return True
            for glob in self._wild:
                if glob.matches(text):
                    return True
        return False


@lru_cache(maxsize=512)
def globs(texts: tuple[str, ...]) -> Globs:
    return Globs(texts)


def escaped(text: str) -> str:
    """A glob that matches this text alone."""
    return re.sub(r"[*?\[]", r"[\g<0>]", text)


def _token(text: str) -> _Token:
    if text == "?":
        return _Token(_ONE, ".")
    if len(text) == 1:
        return _Token(text, re.escape(text))
    inside = text[1:-1]
    if len(inside) == 1:
        return _Token(inside, re.escape(inside))
    return _Token(_SET, _set(inside))


def _set(inside: str) -> str:
    """``[a-z]`` and ``[!a-z]`` as a regular expression."""
    negated = inside.startswith("!")
    inside = inside.removeprefix("!")
    ranges, at = [], 0
    while at < len(inside):
        low = high = inside[at]
        at += 1
        if inside[at : at + 1] == "-" and at + 1 < len(inside):
            high = inside[at + 1]
            at += 2
        if low <= high:
            ranges.append(f"{re.escape(low)}-{re.escape(high)}")
    if not ranges:
        return "." if negated else "(?!)"
    return f"[{'^' if negated else ''}{''.join(ranges)}]"


def _piece(part: list[_Token]) -> _Letters | _Wild:
    shapes = "".join(token.shape for token in part)
    if _ONE in shapes or _SET in shapes:
        regex = "".join(token.regex for token in part)
        return _Wild(re.compile(regex, re.DOTALL), len(part))
    return _Letters(shapes, len(part))
