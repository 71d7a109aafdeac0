"""Shapes of the ``proc`` family: processes and their tree."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from llmagentos.abi.manifest import Capabilities, PlacementRule, Sampling
from llmagentos.abi.model import Count, Duration, Model, ModelName, Name, Pid, Text
from llmagentos.abi.process import ExitRecord, Limits, ProcessDetail, ProcessInfo, Signal

MAX_SOURCE = 256 * 1024


class SpawnArgs(Model):
    manifest: Annotated[str, Field(max_length=200)] | dict[str, Any] | None = Field(
        None, description="a manifest's name, or the document itself"
    )
    source: str | None = Field(None, max_length=MAX_SOURCE, description="a manifest as YAML text")
    file: str = Field("", max_length=4096, description="where source came from, for messages")
    folder: str = Field(
        "",
        max_length=4096,
        pattern=r"^(/[^\x00]*)?$",
        description="the whole path of the folder of that file: where a program in it is run",
    )
    text: Text | None = Field(None, description="the first user message")
    name: Name | None = Field(None, description="default: the manifest's name")
    model: ModelName | None = Field(None, description="instead of the manifest's model")
    sampling: Sampling | None = Field(None, description="instead of the manifest's sampling")
    limits: Limits | None = Field(None, description="lowers the manifest's limits")
    placement: PlacementRule | None = Field(None, description="instead of the manifest's placement")
    attach: bool = Field(False, description="end it when the caller's connection ends")

    @model_validator(mode="after")
    def _one_manifest(self) -> SpawnArgs:
        if (self.manifest is None) == (self.source is None):
            raise ValueError("give either manifest or source")
        return self


class SpawnResult(Model):
    pid: Pid
    name: Name
    notices: list[str] = Field(
        default_factory=list, description="what the manifest asks for and nobody offers now"
    )


class ForkArgs(Model):
    pid: Pid | None = Field(None, description="default: the caller")
    text: Text | None = Field(None, description="a user message that only the child gets")
    name: Name | None = None


class ExitArgs(Model):
    code: int = Field(0, ge=0, le=255)
    answer: Text = ""
    error: dict[str, Any] | None = Field(None, description="{code, message, hint, detail}")


class WaitArgs(Model):
    pid: Pid
    stream: bool = Field(False, description="send its answers as they are made")
    timeout: Duration | None = None
    reap: bool = Field(True, description="collect it; its record stays readable in history")


class KillArgs(Model):
    pid: Pid
    signal: Signal = "TERM"
    tree: bool = Field(False, description="the process and all its descendants, in one step")


class KillResult(Model):
    signalled: list[Pid]


class NiceArgs(Model):
    pid: Pid
    priority: int = Field(ge=-20, le=19)


class LimitsArgs(Model):
    pid: Pid | None = Field(None, description="default: the caller")
    limits: Limits | None = Field(None, description="new limits, each at most what it was")


class LimitsResult(Model):
    limits: Limits


class ListArgs(Model):
    """Pages, by pid. ``history`` comes with the first page."""

    tree: Pid | None = Field(None, description="only this process and its descendants")
    pids: list[Pid] | None = Field(
        None, max_length=2000, description="of those, only these; who is missing was collected"
    )
    history: Count = Field(0, le=10_000, description="so many collected processes as well")
    after: Count = 0
    limit: int = Field(1000, ge=1, le=2000)


class ListResult(Model):
    """``next``: what to give as ``after`` for the next page; None: there is none."""

    processes: list[ProcessInfo]
    next: int | None = None


class InfoArgs(Model):
    pid: Pid | None = Field(None, description="default: the caller")


class AdoptArgs(Model):
    name: Name | None = Field(
        None,
        description="a lasting process under this name; None: one that ends with the connection",
    )
    limits: Limits | None = None
    capabilities: Capabilities | None = Field(
        None, description="what a new one may do; default: all that the user's programs may"
    )


class AdoptResult(Model):
    pid: Pid
    name: Name
    session: str
    resumed: bool = Field(description="the process was there before")


class Empty(Model):
    pass


WaitResult = ExitRecord
InfoResult = ProcessDetail
