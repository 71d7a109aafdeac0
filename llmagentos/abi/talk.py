"""Talk: the messages of a conversation, and the tools that a model is told of and calls.

It knows nothing about which tools there are, nor about who runs them.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, model_validator

from llmagentos.abi.cards import ToolName
from llmagentos.abi.model import Json, Model, Text
from llmagentos.abi.process import Role

MAX_TOOLS: Final = 256
MAX_CALLS: Final = 128
"""Of tools, that one answer may want made."""
CallId = Annotated[str, Field(min_length=1, max_length=128)]
ToolChoice = Literal["auto", "required", "none"]
"""``auto``: the model calls tools or answers, as it likes. ``required``: it must call at least one.
``none``: it is told of them and calls none."""


class ToolSpec(Model):
    """A tool as a model is told of it."""

    name: ToolName
    description: str = Field("", max_length=10_000)
    parameters: dict[str, Json] = Field(
        default_factory=dict, description="JSON Schema of its arguments"
    )


class ToolCall(Model):
    """A call that a model wants made. ``arguments`` is the text that it wrote, which ought to be a
    JSON object, and ``name`` ought to be a tool's: small models err in both."""

    id: CallId
    name: str = Field(max_length=256)
    arguments: Text = ""


class ChatMessage(Model):
    """``tool_calls``: of an assistant that wants them made. ``tool_call``: of a message of role
    ``tool``, the id of the call whose result it is."""

    role: Role
    content: str
    tool_calls: list[ToolCall] = Field(default_factory=list, max_length=MAX_CALLS)
    tool_call: CallId | None = None


class InputMessage(ChatMessage):
    """One that comes from outside."""

    content: Text

    @model_validator(mode="after")
    def _ids_differ(self) -> InputMessage:
        if len({call.id for call in self.tool_calls}) < len(self.tool_calls):
            raise ValueError("two tool_calls have the same id, and a result goes by it")
        return self
