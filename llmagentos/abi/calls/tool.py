"""Shapes of the ``tool`` family: tools, which tool drivers offer."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from llmagentos.abi.cards import ToolName
from llmagentos.abi.model import Duration, Json, Model

Verdict = Literal["allow", "ask", "deny"]


class ToolInfo(Model):
    """``verdict``: what the caller's capabilities say of it; where that depends on the arguments,
    the best that they say."""

    name: str
    description: str
    parameters: dict[str, Json] = Field(description="JSON Schema of its arguments")
    driver: str
    up: bool
    verdict: Verdict


class ListArgs(Model):
    pass


class ListResult(Model):
    tools: list[ToolInfo]


class CallArgs(Model):
    name: ToolName
    arguments: dict[str, Json] = Field(default_factory=dict)
    timeout: Duration = Field(300.0, description="seconds, from its start on the driver")


class CallResult(Model):
    """``labels``: what the result is labelled with, and its reader from now on too."""

    content: Json
    driver: str
    seconds: float
    labels: list[str] = Field(default_factory=list)
