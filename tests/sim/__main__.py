"""``python -m tests.sim``: many seeds, or one of them with all that happened in it.

A seed that fails is printed with the command that plays it again, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from functools import partial
from multiprocessing import Pool

from tests.sim.run import STEPS, play


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("--seeds", type=int, default=500, help="how many (%(default)s)")
    parser.add_argument("--first", type=int, default=0, help="the first of them (%(default)s)")
    parser.add_argument("--steps", type=int, default=STEPS, help="turns each (%(default)s)")
    parser.add_argument("--jobs", type=int, default=1, help="processes (%(default)s)")
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--trace", action="store_true", help="tell all that happens in it")
    options = parser.parse_args()
    if options.seed is not None:
        trace, failure = play(options.seed, options.steps)
        print(
            "\n".join(trace) if options.trace else f"seed {options.seed}",
            failure or "kept",
            sep="\n",
        )
        return int(bool(failure))
    return _campaign(options)


def _campaign(options: argparse.Namespace) -> int:
    seeds = range(options.first, options.first + options.seeds)
    failed, started = 0, time.monotonic()
    with Pool(options.jobs) as pool:
        work = pool.imap_unordered(partial(_one, steps=options.steps), seeds, chunksize=4)
        for done, (seed, failure) in enumerate(work, 1):
            if failure:
                failed += 1
                print(f"\rseed {seed}: {failure}", flush=True)
                print(f"  again: python -m tests.sim --seed {seed} --steps {options.steps} --trace")
            if sys.stderr.isatty() or done % 200 == 0 or done == len(seeds):
                took = time.monotonic() - started
                end = "" if sys.stderr.isatty() else "\n"
                print(
                    f"\r{done} of {len(seeds)} seeds, {failed} failed, "
                    f"{1000 * took * options.jobs / done:.0f} ms each ",
                    end=end, file=sys.stderr, flush=True,
                )  # fmt: skip
    return int(failed > 0)


def _one(seed: int, steps: int) -> tuple[int, str]:
    return seed, play(seed, steps, verbose=False)[1]


if __name__ == "__main__":
    # Many short lives: what is thrown away at the end need not be cleaned up.
    status = main()
    sys.stdout.flush()
    os._exit(status)
