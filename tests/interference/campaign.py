"""A campaign: the programs of many seeds, one after the other, until one leaks.

It knows nothing about what is in a program.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from tests.interference.play import failure


def first_leak(seeds: Iterable[int]) -> tuple[int, str] | None:
    """The seed of the first program that leaks, and what leaks; None if there is none."""
    with quiet():
        for seed in seeds:
            if found := failure(seed):
                return seed, found
    return None


@contextmanager
def quiet() -> Iterator[None]:
    """What is there stays there, so the garbage of each world need not be looked for among it."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
