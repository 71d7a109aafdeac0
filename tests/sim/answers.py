"""Answers: what every driver says to a prompt, token by token, always the same.

An answer begins with a word that only this prompt leads to. It says back some of the labelled
words of its prompt, as a model might. Some tokens hold text back until the next one has come, as
half a character does. It knows nothing about who makes the tokens.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

from llmagentos.abi.talk import ChatMessage
from tests.sim.markers import first

_LABELLED = re.compile(r"\b[pt]q\d+x\b")
_WORDS = ("so that is how it goes on and on until it comes to an end " * 2).split()


@dataclass(frozen=True, slots=True)
class Answer:
    """``ids`` and ``texts`` of its tokens."""

    ids: tuple[int, ...]
    texts: tuple[str, ...]

    @property
    def tag(self) -> str:
        return self.texts[0].strip()

    def readable(self, tokens: int, *, final: bool) -> str:
        """The text of so many tokens, as far as it can be read by then."""
        lags = not final and tokens and self.ids[tokens - 1] % 4 == 3
        return "".join(self.texts[: tokens - 1 if lags else tokens])


def answer(messages: Sequence[ChatMessage]) -> Answer:
    said = "\n".join(f"{m.role}: {m.content}" for m in messages)
    key = crc32(said.encode())
    asked = next((m.content for m in reversed(messages) if m.role == "user"), "")
    words = [f"a{key:08x}", first(asked) or "well", *_LABELLED.findall(said)[-2:]]
    words += _WORDS[: 1 + key % len(_WORDS)]
    ids = tuple((key + 7 * n) % 1000 for n in range(len(words)))
    return Answer(ids, tuple(f"{word} " for word in words))


def prompt_tokens(messages: Sequence[ChatMessage]) -> int:
    return sum(len(m.content.split()) for m in messages)
