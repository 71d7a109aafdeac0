"""Starting: from a model's folder to an engine that has taken all the memory that it needs beside
keys and values.

Nothing of loading is kept. It knows nothing about the command line, nor about the kernel.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from drivers.edge.engine import EdgeEngine
from drivers.edge.llama import Activations
from drivers.edge.loader import Dtype, emptied, load_model
from drivers.edge.memory import give_back
from drivers.edge.paged import PagedRunner
from drivers.edge.runners import make_runner
from drivers.engine import Announce


class Room(NamedTuple):
    """As of ``make_runner``."""

    kv_bytes: int | None = None
    folder: Path | None = None
    swap_bytes: int | None = None


def start(
    name: str,
    folder: Path,
    slots: int,
    announce: Announce,
    room: Room,
    *,
    dtype: Dtype = "auto",
    device: str = "auto",
    int8: bool = True,
    activations: Activations = "float",
) -> tuple[EdgeEngine, int | None]:
    """The engine, and the most bytes that the process will have in memory from now on; None, if
    nobody knows. ``folder``: of the model ``name``; the rest as of ``load_model`` and
    ``make_runner``, whose errors it raises."""
    loaded = load_model(name, folder, dtype, device)
    runner = make_runner(loaded, slots, *room, int8=int8, activations=activations)
    if isinstance(runner, PagedRunner):
        emptied(loaded)
    engine = EdgeEngine(loaded, slots, runner=runner)
    give_back()
    announce("trying the largest step")
    return engine, engine.warm_up()
