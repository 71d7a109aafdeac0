"""Shapes of the ``mem`` family: rows that a process remembers beyond its context."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field, SkipValidation

from llmagentos.abi.model import Duration, Json, Model, Name, Pid

OWN: Final = "self"
"""The space, and the mount, that a process has to itself. It goes when the process is collected."""

Key = Annotated[str, Field(min_length=1, max_length=512, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""A row's name in its space."""

MAX_VALUE: Final = 1024 * 1024
"""Bytes of a value as JSON in UTF-8. What is larger is better kept as a file."""

MAX_WORDS: Final = 64
"""Different words in one query."""

_SPACE = Field(OWN, description="self: the process's own; any other is shared, by capability")


class MemoryRow(Model):
    """``owner`` wrote it last, and its quota holds it. Times in seconds since 1970."""

    space: str
    key: str
    value: SkipValidation[Json]
    labels: list[str] = Field(default_factory=list)
    owner: int
    created: float
    updated: float
    expires: float | None = None


class PutArgs(Model):
    """A value takes at most 1 MiB as JSON. A process that has ended can no longer be written to,
    only be read."""

    pid: Pid | None = Field(None, description="default: the caller")
    space: Name = _SPACE
    key: Key
    value: Json
    labels: list[Name] = Field(
        default_factory=list, max_length=32, description="beside the labels of the writer"
    )
    ttl: Duration | None = Field(None, description="seconds until it is forgotten by itself")


class PutResult(Model):
    created: bool = Field(description="there was no row of this key")
    bytes: int = Field(description="what it takes of the quota")


class GetArgs(Model):
    pid: Pid | None = Field(None, description="default: the caller")
    space: Name = _SPACE
    key: Key


class SearchArgs(Model):
    """``query``: words; a row must have all of them, in its key or its value, in any form that the
    tokenizer folds together. No query syntax: punctuation is as good as a space. At most 64
    words."""

    pid: Pid | None = Field(None, description="default: the caller")
    space: Name = _SPACE
    query: str = Field(min_length=1, max_length=1000)
    limit: int = Field(10, ge=1, le=100)


class Hit(Model):
    """``score``: BM25, higher is better. ``snippet``: a few words around one that was looked
    for, or the first ones."""

    row: MemoryRow
    score: float
    snippet: str


class SearchResult(Model):
    hits: list[Hit]


class DeleteArgs(Model):
    pid: Pid | None = Field(None, description="default: the caller")
    space: Name = _SPACE
    key: Key


class DeleteResult(Model):
    deleted: bool


class ListArgs(Model):
    """Pages: the next one is what comes after the last key of this one."""

    pid: Pid | None = Field(None, description="default: the caller")
    space: Name = _SPACE
    prefix: str = Field("", max_length=512)
    after: str = Field("", max_length=512)
    limit: int = Field(100, ge=1, le=1000)


class RowBrief(Model):
    """A row without its value."""

    key: str
    bytes: int
    labels: list[str] = Field(default_factory=list)
    owner: int
    updated: float
    expires: float | None = None


class ListResult(Model):
    rows: list[RowBrief]
    more: bool
