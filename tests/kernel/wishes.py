"""An agent whose model wants tools called: what the tests of built-in tools share."""

from __future__ import annotations

import json
from typing import Any

from tests.kernel.rig import Rig, agent


class Asked:
    """An agent whose model wants one call after the other made, and its host."""

    def __init__(self, rig: Rig, *tools: str, **spec: Any) -> None:
        self.rig = rig
        rig.driver("cloud", kind="cloud", features=["tools"])
        self.host = rig.host()
        self.pid = rig.spawn(agent(tools=list(tools), **spec))
        self._count = 0

    def want(self, name: str, **arguments: Any) -> str:
        """The model wants this; the id of its call."""
        self._count += 1
        call = {"id": f"c{self._count}", "name": name, "arguments": json.dumps(arguments)}
        said = {"role": "assistant", "content": "", "tool_calls": [call]}
        self.host.act(self.pid, "ctx.append", messages=[said])
        return str(call["id"])

    def make(self, id: str, name: str, **arguments: Any) -> int:
        return self.host.act(self.pid, "tool.call", name=name, arguments=arguments, append=id)

    def __call__(self, name: str, **arguments: Any) -> Any:
        """What the model is told of it, by the context."""
        number = self.make(self.want(name, **arguments), name, **arguments)
        body = self.host.reply(number)
        assert body is not None, "it waits"
        assert body["ok"], body
        return self.told()

    def told(self) -> Any:
        last = self.rig.call("ctx.read", pid=self.pid)["messages"][-1]
        assert last["role"] == "tool"
        return last["content"]
