"""The summariser: makes a short text of a long one, by a child of low priority or by itself.

What it has got it notes in memory, under a hash of what it was made of, so that whoever goes on
after a crash neither asks nor pays for it again. It knows nothing about contexts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

from agents.cut import Scale
from llmagentos.abi import errors
from llmagentos.abi.calls.llm import GenerateResult
from llmagentos.abi.manifest import AgentSpec
from llmagentos.abi.process import ExitRecord, ProcessInfo
from llmagentos.aio import AsyncSystem

NOTES: Final = "compaction/"
"""What the keys of its notes begin with."""

_PROMPT: Final = (
    "Shorten this conversation to a few plain sentences. Keep names, numbers, dates, decisions, "
    "wishes and open questions. Add nothing."
)
_PRIORITY: Final = 10
_WALL: Final = 300
_TRIES: Final = 3
"""It makes one answer; what a host has used that died in its middle counts as well."""
_LONGEST: Final = 512
_SHORTEST: Final = 8
"""Tokens of a summary, at most and at least."""
_FILL: Final = 0.6
"""How much of the window the text that is shortened may take: its tokens are only estimated."""
_SHARE: Final = 4
"""A summary takes one part in so many of what such a text may take: several fit into one."""
_HALVINGS: Final = 4
"""So often it is tried with shorter pieces."""


@dataclass(frozen=True, slots=True)
class Means:
    """With what it works. ``window``: tokens of one call, the answer among them. ``me`` and
    ``spec``: the process whose text it is."""

    me: ProcessInfo
    spec: AgentSpec
    window: int
    scale: Scale


class Summariser:
    def __init__(self, program: AsyncSystem, means: Means) -> None:
        self._program = program
        self._means = means
        self._children: dict[str, int] = {}
        self._alone = False
        self._most = _LONGEST

    async def summarise(self, texts: Sequence[str]) -> str:
        """Raises what went wrong. A text that is too long for one call is shortened in pieces, and
        then the summaries of these together."""
        means = self._means
        listed = await self._program.call("proc.list", tree=means.me.pid)
        below = [row for row in listed["processes"] if row["ppid"] == means.me.pid]
        self._children = {row["name"]: row["pid"] for row in below}
        self._alone = not await self._may_spawn(sum(row["state"] != "ZOMBIE" for row in below))
        room = _FILL * max(float(_SHORTEST), means.window - means.scale.of_text(_PROMPT))
        for _ in range(_HALVINGS):
            try:
                return await self._reduced(texts, room)
            except errors.ECONTEXT:
                room /= 2  # it was estimated wrongly
        return await self._reduced(texts, room)

    async def forget(self) -> None:
        """What was noted is of no use any more, nor is what a host that died has noted."""
        noted = await self._program.call("mem.list", prefix=NOTES)
        for row in noted["rows"]:
            await self._program.call("mem.delete", key=row["key"])

    async def _reduced(self, texts: Sequence[str], room: float) -> str:
        self._most = max(_SHORTEST, min(_LONGEST, int(room / _SHARE)))
        pieces = _packed(texts, self._means.scale.characters(room))
        while True:
            short = [await self._short(piece) for piece in pieces]
            again = _packed(short, self._means.scale.characters(room))
            if len(again) >= len(pieces) or len(short) == 1:
                return "\n".join(short)
            pieces = again

    async def _short(self, text: str) -> str:
        name = "summary-" + hashlib.blake2b(text.encode(), digest_size=10).hexdigest()
        key = f"{NOTES}{name}"
        try:
            made = (await self._program.call("mem.get", key=key))["value"]
        except errors.ENOENT:
            itself = self._alone and name not in self._children
            made = await (self._by_itself(text) if itself else self._by_child(name, text))
            if not made.strip():
                raise errors.EDRIVER("the model had nothing to say for a summary") from None
            await self._program.call("mem.put", key=key, value=made)
        if name in self._children:
            await self._collect(name)
        return str(made).strip()

    async def _by_itself(self, text: str) -> str:
        messages = [{"role": "system", "content": _PROMPT}, {"role": "user", "content": text}]
        # Of its own sampling nothing holds: a grammar, say, is for its answers.
        sampling = {
            "temperature": 0.0, "max_tokens": self._most, "stop": [], "grammar": None,
            "logprobs": None,
        }  # fmt: skip
        reply = await self._program.call("llm.generate", messages=messages, sampling=sampling)
        return GenerateResult.model_validate(reply).text

    async def _by_child(self, name: str, text: str) -> str:
        """The answer of a child of this name. A host that died may have left it."""
        found = name in self._children
        if not found:
            try:
                made = await self._program.call(
                    "proc.spawn", manifest=self._manifest(), text=text, name=name
                )
            except (errors.EPERM, errors.EQUOTA):
                # Somebody has taken that right away, or the last room for a child.
                self._alone = True
                return await self._by_itself(text)
            self._children[name] = made["pid"]
        pid = self._children[name]
        try:
            # It is collected when its answer is noted.
            ended = await self._program.call("proc.wait", pid=pid, reap=False)
        except errors.ECANCELED:
            # INT, or TERM: nobody wants it any more. It may have ended just now.
            with suppress(errors.ESRCH):
                await self._program.call("proc.kill", pid=pid, signal="KILL")
            raise
        except errors.ESRCH as error:
            # Were it this process that is gone, its session would be as well.
            raise errors.EDRIVER("the process that was to summarise is gone") from error
        record = ExitRecord.model_validate(ended)
        if record.code == 0:
            return record.answer
        await self._collect(name)
        if found:
            # It may have been killed with the host, or by an INT: that says nothing of the next.
            return await self._by_child(name, text)
        if record.error is None:
            raise errors.EDRIVER(f"the process that was to summarise ended with {record.code}")
        raise errors.from_wire(record.error.model_dump())

    async def _collect(self, name: str) -> None:
        """It has ended, or its answer is known."""
        with suppress(errors.ESRCH):  # somebody else has, a while ago
            await self._program.call("proc.wait", pid=self._children.pop(name))

    def _manifest(self) -> dict[str, Any]:
        """Of the child: it may do what is needed for one answer, and nothing else."""
        spec, means = self._means.spec, self._means
        given: dict[str, Any] = {
            "model": spec.model,
            "placement": spec.placement.model_dump(mode="json"),
            "labels": list(spec.labels),
            "prompt": _PROMPT,
            "limits": {
                "tokens": _TRIES * means.window, "turns": _TRIES, "children": 0, "tool_calls": 0,
                "wall": _WALL,
            },
            "sampling": {"temperature": 0.0, "max_tokens": self._most},
            "schedule": {"priority": max(_PRIORITY, min(19, means.me.priority))},
        }  # fmt: skip
        about = {"name": "summary", "description": "Shortens a conversation for its parent"}
        return {
            "apiVersion": "llmagentos/v1", "kind": "Agent", "metadata": about, "spec": given,
        }  # fmt: skip

    async def _may_spawn(self, living: int) -> bool:
        """Whether it may have one more child, and nobody needs to be asked."""
        allowed = self._means.me.limits.children
        if allowed is not None and living >= allowed:
            return False
        rules = (await self._program.call("cap.list"))["rules"]
        return all(_allows(one) for one in rules)


def _allows(rules: dict[str, list[str]]) -> bool:
    """What the kernel says of ``proc:spawn``, more or less: it checks the call itself anyway."""
    said = {
        what: any(fnmatchcase("proc:spawn", glob) for glob in globs)
        for what, globs in rules.items()
    }
    asks = said["ask"] and not said["approved"]
    return (said["allow"] or said["ask"]) and not said["deny"] and not asks


def _packed(texts: Sequence[str], most: int) -> list[str]:
    """Joined, in pieces of at most so many characters; a text that is longer is parted."""
    pieces: list[str] = []
    for text in texts:
        for start in range(0, len(text), most):
            part = text[start : start + most]
            if not part.strip():
                continue
            if pieces and len(pieces[-1]) + 1 + len(part) <= most:
                pieces[-1] += f"\n{part}"
            else:
                pieces.append(part)
    return pieces
