"""``python -m drivers.edge --name edge --model smollm2-135m-instruct``.

Registers at once; the model is pulled, if it is not here, and loaded while the driver already
beats. torch and transformers are imported only then. It knows nothing about how either is done.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import Final

from drivers.edge.memory import PROGRAMS, keep_freed
from drivers.ending import leave
from drivers.engine import Announce, Engine
from drivers.models.cards import ensure_announced, guessed
from drivers.options import common_options, positive, run_driver
from llmagentos.abi.errors import ENOSYS
from llmagentos.home import Home

log = logging.getLogger("driver")

ENVIRONMENT: Final = {
    # Threads spin while they wait for each other, but not for longer than from one product to the
    # next: to be woken takes longer still.
    "OMP_WAIT_POLICY": "ACTIVE",
    "GOMP_SPINCOUNT": "20000",
    # Weights lie in few large pages.
    "THP_MEM_ALLOC_ENABLE": "1",
    # Programs for shapes, of half a megabyte each, of which there are ever new ones. The most that
    # one step needs at every layer; torch's own list of them only holds on to what oneDNN gave up.
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": str(PROGRAMS),
    "LRU_CACHE_CAPACITY": "1",
}
"""What torch reads when it is loaded."""


def main(argv: Sequence[str] | None = None) -> int:
    parser = common_options("drivers.edge", "Serve a local model.", name="edge", slots=16)
    parser.add_argument("--dtype", choices=["auto", "float32", "bfloat16"], default="auto")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--threads", type=int, help="CPU threads; without it, all cores")
    parser.add_argument(
        "--kv-bytes", type=positive, metavar="BYTES",
        help="the most that the KV of all sequences may take; without it, a quarter of the memory",
    )  # fmt: skip
    parser.add_argument(
        "--swap-bytes", type=positive, metavar="BYTES",
        help="the most that KV may take on the disk; without it, four times --kv-bytes or 4 GiB",
    )  # fmt: skip
    parser.add_argument(
        "--no-int8", action="store_true",
        help="in bfloat16, don't keep a copy of the weights in 8 bits for one or two sequences",
    )  # fmt: skip
    parser.add_argument(
        "--activations", choices=["float", "int8"], default="float",
        help="int8 is faster, and parts earlier from what the exact model says (%(default)s)",
    )  # fmt: skip
    options = parser.parse_args(argv)
    keep_freed()

    def load(announce: Announce) -> Engine:
        folder = ensure_announced(options.model, announce)
        announce(f"loading the model {options.model}")
        try:
            import torch

            from drivers.edge.starting import Room, start
        except ImportError as error:
            raise ENOSYS(
                f"the edge driver needs the package {error.name!r}",
                hint='install the edge extra: pip install "llmagentos[edge]"',
            ) from None
        if options.threads:
            torch.set_num_threads(options.threads)
        archive = Home.default().root / "kv" / options.name
        engine, most = start(
            options.model, folder, options.slots, announce,
            Room(options.kv_bytes, archive, options.swap_bytes),
            dtype=options.dtype, device=options.device,
            int8=not options.no_int8, activations=options.activations,
        )  # fmt: skip
        if most is not None:
            log.info("no more memory than %d MiB from now on", most >> 20)
        return engine

    return run_driver(
        options,
        kind="edge",
        models=guessed(options.model),
        features=[
            "preempt",
            "resume_tokens",
            "resume_text",
            "count",
            "fork",
            "snapshot",
            "grammar",
            "logprobs",
            "tools",
        ],
        load=load,
    )


if __name__ == "__main__":
    os.environ.update({**ENVIRONMENT, **os.environ})
    leave(main())
