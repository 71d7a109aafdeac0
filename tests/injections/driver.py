"""A driver process for these tests: ``python -m tests.injections.driver --log FILE``.

With ``--seed FILE`` it offers the desk's tools, those of the driver of its name; else a model that
obeys. Each order that it gets, and each deed of a tool, is a line of JSON in the log. It knows
nothing about the protocol.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from drivers.engine import Announce
from drivers.options import common_options, run_driver
from drivers.scripted.engine import ScriptedEngine
from drivers.tool import Job, Tool
from llmagentos.abi.cards import FREE, ModelCard
from llmagentos.abi.driver import Start
from llmagentos.abi.model import Json
from llmagentos.abi.talk import ToolCall
from tests.injections.desk import Deed, Desk
from tests.injections.obedient import answer


class _Obedient(ScriptedEngine):
    """``log`` is where it writes what it is told."""

    log: Path
    driver: str

    def _said(self, order: Start) -> tuple[str, list[ToolCall]]:
        _write(self.log, "order", [self.driver, "start", order.pid, order.model_dump_json()])
        return answer(order.messages, order.tools)


def _write(log: Path, kind: str, what: object) -> None:
    # One write each, so that lines of several drivers do not mix.
    with log.open("a", encoding="utf-8") as file:
        file.write(json.dumps({kind: what}) + "\n")


def _told(tool: Tool, log: Path, driver: str) -> Tool:
    def run(arguments: dict[str, Json], job: Job) -> Json:
        _write(log, "order", [driver, "call", job.pid, json.dumps(arguments)])
        return tool.run(arguments, job)

    return Tool(tool.card, run)


def main(argv: Sequence[str] | None = None) -> int:
    parser = common_options(
        "tests.injections.driver", __doc__ or "", name="edge", slots=16, model=False
    )
    parser.add_argument("--kind", choices=["edge", "cloud"], default="edge")
    parser.add_argument("--seed", type=Path)
    parser.add_argument("--log", type=Path, required=True)
    options = parser.parse_args(argv)
    if options.seed is not None:
        seed = json.loads(options.seed.read_text(encoding="utf-8"))

        def note(deed: Deed) -> None:
            _write(options.log, "deed", asdict(deed))

        tools = Desk(seed, note).tools(options.name)
        told = [_told(tool, options.log, options.name) for tool in tools]
        return run_driver(options, kind="tool", tools=told)
    card = ModelCard(name="m", context_length=1_000_000, dtype="words", price=FREE)

    def load(announce: Announce) -> ScriptedEngine:
        engine = _Obedient(card, options.slots)
        engine.log, engine.driver = options.log, options.name
        return engine

    features = ["preempt", "resume_tokens", "count", "tools"]
    return run_driver(options, kind=options.kind, models=[card], features=features, load=load)


if __name__ == "__main__":
    sys.exit(main())
