"""An order for a model with a tool, a call of that, and a vocabulary of letters."""

from __future__ import annotations

from typing import Any

from drivers.edge.sequence import Vocabulary
from llmagentos.abi.driver import Start
from llmagentos.abi.talk import ChatMessage, ToolCall, ToolSpec
from tests.drivers.orders import order

NOW = ToolSpec(
    name="time.now",
    description="the time",
    parameters={"type": "object", "properties": {"timezone": {"type": "string"}}},
)
LETTERS = Vocabulary(
    decode=lambda tokens: "".join(map(chr, tokens)),
    encode=lambda text: [ord(letter) for letter in text],
    eos=frozenset({0}),
)


def with_tools(*messages: ChatMessage, **more: Any) -> Start:
    said = list(messages) or [ChatMessage(role="user", content="What time is it?")]
    return order(7, "", **more).model_copy(update={"messages": said, "tools": [NOW]})


def called(name: str = "time.now", arguments: str = '{"timezone": "UTC"}') -> ToolCall:
    return ToolCall(id="call_3_0", name=name, arguments=arguments)
