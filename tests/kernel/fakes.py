"""What drivers and hosts say and hear, played by a test: they speak the driver protocol.

They know nothing about the machine that they speak to, which is the rig's.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

from kernel.effects import DriverGone, FromDriver
from llmagentos.abi.wire import Message

if TYPE_CHECKING:
    from tests.kernel.rig import Rig

SERVICE = "the-service-key"
MODEL = "m"


class FakeDriver:
    """Speaks the driver protocol; its tokens are the words that the test gives it."""

    kind = "edge"

    def __init__(self, rig: Rig, name: str, card: dict[str, Any]) -> None:
        self._rig = rig
        self.name = name
        self._connections = count(1)
        self.card: dict[str, Any] = {
            "name": name,
            "kind": self.kind,
            "models": [{"name": MODEL, "context_length": 2048}] if self.kind != "host" else [],
            "slots": 4,
            "features": ["preempt", "resume_tokens", "count"] if self.kind == "edge" else [],
            "state": "ready",
            **card,
        }
        self.register()

    def register(self) -> None:
        """Connect anew and register."""
        self.peer = f"{self.name}-{next(self._connections)}".encode()
        self.say("register", self.card)
        if self not in self._rig.beating:
            self._rig.beating.append(self)

    def hang(self) -> None:
        """Say nothing any more."""
        self._rig.beating.remove(self)

    def die(self) -> None:
        self.hang()
        self._rig.put_in(DriverGone(self.peer))

    def say(self, kind: str, body: dict[str, Any]) -> None:
        self._rig.put_in(FromDriver(self.peer, Message(kind, session=SERVICE, body=body)))

    def beat(self, state: str = "ready", **more: Any) -> None:
        self.say("beat", {"state": state, **more})

    def heard(self, kind: str) -> list[Any]:
        """The bodies of the commands of one kind, oldest first."""
        return [body for name, body in self._rig.commands[self.peer] if name == kind]

    @property
    def started(self) -> list[Any]:
        return self.heard("start")

    def report(
        self,
        start: Any,
        words: str = "",
        *,
        index: int | None = None,
        finish: str | None = None,
        prompt: int | None = None,
        error: dict[str, Any] | None = None,
    ) -> None:
        """One step of one burst: each word is a token. A prompt that the kernel wants to be counted
        first is counted in a step of its own; if it is too long, nothing comes after that."""
        if start.hold and prompt is not None:
            self._step(start, index=len(start.accepted), prompt_tokens=prompt)
            if any(ref.burst == start.burst for ref in self.heard("cancel")):
                return
            prompt = None
        tokens = words.split()
        self._step(
            start,
            index=len(start.accepted) if index is None else index,
            tokens=list(range(len(tokens))),
            text=words,
            finish=finish,
            prompt_tokens=prompt,
            error=error,
        )

    def _step(self, start: Any, **fields: Any) -> None:
        step = {"burst": start.burst, "attempt": start.attempt, **fields}
        self.say("report", {"steps": [step]})

    def answer(self, words: str = "fine thanks", prompt: int = 5) -> None:
        """Finish the burst that was started last."""
        self.report(self.started[-1], words, finish="stop", prompt=prompt)

    def end(self, text: str, tokens: int, **more: Any) -> None:
        """The end of the burst that was started last, with its bill."""
        start = self.started[-1]
        ids = {"index": len(start.accepted), "tokens": [0] * tokens}
        self._step(start, **ids, text=text, **{"finish": "stop", **more})

    def result(self, order: Any, content: Any = None, **more: Any) -> None:
        """The end of a job."""
        self.say("result", {"job": order.job, "content": content, **more})

    @property
    def aborted(self) -> list[int]:
        return [body.job for body in self.heard("abort")]


class FakeTool(FakeDriver):
    """A driver of tools: names, or whole cards."""

    kind = "tool"

    def __init__(
        self, rig: Rig, name: str, tools: tuple[str | dict[str, Any], ...], card: dict[str, Any]
    ) -> None:
        cards = [{"name": tool} if isinstance(tool, str) else tool for tool in tools]
        super().__init__(rig, name, {"models": [], "features": [], "tools": cards, **card})

    @property
    def orders(self) -> list[Any]:
        return self.heard("call")


class FakeHost(FakeDriver):
    kind = "host"

    @property
    def assigned(self) -> list[Any]:
        return self.heard("assign")

    def session_of(self, pid: int) -> str:
        session: str = [a.session for a in self.assigned if a.pid == pid][-1]
        return session

    def act(self, pid: int, name: str, /, **args: Any) -> int:
        """Make a call in the name of an agent."""
        return self._rig.send(name, session=self.session_of(pid), peer=b"host", **args)

    def reply(self, number: int) -> dict[str, Any] | None:
        return self._rig.reply(number, b"host")

    def child(self, pid: int, manifest: dict[str, Any], **more: Any) -> int:
        """Of this agent, which starts it in its turn."""
        number = self.act(pid, "proc.spawn", **{"manifest": manifest, "text": "x", **more})
        return int(self.result_of(number)["pid"])

    def result_of(self, number: int) -> dict[str, Any]:
        """Of a call whose reply has come; raises the error that it answers with."""
        return self._rig.result(number, b"host")

    def error_of(self, number: int) -> dict[str, Any]:
        """That a call was answered with."""
        body = self.reply(number)
        assert body is not None, "no reply has come"
        assert not body["ok"]
        error: dict[str, Any] = body["error"]
        return error
