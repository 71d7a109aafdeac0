"""The detokenizer: tokens in, text out, as soon as it is certain.

Two things are held back: a token that ends inside a character, until the character is whole,
and a text that may be the beginning of a stop string, until that is known. All of its state
follows from the tokens, so replaying them restores it. All texts together are what decoding
all tokens at once gives, up to the first stop string. It knows nothing about models; decoding
is handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

_HALF: Final = "\ufffd"
"""What a decoder puts in the place of bytes that are not, or not yet, a character."""


class Detokenizer:
    """``decode`` turns tokens into text; ``stop``: the texts that end the answer."""

    def __init__(self, decode: Callable[[list[int]], str], stop: Sequence[str] = ()) -> None:
        self._decode = decode
        self._stop = tuple(stop)
        self._tokens: list[int] = []
        # Text up to `_read` is out. Decoding begins at `_from`, one certain piece earlier:
        # decoders treat the first token of a text differently (they drop its space).
        self._from = self._read = 0
        self._seen = ""  # the text of tokens[_from:_read]
        self._held = ""
        self.stopped = False

    def push(self, token: int) -> str:
        """One more token; the text that became certain with it. After a stop: nothing."""
        if self.stopped:
            return ""
        self._tokens.append(token)
        text = self._decode(self._tokens[self._from :])
        if text.endswith(_HALF) or len(text) <= len(self._seen):
            return ""
        fresh = text[len(self._seen) :]
        self._from, self._read = self._read, len(self._tokens)
        self._seen = self._decode(self._tokens[self._from : self._read])
        return self._emit(fresh)

    def finish(self) -> str:
        """No more tokens come: all that was held back, a half character included."""
        if self.stopped:
            return ""
        fresh = self._decode(self._tokens[self._from :])[len(self._seen) :]
        text = self._emit(fresh)
        rest, self._held = self._held, ""
        return text + rest

    def _emit(self, fresh: str) -> str:
        text = self._held + fresh
        found = [place for stop in self._stop if (place := text.find(stop)) >= 0]
        if found:
            self.stopped = True
            self._held = ""
            return text[: min(found)]
        keep = max((overlap(text, stop) for stop in self._stop), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]


def overlap(text: str, stop: str) -> int:
    """How many characters at the end of ``text`` are the beginning of ``stop``."""
    for length in range(min(len(text), len(stop) - 1), 0, -1):
        if stop.startswith(text[-length:]):
            return length
    return 0
