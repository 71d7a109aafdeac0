"""The manifest schema: what an agent is, as its author writes it.

Shapes and defaults only. Reading YAML, and saying in which line it is wrong, is the
catalog's work (``kernel/catalog.py``); ``manifests/schema.json`` is made from here.
"""

from __future__ import annotations

import json
from typing import Annotated, Final, Literal

from pydantic import Field, field_validator, model_validator

from llmagentos.abi.model import Duration, Json, Model, ModelName, Name, Patience, Text
from llmagentos.abi.process import Limits
from llmagentos.abi.talk import ToolChoice

DEFAULT_MODEL = "smollm2-135m-instruct"

Place = Literal["edge", "node", "cloud"]


class Metadata(Model):
    name: Name
    description: str = ""


class PlacementRule(Model):
    """Where its bursts may run, and where they should run if there is a choice. ``failover``: what
    becomes of an answer whose driver dies in its middle. ``continue``: another driver goes on from
    what is there; where none can, it fails. ``restart``: then it is begun anew, and the reader is
    told. ``fail``: it fails at once. ``patience``: seconds that it waits for a driver that is
    away; 0: it fails at once; default: the system's."""

    allow: list[Place] = Field(["edge", "node", "cloud"], min_length=1, max_length=3)
    prefer: Place | None = None
    failover: Literal["continue", "restart", "fail"] = "continue"
    patience: Patience | None = None


MAX_GRAMMAR: Final = 20_000
"""Characters."""
MAX_LOGPROBS: Final = 20_000
"""Of one answer: for each token that it may have, its own and those of the likeliest."""


