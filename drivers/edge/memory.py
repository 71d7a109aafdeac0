"""Memory: what a step has freed is kept for the next one.

A step takes and frees the same few megabytes for each layer. Left to itself, the C library gives
them back to the operating system each time, which clears every page anew: that took longer than to
read keys and values does. It knows nothing about what the memory is for.
"""

from __future__ import annotations

import ctypes
from typing import Final

_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
"""Of glibc's ``mallopt``."""
_LARGEST: Final = 32 * 2**20
"""Bytes, the most that glibc takes for this: what is larger is always given back."""
_KEPT: Final = 128 * 2**20
"""Bytes that may lie free at the end of the heap."""


def keep_freed() -> bool:
    """For all of this process; whether its C library can do so."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False  # not glibc; then all is right, and slower
    return bool(mallopt(_MMAP_THRESHOLD, _LARGEST) and mallopt(_TRIM_THRESHOLD, _KEPT))
