"""Jobs: what drivers do beside bursts, a call of a tool or vectors for texts, and how that ends.

The kernel gives each a number, which is all that a job is known by. It knows nothing about who may
have a job done.
"""

from __future__ import annotations

from typing import Final

from pydantic import Field

from llmagentos.abi.cards import ToolName
from llmagentos.abi.logprob import TokenId
from llmagentos.abi.model import Json, Model, ModelName, Name, Pid, Text
from llmagentos.abi.process import ErrorRecord

MAX_DENIED: Final = 100
MAX_DENIAL: Final = 500
"""Denials in one result, and the characters of one."""


class ToolOrder(Model):
    """``key`` is the same for a repeat of the call after a crash of the kernel."""

    job: int = Field(ge=1)
    key: str
    pid: Pid
    tool: ToolName
    arguments: dict[str, Json]


class EmbedOrder(Model):
    """``background``: nobody waits for it, and it takes no slot: between two texts it gives way to
    every job that somebody waits for."""

    job: int = Field(ge=1)
    pid: Pid
    model: ModelName
    texts: list[Text]
    background: bool = False


class JobRef(Model):
    job: int = Field(ge=1)


class Denial(Model):
    """Something that whoever a tool worked for was refused, for the audit log. ``what``: the kind
    of thing, a word of the driver's. ``detail``: which one; never contents. ``times``: how often in
    this job."""

    what: str = Field(pattern=r"^[a-z][a-z0-9_.-]{0,31}$")
    detail: str = Field("", max_length=MAX_DENIAL)
    times: int = Field(1, ge=1, le=2**53)


class JobResult(Model):
    """The end of a job: ``content`` of a tool, or ``vectors`` and the ``tokens`` they took, or an
    ``error``. ``labels``: beside those of the tool's card. ``denied``: what was refused meanwhile;
    of a job that was aborted, only this is still heard."""

    job: int = Field(ge=1)
    content: Json = None
    vectors: list[list[float]] | None = None
    tokens: TokenId = 0
    labels: list[Name] = Field(default_factory=list, max_length=32)
    denied: list[Denial] = Field(default_factory=list, max_length=MAX_DENIED)
    error: ErrorRecord | None = None