class Grammar(Model):
    """What the whole answer has to match: one of these. A driver that can't see to it gets no such
    burst."""

    json_schema: dict[str, Json] | None = Field(None, description="a JSON Schema")
    regex: str | None = Field(None, min_length=1, max_length=MAX_GRAMMAR)
    lark: str | None = Field(
        None, min_length=1, max_length=MAX_GRAMMAR, description="a context-free grammar, as in Lark"
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> Grammar:
        if sum(one is not None for one in (self.json_schema, self.regex, self.lark)) != 1:
            raise ValueError("give exactly one of json_schema, regex and lark")
        if self.json_schema is not None and len(json.dumps(self.json_schema)) > MAX_GRAMMAR:
            raise ValueError(f"the schema is longer than {MAX_GRAMMAR:,} characters")
        return self


class Sampling(Model):
    """How tokens are chosen. Temperature 0 is greedy: the likeliest token, always. Penalties come
    first, then the grammar, temperature, top_k, top_p and min_p, each on what the last one left."""

    temperature: float = Field(0.0, ge=0, le=10)
    top_p: float = Field(1.0, gt=0, le=1, description="nucleus: the smallest set with this mass")
    top_k: int = Field(0, ge=0, le=2**31, description="only the k likeliest tokens; 0: all")
    min_p: float = Field(
        0.0, ge=0, le=1, description="only tokens that are at least so likely beside the likeliest"
    )
    repetition_penalty: float = Field(
        1.0, gt=0, le=10, description="of all tokens that are in the prompt or the answer; 1: none"
    )
    presence_penalty: float = Field(
        0.0, ge=-2, le=2, description="off the logit of each token that is in the answer"
    )
    frequency_penalty: float = Field(
        0.0, ge=-2, le=2, description="the same, times how often it is there"
    )
    seed: int | None = Field(None, ge=0, lt=2**63, description="None: the kernel picks one")
    stop: list[Annotated[str, Field(min_length=1, max_length=200)]] = Field(
        default_factory=list, max_length=16, description="texts that end the answer, not kept"
    )
    max_tokens: int = Field(256, ge=1, le=1_000_000)
    logprobs: int | None = Field(
        None, ge=0, le=20, description="report each token's, and those of so many of the likeliest"
    )
    grammar: Grammar | None = None

    def over(self, base: Sampling) -> Sampling:
        """``base``, except for what is said here."""
        said = {name: getattr(self, name) for name in self.model_fields_set}
        return base.model_copy(update=said)


CapabilityGlob = Annotated[str, Field(min_length=1, max_length=500)]


class Capabilities(Model):
    """Globs over capabilities. ``deny`` wins over ``ask``, ``ask`` over ``allow``. One that ends
    in ``:rw`` stands for ``:r`` and ``:w``; ``tool:shell(ls *)`` is about the arguments too."""

    allow: list[CapabilityGlob] = Field(default_factory=list, max_length=256)
    ask: list[CapabilityGlob] = Field(default_factory=list, max_length=256)
    deny: list[CapabilityGlob] = Field(default_factory=list, max_length=256)


class Schedule(Model):
    priority: int = Field(0, ge=-20, le=19, description="lower runs first, as with nice")
    weight: float = Field(1.0, ge=0.001, le=1000, description="share under the fair policy")
    deadline: Duration | None = Field(None, description="seconds from spawn")


class Restart(Model):
    """OTP-like supervision: give up after ``intensity`` restarts within ``period``."""

    strategy: Literal["never", "on-failure", "always"] = "never"
    intensity: int = Field(3, ge=0, le=1000)
    period: Duration = 60.0


class ContextRule(Model):
    """What becomes of a context that is full. ``refuse``: the call fails with ``ECONTEXT``.
    ``compact``: a summary takes the place of its oldest part, which goes to memory."""

    overflow: Literal["refuse", "compact"] = "refuse"
    recall: int = Field(
        0,
        ge=0,
        le=1_000_000,
        description="with compact: tokens of what went to memory that may come back with a new "
        "message, where it shares words with it; 0: none",
    )

    @model_validator(mode="after")
    def _only_what_was_compacted(self) -> ContextRule:
        if self.recall and self.overflow != "compact":
            raise ValueError("recall needs overflow: compact; else nothing goes to memory")
        return self


class ToolRef(Model):
    """Tools that its model is told of: one, or all whose names a ``*`` stands for (``fs.*``), or
    all of an MCP server. ``lazy``: it is told their names only, and asks for what it wants to use,
    so that they take next to none of its context."""

    tool: str | None = Field(None, min_length=1, max_length=128)
    mcp: Name | None = None
    load: Literal["eager", "lazy"] = "eager"

    @model_validator(mode="after")
    def _exactly_one(self) -> ToolRef:
        if (self.tool is None) == (self.mcp is None):
            raise ValueError("give either tool or mcp")
        return self

    @property
    def pattern(self) -> str:
        """Of the names of its tools; only ``*`` has a meaning in it."""
        return self.tool if self.tool is not None else f"{self.mcp}.*"


Word = Annotated[str, Field(max_length=4096, pattern=r"^[^\x00]*$")]
"""One of a command line."""


class AgentSpec(Model):
    """``program``: what runs in place of the agent's own loop, as an OS process of the user's,
    with the user's rights and a session of this process. Its first word is an executable; with a
    slash in it a path, as seen from ``workdir``; ``python`` is the one that the agent host runs."""

    model: ModelName | Annotated[list[ModelName], Field(max_length=16)] = DEFAULT_MODEL
    placement: PlacementRule = PlacementRule()
    labels: list[Name] = Field(default_factory=list, max_length=32)
    prompt: Text = Field("", description="the system message")
    tools: list[Annotated[str, Field(min_length=1, max_length=128)] | ToolRef] = Field(
        default_factory=list, max_length=256
    )
    tool_choice: ToolChoice = Field(
        "auto", description="required: the first answer to each message must call a tool"
    )
    capabilities: Capabilities = Capabilities()
    limits: Limits = Limits()
    sampling: Sampling = Sampling()
    schedule: Schedule = Schedule()
    restart: Restart = Restart()
    context: ContextRule = ContextRule()
    interactive: bool = Field(
        False, description="when it has answered, it waits for mail, and answers that"
    )
    program: list[Word] | None = Field(
        None,
        min_length=1,
        max_length=64,
        description="a command that is run instead of the loop; who spawns it needs proc:program",
    )
    workdir: Word | None = Field(
        None,
        min_length=1,
        description="the folder that program runs in, as seen from the manifest's; default: that "
        "one, or LLMOS_HOME if the manifest is not from a file",
    )

    @field_validator("model")
    @classmethod
    def _at_least_one(cls, model: str | list[str]) -> str | list[str]:
        if not model:
            raise ValueError("name at least one model")
        return model

    @model_validator(mode="after")
    def _runnable(self) -> AgentSpec:
        if self.program is None and self.workdir is not None:
            raise ValueError("workdir is where program runs, and there is no program")
        if self.program is not None and not self.program[0].strip():
            raise ValueError("the first word of program is what to run")
        if self.program is not None and self.interactive:
            raise ValueError("interactive is about the agent's own loop, and there is a program")
        return self

    @property
    def tool_refs(self) -> list[ToolRef]:
        return [ToolRef(tool=one) if isinstance(one, str) else one for one in self.tools]

    @property
    def models(self) -> list[str]:
        """The models it may use, best first."""
        return [self.model] if isinstance(self.model, str) else list(self.model)


class Manifest(Model):
    """One agent."""

    apiVersion: Literal["llmagentos/v1"]  # noqa: N815 - the field's own name
    kind: Literal["Agent"]
    metadata: Metadata
    spec: AgentSpec = AgentSpec()
