"""The conversion: done once for a model, and kept in its folder.

What was converted appears by one rename of a finished file, so there is never half of one, and
goes when the model is removed. It knows nothing about tensors.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from drivers.engine import Announce
from drivers.models import Store
from drivers.openvino.weights import write_gguf
from llmagentos.abi.errors import EIO

_PLACE: Final = "openvino/q8_0.gguf"
"""In the model's folder. Another name for what is written in another way."""


def converted(name: str, store: Store, announce: Announce) -> Path:
    """The file of a model that is in the store, made first if it is not there yet."""
    file = store.path(name) / _PLACE
    if file.is_file():
        return file

    def waiting(stage: str, done: int, total: int, unit: str) -> None:
        announce(f"{name} is being converted by another driver")

    def converting(share: float) -> None:
        announce(f"converting the model {name} to 8 bits, once", share)

    try:
        with store.locked(name, waiting):
            if not file.is_file():
                with store.staging(name) as folder:
                    _make(store.path(name), folder / file.name, file, converting)
    except OSError as error:
        raise EIO(
            f"the model {name!r} could not be converted: {error}", hint=f"look at {store.root}"
        ) from error
    return file


def _make(model: Path, staged: Path, final: Path, converting: Callable[[float], None]) -> None:
    write_gguf(model, staged, converting)
    with staged.open("rb") as written:
        os.fsync(written.fileno())
    final.parent.mkdir(exist_ok=True)
    staged.rename(final)
