"""Memory: what a step has freed is kept for the next one, as long as there is not too much of it.

A step takes and frees the same few megabytes for each layer. Left to itself, the C library gives
them back to the operating system each time, which clears every page anew: that took longer than to
read keys and values does. But sizes change from step to step, and what lies free between pieces
that are in use adds up. So there is a ceiling, over which all that is free is given back. It knows
nothing about what the memory is for.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Any, Final

PROGRAMS: Final = 128
"""How many of its programs oneDNN keeps: more than one step ever needs."""
_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
_ARENA_MAX: Final = -8
"""Of glibc's ``mallopt``."""
_LARGEST: Final = 32 * 2**20
"""Bytes, the most that glibc takes for this: what is larger is always given back."""
_KEPT: Final = 128 * 2**20
"""Bytes that may lie free at the end of the heap."""
_STATM: Final = Path("/proc/self/statm")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_OVER: Final = 0.05
"""Of what may be taken, how far the process may be over it in the middle of a step."""
_PAUSE: Final = 8
"""Steps from one time that memory is given back to the next: the steps after it are slower."""
_LONGEST_PAUSE: Final = 256
"""The same where it was in vain, time after time: what is over the ceiling is not free."""


def keep_freed() -> bool:
    """For all of this process, and for all threads that begin from now on in one heap: one uses
    what another has freed. Whether its C library can do so."""
    mallopt = _of_glibc("mallopt")
    return mallopt is not None and all(
        mallopt(what, value)
        for what, value in (
            (_MMAP_THRESHOLD, _LARGEST), (_TRIM_THRESHOLD, _KEPT), (_ARENA_MAX, 1),
        )
    )  # fmt: skip


def give_back() -> None:
    """All that is free, to the operating system."""
    if (trim := _of_glibc("malloc_trim")) is not None:
        trim(0)


def resident() -> int | None:
    """Bytes of this process that are in memory; None, if the system doesn't say."""
    try:
        return int(_STATM.read_text(encoding="ascii").split()[1]) * _PAGE
    except OSError:
        return None


class Ceiling:
    """Over what the process has now, which has done all that takes memory but has written nothing
    into its ``room`` of so many bytes."""

    def __init__(self, room: int) -> None:
        self._begun = resident()
        self._room = room
        self._pause = 0
        self._next_pause = _PAUSE

    @property
    def most(self) -> int | None:
        """Bytes in memory, which the process is never over."""
        return None if self._begun is None else self._begun + round((1 + _OVER) * self._room)

    def hold(self, used: int) -> None:
        """After a step, with so many bytes of the room in use."""
        self._pause -= 1
        if self._begun is None or self._pause > 0:
            return
        # Half of what it may be over is for what the next step takes before it ends here.
        if not self._is_over(used + round(_OVER / 2 * self._room)):
            return
        give_back()
        in_vain = self._is_over(used + round(_OVER * self._room))
        self._next_pause = min(2 * self._next_pause, _LONGEST_PAUSE) if in_vain else _PAUSE
        self._pause = self._next_pause

    def _is_over(self, size: int) -> bool:
        now = resident()
        return now is not None and self._begun is not None and now > self._begun + size


def _of_glibc(name: str) -> Any:
    """None, where it is another C library; then all is right, and slower."""
    try:
        return getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError, TypeError):
        return None
