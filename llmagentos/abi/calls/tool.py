"""Shapes of the ``tool`` family: tools, which tool drivers offer."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SkipValidation

from llmagentos.abi.cards import ToolName
from llmagentos.abi.model import Duration, Json, Model
from llmagentos.abi.process import ErrorRecord
from llmagentos.abi.talk import CallId

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
    parallel: bool = False


class ListArgs(Model):
    names: list[ToolName] | None = Field(
        None, max_length=256, description="only these; who is missing isn't there"
    )


class ListResult(Model):
    tools: list[ToolInfo]


class CallArgs(Model):
    name: ToolName
    arguments: dict[str, Json] = Field(default_factory=dict)
    timeout: Duration = Field(
        300.0,
        description="seconds, from its start on the driver; of a built-in one only if it is given",
    )
    append: CallId | None = Field(
        None, description="the id of a call that the context's last answer wants made: see below"
    )


class CallResult(Model):
    """``labels``: what the result is labelled with, and its reader from now on too.

    With ``append`` the result goes into the context, as the message ``message`` of role ``tool``,
    in the same step in which it is settled, and so does the ``error`` of a call that was begun. The
    call then belongs to the process, not to whoever made it: if its host dies it goes on, and who
    makes the same call again waits for it, or gets what came of it. So it is never done twice.
    """

    content: SkipValidation[Json]
    driver: str
    seconds: float
    labels: list[str] = Field(default_factory=list)
    message: int | None = None
    error: ErrorRecord | None = None
