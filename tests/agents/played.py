"""An agent with tools, as a kernel plays it word by word: its context, its model and its calls."""

from __future__ import annotations

from typing import Any

from tests.agents.scripted_kernel import Call, ScriptedKernel

CLOCK = {
    "name": "time.now", "description": "the time", "parameters": {}, "driver": "clock",
    "up": True, "verdict": "allow", "parallel": False,
}  # fmt: skip
Said = dict[str, Any]


def wish(id: str, name: str = "time.now", arguments: str = "{}") -> dict[str, str]:
    return {"id": id, "name": name, "arguments": arguments}


def message(number: int, role: str, content: str = "", **more: Any) -> Said:
    return {"id": number, "role": role, "content": content, "time": 1.0, "sources": [], **more}


class Played:
    """A kernel that has given the host an agent with tools, and keeps its context."""

    def __init__(
        self, kernel: ScriptedKernel, pid: int, *context: Said, tools: Any = ("time.now",),
        **spec: Any,
    ) -> None:  # fmt: skip
        self.kernel = kernel
        self.context = [*context] or [message(1, "user", "What time is it?")]
        kernel.assign(pid, tools=list(tools), **spec)
        self.read()

    def read(self) -> None:
        call = self.kernel.call("ctx.read")
        self.kernel.answer(call, messages=self.context, tokens=0)

    def tools(self, *tools: dict[str, Any]) -> None:
        self.kernel.answer(self.kernel.call("tool.list"), tools=list(tools or (CLOCK,)))
        self.read()

    def generate(self, text: str = "", *calls: dict[str, str]) -> Call:
        call = self.kernel.call("llm.generate")
        number = len(self.context) + 1
        self.context.append(message(number, "assistant", text, tool_calls=list(calls)))
        self.kernel.answer(
            call, text=text, finish="tool_calls" if calls else "stop", model="m", driver="d",
            usage={}, tokens=[], message=number, tool_calls=list(calls),
        )  # fmt: skip
        return call

    def made(self, content: str = "noon") -> Call:
        """The next call of a tool; its result is in the context with the reply."""
        call = self.kernel.call("tool.call")
        self._append(call.args["append"], content)
        self.kernel.answer(
            call, content=content, driver="clock", seconds=0.1, labels=[], message=9, error=None
        )
        return call

    def told(self) -> Said:
        """The next thing that the agent puts into its context itself."""
        call = self.kernel.call("ctx.append")
        (said,) = call.args["messages"]
        self._append(said.get("tool_call"), said["content"], said["role"])
        self.kernel.answer(call, ids=[9])
        return dict(said)

    def settled(self, id: str) -> None:
        self._append(id, "done")

    def end(self) -> None:
        """The model wants nothing more."""
        self.tools()
        self.generate("Done.")
        assert self.ended()["answer"] == "Done."

    def _append(self, id: str | None, content: str, role: str = "tool") -> None:
        self.context.append(message(len(self.context) + 1, role, content, tool_call=id))

    def ended(self) -> dict[str, Any]:
        return self.kernel.call("proc.exit").args
