"""Windows: a text as its model reads it, in pieces that each fit.

No token is left out: a text that is longer than the model reads at once is parted, and each piece
stands between the two special tokens that the model expects. It knows nothing about vectors.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from llmagentos.abi.errors import EIO


class Windows:
    """``length``: tokens in a piece, special ones included."""

    def __init__(self, file: Path, length: int) -> None:
        from tokenizers import Tokenizer

        try:
            self._tokenizer: Any = Tokenizer.from_file(str(file))
        except Exception as error:  # whatever the library's own language raises
            raise EIO(
                f"{file} is no tokenizer: {error}", hint="remove the model and pull it again"
            ) from None
        # Files may say so, for programs that would rather lose a text's end.
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        around = self._tokenizer.encode("").ids
        if len(around) != 2:
            raise EIO(
                f"{file} puts {len(around)} tokens around a text, not 2",
                hint="only models of BERT's kind are known here",
            )
        self._first, self._last = around
        self._room = length - 2

    def of(self, text: str) -> tuple[list[list[int]], int]:
        """The pieces, and how many tokens the text has with one pair around it."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        pieces = [ids[at : at + self._room] for at in range(0, max(1, len(ids)), self._room)]
        return [[self._first, *piece, self._last] for piece in pieces], len(ids) + 2
