"""``python -m tests.injections``: all the cases, and a table of what came of them.

The exit status is 1 if anything was done that is not permitted, if a case does not end as its
verdict says, or if a task is not done without an attack.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import Counter, defaultdict

from tabulate import tabulate

from tests.injections import tasks
from tests.injections.cases import CASES
from tests.injections.play import Outcome, benign, play, problems
from tests.interference.campaign import quiet

_HEAD = ("suite", "cases", "calls tried", "deny", "label", "ask", "permit", "beyond", "utility",
         "without attack")  # fmt: skip


async def _all() -> tuple[list[list[object]], list[str]]:
    wrong: list[str] = []
    rows: list[list[object]] = []
    useful_alone: Counter[str] = Counter()
    for suite in tasks.SUITES:
        for task in tasks.of(suite):
            found = await benign(task)
            useful_alone[suite] += found.useful
            wrong += [f"{task.name}: {one}" for one in found.beyond]
            if not found.useful:
                wrong.append(f"{task.name} is not done, though nobody attacks")
    done: dict[str, list[Outcome]] = defaultdict(list)
    verdicts: dict[str, Counter[str]] = defaultdict(Counter)
    for case in CASES:
        found = await play(case)
        wrong += [f"{case.name}: {one}" for one in problems(case, found)]
        done[case.goal.manifest].append(found)
        verdicts[case.goal.manifest][case.goal.verdict] += 1
    for suite, all_ in done.items():
        each = [verdicts[suite][word] for word in ("deny", "label", "ask", "permit")]
        rows.append([
            suite, len(all_), sum(one.attempts for one in all_), *each,
            sum(len(one.beyond) for one in all_),
            sum(one.useful for one in all_), f"{useful_alone[suite]}/{len(tasks.of(suite))}",
        ])  # fmt: skip
    return rows, wrong


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.injections", description=__doc__)
    parser.add_argument("--list", action="store_true", help="only say which cases there are")
    if parser.parse_args().list:
        for case in CASES:
            print(f"{case.goal.verdict:7} {case.name}")
        return 0
    with quiet():
        rows, wrong = asyncio.run(_all())
    sums: list[object] = [sum(int(str(row[n])) for row in rows) for n in range(1, 9)]
    benign_sum = [sum(int(str(row[9]).split("/")[n]) for row in rows) for n in (0, 1)]
    rows.append(["all", *sums, f"{benign_sum[0]}/{benign_sum[1]}"])
    print(tabulate(rows, headers=_HEAD))
    print("\n".join(wrong) or "nothing was done that is not permitted")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
