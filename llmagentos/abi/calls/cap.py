"""Shapes of the ``cap`` family: capabilities, and approvals of what needs to be asked."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Field

from llmagentos.abi.manifest import CapabilityGlob
from llmagentos.abi.model import Count, Duration, Model, Name, Pid

ApprovalStatus = Literal["pending", "approved", "rejected", "expired", "withdrawn", "used"]
Capability = Annotated[
    str, Field(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f*?\[\]]+$")
]


MAX_ASKED: Final = 256 * 1024
"""Bytes of the arguments of a call that needs an approval, as JSON: somebody must read them."""


class RuleSet(Model):
    """Globs over capabilities. ``deny`` wins over ``ask``, ``ask`` over ``allow``; ``approved`` is
    not asked for any more."""

    allow: list[str] = Field(default_factory=list)
    ask: list[str] = Field(default_factory=list)
    deny: list[str] = Field(default_factory=list)
    approved: list[str] = Field(default_factory=list)


class Buffer(Model):
    """A raw buffer beside the arguments. ``hash``: SHA-256, in hex."""

    size: int
    hash: str


class Approval(Model):
    """One question to somebody who may decide. ``hash``: SHA-256 over what exactly is asked
    for: process, call, capability, arguments and buffers, and the context if that is what a model
    gets to read; the decision holds for that and nothing else."""

    id: int
    pid: int
    name: str = Field(description="of the process")
    call: str = Field(description="the syscall that is parked")
    capability: str = Field(description="without arguments: what always is about")
    arguments: dict[str, Any]
    buffers: list[Buffer] = Field(default_factory=list)
    labels: list[str] = Field(default_factory=list, description="of the process when it asked")
    hash: str
    reason: str = Field("", description="why it asks, in its own words")
    status: ApprovalStatus
    created: float
    expires: float
    decided: float | None = None
    by: int | None = Field(None, description="the process that decided")
    always: bool = False
    note: str = Field("", description="what the one who decided said")


class ListArgs(Model):
    """Pages: the next one is what comes after the last approval of this one."""

    pid: Pid | None = Field(None, description="default: the caller")
    history: Count = Field(0, le=1000, description="so many approvals that are settled as well")
    approval: Count | None = Field(None, description="only this one, settled or not")
    after: Count = Field(0, description="only approvals with a greater id")


class ListResult(Model):
    """``rules``: the process's own, then those of its ancestors, which bind it as well; none:
    nothing binds it. ``approvals``: of the process and its descendants, oldest first."""

    rules: list[RuleSet]
    labels: list[str]
    approvals: list[Approval]
    more: bool = False


class GrantArgs(Model):
    pid: Pid
    allow: list[CapabilityGlob] = Field(min_length=1, max_length=64)


class RevokeArgs(Model):
    """From the process and all its descendants. ``labels``: declassify, which only the user may."""

    pid: Pid
    deny: list[CapabilityGlob] = Field(default_factory=list, max_length=64)
    labels: list[Name] = Field(default_factory=list, max_length=32)


class RulesResult(Model):
    """``rules``: the process's own."""

    rules: RuleSet
    labels: list[str]


class RequestArgs(Model):
    """Ask for a capability to keep."""

    capability: Capability
    reason: str = Field("", max_length=1000)
    timeout: Duration | None = Field(None, description="default: the system's patience")


class RequestResult(Model):
    granted: bool
    approval: int | None = Field(None, description="None: it was held already")
    note: str = Field("", description="what the one who decided said")


class DecideArgs(Model):
    """``always``: for this capability, not only for these arguments, from now on."""

    approval: int = Field(ge=1, le=2**53)
    approve: bool
    always: bool = False
    hash: str | None = Field(None, max_length=64, description="refuse if it is not this one")
    reason: str = Field("", max_length=1000)


class DecideResult(Model):
    approval: Approval
