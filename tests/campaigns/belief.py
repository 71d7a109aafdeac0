"""Belief: what all lanes together know to be true, because the kernel has acknowledged it.

What one lane alone can know stays in the lane. It knows nothing about how calls are made.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

from tests.campaigns.caller import Call, Reply
from tests.campaigns.system import Broken

AUDITED = ("proc.spawn", "proc.fork", "proc.kill", "cap.grant", "cap.revoke")
"""Each of these, when it succeeds, is one entry in the audit log."""


@dataclass(slots=True)
class Spent:
    """What the replies to one process's LLM calls add up to."""

    tokens: int = 0
    turns: int = 0


@dataclass(slots=True)
class Belief:
    """``ending``: lanes make their last checks and end. ``writers``: lanes that may still send or
    publish something that others must receive."""

    ending: bool = False
    writers: int = 0
    done: Counter[str] = field(default_factory=Counter)
    spent: dict[int, Spent] = field(default_factory=dict)
    sent: dict[int, dict[int, tuple[str, int]]] = field(default_factory=dict)
    """By mailbox, then by the message's id: who wrote it, and which of his it was."""
    published: dict[str, dict[int, tuple[str, int]]] = field(default_factory=dict)
    """By topic, then by seq."""

    def call(self, name: str, /, *buffers: bytes, **args: Any) -> Generator[Call, Reply, Reply]:
        """One call, whatever comes of it."""
        reply = yield Call(name, args, buffers)
        if reply.ok:
            self.done[name] += 1
        return reply

    def ok(
        self, name: str, /, *buffers: bytes, **args: Any
    ) -> Generator[Call, Reply, dict[str, Any]]:
        """One call that must succeed."""
        reply = yield from self.call(name, *buffers, **args)
        if not reply.ok:
            raise Broken(f"{reply.call} was refused: {reply.body}")
        return reply.body

    def refused(
        self, code: str, name: str, /, *buffers: bytes, **args: Any
    ) -> Generator[Call, Reply, dict[str, Any]]:
        """One call that must fail with this code; its error."""
        reply = yield from self.call(name, *buffers, **args)
        if reply.code != code:
            raise Broken(f"{reply.call} was to fail with {code}, and came to {reply.body}")
        return reply.body


def same(what: str, believed: Any, found: Any) -> None:
    if believed != found:
        raise Broken(f"{what}: believed {_shown(believed)}, found {_shown(found)}")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 600 else f"{text[:300]} … {text[-300:]}"
