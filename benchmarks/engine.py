"""The edge engine beside others, on the same prompts in the same run.

    python benchmarks/engine.py [--rounds N] [--shared N] [--batches 1,4,16,64] [--json]

The others: transformers' own ``generate``, and OpenVINO GenAI where it is installed. Prompts of
about 200 tokens, of which 150 are the same in all of them, and 64 tokens of answer, greedy. Decode
is tokens a second over all sequences once all prompts are read; prefill is tokens of prompts a
second. Machines are shared and noisy: only the ratios mean anything, and of several rounds the
median.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from drivers.edge.__main__ import ENVIRONMENT

os.environ.update({**ENVIRONMENT, **os.environ})
import torch
from tabulate import tabulate

from drivers.edge.engine import EdgeEngine
from drivers.edge.llama import Activations
from drivers.edge.loader import LoadedModel, load_model
from drivers.edge.memory import keep_freed
from drivers.edge.prompt import prompt_tokens
from drivers.edge.runners import make_runner
from drivers.models import Store, ensure
from llmagentos.abi.driver import Start
from llmagentos.abi.manifest import Sampling
from llmagentos.abi.talk import ChatMessage

if TYPE_CHECKING:
    from drivers.openvino.engine import OpenVINOEngine

MODEL = "smollm2-135m-instruct"
WORDS = ["the", "quick", "brown", "fox", "jumps", "over", "the", "lazy", "dog", "and", "runs"]
BATCHES = (1, 4, 16, 64)
ANSWER = 64

_runs = count()


def orders(sequences: int, shared: int, own: int) -> list[Start]:
    """So many, which begin with the same words, but not with those of an earlier run."""
    run = next(_runs)
    common = " ".join([f"run {run}.", *(WORDS[n % len(WORDS)] for n in range(shared - 30))])
    return [
        Start(
            burst=number + 1, attempt=1, pid=2, model=MODEL,
            messages=[ChatMessage(role="user", content=f"{common} {_tail(number, own)}")],
            sampling=Sampling(max_tokens=ANSWER),
        )
        for number in range(sequences)
    ]  # fmt: skip


def _tail(number: int, own: int) -> str:
    return " ".join(WORDS[(number * 5 + n * (number % 7 + 1)) % len(WORDS)] for n in range(own))


def ours(engine: EdgeEngine | OpenVINOEngine, batch: list[Start]) -> tuple[float, float]:
    """Prefill, until each has its first token, and decode after that: tokens a second."""
    read = made = 0
    for order in batch:
        engine.start(order)
    waiting = {order.burst for order in batch}
    begun = time.perf_counter()
    while waiting:
        for report in engine.step():
            read += report.prompt_tokens or 0
            if report.tokens:
                waiting.discard(report.burst)
    middle = time.perf_counter()
    while engine.busy:
        made += sum(len(report.tokens) for report in engine.step())
    return read / (middle - begun), made / (time.perf_counter() - middle)


def theirs(loaded: LoadedModel, batch: list[Start]) -> tuple[float, float]:
    """The same by ``generate``."""
    length = loaded.card.context_length
    prompts = [prompt_tokens(loaded.tokenizer, order, length) for order in batch]
    longest = max(map(len, prompts))
    padding = next(iter(loaded.vocabulary.eos))
    ids = torch.tensor([[padding] * (longest - len(one)) + one for one in prompts])
    mask = torch.tensor([[0] * (longest - len(one)) + [1] * len(one) for one in prompts])

    def generate(tokens: int) -> float:
        begun = time.perf_counter()
        loaded.model.generate(
            input_ids=ids, attention_mask=mask, do_sample=False, pad_token_id=padding,
            min_new_tokens=tokens, max_new_tokens=tokens,
        )  # fmt: skip
        return time.perf_counter() - begun

    first, whole = generate(1), generate(ANSWER)
    return sum(map(len, prompts)) / first, len(batch) * (ANSWER - 1) / (whole - first)


def edge_engine(loaded: LoadedModel, activations: Activations) -> EdgeEngine:
    runner = make_runner(loaded, max(BATCHES), activations=activations)
    return EdgeEngine(loaded, max(BATCHES), runner=runner)


def openvino_engine(activations: str) -> OpenVINOEngine:
    from drivers.openvino.conversion import converted
    from drivers.openvino.engine import OpenVINOEngine
    from drivers.openvino.loader import load_model as load
    from drivers.openvino.pipeline import Pipeline

    loaded, slots = load(MODEL, ensure(MODEL)), max(BATCHES)
    file = converted(MODEL, Store.default(), lambda note, progress=None: None)
    width = loaded.card.kv_bytes_per_token
    pipeline = Pipeline(file, width, slots, activations=activations)  # type: ignore[arg-type]
    return OpenVINOEngine(loaded, slots, pipeline)


def engines() -> dict[str, Callable[[list[Start]], tuple[float, float]]]:
    folder = ensure(MODEL)
    found: dict[str, Callable[[list[Start]], tuple[float, float]]] = {}
    for dtype in ("float32", "bfloat16"):
        loaded = load_model(MODEL, folder, dtype, "cpu")  # type: ignore[arg-type]
        found[f"transformers {dtype}"] = partial(theirs, loaded)
        found[f"edge {dtype}"] = partial(ours, edge_engine(loaded, "float"))
    found["edge bfloat16, activations int8"] = partial(ours, edge_engine(loaded, "int8"))
    if importlib.util.find_spec("openvino_genai"):
        for activations in ("float32", "int8"):
            engine = openvino_engine(activations)
            found[f"OpenVINO int8, activations {activations}"] = partial(ours, engine)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--shared", type=int, default=150, help="tokens that all prompts begin with"
    )
    parser.add_argument("--batches", type=_numbers, default=BATCHES, help="sequences at once")
    parser.add_argument("--engines", default="", help="only those with one of these in their names")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    keep_freed()
    taken: dict[tuple[str, int], list[tuple[float, float]]] = {}
    all_engines = {
        name: run
        for name, run in engines().items()
        if any(part in name for part in options.engines.split(","))
    }
    for run in all_engines.values():
        run(orders(2, options.shared, 50))  # what is made once, when it is first needed
    for number in range(options.rounds):
        print(f"round {number + 1} of {options.rounds} …", file=sys.stderr)
        for sequences in options.batches:
            for name, run in all_engines.items():
                batch = orders(sequences, options.shared, 50)
                taken.setdefault((name, sequences), []).append(run(batch))
    rows: list[dict[str, Any]] = []
    for sequences in options.batches:
        medians = {
            name: tuple(statistics.median(one) for one in zip(*taken[name, sequences], strict=True))
            for name in all_engines
        }
        theirs = [of for name, of in medians.items() if name.startswith("transformers")]
        best = [max((of[n] for of in theirs), default=None) for n in (0, 1)]
        rows += [
            {
                "sequences": sequences, "engine": name,
                "prefill": round(prefill), "decode": round(decode, 1),
                "prefill_of_best": best[0] and round(prefill / best[0], 2),
                "decode_of_best": best[1] and round(decode / best[1], 2),
            }
            for name, (prefill, decode) in medians.items()
        ]  # fmt: skip
    if options.json:
        print(json.dumps(rows))
        return 0
    print(tabulate(
        [list(row.values()) for row in rows],
        headers=["sequences", "engine", "prefill/s", "decode/s", "prefill / best of transformers",
                 "decode / best"],
    ))  # fmt: skip
    print(f"\nload average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    return 0


def _numbers(text: str) -> Sequence[int]:
    return [int(part) for part in text.split(",")]


if __name__ == "__main__":
    sys.exit(main())
