"""Are the engine's tokens those of transformers' ``generate``, whatever happens to a sequence?

    python -m tests.campaigns.exact [--prompts N] [--tokens N] [--seed N]

The embedded model in fp32, greedy, mixed prompts of which many begin alike: each alone, all at
once, preempted at random tokens, with room for a tenth of them, killed with -9 after snapshots and
restored by another process, and forked. In bf16, where the company counts: are they those of the
same run undisturbed, if all are held at random tokens and go on together?
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from drivers.edge.blocks import BLOCK
from drivers.edge.engine import EdgeEngine
from drivers.edge.loader import LoadedModel, load_model
from drivers.edge.prompt import prompt_tokens
from drivers.edge.runners import make_runner
from llmagentos.abi.driver import Start
from llmagentos.abi.manifest import Sampling
from llmagentos.abi.talk import ChatMessage

FAMILY = 8
"""Prompts that begin alike."""
WORDS = ["the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog", "naïve", "cafés"]

Answers = dict[int, list[int]]


def prompts(count: int, seed: int, words: int) -> dict[int, str]:
    """By the number of their burst: from a few words to about so many, in families."""
    rng = random.Random(seed)
    found: dict[int, str] = {}
    while len(found) < count:
        begin = " ".join(rng.choices(WORDS, k=words // rng.choice([1, 2, 7, 40])))
        for _ in range(min(FAMILY, count - len(found))):
            end = " ".join(rng.choices(WORDS, k=rng.randint(1, words // 4)))
            found[len(found) + 1] = f"{begin}. {end}?"
    return found


@dataclass(slots=True)
class Trial:
    """``folder``: for archives. ``cached``: tokens that were found, not computed, in the trial
    that ran last."""

    loaded: LoadedModel
    model: Path
    folder: Path
    texts: dict[int, str]
    tokens: int
    seed: int
    words: int
    cached: int = 0

    def order(self, burst: int, text: str = "", **more: Any) -> Start:
        return Start(
            burst=burst, attempt=1, pid=burst, model=self.loaded.card.name,
            messages=[ChatMessage(role="user", content=text or self.texts[burst])],
            sampling=Sampling(max_tokens=self.tokens), **more,
        )  # fmt: skip

    def engine(self, blocks: int | None = None, archive: str = "kv") -> EdgeEngine:
        self.cached = 0
        size = BLOCK * self.loaded.card.kv_bytes_per_token
        room = None if blocks is None else blocks * size
        runner = make_runner(self.loaded, len(self.texts), room, self.folder / archive)
        return EdgeEngine(self.loaded, len(self.texts), runner=runner)

    def run(self, engine: EdgeEngine, got: Answers, until: int | None = None) -> None:
        """Up to the end, or so many steps."""
        while engine.busy and (until is None or until > 0):
            for report in engine.step():
                if report.error is not None:
                    raise RuntimeError(report.error.message)
                got.setdefault(report.burst, []).extend(report.tokens)
                self.cached += report.cached_tokens
            until = None if until is None else until - 1

    # -- the trials --------------------------------------------------------------------------

    def generated(self) -> Answers:
        """What is right."""
        import torch

        right: Answers = {}
        for burst in self.texts:
            ids = prompt_tokens(self.loaded.tokenizer, self.order(burst), 1 << 20)
            out = self.loaded.model.generate(
                input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)).long(),
                max_new_tokens=self.tokens, do_sample=False,
                pad_token_id=min(self.loaded.vocabulary.eos),
            )  # fmt: skip
            right[burst] = out[0, len(ids) :].tolist()
        return right

    def alone(self) -> Answers:
        engine, got = self.engine(), Answers()
        for burst in self.texts:
            engine.start(self.order(burst))
            self.run(engine, got)
        return got

    def batch(self) -> Answers:
        engine, got = self.engine(), Answers()
        for burst in self.texts:
            engine.start(self.order(burst))
        self.run(engine, got)
        return got

    def preempted(self, blocks: int | None = None) -> Answers:
        rng, engine, got = random.Random(self.seed), self.engine(blocks), Answers()
        for burst in self.texts:
            engine.start(self.order(burst))
        held: set[int] = set()
        while engine.busy or held:
            self.run(engine, got, 1)
            for burst in self.texts:
                if burst in held:
                    if rng.random() < 0.3:
                        held.discard(burst)
                        engine.resume(burst)
                elif rng.random() < 0.1:
                    engine.preempt(burst)
                    if burst in engine._held:
                        held.add(burst)
        return got

    def together(self, stops: Collection[int]) -> Answers:
        """All at once, and after these steps all are held and go on."""
        engine, got = self.engine(archive=f"together-{len(stops)}"), Answers()
        for burst in self.texts:
            engine.start(self.order(burst))
        steps = 0
        while engine.busy:
            self.run(engine, got, 1)
            steps += 1
            if steps in stops:
                for burst in self.texts:
                    engine.preempt(burst)
                for burst in self.texts:
                    engine.resume(burst)
        return got

    def capped(self) -> Answers:
        """With room for a tenth of what they want, each for itself, and a few blocks at least."""
        wants = [
            len(prompt_tokens(self.loaded.tokenizer, self.order(burst), 1 << 20)) + self.tokens
            for burst in self.texts
        ]
        blocks = max(sum(wants) // BLOCK // 10, max(wants) // BLOCK + 2)
        return self.preempted(blocks)

    def killed(self) -> Answers:
        """Everything that another process had done when it was killed is found again."""
        command = [
            sys.executable, "-m", "tests.campaigns.exact", "--child", str(self.model),
            "--name", self.loaded.card.name, "--archive", str(self.folder / "killed"),
            "--prompts", str(len(self.texts)), "--tokens", str(self.tokens),
            "--seed", str(self.seed), "--words", str(self.words),
        ]  # fmt: skip
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        made = {int(burst): tokens for burst, tokens in json.loads(child.stdout.readline()).items()}
        child.kill()
        child.wait()
        child.stdout.close()
        got = {burst: list(tokens) for burst, tokens in made.items()}
        engine = self.engine(archive="killed")
        ready = 0
        for burst in self.texts:
            order = self.order(burst, accepted=made[burst])
            if (said := engine.start(order)) is None:
                ready += len(prompt_tokens(self.loaded.tokenizer, order, 1 << 20))
                ready += len(made[burst]) - 1
            else:
                assert said.finish, "it was complete, and is only told so"
        self.run(engine, got)
        if self.cached < ready:
            raise RuntimeError(f"of {ready} tokens that were read only {self.cached} were found")
        return got

    def child(self) -> None:
        """The one that is killed."""
        engine, got = self.engine(archive="killed"), Answers()
        for burst in self.texts:
            engine.start(self.order(burst))
        while len(got) < len(self.texts):
            self.run(engine, got, 1)
            got = {burst: tokens for burst, tokens in got.items() if tokens}
        self.run(engine, got, self.tokens // 2)
        for burst in self.texts:
            engine.preempt(burst)
            engine.snapshot(burst)
        while engine.busy:
            engine.step()
        print(json.dumps(got), flush=True)
        time.sleep(3600)

    def forked(self) -> Answers:
        """A process reads what a family begins with, is forked for each, and goes."""
        engine, got = self.engine(), Answers()
        children = list(self.texts)
        for first in range(0, len(children), FAMILY):
            family = children[first : first + FAMILY]
            parent = 10_000 + first
            begin = self.texts[family[0]].partition(".")[0]
            engine.start(self.order(parent, begin + "."))
            self.run(engine, got)
            for child in family:
                engine.fork(parent, child)
            engine.drop(parent)
        for child in children:
            engine.start(self.order(child))
        self.run(engine, got)
        return got


TRIALS: dict[str, Callable[[Trial], Answers]] = {
    "alone": Trial.alone,
    "batch": Trial.batch,
    "preempted": Trial.preempted,
    "capped": Trial.capped,
    "killed": Trial.killed,
    "forked": Trial.forked,
}


def wrong(right: Answers, got: Answers) -> list[int]:
    """The bursts whose tokens are others."""
    return [burst for burst, tokens in right.items() if got.get(burst) != tokens]


def main(argv: Iterable[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--words", type=int, default=160, help="of the longest prompts, about")
    parser.add_argument("--name", default="smollm2-135m-instruct", help=argparse.SUPPRESS)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--archive", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(list(argv) if argv is not None else None)
    if options.child is None:
        from drivers.models import ensure

        model = ensure(options.name)
    else:
        model = options.child
    loaded = load_model(options.name, model, "float32", "cpu")
    texts = prompts(options.prompts, options.seed, options.words)
    with tempfile.TemporaryDirectory(prefix="llmos-exact-") as folder:
        root = options.archive.parent if options.archive else Path(folder)
        trial = Trial(loaded, model, root, texts, options.tokens, options.seed, options.words)
        if options.child is not None:
            trial.child()
            return 0
        begun = time.monotonic()
        right = trial.generated()
        print(f"{'generate':12} {len(right)} answers, {time.monotonic() - begun:.0f} s")
        failed = 0
        for name, run in TRIALS.items():
            begun = time.monotonic()
            bad = wrong(right, run(trial))
            failed += bool(bad)
            verdict = f"wrong: {bad}" if bad else "all right"
            print(f"{name:12} {verdict}, {time.monotonic() - begun:.0f} s", flush=True)
        begun = time.monotonic()
        rounded = replace(trial, loaded=load_model(options.name, model, "bfloat16", "cpu"))
        stops = random.Random(options.seed).sample(
            range(1, 3 * options.tokens), options.tokens // 4
        )
        bad = wrong(rounded.together(()), rounded.together(stops))
        failed += bool(bad)
        verdict = f"wrong: {bad}" if bad else "all right"
        print(f"{'bf16, held':12} {verdict}, {time.monotonic() - begun:.0f} s")
        print(f"load average {os.getloadavg()[0]:.1f}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
