"""The pipeline: agents in a row, each of which is given what the one before has answered.

``python -m agents.apps.pipeline translate summarise`` is the program of a manifest. What a stage
says is on the program's output while it is made: ``llmos logs PID -f`` follows it. It knows nothing
about what the stages do.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from agents.apps.crew import Crew
from agents.apps.task import carry_out
from llmagentos import System
from llmagentos.abi import errors


def main(given: Sequence[str] | None = None) -> int:
    """The exit status of the program."""
    parser = argparse.ArgumentParser(description="Give each agent the answer of the one before.")
    parser.add_argument("stages", nargs="+", metavar="MANIFEST", help="of each agent, in order")
    stages = parser.parse_args(given).stages
    carry_out(lambda system, text: through(system, stages, text))
    return 0


def through(system: System, stages: Sequence[str], text: str) -> str:
    """What the last one answers. Raises ``EDRIVER`` if one has no answer."""
    crew = Crew(system)
    for number, stage in enumerate(stages, 1):
        name = f"{stage}-{number}"
        crew.hire(name, stage, text)
        print(f"# {stage}", flush=True)
        text = crew.answer(name, hear=_said)
        print(flush=True)
        if not text:
            raise errors.EDRIVER(f"{stage} had no answer", hint="llmos ps --history")
    return text


def _said(piece: str) -> None:
    print(piece, end="", flush=True)


if __name__ == "__main__":
    sys.exit(main())
