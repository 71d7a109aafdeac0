"""``python -m tests.interference``: many programs, or one of them with all that happens in it.

A program that leaks is made short and told, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import sys
import time

from tests.interference.campaign import first_leak
from tests.interference.play import story

_AT_ONCE = 1000


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.interference", description=__doc__)
    parser.add_argument("--programs", type=int, default=10_000, help="how many (%(default)s)")
    parser.add_argument("--first", type=int, default=0, help="the seed of the first (%(default)s)")
    parser.add_argument("--seed", type=int, help="only this one, told whole if it leaks")
    options = parser.parse_args()
    if options.seed is not None:
        found = first_leak([options.seed])
        print(story(options.seed) if found else f"seed {options.seed} keeps what is private")
        return int(found is not None)
    started, end = time.monotonic(), options.first + options.programs
    for start in range(options.first, end, _AT_ONCE):
        seeds = range(start, min(end, start + _AT_ONCE))
        found = first_leak(seeds)
        if found is not None:
            print(story(found[0]))
            print(f"again: python -m tests.interference --seed {found[0]}")
            return 1
        done = seeds.stop - options.first
        each = 1000 * (time.monotonic() - started) / done
        print(f"{done:,} programs, no leak, {each:.1f} ms each", file=sys.stderr, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
