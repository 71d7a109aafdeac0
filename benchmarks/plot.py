"""The plots of ``docs/performance.md``, made from what the benchmarks wrote.

    python benchmarks/engine.py --json > docs/performance/engine.json
    python benchmarks/agents.py --json > docs/performance/agents.json
    python benchmarks/plot.py

It knows nothing about how anything was measured. It needs matplotlib, of the extra ``plots``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "performance"
COLOURS = ["#0072b2", "#56b4e9", "#d55e00", "#e69f00", "#009e73", "#cc79a7"]
"""Of Okabe and Ito: told apart by everybody."""


def engine(rows: list[dict[str, Any]]) -> Any:
    """Tokens a second by how many sequences run, of each engine."""
    figure, plots = pyplot.subplots(1, 2, figsize=(10, 4))
    for plot, what in zip(plots, ("decode", "prefill"), strict=True):
        for colour, name in zip(
            COLOURS, dict.fromkeys(row["engine"] for row in rows), strict=False
        ):
            own = [row for row in rows if row["engine"] == name]
            xs, ys = [row["sequences"] for row in own], [row[what] for row in own]
            style = "-" if name.startswith("edge") else "--"
            plot.plot(xs, ys, style, marker="o", color=colour, label=name)
        plot.set(xscale="log", yscale="log", xlabel="sequences", title=f"{what}, tokens/s")
        plot.set_xticks(sorted({row["sequences"] for row in rows}))
        plot.xaxis.set_major_formatter("{x:g}")
        plot.xaxis.set_minor_formatter(lambda *_: "")
        plot.grid(visible=True, alpha=0.3)
    plots[0].legend(fontsize=8)
    return figure


def agents(told: dict[str, Any]) -> Any:
    """Seconds until a program is done, by its kind, under each policy: the mean over seeds."""
    rows = told["rows"]
    kinds = ["chat", "tool agent", "summary", "tree", "mean"]
    figure, plot = pyplot.subplots(figsize=(8, 4))
    for number, policy in enumerate(("fifo", "fair")):
        own = [row for row in rows if row["policy"] == policy]
        means = [sum(row[kind] for row in own) / len(own) for kind in kinds]
        places = [place + 0.4 * number for place in range(len(kinds))]
        bars = plot.bar(places, means, 0.38, color=COLOURS[2 * number], label=policy)
        plot.bar_label(bars, fmt="%.0f", fontsize=8)
    plot.set_xticks([place + 0.2 for place in range(len(kinds))], [*kinds[:-1], "all programs"])
    plot.set(ylabel="seconds", title="mean time to completion")
    plot.legend()
    return figure


def main() -> int:
    mpl.rcParams["svg.hashsalt"] = "llmagentos"  # the same file from the same numbers
    for name, draw in (("engine", engine), ("agents", agents)):
        file = FOLDER / f"{name}.json"
        if not file.exists():
            print(f"{file} is not there; see the top of {Path(__file__).name}", file=sys.stderr)
            return 1
        figure = draw(json.loads(file.read_text(encoding="utf-8")))
        figure.tight_layout()
        figure.savefig(FOLDER / f"{name}.svg", metadata={"Date": None})
    return 0


if __name__ == "__main__":
    sys.exit(main())
