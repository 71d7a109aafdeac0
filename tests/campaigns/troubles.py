"""Troubles: what goes wrong under an engine, once, and hurts nobody for good.

It knows nothing about bursts.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from drivers.edge import paged
from drivers.edge.paged import PagedRunner


@contextlib.contextmanager
def stumbling(runner: PagedRunner, chance: random.Random) -> Iterator[str]:
    """Meanwhile one forward fails, in its beginning or at its end; the next one does not."""
    where: Any = chance.choice([runner._llama, paged])
    name = "in_rows" if where is paged else "forward"
    real, failing = getattr(where, name), [True]

    def once(*args: Any) -> Any:
        if failing and failing.pop():
            raise RuntimeError("a stumble")
        return real(*args)

    setattr(where, name, once)
    try:
        yield name
    finally:
        setattr(where, name, real)


def damaged(folder: Path, chance: random.Random) -> bool:
    """Whether there was a file to be damaged."""
    files = sorted(folder.glob("*"))
    if files:
        chance.choice(files).write_bytes(b"damaged")
    return bool(files)
