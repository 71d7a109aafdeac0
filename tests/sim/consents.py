"""Consents: what each call needs the right to, who was asked, and who gave what to whom.

It knows nothing about what the calls do.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, Final

from kernel.effects import FromClient
from kernel.machine import Machine
from llmagentos.abi.process import INIT
from llmagentos.abi.syscalls import TABLE
from tests.kernel.rig import USER
from tests.sim.callers import Sent
from tests.sim.levels import ASK, NO, level, needed
from tests.sim.markers import every
from tests.sim.violation import must

_USERS: Final = {name for name, spec in TABLE.items() if spec.capability == "user"}
_TREE: Final = {
    "proc.fork", "proc.wait", "proc.kill", "proc.nice", "proc.limits", "proc.list", "proc.info",
    "llm.cancel", "ctx.read", "ctx.append", "ctx.compact", "ctx.checkpoint", "ctx.restore",
    "ctx.rewind", "mem.put", "mem.get", "mem.search", "mem.delete", "mem.list", "fs.write",
    "fs.read", "fs.list", "fs.delete", "fs.history", "fs.restore", "cap.list", "cap.grant",
    "cap.revoke",
}  # fmt: skip
"""Calls that one may make on himself and those below him only."""


@dataclass(slots=True)
class Given:
    """What somebody may have given or taken in the turn at hand. ``allowed``: by pid, who gave, and
    globs; ``freed``: labels that the user took, by pid; ``denied``: globs, by pid."""

    allowed: dict[int, list[tuple[int, str]]] = field(default_factory=lambda: defaultdict(list))
    freed: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    denied: dict[int, list[str]] = field(default_factory=lambda: defaultdict(list))


class Consents:
    def __init__(self) -> None:
        self._approved: set[tuple[int, str, tuple[str, ...]]] = set()
        """Who asked, for which call, and the markers in its arguments."""
        self._admitted: dict[int, int] = {}
        """Calls that were not forbidden, and in which life of the kernel."""
        self._done: list[Sent] = []
        """What was asked for and is done, in the turn at hand."""

    def applies(self, sent: Sent, machine: Machine, given: Given) -> None:
        """Note what stands against it now."""
        self._note_given(sent, machine, given)
        if sent.told is not None or self._admitted.get(sent.id) == machine.boot:
            return
        process = machine.table.find(sent.pid)
        if process is None or sent.pid == INIT:
            return
        if sent.id in machine.replays._turns.get(process.session, {}):
            return  # it was done before the kernel died, and is told so again
        sent.forbidden, sent.asks = "", ""
        target = sent.args.get("pid", sent.args.get("tree", sent.pid))
        if sent.name in _USERS or (sent.name == "cap.revoke" and sent.args.get("labels")):
            sent.forbidden = "it is the user's"
        elif sent.name == "cap.grant" and target == sent.pid:
            sent.forbidden = "nobody gives himself"
        elif sent.name in _TREE and not _below(machine, target, sent.pid):
            sent.forbidden = f"process {target} is not below it"
        elif capability := needed(sent.name, sent.args):
            found = level(process.rights, capability)
            if found == NO:
                sent.forbidden = f"it may not {capability}"
            elif found == ASK:
                sent.asks = capability
        elif (
            sent.name == "ipc.send"
            and not _related(machine, target, sent.pid)
            and level(process.rights, f"ipc:mail/{target}:w") == NO
        ):
            sent.forbidden = f"it may not write to process {target}"
        if not sent.forbidden:
            self._admitted[sent.id] = machine.boot

    def answered(self, sent: Sent, result: dict[str, Any]) -> None:
        """It was done."""
        if sent.name == "cap.decide" and sent.args["approve"]:
            asked = result["approval"]
            said = every(json.dumps(asked["arguments"]))
            self._approved.add((asked["pid"], asked["call"], said))
        must(not sent.forbidden, "{} of process {}: {}", sent.name, sent.pid, sent.forbidden)
        if sent.asks:
            self._done.append(sent)

    def turned(self, machine: Machine) -> None:
        """After all replies of a turn: who approves is answered after the one who asked."""
        for sent in self._done:
            process = machine.table.find(sent.pid)
            if process is not None and level(process.rights, sent.asks) == ASK:
                asked = sent.pid, sent.name, every(json.dumps(sent.args))
                must(asked in self._approved, "nobody approved {} of {}", sent.asks, sent.pid)
        self._done.clear()

    def _note_given(self, sent: Sent, machine: Machine, given: Given) -> None:
        args = sent.args
        if sent.name == "cap.grant":
            given.allowed[args["pid"]] += [(sent.pid, glob) for glob in _expanded(args["allow"])]
        elif sent.name == "cap.decide" and args["approve"]:
            question = machine.approvals._get(args["approval"])
            if question is not None:
                for capability in question.capability.split():
                    given.allowed[question.pid].append((sent.pid, capability))
        elif sent.name == "cap.revoke" and sent.message.session == USER:
            given.freed[args["pid"]].update(args.get("labels", ()))


def declassified(one: FromClient) -> list[str]:
    """The labels that the user takes from somebody with this call."""
    message = one.message
    if message.name == "cap.revoke" and message.session == USER:
        return list(message.body.get("labels", ()))
    return []


def revoked(sent: Sent, machine: Machine) -> dict[int, list[str]]:
    """What a call takes from whom, if it is done now."""
    if sent.name != "cap.revoke" or not sent.args.get("deny"):
        return {}
    target = machine.table.find(sent.args["pid"])
    if target is None or sent.told is not None:
        return {}
    globs = _expanded(sent.args["deny"])
    return {one.pid: globs for one in machine.table.tree(target) if one.alive}


def _expanded(globs: list[str]) -> list[str]:
    found = []
    for glob in globs:
        found += [glob[:-1], f"{glob[:-2]}w"] if glob.endswith(":rw") else [glob]
    return found


def _below(machine: Machine, pid: int, root: int) -> bool:
    """Whether it is ``root`` or below it, also where some were collected."""
    for _ in range(100):
        if pid == root:
            return True
        process = machine.table.find(pid) or machine.graveyard.find(pid)
        if process is None:
            return False
        pid = process.ppid
    return False


def _related(machine: Machine, pid: int, other: int) -> bool:
    return _below(machine, pid, other) or _below(machine, other, pid)
