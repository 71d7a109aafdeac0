"""Shapes of the ``fs`` family: small versioned files.

A path is ``/<mount>/<folders>/<name>``; one that does not begin with ``/`` is in ``/self``, the
process's own mount. File contents travel as raw buffers, never inside msgpack.
"""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from llmagentos.abi.calls.mem import OWN
from llmagentos.abi.model import Count, Model, Name, Pid, Text

MAX_PATH: Final = 1024
MAX_COMPONENT: Final = 255


_MOUNT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
"""A mount is named as a process is: it stands in capabilities."""


def normal(path: str) -> str:
    """The path in full, beginning with its mount. Raises ``ValueError`` for what is no path."""
    if any(ord(c) < 32 or 127 <= ord(c) < 160 for c in path):
        raise ValueError("a path has no control characters, and no NUL")
    parts = path.removesuffix("/").split("/") if path not in ("/", "") else []
    parts = parts[1:] if path.startswith("/") else [OWN, *parts]
    for part in parts:
        if part in ("", ".", ".."):
            raise ValueError("a path has no empty parts, no '.' and no '..'")
        if len(part.encode()) > MAX_COMPONENT:
            raise ValueError(f"a part of a path takes at most {MAX_COMPONENT} bytes")
    if parts and not _MOUNT.fullmatch(parts[0]):
        raise ValueError("a mount's name has letters, digits, '.', '_' and '-' only")
    return "/" + "/".join(parts)


Path = Annotated[str, Field(min_length=1, max_length=MAX_PATH), AfterValidator(normal)]
Version = Annotated[int, Field(ge=1, le=2**53)]


def mount_of(path: str) -> str:
    """The mount that a normal path is in; "" for ``/`` itself."""
    return path.split("/", 2)[1]


class FileInfo(Model):
    """One version of a file. ``hash``: SHA-256 of the content, in hex. Times since 1970."""

    path: str
    version: int
    size: int = Field(description="bytes")
    hash: str
    labels: list[str] = Field(default_factory=list)
    owner: int = Field(description="the process that wrote it, whose quota holds it")
    time: float
    deleted: bool = Field(False, description="this version says that the file was deleted")


class WriteArgs(Model):
    """The content is the message's one buffer, or ``text``. Nothing is a file and a folder: there
    can be no file where a folder is, and none below a file."""

    pid: Pid | None = Field(None, description="default: the caller")
    path: Path
    text: Text | None = None
    labels: list[Name] = Field(
        default_factory=list, max_length=32, description="beside the labels of the writer"
    )
    expect: Count | None = Field(
        None, description="only if this is the newest version; 0: only if there is no such file"
    )


class ReadArgs(Model):
    """The content comes as the reply's one buffer."""

    pid: Pid | None = Field(None, description="default: the caller")
    path: Path
    version: Version | None = Field(None, description="default: the newest")
    offset: Count = 0
    length: Count | None = Field(None, description="bytes; default: up to the end")


class ListArgs(Model):
    pid: Pid | None = Field(None, description="default: the caller")
    path: Path = f"/{OWN}"
    recursive: bool = False
    after: str = Field("", max_length=2 * MAX_PATH, description="the ``last`` of the page before")
    limit: int = Field(1000, ge=1, le=1000)


class ListResult(Model):
    """``folders``: names of folders right below; of ``/``, the mounts that the caller may read and
    that have files. A mount can always be listed, any other folder as long as there are files in
    it. ``last``: what the next page is ``after``."""

    files: list[FileInfo]
    folders: list[str]
    more: bool
    last: str = ""


class StatArgs(Model):
    pid: Pid | None = Field(None, description="default: the caller")
    path: Path
    version: Version | None = Field(None, description="default: the newest")


class DeleteArgs(Model):
    """Its history stays, and ``fs.restore`` brings it back."""

    pid: Pid | None = Field(None, description="default: the caller")
    path: Path


class HistoryArgs(Model):
    pid: Pid | None = Field(None, description="default: the caller")
    path: Path
    limit: int = Field(100, ge=1, le=1000)


class HistoryResult(Model):
    """Newest first."""

    versions: list[FileInfo]


class RestoreArgs(Model):
    """A new version with the content of an old one, and its labels beside those of the caller."""

    pid: Pid | None = Field(None, description="default: the caller")
    path: Path
    version: Version
