"""The process table: the tree of processes, and whose session is whose.

It knows nothing about what processes do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from kernel.process import Process
from llmagentos.abi.errors import ESRCH
from llmagentos.abi.process import INIT


def digest(token: str) -> str:
    """What is kept of a session's token: whoever reads our state can't act for a process."""
    return hashlib.sha256(token.encode()).hexdigest()


class Table:
    def __init__(self) -> None:
        self._processes: dict[int, Process] = {}
        self._sessions: dict[str, Process] = {}
        self._names: dict[str, Process] = {}
        self.next_pid = INIT

    def __iter__(self) -> Iterator[Process]:
        return iter(self._processes.values())

    def __len__(self) -> int:
        return len(self._processes)

    @property
    def init(self) -> Process:
        return self._processes[INIT]

    def find(self, pid: int) -> Process | None:
        return self._processes.get(pid)

    def get(self, pid: int) -> Process:
        process = self._processes.get(pid)
        if process is None:
            raise ESRCH(f"there is no process {pid}", hint="llmos ps lists them")
        return process

    def named(self, name: str) -> Process | None:
        """The live program that was adopted under this name."""
        return self._names.get(name)

    def new_pid(self) -> int:
        pid = self.next_pid
        self.next_pid += 1
        return pid

    def add(self, process: Process) -> None:
        self._processes[process.pid] = process
        self.next_pid = max(self.next_pid, process.pid + 1)
        parent = self._processes.get(process.ppid)
        if parent is not None:
            parent.children.add(process.pid)
        if process.session:
            self._sessions[process.session] = process
        if process.kind == "program" and not process.attached and process.alive:
            self._names[process.name] = process

    def remove(self, process: Process) -> None:
        del self._processes[process.pid]
        parent = self._processes.get(process.ppid)
        if parent is not None:
            parent.children.discard(process.pid)
        self.unname(process)
        self.revoke(process)

    def unname(self, process: Process) -> None:
        if self._names.get(process.name) is process:
            del self._names[process.name]

    def give_session(self, process: Process, token: str) -> None:
        """Its calls come under this token from now on, and under no other."""
        self.revoke(process)
        process.session = digest(token)
        self._sessions[process.session] = process

    def revoke(self, process: Process) -> None:
        self._sessions.pop(process.session, None)
        process.session = ""

    def of_session(self, hashed: str) -> Process | None:
        return self._sessions.get(hashed)

    def move(self, process: Process, parent: Process) -> None:
        """Give it another parent."""
        old = self._processes.get(process.ppid)
        if old is not None:
            old.children.discard(process.pid)
        process.ppid = parent.pid
        parent.children.add(process.pid)

    def tree(self, root: Process) -> list[Process]:
        """It and its descendants, parents before children."""
        found = [root]
        for process in found:
            found += [self._processes[pid] for pid in sorted(process.children)]
        return found

    def within(self, process: Process, root: Process) -> bool:
        """Whether it is ``root`` or a descendant of it."""
        return any(step is root for step in self.tree_up(process))

    def tree_up(self, process: Process) -> Iterator[Process]:
        """It and its ancestors, up to the root."""
        step: Process | None = process
        while step is not None:
            yield step
            step = self._processes.get(step.ppid)
