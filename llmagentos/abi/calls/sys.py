"""Shapes of the ``sys`` family: the system as a whole."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from llmagentos.abi.model import Count, Model, Pid


class PingResult(Model):
    time: float = Field(description="the kernel's clock, seconds since 1970")
    uptime: float


class InfoResult(Model):
    version: str
    wire: int
    boot: int = Field(description="how often this state has been booted")
    os_pid: int
    uptime: float
    default_model: str
    processes: int
    queued: int
    running: int
    calls: int
    events_socket: str


class Event(Model):
    """One line of the event stream. Events name processes, calls and drivers; never the
    content of a message."""

    seq: int
    time: float
    type: str
    pid: int | None = None
    data: dict[str, Any] = Field(default_factory=dict)


class EventsArgs(Model):
    since: Count = Field(0, description="only events with a greater seq")
    limit: int = Field(1000, ge=1, le=10_000)
    pid: Pid | None = None


class EventsResult(Model):
    """``oldest``: the first seq that is still kept. A gap between ``since`` and it is lost.
    ``more``: there may be more after these."""

    events: list[Event]
    oldest: int
    latest: int
    more: bool


class AuditArgs(Model):
    since: Count = 0
    limit: int = Field(1000, ge=1, le=10_000)


class AuditEntry(Model):
    """``hash`` is SHA-256 over ``previous`` and the entry; see ``llmagentos.abi.audit``."""

    seq: int
    time: float
    pid: int
    action: str
    verdict: str
    detail: str
    previous: str
    hash: str


class AuditResult(Model):
    entries: list[AuditEntry]
    latest: int


class MetricsResult(Model):
    metrics: dict[str, float]


class ShutdownArgs(Model):
    reason: str = Field("", max_length=200)
