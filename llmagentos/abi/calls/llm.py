"""Shapes of the ``llm`` family: calls of a language model."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from llmagentos.abi.driver import Finish
from llmagentos.abi.logprob import ChosenLogprob
from llmagentos.abi.manifest import Sampling
from llmagentos.abi.model import Model, ModelName, Pid, Text
from llmagentos.abi.process import Usage
from llmagentos.abi.talk import MAX_TOOLS, InputMessage, ToolCall, ToolChoice, ToolSpec


class GenerateArgs(Model):
    """Without ``messages``: the process's context is the prompt, and the answer is appended to
    it. With them: they alone are the prompt and nothing is kept, unless ``append`` says so."""

    messages: list[InputMessage] | None = Field(None, min_length=1, max_length=4096)
    append: bool = Field(False, description="prompt = context + messages; keep both")
    model: ModelName | Annotated[list[ModelName], Field(max_length=16)] | None = Field(
        None, description="default: the manifest's, else the system's default model"
    )
    sampling: Sampling | None = Field(None, description="default: the manifest's")
    tools: list[ToolSpec] = Field(
        default_factory=list,
        max_length=MAX_TOOLS,
        description="that the model may call; only a driver with the feature gets such a call",
    )
    tool_choice: ToolChoice = Field(
        "auto", description="required: it must call one of them; none: it is told, and calls none"
    )
    stream: bool = Field(False, description="send the text as it is made")

    @model_validator(mode="after")
    def _has_what_it_requires(self) -> GenerateArgs:
        if self.tool_choice == "required" and not self.tools:
            raise ValueError("tool_choice is required, and there are no tools")
        return self


class GenerateResult(Model):
    text: str
    finish: Finish
    model: str
    driver: str
    usage: Usage
    tokens: list[int] = Field(description="the ids of the answer's tokens")
    tool_calls: list[ToolCall] = Field(default_factory=list, description="that it wants made")
    message: int | None = Field(None, description="the id of the answer in the context, if kept")
    logprobs: list[ChosenLogprob] | None = Field(None, description="of tokens, if asked for")


class EmbedArgs(Model):
    texts: list[Text] = Field(min_length=1, max_length=1024)
    model: ModelName | None = None


class EmbedResult(Model):
    model: str
    vectors: list[list[float]]


class CancelArgs(Model):
    pid: Pid | None = Field(None, description="default: the caller")
    call: int | None = Field(
        None, ge=0, lt=2**63, description="the id of one generate call; None: all"
    )


class CancelResult(Model):
    cancelled: int


class StreamBody(Model):
    """The body of a ``stream`` message. ``burst`` says which of its process's answers this is,
    ``offset`` how many characters of it came before, so that a repeat can be skipped. ``restarts``:
    how often the answer was begun anew, since no other driver could go on with it; what came of it
    under a smaller number is void."""

    burst: int
    offset: Annotated[int, Field(ge=0)]
    text: str
    restarts: Annotated[int, Field(ge=0)] = 0
