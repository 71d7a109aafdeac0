"""Where a system lives on disk: its folder, its sockets, its keys.

``LLMOS_HOME`` (default ``~/.llmos``) names one system. It knows nothing about what is in
the files.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from llmagentos.abi.errors import EAUTH, ECONNREFUSED

_LONGEST_SOCKET_PATH: Final = 100
"""A Unix socket's path must fit in 108 bytes; this leaves room for what libzmq adds."""


@dataclass(frozen=True, slots=True)
class Home:
    """The paths of one system."""

    root: Path

    @classmethod
    def default(cls) -> Home:
        """The one that ``LLMOS_HOME`` names."""
        return cls(Path(os.environ.get("LLMOS_HOME") or "~/.llmos").expanduser().absolute())

    @classmethod
    def at(cls, root: str | Path | None) -> Home:
        """The one in this folder; None: the default one."""
        return cls(Path(root).expanduser().absolute()) if root else cls.default()

    @property
    def run(self) -> Path:
        """The folder of the sockets, mode 0700. Under the root, if the path is short enough."""
        inside = self.root / "run"
        if len(os.fsencode(inside / "drivers.sock")) <= _LONGEST_SOCKET_PATH:
            return inside
        digest = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"llmos-{os.getuid()}-{digest}"

    @property
    def syscalls(self) -> str:
        return f"ipc://{self.run / 'kernel.sock'}"

    @property
    def drivers(self) -> str:
        return f"ipc://{self.run / 'drivers.sock'}"

    @property
    def events(self) -> str:
        return f"ipc://{self.run / 'events.sock'}"

    @property
    def database(self) -> Path:
        return self.root / "state.db"

    @property
    def config(self) -> Path:
        return self.root / "config.yaml"

    @property
    def manifests(self) -> Path:
        return self.root / "manifests"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def user_key_file(self) -> Path:
        return self.root / "user.key"

    @property
    def service_key_file(self) -> Path:
        return self.root / "service.key"

    @property
    def sessions(self) -> Path:
        """Tokens of named programs, one file each, mode 0600."""
        return self.root / "sessions"

    def create(self) -> None:
        """Make the folders; refuse a run folder that belongs to somebody else."""
        for folder in (self.root, self.run, self.logs, self.manifests, self.sessions):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (self.run, self.sessions):
            status = folder.lstat()
            if status.st_uid != os.getuid() or not folder.is_dir() or folder.is_symlink():
                raise EAUTH(
                    f"{folder} belongs to another user",
                    hint="remove it, or choose a shorter LLMOS_HOME",
                )
            folder.chmod(0o700)

    def user_key(self) -> str:
        """The root of all rights on this system."""
        return self._key(self.user_key_file)

    def service_key(self) -> str:
        """What drivers and agent hosts register with; it opens no syscall."""
        return self._key(self.service_key_file)

    def _key(self, file: Path) -> str:
        try:
            return file.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            raise ECONNREFUSED(
                f"there is no system in {self.root}", hint="start one: llmos up --detach"
            ) from None
        except PermissionError:
            raise EAUTH(f"{file} can't be read by this user") from None


def write_secret(file: Path, text: str) -> None:
    """Write a file that only this user can read, all of it or nothing."""
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as out:
        out.write(text)
    fresh.replace(file)
