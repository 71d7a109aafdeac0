"""Which runner a model gets, and how much room.

It knows nothing about what either does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from drivers.checks import MOST_KV, kv_room
from drivers.edge import llama
from drivers.edge.archive import Archive
from drivers.edge.loader import LoadedModel
from drivers.edge.paged import PagedRunner
from drivers.edge.plain import PlainRunner
from drivers.edge.runner import Runner

_DISK: Final = 4


def make_runner(
    loaded: LoadedModel,
    slots: int,
    kv_bytes: int | None = None,
    folder: Path | None = None,
    swap_bytes: int | None = None,
    *,
    int8: bool = True,
) -> Runner:
    """``kv_bytes``: the most that the KV of all sequences may take; by default a quarter of the
    machine's memory, or 4 GiB if that is less. ``folder``: of the archive, for KV that must make
    room or outlive us; ``swap_bytes``: the most that it may take, by default four times as much, or
    4 GiB if that is more. ``int8``: as in ``Llama``."""
    if not llama.fits(loaded.model):
        return PlainRunner(loaded.model, slots, loaded.card.context_length)
    model = llama.Llama(loaded.model, int8=int8)
    room = kv_bytes or kv_room()
    archive = Archive(folder, model.fingerprint, swap_bytes or max(MOST_KV, _DISK * room))
    return PagedRunner(model, room, archive)
