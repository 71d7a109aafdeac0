"""Calls: the calls of tools in an answer, read out of its text.

A text that may begin a call is held back until it is known, and from where one begins, to the end.
Whatever a model wrote becomes calls or stays text; nothing here is refused. What is wrong with the
arguments is for whoever makes the call. It knows nothing about tokens, nor about which tools there
are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from drivers.edge.detokenizer import overlap
from drivers.edge.dialect import Dialect
from llmagentos.abi.model import MAX_TEXT
from llmagentos.abi.talk import MAX_CALLS, ToolCall

_NAME: Final = 256
"""Characters; a longer one is none."""
_NAMED: Final = re.compile(r"""["']name["']\s*:\s*(["'])([^"'\n]{1,256})\1""")
_ARGUED: Final = re.compile(r"""["'](?:arguments|parameters)["']\s*:\s*""")
_BARE: Final = '{"name"'
"""With it a call begins that no mark stands before."""
_SPACE: Final = re.compile(r"\s*")
_JSON: Final = json.JSONDecoder()
_UNREADABLE: Final = (ValueError, RecursionError)


class _Wish(NamedTuple):
    """``whole``: it would be no other, had the answer gone on."""

    name: str
    arguments: str
    whole: bool


class Calls:
    """Of one answer. Their ids follow from ``burst`` and their places alone, so that whoever goes
    on with the answer gives them the same. ``held``: what is no text yet, and perhaps never."""

    def __init__(self, burst: int, dialect: Dialect) -> None:
        self._burst = burst
        self._dialect = dialect
        self.held = ""
        self._begun = False
        self._spoken = False

    def push(self, text: str) -> str:
        """What more came of the answer; what of it is certain to be text."""
        self.held += text
        if self._begun:
            return ""
        shown, self._begun = self._text()
        self.held = self.held[len(shown) :]
        self._spoken = self._spoken or bool(shown)
        return shown

    def finish(self, *, cut: bool) -> tuple[str, list[ToolCall]]:
        """It has ended: what is text after all, and its calls. ``cut``: it would have gone on, so
        that a call in its middle is none."""
        rest, self.held = self.held, ""
        if not self._begun:
            return rest, []
        found = [wish for wish in self._wishes(rest) if wish.whole or not cut]
        if found:
            most = min(self._dialect.most or MAX_CALLS, MAX_CALLS)
            return "", [self._call(place, wish) for place, wish in enumerate(found[:most])]
        return ("" if cut and self._looks_like_one(rest) else rest), []

    def _text(self) -> tuple[str, bool]:
        """What of the text is no call, and whether one begins behind it."""
        held, opening = self.held, self._dialect.opening
        if not opening:
            start = held.lstrip()[:1]
            if self._spoken or start not in ("", "{"):
                return held, False
            return "", start == "{"
        place = held.find(opening)
        end = place if place >= 0 else len(held) - overlap(held, opening)
        # The white space before a call belongs to neither.
        return held[:end].rstrip(), place >= 0

    def _looks_like_one(self, text: str) -> bool:
        begun = text.lstrip().removeprefix(self._dialect.opening).lstrip()
        return begun[:1] in ("", "{", "[") if self._dialect.opening else begun.startswith(_BARE)

    def _wishes(self, text: str) -> Iterator[_Wish]:
        if self._dialect.opening and not self._dialect.lists:
            return self._marked(text)
        if not self._dialect.opening and _ARGUED.search(text) is None:
            return iter(())  # JSON with a name in it may well be the answer
        return _listed(text.lstrip().removeprefix(self._dialect.opening))

    def _marked(self, text: str) -> Iterator[_Wish]:
        opening, closing = self._dialect.opening, self._dialect.closing
        place = text.find(opening)
        while place >= 0:
            place += len(opening)
            value, end = _decoded(text, place)
            if (wish := _read(value)) is None:
                # A closing mark inside a text of good JSON is none; of bad JSON nobody knows.
                end = text.find(closing, place)
                whole, end = end >= 0, end if end >= 0 else len(text)
                wish = _guessed(text[place:end], whole=whole)
            if wish is not None:
                yield wish
            place = text.find(opening, end)

    def _call(self, place: int, wish: _Wish) -> ToolCall:
        arguments = wish.arguments[:MAX_TEXT]
        return ToolCall(id=f"call_{self._burst}_{place}", name=wish.name, arguments=arguments)


def _listed(text: str) -> Iterator[_Wish]:
    """A list of calls, or one of them, or some in a row."""
    place, found = 0, False
    while place < len(text):
        value, end = _decoded(text, place)
        if value is None:
            break
        for one in value if isinstance(value, list) else [value]:
            if (wish := _read(one)) is not None:
                found = True
                yield wish
        place = end + len(text[end:]) - len(text[end:].lstrip("; \n"))
    if not found and (wish := _guessed(text, whole=False)) is not None:
        yield wish


def _decoded(text: str, place: int) -> tuple[Any, int]:
    """The JSON that stands there, and where it ends; None, if it is none."""
    start = _SPACE.match(text, place)
    begin = start.end() if start else place
    try:
        return _JSON.raw_decode(text, begin)
    except _UNREADABLE:
        return None, begin


def _read(value: Any) -> _Wish | None:
    if not isinstance(value, dict) or not isinstance(name := value.get("name"), str):
        return None
    if not 0 < len(name) <= _NAME:
        return None
    arguments = value.get("arguments", value.get("parameters", {}))
    said = arguments if isinstance(arguments, str) else _dumped(arguments)
    return _Wish(_sayable(name), _sayable(said), whole=True)


def _guessed(text: str, *, whole: bool) -> _Wish | None:
    """What was meant as a call and is no JSON, if it says which."""
    named = _NAMED.search(text)
    if named is None or text.lstrip()[:1] not in ("{", "["):
        return None
    argued = _ARGUED.search(text)
    said = text[argued.end() :] if argued else text
    said = said.strip().removesuffix("]").rstrip() if text.lstrip()[0] == "[" else said.strip()
    while said.endswith("}") and said.count("}") > said.count("{"):
        said = said[:-1].rstrip()
    return _Wish(named[2], said, whole)


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _sayable(text: str) -> str:
    """JSON can name half a character, which no text can have."""
    return text.encode("utf-8", "replace").decode()
