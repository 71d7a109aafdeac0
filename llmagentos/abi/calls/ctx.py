"""Shapes of the ``ctx`` family: the context, a head in a tree of immutable messages."""

from __future__ import annotations

from pydantic import Field, model_validator

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
    """``source``: not the context, but the messages that a summary in it stands for, word for word;
    or one that is among those, and so on."""

    pid: Pid | None = Field(None, description="default: the caller")
    last: Count | None = Field(None, ge=1, description="only so many, from the end")
    source: Count | None = Field(None, ge=1, description="the id of a summary")


class ReadResult(Model):
    messages: list[ContextMessage]
    tokens: int = Field(description="of the whole context, as a driver last counted; 0: not yet")


class AppendArgs(Model):
    pid: Pid | None = Field(None, description="default: the caller")
    messages: list[InputMessage] = Field(min_length=1, max_length=4096)


class AppendResult(Model):
    ids: list[int]


class CompactArgs(Model):
    """Everything up to message ``through``, or before the last ``keep`` messages, but for a leading
    system message, is replaced by ``summary``. Only ``through`` is safe where something may have
    been appended meanwhile. The result's checkpoint undoes it; those of the last 16 are kept."""

    pid: Pid | None = Field(None, description="default: the caller")
    keep: Count | None = Field(None, description="so many messages at its end stay")
    through: Count | None = Field(None, ge=1, description="the last message that is replaced")
    summary: Text = Field(min_length=1)

    @model_validator(mode="after")
    def _exactly_one(self) -> CompactArgs:
        if (self.keep is None) == (self.through is None):
            raise ValueError("give either keep or through")
        return self


class CompactResult(Model):
    summary: int = Field(description="the id of the summary")
    sources: list[int]
    checkpoint: str = Field(description="the context as it was before")


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
