"""``python -m drivers.openvino --name openvino --model smollm2-135m-instruct``.

Registers at once; the model is pulled, if it is not here, converted, if it never was, and loaded
while the driver already beats. OpenVINO and transformers are imported only then. It knows nothing
about how any of it is done.
"""

from __future__ import annotations

from collections.abc import Sequence

from drivers.ending import leave
from drivers.engine import Announce, Engine
from drivers.models import Store
from drivers.models.cards import ensure_announced, guessed
from drivers.options import common_options, positive, run_driver
from llmagentos.abi.errors import ENOSYS


def main(argv: Sequence[str] | None = None) -> int:
    parser = common_options(
        "drivers.openvino", "Serve a local model by OpenVINO.", name="openvino", slots=16
    )
    parser.add_argument("--threads", type=positive, help="CPU threads; without it, all cores")
    parser.add_argument(
        "--kv-bytes", type=positive, metavar="BYTES",
        help="the most that the KV of all sequences may take; without it, a quarter of the memory",
    )  # fmt: skip
    parser.add_argument(
        "--activations", choices=["int8", "float32"], default="int8",
        help="float32 is nearer to the exact model, and half as fast (%(default)s)",
    )  # fmt: skip
    options = parser.parse_args(argv)

    def load(announce: Announce) -> Engine:
        folder = ensure_announced(options.model, announce)
        announce(f"loading the model {options.model}")
        try:
            from drivers.openvino.conversion import converted
            from drivers.openvino.engine import OpenVINOEngine
            from drivers.openvino.loader import load_model
            from drivers.openvino.pipeline import Pipeline
            from drivers.openvino.quiet import local_openvino
            from drivers.openvino.words import words_of

            local_openvino()
            loaded = load_model(options.model, folder)
            file = converted(options.model, Store.default(), announce)
        except ImportError as error:
            raise ENOSYS(
                f"the OpenVINO driver needs the package {error.name!r}",
                hint='install the openvino extra: pip install "llmagentos[openvino]"',
            ) from None
        announce(f"compiling the model {options.model}")
        pipeline = Pipeline(
            file,
            loaded.card.kv_bytes_per_token,
            options.slots,
            kv_bytes=options.kv_bytes,
            threads=options.threads,
            activations=options.activations,
            # OpenVINO finds KV by its tokens alone. Where prompts with different labels may
            # come, nobody should be able to tell by the time it takes what another one has read.
            share=not options.label,
            words=words_of(loaded.tokenizer),
        )
        return OpenVINOEngine(loaded, options.slots, pipeline)

    return run_driver(
        options,
        kind="edge",
        models=guessed(options.model),
        features=["resume_tokens", "resume_text", "count", "tools"],
        load=load,
    )


if __name__ == "__main__":
    leave(main())
