"""Names of tools as endpoints allow them: up to 64 letters, digits, ``_`` and ``-``.

Ours have dots and may be longer. Each gets one that no other has, whoever else is offered, so
that a conversation that is told again is the same. It knows nothing about tools.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Final

_PLAIN: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_DIGESTED: Final = re.compile(r"__[0-9a-f]{16}$")
_KEPT: Final = 40


def outward(name: str) -> str:
    """``fs.read`` becomes ``fs__read``. Where that could be taken for another name, and where it
    can't be said at all, the end is a digest."""
    said = name.replace(".", "__")
    # An underscore beside a dot, or two of them, would read as another dot.
    clear = not re.search(r"__|_\.|\._", name)
    if clear and _PLAIN.fullmatch(said) and not _DIGESTED.search(said):
        return said
    digest = hashlib.blake2b(name.encode("utf-8", "replace"), digest_size=8).hexdigest()
    return f"{re.sub(r'[^a-zA-Z0-9_-]', '_', name)[:_KEPT]}__{digest}"


class Names:
    """The names of the tools that one request offers, both ways."""

    def __init__(self, offered: Iterable[str]) -> None:
        self._inward = {outward(name): name for name in offered}

    def inward(self, said: str) -> str:
        """What a model calls; one that was not offered stays as the model wrote it."""
        return self._inward.get(said, said)
