"""How much memory the edge engine takes when 64 agents want ten times the KV that it may have.

    python benchmarks/memory.py [--model NAME] [--folder DIR] [--kv-bytes N] [--agents N]

It starts the engine as the driver does, lets all agents come at once, each for itself, with prompts
and answers of many lengths, and prints as JSON: ``begun``, bytes in memory after the warm-up;
``most``, the most there were after that; ``kv``, the most that KV took; ``allowed``, what the
driver says that it will not be over; ``seconds`` of the warm-up and all before it; and ``finish``,
how answers ended. Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from drivers.edge.__main__ import ENVIRONMENT
from drivers.edge.memory import keep_freed, resident

if __name__ == "__main__":
    os.environ.update({**ENVIRONMENT, **os.environ})
    keep_freed()

from drivers.edge.starting import Room, start
from drivers.models import ensure
from llmagentos.abi.driver import Start
from llmagentos.abi.manifest import Sampling
from llmagentos.abi.talk import ChatMessage

WORDS = ["the", "quick", "brown", "fox", "jumps", "over", "the", "lazy", "dog", "and", "runs"]


def orders(model: str, agents: int, words: int, answer: int) -> list[Start]:
    """Prompts of a half to the whole of so many words, and answers likewise."""
    return [
        Start(
            burst=number + 1, attempt=1, pid=number + 2, model=model, labels=[f"l{number}"],
            messages=[ChatMessage(role="user", content=_text(number, words))],
            sampling=Sampling(max_tokens=answer - number * 7 % (answer // 2)),
        )
        for number in range(agents)
    ]  # fmt: skip


def _text(number: int, words: int) -> str:
    count = words - number * 13 % (words // 2)
    return " ".join(WORDS[(number + n * (number % 7 + 1)) % len(WORDS)] for n in range(count))


def highest() -> int:
    """The most bytes in memory since ``forget_highest``."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/self/status has no VmHWM")


def forget_highest() -> None:
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="smollm2-135m-instruct")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="bfloat16")
    parser.add_argument("--kv-bytes", type=int, default=64 * 2**20)
    parser.add_argument("--agents", type=int, default=64)
    parser.add_argument("--words", type=int, default=300)
    parser.add_argument("--answer", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    folder = options.folder or ensure(options.model)
    with tempfile.TemporaryDirectory(prefix="llmos-bench-") as swap:
        begun = time.perf_counter()
        engine, allowed = start(
            options.model, folder, options.agents, lambda note, progress=None: None,
            Room(options.kv_bytes, Path(swap)), dtype=options.dtype, device="cpu",
        )  # fmt: skip
        seconds, before = time.perf_counter() - begun, resident()
        finish: Counter[str] = Counter()
        most = kv = 0
        forget_highest()
        for _ in range(options.rounds):
            for order in orders(options.model, options.agents, options.words, options.answer):
                engine.start(order)
            while engine.busy:
                finish.update(report.finish for report in engine.step() if report.finish)
                kv = max(kv, engine.stats.kv_bytes)
            most = highest()
    print(json.dumps({
        "begun": before, "most": most, "kv": kv, "allowed": allowed, "seconds": seconds,
        "finish": finish,
    }))  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
