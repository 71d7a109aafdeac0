"""``python -m shell.demo``: the shipped agents at work, all at once. What ``make run`` runs.

It brings the system up (or uses the one that is up), runs four agents on their samples,
shows their answers as they come and the process table at the end, and leaves everything as it
was. It knows nothing about what the agents do.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from llmagentos.abi.errors import ENODRIVER, ENOENT
from llmagentos.home import Home
from shell import boot, image
from shell.commands.system import take_down_started, wait_for_kernel
from shell.engines import coming_up, computing, progress
from shell.failure import Terminated, status_of, tell
from shell.lines import Speakers
from shell.plan import kernel_program, programs_of
from shell.session import open_system, process_rows, terminable
from shell.watch import drivers_of, services_of, watch

if TYPE_CHECKING:
    from llmagentos.abi.calls.drv import DriverInfo
    from llmagentos.abi.process import ExitRecord
    from llmagentos.agent import Agent
    from llmagentos.client import System

AGENTS: Final = ("dialogue", "translate", "summarise", "codegen")
_HISTORY: Final = 100


def main() -> int:
    """Run the demonstration; the exit status."""
    try:
        with terminable():
            return demonstrate(Home.default())
    except (Exception, KeyboardInterrupt, Terminated) as error:
        return status_of(error)


def demonstrate(home: Home) -> int:
    """0 if every agent has answered."""
    texts = {name: _sample(name) for name in AGENTS}
    started = None
    if not boot.is_up(home):
        _tell(f"bringing the system in {home.root} up")
        started = boot.launch(home, kernel_program(home), programs_of(home), detach=False)
    try:
        wait_for_kernel(home, started)
        _wait_for_a_driver(home)
        with open_system() as system:
            return _run(system, texts)
    finally:
        if started is not None:
            _tell("taking the system down")
            take_down_started(home, started)


def _run(system: System, texts: dict[str, str]) -> int:
    for name, text in texts.items():
        _tell(f"{name}: {' '.join(text.split())[:100]}")
    agents = {name: system.spawn(name, text, attach=True) for name, text in texts.items()}
    records = _listen(system, agents)
    _show_table(system, records)
    good = [_good(name, record) for name, record in records.items()]
    return 0 if all(good) else 1


def _listen(system: System, agents: dict[str, Agent]) -> dict[str, ExitRecord]:
    """Show all the answers as they come; how each agent ended."""
    speakers = Speakers(list(agents))
    names = {agent: name for name, agent in agents.items()}
    heard = set()
    for agent, text in system.follow(agents.values()):
        heard.add(agent)
        speakers.say(names[agent], text)
    records = {}
    for name, agent in agents.items():
        record = agent.wait()
        if agent not in heard:
            speakers.say(name, record.answer)
        speakers.finish(name)
        records[name] = record
    return records


def _show_table(system: System, records: dict[str, ExitRecord]) -> None:
    from llmagentos.abi.process import ProcessInfo
    from shell.processes import process_table

    rows = process_rows(system, history=_HISTORY)
    ours = {record.pid for record in records.values()}
    processes = [ProcessInfo.model_validate(row) for row in rows if row["pid"] in ours]
    processes.sort(key=lambda process: process.pid)
    sys.stdout.write(f"\n{process_table(processes)}\n")
    sys.stdout.flush()


def _good(name: str, record: ExitRecord) -> bool:
    if record.error is not None:
        tell(f"{name}: {record.error.message}", record.error.hint)
    elif record.code:
        tell(f"{name} exited with code {record.code}")
    elif not record.answer.strip():
        tell(f"{name} gave an empty answer")
    else:
        return True
    return False


def _wait_for_a_driver(home: Home) -> None:
    """Until everything that computes has loaded. Raises ``ENODRIVER`` if nothing will."""

    def settled(drivers: list[DriverInfo]) -> bool:
        engines = computing(drivers)
        given_up = any(service.get("given_up") for service in services_of(home))
        return given_up or (bool(engines) and not coming_up(engines))

    watch(home, lambda: boot.is_up(home), settled)
    with open_system() as system:
        engines = computing(drivers_of(system))
    if not any(engine.state == "ready" for engine in engines):
        why = "; ".join(progress(engine) for engine in engines) or "none has registered"
        raise ENODRIVER(f"no driver is ready: {why}", hint=f"see the logs in {home.logs}")


def _sample(name: str) -> str:
    file = image.shipped_manifests() / "samples" / f"{name}.txt"
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ENOENT(f"there is no sample {file}", hint="is the installation complete?") from None


def _tell(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
