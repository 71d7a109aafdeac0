"""Pages: what leaves a context, as rows of its process's memory, and what comes back of them.

A page is a turn: what somebody has said, and all that followed from it. It knows nothing about when
a context is full, nor about summaries.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

from agents.cut import RECALLED, Scale, is_recalled, turns
from llmagentos.abi import errors
from llmagentos.abi.calls.ctx import ContextMessage
from llmagentos.aio import AsyncSystem

PREFIX: Final = "context/"
"""What the keys of pages begin with, before the ids of their first and their last message."""

_PART: Final = 150_000
"""Characters of a row: with every escape of JSON and of UTF-8 less than a value may have."""

_NO_WORSE: Final = 0.5
"""Beside the best page come only those that are half as good."""
_WORDS: Final = 12
_SHORTEST: Final = 3
_HITS: Final = 5
_MOST: Final = 3
"""So many words of a message are looked for, of so many letters at least; so many pages are looked
at for each, and so many come back."""


def written(message: ContextMessage) -> str:
    """A message as a text, as people and models read it."""
    calls = "".join(f" [calls {call.name}({call.arguments})]" for call in message.tool_calls)
    return f"{message.role}: {message.content}{calls}"


def is_original(message: ContextMessage) -> bool:
    """Neither a summary nor what came back from memory: both stand somewhere else already."""
    return not message.sources and not is_recalled(message)


async def keep(program: AsyncSystem, messages: Sequence[ContextMessage]) -> None:
    """Into memory. The same messages get the same keys, so to do it again changes nothing. Raises
    ``EQUOTA``."""
    for turn in turns([one for one in messages if is_original(one)]):
        key = f"{PREFIX}{turn[0].id}-{turn[-1].id}"
        rows = list(_rows([written(one) for one in turn]))
        for number, row in enumerate(rows, 1):
            name = key if len(rows) == 1 else f"{key}/{number}"
            await program.call("mem.put", key=name, value=row)


def _rows(texts: list[str]) -> Iterator[list[str]]:
    """These texts, in rows that are not too large."""
    row: list[str] = []
    size = 0
    for text in texts:
        for start in range(0, max(1, len(text)), _PART):
            part = text[start : start + _PART]
            if row and size + len(part) > _PART:
                yield row
                row, size = [], 0
            row.append(part)
            size += len(part)
    yield row


async def recall(
    program: AsyncSystem, context: Sequence[ContextMessage], scale: Scale, room: float
) -> str:
    """Pages that have to do with the last message of the context, as one marked text of at most
    ``room`` tokens; "" if there are none. A page comes whole or not at all."""
    there = "\n".join(one.content for one in context if is_recalled(one))
    text = RECALLED
    taken = 0
    for key, value in await _found(program, context[-1].content):
        page = "\n".join([f"[{key}]", *value])
        if taken < _MOST and f"[{key}]" not in there and scale.of_text(text + page) <= room:
            text += f"\n{page}"
            taken += 1
    return text if taken else ""


async def _found(program: AsyncSystem, asked: str) -> list[tuple[str, list[str]]]:
    """Pages with any of its words, the best first. A search finds rows that have all words, so each
    is looked for by itself; rare ones weigh more by the score."""
    words = {word for word in re.findall(r"[^\W_]+", asked.casefold()) if len(word) >= _SHORTEST}
    scores: Counter[str] = Counter()
    pages: dict[str, Any] = {}
    for word in sorted(words, key=lambda word: (-len(word), word))[:_WORDS]:
        try:
            # By words alone: by meaning, rows would come that share no word with the message.
            found = await program.call("mem.search", query=word, limit=_HITS, by="words")
        except errors.EINVAL:
            continue  # what is a word here need not be one there
        for hit in found["hits"]:
            key, value = hit["row"]["key"], hit["row"]["value"]
            if key.startswith(PREFIX) and _is_page(value):
                scores[key] += hit["score"]
                pages[key] = value
    least = max(scores.values(), default=0) * _NO_WORSE
    good = [(key, score) for key, score in scores.items() if score >= least]
    return [(key, pages[key]) for key, _ in sorted(good, key=lambda one: (-one[1], one[0]))]


def _is_page(value: Any) -> bool:
    """Anybody who may write to this memory may have put something else there."""
    return isinstance(value, list) and all(isinstance(one, str) for one in value)
