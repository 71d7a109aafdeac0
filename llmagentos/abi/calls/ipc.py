"""Shapes of the ``ipc`` family: mail between processes, and topics.

Mail goes into one process's mailbox and is taken out once. A topic keeps its last messages,
numbered; a subscriber is a cursor that its reader holds, so nothing is lost by a crash of
either side, and a gap shows.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field, SkipValidation

from llmagentos.abi.model import Count, Duration, Json, Model, Pid

Topic = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,126}$")]

MAX_MAIL: Final = 256 * 1024
"""Bytes of one message's body, as JSON."""


class Mail(Model):
    id: int
    sender: int
    body: SkipValidation[Json]
    labels: list[str] = Field(default_factory=list)
    time: float


class SendArgs(Model):
    pid: Pid = Field(description="whose mailbox")
    body: Json
    wait: Duration | None = Field(
        None, description="how long to wait for room in a full mailbox; default: EBUSY at once"
    )


class SendResult(Model):
    id: int


class RecvArgs(Model):
    """With ``append`` the mail is in the caller's context when the call returns, so that none is
    lost if whoever runs it dies in between: one user message each, what is no text as JSON. Those
    of other processes than the user's say whose they are."""

    limit: int = Field(1, ge=1, le=100)
    block: bool = Field(True, description="wait for mail when there is none")
    timeout: Duration | None = Field(None, description="of waiting; default: for ever")
    append: bool = Field(False, description="put it into the caller's context")


class RecvResult(Model):
    """Oldest first; fewer than were asked for if more would not fit into one message. Empty only
    when nothing came in time, or it was not to wait."""

    mail: list[Mail]
    left: int = Field(description="how many are in the mailbox still")


class PublishArgs(Model):
    topic: Topic
    body: Json


class PublishResult(Model):
    seq: int


class SubscribeArgs(Model):
    """What came after ``since``; if nothing did yet, wait for it. Whoever must not miss anything
    first asks for the last seq, without waiting (``block``): a call without ``since`` that is
    repeated after a crash knows nothing of what came in between."""

    topic: Topic
    since: Count | None = Field(None, description="a seq; default: from now on")
    limit: int = Field(100, ge=1, le=1000)
    block: bool = True
    timeout: Duration | None = Field(None, description="of waiting; default: for ever")


class Publication(Model):
    seq: int
    sender: int
    body: SkipValidation[Json]
    labels: list[str] = Field(default_factory=list)
    time: float


class SubscribeResult(Model):
    """``oldest``: the first seq that is still kept; a gap between ``since`` and it is lost.
    Ask again with ``next``: there may be more than fits into one message."""

    messages: list[Publication]
    next: int
    oldest: int
    latest: int
