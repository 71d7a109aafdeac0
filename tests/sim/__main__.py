"""``python -m tests.sim``: the simulator for as many seeds as you like, and one seed closely.

It knows nothing about what a world does.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
import traceback

from tests.sim.world import World

TURNS = 120
"""Turns of the kernel in which things go wrong, in each seed."""


def fails(seed: int, turns: int) -> str:
    """What went wrong in this seed, and where; "" if nothing did."""
    try:
        World(seed).run(turns)
    except Exception:
        return traceback.format_exc()
    return ""


def _one(job: tuple[int, int]) -> tuple[int, str]:
    return job[0], fails(*job)


def campaign(first: int, seeds: int, turns: int, jobs: int) -> int:
    """Run them all; how many failed."""
    work = [(seed, turns) for seed in range(first, first + seeds)]
    began, failed = time.monotonic(), 0
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        for done, (seed, story) in enumerate(pool.imap_unordered(_one, work, chunksize=8), 1):
            if story:
                failed += 1
                again = f"python -m tests.sim --seed {seed} --turns {turns}"
                print(f"\nseed {seed} failed; once more: {again}\n{story}", flush=True)
            if done % 50 == 0 or done == seeds:
                pace = done / (time.monotonic() - began)
                left = (seeds - done) / pace
                line = (
                    f"\r{done} of {seeds} seeds, {failed} failed, {pace:.1f}/s, {left:.0f} s left "
                )
                print(line, end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    print(f"{seeds - failed} passed, {failed} failed")
    return failed


def look_at(seed: int, turns: int, *, trace: bool) -> int:
    """One seed, with its trace."""
    world = World(seed)
    try:
        world.run(turns)
    except Exception:
        print("\n".join(world.trace if trace else world.trace[-60:]))
        traceback.print_exc()
        return 1
    if trace:
        print("\n".join(world.trace))
    print(f"seed {seed}: nothing went wrong in {len(world.trace)} steps")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("--seeds", type=int, default=500)
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--turns", type=int, default=TURNS, help="in each seed")
    parser.add_argument("--jobs", type=int, default=2, help="processes at once")
    parser.add_argument("--seed", type=int, help="look at this one only")
    parser.add_argument("--trace", action="store_true", help="with all that happened")
    options = parser.parse_args()
    if options.seed is not None:
        return look_at(options.seed, options.turns, trace=options.trace)
    return 1 if campaign(options.first, options.seeds, options.turns, options.jobs) else 0


if __name__ == "__main__":
    sys.exit(main())
