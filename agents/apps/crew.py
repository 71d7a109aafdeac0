"""A crew: the agents that a program has started, each known by a name, each started once.

When its program is started anew, it finds those that are there, and the answers of those that have
ended. It knows nothing about what they are for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from llmagentos import System
from llmagentos.abi import errors
from llmagentos.abi.process import ExitRecord

_ROW: Final = "crew/"


class Crew:
    def __init__(self, system: System) -> None:
        self._system = system
        pid = system.info().process.pid
        self._there = {row.name: row.pid for row in system.processes(tree=pid) if row.ppid == pid}

    def hire(self, name: str, manifest: str, text: str) -> None:
        """Start an agent under this name, unless it was before."""
        if name not in self._there and self._kept(name) is None:
            self._there[name] = self._system.spawn(manifest, text, name=name).pid

    def answer(self, name: str, hear: Callable[[str], object] | None = None) -> str:
        """Wait for this one; what it has answered, "" if it has failed. ``hear`` gets its answer
        piece by piece while it is made."""
        kept = self._kept(name)
        if kept is not None:
            return kept
        # It is collected only when its answer is kept.
        waiting = self._system.open(
            "proc.wait", pid=self._there[name], reap=False, stream=hear is not None
        )
        heard = False
        if hear is not None:
            for piece in waiting:
                heard = True
                hear(piece)
        ended = ExitRecord.model_validate(waiting.result())
        answer = ended.answer if ended.code == 0 else ""
        if hear is not None and not heard:
            hear(answer)  # it was made before we listened
        self._system.call("mem.put", key=_ROW + name, value=answer)
        self._system.call("proc.wait", pid=ended.pid)
        return answer

    def answers(self, names: Iterable[str]) -> dict[str, str]:
        """Wait for these; the answers of those that had one, by name."""
        found = {name: self.answer(name) for name in names}
        return {name: answer for name, answer in found.items() if answer}

    def _kept(self, name: str) -> str | None:
        """None: it has not ended, as far as we know."""
        try:
            return str(self._system.call("mem.get", key=_ROW + name)["value"])
        except errors.ENOENT:
            return None
