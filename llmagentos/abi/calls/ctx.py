"""Shapes of the ``ctx`` family: the context, a head in a tree of immutable messages."""

from __future__ import annotations

from pydantic import Field

from llmagentos.abi.model import Count, Model, Name, Pid, Text
from llmagentos.abi.process import Role
from llmagentos.abi.talk import CallId, InputMessage, ToolCall


class ContextMessage(Model):
    """``sources``: for a summary, the ids of the messages that it stands for."""

    id: int
    role: Role
    content: str
    time: float
    sources: list[int] = Field(default_factory=list)
    tool_calls: list[ToolCall] = Field(default_factory=list)
    tool_call: CallId | None = None


class ReadArgs(Model):
    pid: Pid | None = Field(None, description="default: the caller")
    last: Count | None = Field(None, ge=1, description="only so many, from the end")


class ReadResult(Model):
    messages: list[ContextMessage]
    tokens: int = Field(description="of the whole context, as a driver last counted; 0: not yet")


class AppendArgs(Model):
    pid: Pid | None = Field(None, description="default: the caller")
    messages: list[InputMessage] = Field(min_length=1, max_length=4096)


class AppendResult(Model):
    ids: list[int]


class CompactArgs(Model):
    """Everything before the last ``keep`` messages, but for a leading system message, is replaced
    by ``summary``. The result's checkpoint undoes it."""

    pid: Pid | None = Field(None, description="default: the caller")
    keep: Count
    summary: Text = Field(min_length=1)


class CompactResult(Model):
    summary: int = Field(description="the id of the summary")
    sources: list[int]
    checkpoint: str


class CheckpointArgs(Model):
    pid: Pid | None = Field(None, description="default: the caller")
    name: Name | None = Field(None, description="default: the kernel names it")


class CheckpointResult(Model):
    checkpoint: str
    messages: int


class RestoreArgs(Model):
    pid: Pid | None = Field(None, description="default: the caller")
    checkpoint: str = Field(min_length=1, max_length=63)


class RewindArgs(Model):
    """Back to where ``message`` was the last one; 0 empties the context."""

    pid: Pid | None = Field(None, description="default: the caller")
    message: Count


class HeadResult(Model):
    messages: int = Field(description="how many the context has now")
