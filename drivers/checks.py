"""What every engine that runs a local model checks in the same way, and says in the same words.

It knows nothing about how a model is run.
"""

from __future__ import annotations

import os
from typing import Final

from llmagentos.abi.errors import EBUSY, ECONTEXT, EDRIVER, LLMOSError

MOST_KV: Final = 4 * 1024**3
_SHARE: Final = 4


def kv_room() -> int:
    """Bytes for KV, if nobody says how many: a quarter of the memory, or 4 GiB if that is less."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(MOST_KV, memory // _SHARE)


def check_slot(active: int, slots: int) -> None:
    """Raises ``EBUSY`` if none is free."""
    if active >= slots:
        raise EBUSY(f"all {slots} slots are taken", hint="preempt or cancel a burst first")


def check_room(tokens: int, most: int) -> None:
    """Raises ``ECONTEXT`` for a burst that the KV cache could never hold."""
    if tokens > most:
        raise ECONTEXT(
            f"{tokens} tokens of context and answer are more than the {most} that the driver's KV "
            f"cache can hold",
            hint="give the driver more --kv-bytes, or lower max_tokens",
        )


def failed(error: Exception) -> LLMOSError:
    """What an engine raised, as its burst is told."""
    if isinstance(error, LLMOSError):
        return error
    lines = str(error).splitlines() or [""]
    return EDRIVER(
        f"the engine failed: {type(error).__name__}: {lines[0]}",
        hint="see the driver's log; out of memory: fewer --slots or shorter contexts",
    )
