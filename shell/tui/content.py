"""The content of files, as lines to be read: text, a dump of bytes, the difference of two versions.

Pure: it knows nothing about screens, nor about where files come from.
"""

from __future__ import annotations

import codecs
import difflib
from collections.abc import Sequence
from typing import Final

from shell.terminal import size
from shell.tui.reader import Line

MOST_TEXT: Final = 256 * 1024
"""Of a text; more is not shown here."""
_MOST_BYTES: Final = 4096
"""Of what is no text."""
_MOST_LINES: Final = 5000
"""Of a version that is compared with another one: with many more it takes too long."""


def as_text(content: bytes) -> str | None:
    """None: it is no text. It may end within a character, where it was cut."""
    if b"\0" in content:
        return None
    try:
        return codecs.getincrementaldecoder("utf-8")().decode(content)
    except UnicodeDecodeError:
        return None


def lines_of(content: bytes, whole: int) -> list[Line]:
    """``whole``: bytes of the file, of which the content may be the beginning."""
    text = as_text(content)
    shown = len(content) if text is not None else min(len(content), _MOST_BYTES)
    lines = dump(content[:shown]) if text is None else text.split("\n")
    told: list[Line] = [(line, "") for line in lines]
    if shown < whole:
        told.append((f"… {size(whole - shown)} more: llmos fs cat shows all of it", "head"))
    return told


def dump(content: bytes) -> list[str]:
    """In hexadecimal, 16 bytes a line, with what of it is ASCII."""
    rows = (content[at : at + 16] for at in range(0, len(content), 16))
    return [
        f"{16 * number:04x}  {row.hex(' '):<47}  "
        + "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        for number, row in enumerate(rows)
    ]


def difference(before: bytes, after: bytes, old: str, new: str) -> list[Line]:
    """Unified, as every programmer reads it."""
    texts: Sequence[str | None] = (as_text(before), as_text(after))
    if None in texts:
        return [(f"{old} or {new} is no text, so they are not compared", "head")]
    was, now = (text.split("\n") for text in texts if text is not None)
    if max(len(was), len(now)) > _MOST_LINES:
        return [(f"more than {_MOST_LINES} lines, so they are not compared", "head")]
    kinds = {"+": "added", "-": "removed", "@": "head"}
    lines = list(difflib.unified_diff(was, now, old, new, lineterm=""))
    if not lines:
        return [(f"nothing is different from {old}", "head")]
    return [
        (line, "head" if number < 2 else kinds.get(line[:1], ""))
        for number, line in enumerate(lines)
    ]
