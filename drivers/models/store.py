"""The store: one folder per model, and the rules by which a model becomes visible.

A model is visible when its folder exists under its final name with an ``llmos.json`` in it;
it gets there by one rename of a finished staging folder, so there is never half a model.
Work in progress lies in dot-folders beside: ``.staging`` (thrown away), ``.partial``
(downloads that can go on), ``.locks``. It knows nothing about where models come from.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

from drivers.models.progress import Progress, silent
from drivers.models.record import RECORD_NAME, ModelRecord, record_file, sha256_of
from llmagentos.abi.errors import EBUSY, EINVAL, EIO, ENOENT

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}(/[A-Za-z0-9][A-Za-z0-9._-]{0,95})?")


def check_name(name: str) -> str:
    """``name``, if a model may be called so: ``smollm2-135m-instruct`` or ``org/name``."""
    if not _NAME.fullmatch(name):
        raise EINVAL(
            f"{name!r} can't be a model's name",
            hint="use letters, digits, '.', '_' and '-', with at most one '/' between",
        )
    return name


class Store:
    """The models under one root folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def default(cls) -> Store:
        """``LLMOS_MODELS``, or ``llmagentos/models`` in the user's cache folder."""
        if chosen := os.environ.get("LLMOS_MODELS"):
            return cls(Path(chosen).expanduser().absolute())
        cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        return cls(Path(cache).expanduser().absolute() / "llmagentos" / "models")

    @property
    def partial(self) -> Path:
        """Where downloads wait to go on."""
        return self.root / ".partial"

    def folder(self, name: str) -> Path:
        """Where a model of this name lies, or would lie."""
        # Quoted rather than nested, so that `org` and `org/name` can both be models.
        return self.root / quote(check_name(name), safe="")

    def has(self, name: str) -> bool:
        return (self.folder(name) / RECORD_NAME).is_file()

    def path(self, name: str) -> Path:
        """The folder of a model that is here; ``ENOENT`` otherwise."""
        if not self.has(name):
            raise ENOENT(
                f"the model {name!r} is not on this machine",
                hint=f"pull it: llmos models pull {name}",
            )
        return self.folder(name)

    def names(self) -> list[str]:
        """The models that are here, sorted."""
        if not self.root.is_dir():
            return []
        found = (entry for entry in self.root.iterdir() if not entry.name.startswith("."))
        return sorted(unquote(f.name) for f in found if (f / RECORD_NAME).is_file())

    def record(self, name: str) -> ModelRecord:
        return ModelRecord.read(self.path(name))

    def remove(self, name: str) -> None:
        """Make a model invisible at once, then delete it."""
        with self.locked(name):
            path = self.path(name)
            gone = self._fresh_staging(name)
            path.rename(gone)  # onto the empty folder: one step
            shutil.rmtree(gone)

    def verify(self, name: str, progress: Progress = silent) -> None:
        """Compare every file with its checksum; ``EIO`` names the first that differs."""
        folder, record = self.path(name), self.record(name)
        done, total = 0, record.bytes
        progress("check", 0, total, "bytes")
        for file in record.files:
            if not (folder / file.name).is_file():
                raise EIO(f"{folder / file.name} is missing", hint=_again(name))
            if sha256_of(folder / file.name) != file.sha256:
                raise EIO(f"{folder / file.name} has changed on the disk", hint=_again(name))
            done += file.bytes
            progress("check", done, total, "bytes")

    @contextmanager
    def locked(self, name: str, progress: Progress = silent) -> Iterator[None]:
        """Hold a model's lock; says so (stage ``wait``) while somebody else has it."""
        from filelock import FileLock, Timeout

        locks = self.root / ".locks"
        locks.mkdir(parents=True, exist_ok=True)
        lock = FileLock(locks / f"{self.folder(name).name}.lock")
        started = time.monotonic()
        patience = 0.0
        while not lock.is_locked:
            try:
                # The operating system frees it when its holder dies, however that happens.
                lock.acquire(timeout=patience)
            except Timeout:
                progress("wait", int(time.monotonic() - started), 0, "seconds")
                patience = 1.0
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def staging(self, name: str) -> Iterator[Path]:
        """An empty folder on the store's own file system, gone at the end. Hold the lock."""
        folder = self._fresh_staging(name)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def publish(
        self,
        staged: Path,
        *,
        name: str,
        source: str,
        license: str,
        converted_from: str | None,
        progress: Progress = silent,
    ) -> Path:
        """Write the record of a finished folder and make it visible, in one rename."""
        if self.has(name):
            raise self.taken(name)
        names = sorted(str(p.relative_to(staged)) for p in staged.rglob("*") if p.is_file())
        files = []
        for done, file in enumerate(names):
            progress("check", done, len(names), "files")
            files.append(record_file(staged, file))
        progress("check", len(names), len(names), "files")
        record = ModelRecord(
            name=name,
            source=source,
            license=license,
            created=time.time(),
            converted_from=converted_from,
            files=files,
        )
        record.write(staged)
        final = self.folder(name)
        if final.exists():
            shutil.rmtree(final)  # a folder without a record: not a model, and never was one
        staged.rename(final)
        return final

    @staticmethod
    def taken(name: str) -> EBUSY:
        return EBUSY(
            f"there is already a model called {name!r}",
            hint=f"remove it first (llmos models rm {name}), or choose another --name",
        )

    def _fresh_staging(self, name: str) -> Path:
        folder = self.root / ".staging" / self.folder(name).name
        if folder.exists():
            shutil.rmtree(folder)  # a killed pull left it; we hold its lock
        folder.mkdir(parents=True)
        return folder


def _again(name: str) -> str:
    return f"remove it and pull it again: llmos models rm {name}; llmos models pull {name}"
