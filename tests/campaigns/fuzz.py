"""The fuzz campaigns: whatever is said to a kernel, it answers with a typed error or does it,
and serves everybody else all the while.

    python -m tests.campaigns.fuzz [--stateless 20000] [--stateful 2000] [--seed N]

Stateless: single messages of every kind at a live kernel, over its sockets. Stateful: stories of
many calls by many callers on a machine in this process. Each thing that is found is told once,
with what leads to it.
"""

from __future__ import annotations

import argparse
import sys
import time

from tests.campaigns import stateful
from tests.campaigns.findings import Findings
from tests.campaigns.stateless import Barrage


def stateless_campaign(count: int, seed: int, findings: Findings) -> str:
    """What it came to, in words."""
    begun = time.monotonic()
    barrage = Barrage(seed, findings)
    try:
        barrage.run(count, lambda done: _progress("stateless", done, count))
        if grown := barrage.grown():
            findings.add(grown, lambda: "")
    finally:
        barrage.close()
    curve = barrage.memory[:: max(1, len(barrage.memory) // 10)]
    codes = ", ".join(f"{code} {n}" for code, n in barrage.codes.most_common())
    return (
        f"stateless: {count} messages in {time.monotonic() - begun:.1f} s; {codes}\n"
        f"  a healthy client waited for {barrage.slowest * 1000:.0f} ms at most; "
        f"the kernel took {', '.join(f'{mb:.0f}' for mb in curve)} MB"
    )


def stateful_campaign(count: int, seed: int, findings: Findings) -> str:
    begun = time.monotonic()
    turns = stateful.run(count, seed, findings, lambda done: _progress("stateful", done, count))
    seconds = time.monotonic() - begun
    return f"stateful: {count} stories of {turns} turns in {seconds:.1f} s"


def _progress(what: str, done: int, count: int) -> None:
    if sys.stderr.isatty() and (done == count or done % 100 == 0):
        print(f"\r{what} {done}/{count}", end="\n" if done == count else "", file=sys.stderr)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns.fuzz", description=__doc__)
    parser.add_argument("--stateless", type=int, default=20_000, metavar="N", help="messages")
    parser.add_argument("--stateful", type=int, default=2_000, metavar="N", help="stories")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    findings = Findings()
    if options.stateless:
        print(stateless_campaign(options.stateless, options.seed, findings), flush=True)
    if options.stateful:
        print(stateful_campaign(options.stateful, options.seed, findings), flush=True)
    print(findings if findings.stories else "nothing was found")
    return 1 if findings.stories else 0


if __name__ == "__main__":
    sys.exit(main())
