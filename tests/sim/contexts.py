"""Contexts: is what was said, and acknowledged, in the context, in its order, and once?

It knows nothing about who said it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from kernel import context
from kernel.machine import Machine
from tests.sim.callers import Sent
from tests.sim.violation import must

EDITS = ("ctx.rewind", "ctx.restore", "ctx.compact")

Chain = list[tuple[int, str]]
"""Messages by id, 0 if nobody said it, and content. There may be more between them: some of what
was done is acknowledged late, or never."""


class Contexts:
    """``bursts``: those that were started for each answer, by its first word."""

    def __init__(self) -> None:
        self.bursts: dict[str, set[int]] = defaultdict(set)
        self._chains: dict[int, Chain] = defaultdict(list)
        self._births: dict[int, Chain] = {}
        self._marks: dict[tuple[int, str], Chain] = {}
        self._forked: list[tuple[int, int]] = []
        """Children and parents, in the turn at hand."""

    def applied(self, sent: Sent, *, held: bool) -> None:
        if sent.name in EDITS and held:
            # Nobody will know when it was done.
            self._chains[_target(sent)] = []

    def answered(self, sent: Sent, result: dict[str, Any], *, late: bool) -> None:
        pid = _target(sent)
        if sent.name in ("proc.spawn", "proc.fork"):
            if not late:
                self._born(sent, result["pid"])
        elif sent.name == "ctx.read":
            if "last" not in sent.args:
                self._check(pid, [one["content"] for one in result["messages"]])
        elif late:
            if sent.name in EDITS:
                self._chains[pid] = []
        elif sent.name == "ctx.append":
            said = [one["content"] for one in sent.args["messages"]]
            self._chains[pid] += zip(result["ids"], said, strict=True)
        elif sent.name == "llm.generate" and result["message"] is not None:
            given = sent.args.get("messages") or []
            self._chains[pid] += [(0, one["content"]) for one in given]
            self._chains[pid].append((result["message"], result["text"]))
        elif sent.name == "ctx.checkpoint":
            self._marks[pid, result["checkpoint"]] = list(self._chains[pid])
        elif sent.name in EDITS:
            self._edited(sent, pid, result)

    def _born(self, sent: Sent, pid: int) -> None:
        chain: Chain = []
        if sent.name == "proc.fork":
            chain += self._chains[_target(sent)]
            self._forked.append((pid, _target(sent)))
        elif prompt := sent.args["manifest"]["spec"].get("prompt"):
            chain.append((0, prompt))
        if "text" in sent.args:
            chain.append((0, sent.args["text"]))
        self._chains[pid], self._births[pid] = chain, list(chain)

    def _edited(self, sent: Sent, pid: int, result: dict[str, Any]) -> None:
        chain = self._chains[pid]
        if sent.name == "ctx.restore":
            self._chains[pid] = list(self._marks.get((pid, sent.args["checkpoint"]), ()))
        elif sent.name == "ctx.compact":
            self._chains[pid] = [(result["summary"], sent.args["summary"])]
        else:
            ids = [id for id, _ in chain]
            known = sent.args["message"] in ids
            self._chains[pid] = chain[: ids.index(sent.args["message"]) + 1] if known else []

    def turned(self, restarted: list[int]) -> None:
        """After all replies of a turn: these begin again with the contexts of their births."""
        for pid in restarted:
            self._chains[pid] = list(self._births.get(pid, ()))
        for child, parent in self._forked:
            if parent in restarted:
                # Before that, or after?
                self._chains[child], self._births[child] = [], []
        self._forked.clear()

    def check(self, machine: Machine) -> None:
        for process in machine.table:
            said = [node.content for node in context.messages(process.head)]
            self._check(process.pid, said)

    def _check(self, pid: int, said: Sequence[str]) -> None:
        for content, times in Counter(said).items():
            made = max(1, len(self.bursts.get(content.partition(" ")[0], ())))
            must(times <= made, "{!r} is {} times in the context of {}", content, times, pid)
        rest = iter(said)
        for _, content in self._chains[pid]:
            there = any(one == content for one in rest)
            must(
                there, "the context of process {} lacks {!r}, or its order: {}", pid, content, said
            )


def _target(sent: Sent) -> int:
    pid: int = sent.args.get("pid", sent.pid)
    return pid
