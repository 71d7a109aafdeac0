"""``python -m drivers.embedding --name embedding --model all-minilm-l6-v2``.

Registers at once; the model is pulled, if it is not here, while the driver already beats, and
loaded when the first text comes. It knows nothing about how either is done.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Final

from drivers.embedding.engine import EmbeddingEngine, card
from drivers.ending import leave
from drivers.engine import Announce, Engine
from drivers.models.cards import ensure_announced
from drivers.options import common_options, positive, run_driver
from llmagentos.abi.errors import EINVAL, ENOSYS

_NEEDED: Final = ("onnxruntime", "tokenizers", "numpy")
_HUMBLE: Final = 10
"""How much its process stands behind others, as ``nice`` has it: most of its work is done ahead of
time, and an answer that somebody waits for goes first."""


def main(argv: Sequence[str] | None = None) -> int:
    parser = common_options(
        "drivers.embedding", "Make vectors of texts.", name="embedding", slots=2
    )
    parser.add_argument(
        "--threads", type=positive, default=min(2, os.cpu_count() or 1),
        help="CPU threads for one text (%(default)s)",
    )  # fmt: skip
    options = parser.parse_args(argv)

    def load(announce: Announce) -> Engine:
        for package in _NEEDED:
            if find_spec(package) is None:
                raise ENOSYS(
                    f"the embedding driver needs the package {package!r}",
                    hint='install the embedding extra: pip install "llmagentos[embedding]"',
                )
        folder = ensure_announced(options.model, announce)
        for file in ("model.onnx", "tokenizer.json"):
            if not (folder / file).is_file():
                raise EINVAL(
                    f"{options.model} is no model that embeds: {folder} has no {file}",
                    hint="llmos models pull all-minilm-l6-v2 gets one that does",
                )
        return EmbeddingEngine(options.model, folder, options.threads)

    with contextlib.suppress(OSError):
        os.nice(_HUMBLE)
    return run_driver(
        options, kind="edge", models=[card(options.model)], features=["embed"], load=load
    )


if __name__ == "__main__":
    leave(main())
