"""Which runner a model gets, and how much room.

It knows nothing about what either does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from drivers.checks import MOST_KV, kv_room
from drivers.edge import llama
from drivers.edge.archive import Archive
from drivers.edge.int8 import fits as int8_fits
from drivers.edge.loader import LoadedModel
from drivers.edge.paged import PagedRunner
from drivers.edge.plain import PlainRunner
from drivers.edge.runner import Runner
from llmagentos.abi.errors import ENOSYS

_DISK: Final = 4


def make_runner(
    loaded: LoadedModel,
    slots: int,
    kv_bytes: int | None = None,
    folder: Path | None = None,
    swap_bytes: int | None = None,
    *,
    int8: bool = True,
    activations: llama.Activations = "float",
) -> Runner:
    """``kv_bytes``: the most that the KV of all sequences may take; by default a quarter of the
    machine's memory, or 4 GiB if that is less. ``folder``: of the archive, for KV that must make
    room or outlive us; ``swap_bytes``: the most that it may take, by default four times as much, or
    4 GiB if that is more. ``int8`` and ``activations``: as in ``Llama``. Raises
    ``ENOSYS`` if this model can't have these activations, or not here."""
    known = llama.fits(loaded.model)
    if activations == "int8" and not (known and int8_fits(loaded.model.device)):
        here = "this device" if known else f"a {type(loaded.model).__name__}"
        raise ENOSYS(
            f"{here} can't be computed with activations in 8 bits",
            hint="leave the option out; it needs a Llama-like model and a CPU with VNNI",
        )
    if not known:
        return PlainRunner(loaded.model, slots, loaded.card.context_length)
    model = llama.Llama(loaded.model, int8=int8, activations=activations)
    room = kv_bytes or kv_room()
    archive = Archive(folder, model.fingerprint, swap_bytes or max(MOST_KV, _DISK * room))
    return PagedRunner(model, room, archive)
