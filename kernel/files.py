"""Files: small versioned file trees, one that each process has to itself and the shared mounts.
Which paths there are, what a write makes of them, and on whose quota each version is.

It knows nothing about how the rows and contents are kept, nor about who may see them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from kernel import holdings
from kernel.holdings import Amounts
from kernel.process import Process
from llmagentos.abi.calls.fs import mount_of
from llmagentos.abi.calls.mem import OWN
from llmagentos.abi.errors import EBUSY, EINVAL, ENOENT, LLMOSError

if TYPE_CHECKING:
    from kernel.machine import Machine

OWN_MOUNTS: Final = "/:"
"""What the paths of own mounts begin with in the store. No mount can have a ``:`` in its name."""

_BELOW: Final = "/"
_PAST: Final = "0"
"""What is in a folder lies from its path with ``/`` up to its path with ``0``, the next letter."""

_TIDIED_AT_ONCE: Final = 16
_PAUSE: Final = 0.05
_TIDY: Final = "files"
"""How many files of collected processes are deleted between two turns of the loop, and the
seconds until it goes on."""


class Version(NamedTuple):
    """One version of a file. ``labels`` is JSON, ``hash`` is "" for a deletion."""

    path: str
    version: int
    hash: str
    size: int
    labels: str
    owner: int
    time: float
    deleted: bool


class Entry(NamedTuple):
    """One entry of a folder. ``path`` ends with a ``/`` if that is a folder in its turn; then
    ``first`` is the first live file somewhere in it, without which it would not be there."""

    path: str
    first: Version


class FileStore(Protocol):
    """Where versions and contents are. Writing is part of the turn at hand, and is seen at once. A
    file is live if its newest version is no deletion."""

    def newest(self, path: str) -> Version | None: ...

    def version(self, path: str, version: int) -> Version | None: ...

    def versions(self, path: str, limit: int) -> list[Version]:
        """Newest first."""

    def live(self, start: str, end: str, limit: int) -> list[Version]:
        """The first so many live files with ``start`` <= path < ``end``, by path."""

    def content(self, hash: str, offset: int, length: int) -> bytes: ...

    def keep(self, hash: str, content: bytes) -> None:
        """Keep a content, unless it is there."""

    def add(self, version: Version) -> None:
        """A new newest version."""

    def up_to(self, path: str, version: int) -> list[Version]:
        """All versions up to this one."""

    def prune(self, versions: list[Version]) -> None:
        """Delete them, and the contents that only they had."""

    def drop(self, start: str, end: str) -> tuple[int, int]:
        """Delete all from ``start`` to ``end``, which nobody will ask for again: how many
        versions that were, and their bytes."""

    def tidy(self, limit: int) -> bool:
        """Delete so many versions of what was dropped, or fewer; False if there is nothing left."""

    def bequeath(self, owner: int, heir: int) -> int:
        """Give all versions in shared mounts another owner: their bytes."""


def own_mount(process: Process) -> str:
    return f"{OWN_MOUNTS}{process.pid}"


def stored(path: str, process: Process) -> str:
    """A path, as this process means it, in the store."""
    return own_mount(process) + path[len(OWN) + 1 :] if mount_of(path) == OWN else path


def shown(path: str) -> str:
    """A path in the store, as the process that it belongs to knows it."""
    if not path.startswith(OWN_MOUNTS):
        return path
    _, slash, rest = path[1:].partition("/")
    return f"/{OWN}{slash}{rest}"


class Files:
    def __init__(self, kernel: Machine) -> None:
        self._kernel = kernel
        self._store = kernel.services.files
        # What was put off before a boot is taken up in its first turn.
        kernel.timers.set(_TIDY, 0.0, self._tidy)

    # -- writing -----------------------------------------------------------------------------

    def write(
        self, path: str, owner: Process, content: bytes, labels: str, expect: int | None
    ) -> Version:
        """A new version. Raises ``EBUSY`` if the newest is not the expected one, ``EINVAL`` if
        there can't be a file here, ``EQUOTA``; then nothing has changed."""
        newest = self._store.newest(path)
        _check_expected(path, newest, expect)
        self._check_place(path, newest)
        version = self._next(path, owner, newest, labels)
        return self._add(owner, version._replace(size=len(content), deleted=False), content)

    def restore(self, path: str, owner: Process, old: Version, labels: str) -> Version:
        """The content of an old version in a new one. Raises as ``write`` does."""
        newest = self._store.newest(path)
        self._check_place(path, newest)
        version = self._next(path, owner, newest, labels)
        return self._add(owner, version._replace(hash=old.hash, size=old.size, deleted=False))

    def delete(self, path: str, owner: Process, labels: str) -> Version:
        """Raises ``ENOENT`` if it is not there."""
        return self._add(owner, self._next(path, owner, self.find(path), labels))

    def _next(self, path: str, owner: Process, newest: Version | None, labels: str) -> Version:
        """The version to come, without a content: a deletion."""
        number = newest.version + 1 if newest else 1
        return Version(path, number, "", 0, labels, owner.pid, self._kernel.now, deleted=True)

    def _add(self, owner: Process, version: Version, content: bytes | None = None) -> Version:
        """The oldest versions give way, and make room first."""
        last = version.version - self._kernel.config.versions_kept
        oldest = self._store.up_to(version.path, last)
        freed = [(one.owner, _held(one.size)) for one in oldest]
        holdings.replace(self._kernel, owner, _held(version.size), freed)
        if content is not None:
            # Only now, since it takes its time: what has no room need not be looked at.
            version = version._replace(hash=hashlib.sha256(content).hexdigest())
            self._store.keep(version.hash, content)
        self._store.add(version)
        self._store.prune(oldest)
        return version

    def _check_place(self, path: str, newest: Version | None) -> None:
        """Nothing is a file and a folder."""
        if newest is not None and not newest.deleted:
            return
        if path.count("/") < 2 or self.is_folder(path):
            raise EINVAL(f"{shown(path)} is a folder", hint="add the name of a file in it")
        above = path.rpartition("/")[0]
        while above.count("/") > 1:
            if self.is_file(above):
                raise EINVAL(
                    f"{shown(above)} is a file, so nothing can be in it",
                    hint="choose another path, or delete that file",
                )
            above = above.rpartition("/")[0]

    # -- reading -----------------------------------------------------------------------------

    def find(self, path: str, version: int | None = None) -> Version:
        """A version, by default the newest, which must not be a deletion. Raises ``ENOENT``,
        and ``EINVAL`` for a folder."""
        newest = self._store.newest(path)
        if version is None:
            if newest is not None and not newest.deleted:
                return newest
        else:
            found = self._store.version(path, version)
            if found is not None:
                return found
        raise self._missing(path, newest, version)

    def _missing(self, path: str, newest: Version | None, version: int | None) -> LLMOSError:
        name = shown(path)
        if newest is not None and version is not None:
            return ENOENT(
                f"{name} has no version {version}; the newest is {newest.version}",
                hint="fs.history lists those that are kept",
            )
        if newest is not None:
            return ENOENT(
                f"{name} was deleted, by its version {newest.version}",
                hint="fs.history shows its versions, and fs.restore brings one back",
            )
        if path.count("/") < 2 or self.is_folder(path):
            return EINVAL(f"{name} is a folder", hint="fs.list shows what is in it")
        return ENOENT(f"there is no file {name}", hint="fs.list shows which there are")

    def content(self, version: Version, offset: int, length: int | None) -> bytes:
        rest = max(0, version.size - offset)
        return self._store.content(version.hash, offset, rest if length is None else length)

    def history(self, path: str, limit: int) -> list[Version]:
        """Newest first. Raises ``ENOENT``, and ``EINVAL`` for a folder."""
        found = self._store.versions(path, limit)
        if not found:
            raise self._missing(path, None, None)
        return found

    def is_file(self, path: str) -> bool:
        newest = self._store.newest(path)
        return newest is not None and not newest.deleted

    def is_folder(self, path: str) -> bool:
        """Whether there are files in it."""
        return bool(self._store.live(path + _BELOW, path + _PAST, 1))

    def below(self, folder: str, after: str, limit: int) -> list[Entry]:
        """All files in a folder and in those below it, in the order of their paths."""
        start = _next(after) if after else folder + _BELOW
        return [Entry(one.path, one) for one in self._store.live(start, folder + _PAST, limit)]

    def entries(self, folder: str, after: str, limit: int) -> list[Entry]:
        """What is right in a folder. ``after``: the path of the entry before."""
        start = _next(after) if after else folder + _BELOW
        return list(islice(self._entries(folder, start, folder + _PAST), limit))

    def mounts(self, after: str) -> Iterator[Entry]:
        """The shared mounts that have files, by name."""
        start = _next(after) if after else "/"
        past_own = OWN_MOUNTS[:-1] + chr(ord(OWN_MOUNTS[-1]) + 1)
        yield from self._entries("", start, OWN_MOUNTS)
        yield from self._entries("", max(start, past_own), _PAST)

    def _entries(self, folder: str, start: str, end: str) -> Iterator[Entry]:
        skip = len(folder) + 1
        while first := self._store.live(start, end, 1):
            name, slash, _ = first[0].path[skip:].partition("/")
            path = first[0].path[:skip] + name + slash
            yield Entry(path, first[0])
            start = _next(path)

    # -- the end of a process ----------------------------------------------------------------

    def forget(self, process: Process) -> None:
        """It was collected: its own mount goes. What it has in shared ones passes to its heir."""
        mount = own_mount(process)
        count, size = self._store.drop(mount + _BELOW, mount + _PAST)
        if count:
            holdings.give_back(self._kernel, process.pid, _held(size))
            self._tidy_soon()
        heir = holdings.heir(self._kernel, process)
        holdings.pass_on(process, heir, _held(self._store.bequeath(process.pid, heir.pid)))

    def _tidy(self) -> None:
        if self._store.tidy(_TIDIED_AT_ONCE):
            self._tidy_soon()

    def _tidy_soon(self) -> None:
        self._kernel.timers.set_once(_TIDY, self._kernel.now + _PAUSE, self._tidy)


def _held(size: int) -> Amounts:
    return (("storage_bytes", size),)


def _next(path: str) -> str:
    """What can come first after an entry: after a file, or after all that is in a folder. No path
    has a NUL in it."""
    return path[:-1] + _PAST if path.endswith("/") else path + "\0"


def _check_expected(path: str, newest: Version | None, expect: int | None) -> None:
    there = newest.version if newest is not None and not newest.deleted else 0
    if expect is None or expect == there or (newest is not None and expect == newest.version):
        return
    state = f"is at version {there}" if there else "is not there"
    raise EBUSY(
        f"{shown(path)} {state}, and version {expect} was expected"
        if expect
        else f"{shown(path)} is there already, at version {there}",
        hint="read it again, and decide anew",
        detail={"version": there},
    )
