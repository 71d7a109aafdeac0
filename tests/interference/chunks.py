"""The programs that the tests play, in chunks: a failure names few, and two cores share them.

``INTERFERENCE_PROGRAMS`` sets how many there are in all, ``INTERFERENCE_FIRST`` where they start.
It knows nothing about what is in a program.
"""

from __future__ import annotations

import os

from tests.interference.campaign import first_leak
from tests.interference.play import story

PROGRAMS = int(os.environ.get("INTERFERENCE_PROGRAMS", "10000"))
FIRST = int(os.environ.get("INTERFERENCE_FIRST", "0"))
_CHUNK = 1000

CHUNKS = [
    range(start, min(start + _CHUNK, FIRST + PROGRAMS))
    for start in range(FIRST, FIRST + PROGRAMS, _CHUNK)
]


def check(seeds: range) -> None:
    """No program of these tells anybody what he is not cleared for."""
    found = first_leak(seeds)
    if found is not None:
        again = f"python -m tests.interference --seed {found[0]}"
        raise AssertionError(f"{story(found[0])}\nagain: {again}")
