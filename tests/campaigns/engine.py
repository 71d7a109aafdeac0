"""Is the edge engine exact, and does it keep its books, whatever happens to whom?

    python -m tests.campaigns.engine [--stories N] [--seconds N] [--seed N]

A small random model in fp32. Each story is some dozens of acts long: processes come, start bursts,
fork and exit; bursts are held, go on, are cancelled and snapshotted; drivers are killed, disks are
small or damaged, forwards fail. Every token, text and count must be what transformers alone would
say, no token may be computed twice, and every block must be accounted for.
"""

from __future__ import annotations

import argparse
import logging
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from tests.campaigns.findings import Findings, known, shortest
from tests.campaigns.lodgers import House
from tests.campaigns.oracle import Oracle
from tests.campaigns.stay import Wrong

_ACTS = (20, 120)


def play(oracle: Oracle, theme: str, acts: Iterable[int]) -> tuple[str, House]:
    """What went wrong, or ""."""
    with tempfile.TemporaryDirectory(prefix="llmos-engine-") as folder:
        house = House(oracle, Path(folder), theme)
        try:
            for act in acts:
                house.act(f"{theme} {act}")
            house.close()
        except Wrong as error:
            return str(error), house
        except Exception as error:
            frame = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{Path(frame.filename).name}:{frame.lineno}"
            return f"{type(error).__name__} in {where}: {error}", house
    return "", house


def run(oracle: Oracle, themes: Iterable[str], findings: Findings) -> Counter[str]:
    """How many bursts ended how, and how many stories there were."""
    done: Counter[str] = Counter()
    for theme in themes:
        length = random.Random(theme).randint(*_ACTS)
        wrong, house = play(oracle, theme, range(length))
        done += house.done + Counter(stories=1)
        if wrong:
            findings.add(wrong, partial(_told, oracle, theme, length, wrong))
    return done


def _told(oracle: Oracle, theme: str, length: int, wrong: str) -> str:
    """The shortest part of it that goes wrong in the same way."""
    same = known(wrong)
    short = shortest(range(length), lambda fewer: known(play(oracle, theme, fewer)[0]) == same)
    wrong, house = play(oracle, theme, short)
    return "\n".join([f"  {line}" for line in house.story] + [f"  {wrong}", f"  {theme!r} {short}"])


def main(argv: Iterable[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--stories", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=240)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(list(argv) if argv is not None else None)
    from tests.drivers import small

    logging.disable()
    oracle, findings = Oracle(small.model(small.tokenizer())), Findings()
    end = time.monotonic() + options.seconds
    themes = (f"{options.seed}.{number}" for number in range(options.stories))
    done = run(oracle, (one for one in themes if time.monotonic() < end), findings)
    print(findings)
    print(f"{sum(done.values()) - done['stories']} bursts in {done['stories']} stories: {done}")
    return 1 if findings.counts else 0


if __name__ == "__main__":
    sys.exit(main())
