"""A town: a kernel's machine with a small model and a host, whose one agent can die at any call.

What an agent's system sends goes straight into the machine; the model says the last message back.
Children are served at once, as any host would serve them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Literal

from agents.compaction import CompactingSystem
from llmagentos.abi.errors import ECONTEXT, LLMOSError, from_wire
from llmagentos.abi.manifest import ContextRule
from llmagentos.abi.process import ErrorRecord
from tests.kernel.rig import MODEL, Rig, agent

WINDOW = 100
"""Words: the model's tokens."""
PROMPT = "These five words stay here."


class Died(BaseException):
    """The host is no more."""


class Town:
    """``failing``: what the model answers to whoever summarises, in place of an answer."""

    def __init__(self, *, window: int = WINDOW, labels: tuple[str, ...] = (), **spec: Any) -> None:
        self.rig = Rig()
        self.window = window
        self.driver = self.rig.driver(
            models=[{"name": MODEL, "context_length": window}], labels=list(labels)
        )
        self.host = self.rig.host()
        self.failing: dict[str, Any] | None = None
        self.silent = False
        self.log: list[tuple[str, dict[str, Any]]] = []
        self.idle = False
        """Children are given to nobody."""
        self.refuses: dict[str, LLMOSError] = {}
        """What some calls come back with, without having been made."""
        self.dies: tuple[int, Literal["before", "after"]] | None = None
        self._served: set[int] = set()
        self._done = 0
        given = {
            "prompt": PROMPT, "sampling": {"max_tokens": 10}, "labels": list(labels),
            "context": {"overflow": "compact"}, "capabilities": {"allow": ["proc:spawn"]},
        }  # fmt: skip
        manifest = agent("talker", **{**given, **spec})
        self.rule = ContextRule.model_validate(manifest["spec"]["context"])
        self.pid: int = self.rig.call("proc.spawn", manifest=manifest)["pid"]
        self.enter()

    def enter(self) -> None:
        """A host that knows nothing takes the agent on."""
        session = self.host.session_of(self.pid)
        self.system = CompactingSystem(_Line(self), session, self.pid, self.rule)  # type: ignore[arg-type]

    def replace_host(self) -> None:
        """Another host takes over, once the kernel waits for the old one no more."""
        self.host.die()
        self.host = self.rig.host("another")
        self.rig.wait(6)
        self.enter()

    def crash(self) -> None:
        """The kernel begins anew from its disk."""
        self.rig.crash()
        self._done = 0
        self.driver.register()

    def append(self, *messages: dict[str, Any]) -> None:
        self.rig.call("ctx.append", pid=self.pid, messages=list(messages))

    def say(self, text: str) -> str:
        self.append({"role": "user", "content": text})
        return self.answer()

    def answer(self) -> str:
        return asyncio.run(self.system.generate()).text

    def context(self, **more: Any) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = self.rig.call("ctx.read", pid=self.pid, **more)["messages"]
        return messages

    def originals(self) -> list[dict[str, Any]]:
        """All that was ever said, in order, from the context and what its summaries stand for."""
        return list(self._originals(self.context()))

    def _originals(self, messages: list[dict[str, Any]]) -> Any:
        for one in messages:
            if one["sources"]:
                yield from self._originals(self.context(source=one["id"]))
            else:
                yield one

    def rows(self, prefix: str = "") -> dict[str, Any]:
        """What is in its memory."""
        found = self.rig.call("mem.list", pid=self.pid, prefix=prefix, limit=1000)["rows"]
        get = self.rig.call
        return {one["key"]: get("mem.get", pid=self.pid, key=one["key"])["value"] for one in found}

    def count(self, name: str) -> int:
        return sum(called == name for called, _ in self.log)

    # -- the machine's side ------------------------------------------------------------------

    def call(self, name: str, args: Mapping[str, Any], session: str) -> dict[str, Any]:
        number = len(self.log) + 1
        if self.dies == (number, "before"):
            raise Died
        self.log.append((name, dict(args)))
        if name in self.refuses:
            raise self.refuses.pop(name)
        sent = self.rig.send(name, session=session, peer=b"host", **args)
        self._work()
        if self.dies == (number, "after"):
            raise Died
        body = self.rig.reply(sent, b"host")
        assert body is not None, f"{name} was not answered"
        if not body["ok"]:
            raise from_wire(body["error"])
        result: dict[str, Any] = body["result"]
        return result

    def _work(self) -> None:
        self._speak()
        for order in list(self.host.assigned):
            if self.idle or order.pid == self.pid or order.pid in self._served:
                continue
            self._served.add(order.pid)
            sent = self.host.act(order.pid, "llm.generate")
            self._speak()
            body = self.host.reply(sent)
            assert body is not None
            if body["ok"]:
                self.host.act(order.pid, "proc.exit", answer=body["result"]["text"])
            else:
                self.host.act(order.pid, "proc.exit", code=1, error=body["error"])

    def _speak(self) -> None:
        """Answer all bursts that have begun."""
        while self._done < len(self.driver.started):
            start = self.driver.started[self._done]
            self._done += 1
            words = sum(len(one.content.split()) for one in start.messages)
            most = start.sampling.max_tokens
            limit = min(self.window, start.context_tokens or self.window)
            asked = next((m.content for m in reversed(start.messages) if m.role == "user"), "go on")
            error = None
            if words + most > limit:
                error = ErrorRecord.of(ECONTEXT(f"{words} and {most} don't fit into {limit}"))
            elif start.messages[0].content != PROMPT and self.failing:
                error = ErrorRecord.model_validate(self.failing)
            if error is not None:
                self.driver.report(start, prompt=words, finish="error", error=error.model_dump())
                continue
            said = "" if self.silent and start.messages[0].content != PROMPT else asked
            self.driver.report(start, " ".join(said.split()[:most]), prompt=words, finish="stop")


class _Line:
    """Stands in for a connection."""

    def __init__(self, town: Town) -> None:
        self._town = town

    def open(self, name: str, args: Mapping[str, Any], session: str, buffers: Any = ()) -> _Call:
        return _Call(self._town, name, args, session)


class _Call:
    def __init__(self, *what: Any) -> None:
        self._town, *self._what = what

    async def result(self, within: float | None = None) -> Any:
        return self._town.call(*self._what)
