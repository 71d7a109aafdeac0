"""Shapes of the ``mem`` family: rows that a process remembers beyond its context."""

from __future__ import annotations

from typing import Annotated, Final, Literal

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


By = Literal["words", "meaning", "both"]
"""How rows are found."""


class SearchArgs(Model):
    """``words``: a row must have all words of the query, in its key or its value, in any form that
    the tokenizer folds together. No query syntax: punctuation is as good as a space. At most 64
    words. ``meaning``: the rows whose vectors are nearest to the query's; ``ENODRIVER`` if no
    driver on this device makes vectors, none may see the caller's labels, or no row has one yet.
    ``both``: rows that have all the words, then those that have some of them or are near in
    meaning, ranked together; where there is no search by meaning it is one by words, and the result
    says so. ``EQUOTA`` if the rows do not fit into one reply: give a smaller ``limit``."""

    pid: Pid | None = Field(None, description="default: the caller")
    space: Name = _SPACE
    query: str = Field(min_length=1, max_length=1000)
    limit: int = Field(10, ge=1, le=100)
    by: By = "both"


class Hit(Model):
    """``score``, higher is better: BM25 by words, the cosine by meaning; by both 0 to 1, and 1 more
    for a row that has all the words. ``snippet``: a few words around one that was looked for,
    or the first ones."""

    row: MemoryRow
    score: float
    snippet: str


class SearchResult(Model):
    """``by``: how these were found. ``lacking``: how many rows of the space have no vector, so that
    they are found by their words only. ``note``: why it was not searched by meaning, if it should
    have been."""

    hits: list[Hit]
    by: By = "words"
    lacking: int = 0
    note: str = ""


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
