"""Shapes of the ``drv`` family: drivers and agent hosts, as the kernel sees them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from llmagentos.abi.cards import ModelCard, Rate
from llmagentos.abi.driver import DriverState, Kind
from llmagentos.abi.model import Model, Name


class DriverInfo(Model):
    name: Name
    kind: Kind
    state: DriverState | Literal["down"]
    note: str = Field(
        "", description="what it says of itself, for the user; others hear why it is away"
    )
    progress: float | None = None
    models: list[ModelCard] = Field(default_factory=list)
    slots: int
    running: int = Field(description="bursts (or, for a host, processes) on it")
    features: list[str] = Field(default_factory=list)
    zone: str = ""
    labels: list[str] = Field(default_factory=list)
    os_pid: int = 0
    beat_age: float | None = Field(None, description="seconds since its last sign of life")
    bursts: int = Field(0, description="bursts it has finished")
    tokens: int = Field(0, description="completion tokens it has made")
    tokens_per_second: float = Field(0.0, description="over all its sequences, of late")
    ttft_p50: float | None = Field(
        None, description="seconds from a burst's start to its first token, median, of late"
    )
    ttft_p95: float | None = Field(None, description="the same, 95th percentile")
    breaker: Literal["closed", "open", "half-open"] = Field(
        "closed", description="open: it failed too often and gets nothing; half-open: one burst"
    )
    retry_in: float | None = Field(None, description="seconds until it gets something again")
    rates: list[Rate] = Field(default_factory=list, description="what its provider lets through")


class ListArgs(Model):
    pass


class ListResult(Model):
    drivers: list[DriverInfo]
    queued: int = Field(description="bursts that wait for a slot")


class InfoArgs(Model):
    name: Name


class DrainArgs(Model):
    """A drained driver finishes what it runs and gets nothing new. ``on: false`` undoes it."""

    name: Name
    on: bool = True
