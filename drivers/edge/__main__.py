"""``python -m drivers.edge --name edge --model smollm2-135m-instruct``.

Registers at once; the model is pulled, if it is not here, and loaded while the driver already
beats. torch and transformers are imported only then. It knows nothing about how either is done.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence

from drivers.engine import Announce, Engine
from drivers.models import Store, ensure
from drivers.models.known import KNOWN
from drivers.options import common_options, run_driver
from llmagentos.abi.driver import FREE, ModelCard
from llmagentos.abi.errors import ENOSYS, LLMOSError
from llmagentos.home import Home


def main(argv: Sequence[str] | None = None) -> int:
    parser = common_options("drivers.edge", "Serve a local model.", name="edge", slots=16)
    parser.add_argument("--dtype", choices=["auto", "float32", "bfloat16"], default="auto")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--threads", type=int, help="CPU threads; without it, all cores")
    parser.add_argument(
        "--kv-bytes", type=_positive, metavar="BYTES",
        help="the most that the KV of all sequences may take; without it, a quarter of the memory",
    )  # fmt: skip
    parser.add_argument(
        "--swap-bytes", type=_positive, metavar="BYTES",
        help="the most that KV may take on the disk; without it, four times --kv-bytes or 4 GiB",
    )  # fmt: skip
    options = parser.parse_args(argv)

    def load(announce: Announce) -> Engine:
        def pulling(stage: str, done: int, total: int, unit: str) -> None:
            share = min(done / total, 1.0) if total else None
            announce(f"getting the model {options.model}: {stage}", share)

        folder = ensure(options.model, pulling)
        announce(f"loading the model {options.model}")
        try:
            import torch

            from drivers.edge.engine import EdgeEngine
            from drivers.edge.loader import load_model
            from drivers.edge.runners import make_runner
        except ImportError as error:
            raise ENOSYS(
                f"the edge driver needs the package {error.name!r}",
                hint='install the edge extra: pip install "llmagentos[edge]"',
            ) from None
        if options.threads:
            torch.set_num_threads(options.threads)
        loaded = load_model(options.model, folder, options.dtype, options.device)
        archive = Home.default().root / "kv" / options.name
        runner = make_runner(loaded, options.slots, options.kv_bytes, archive, options.swap_bytes)
        return EdgeEngine(loaded, options.slots, runner=runner)

    return run_driver(
        options,
        kind="edge",
        models=_guess(options.model),
        features=[
            "preempt",
            "resume_tokens",
            "count",
            "fork",
            "snapshot",
            "grammar",
            "logprobs",
        ],
        load=load,
    )


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def _guess(name: str) -> list[ModelCard]:
    """What can be said of a model before it is loaded, so that bursts for it wait for us.

    Nothing, if it is not known yet or its folder is broken: loading it will say so better.
    """
    try:
        folder = Store.default().path(name)
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        length = config["max_position_embeddings"]
        return [ModelCard(name=name, context_length=length, price=FREE)]
    except (LLMOSError, OSError, ValueError, LookupError, TypeError):
        known = KNOWN.get(name)
        if known is None:
            return []
        return [ModelCard(name=name, context_length=known.context_length, price=FREE)]


if __name__ == "__main__":
    # Read when torch is loaded. Its threads would else spin while they wait for each other, and
    # beside one busy program on the same cores that makes a token cost 4 to 15 times as much.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    sys.exit(main())
