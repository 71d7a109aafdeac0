"""Where a system lives on disk: its folder, its sockets, its keys.

``LLMOS_HOME`` (default ``~/.llmos``) names one system. It knows nothing about what is in
the files.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from llmagentos.abi.errors import EAUTH, EBUSY, ECONNREFUSED, EINVAL, EIO

_LONGEST_SOCKET_PATH: Final = 100
"""A Unix socket's path must fit in 108 bytes; this leaves room for what libzmq adds."""

_SHORTEST_USER_KEY: Final = 32
_LONGEST_SECRET: Final = 1024

_NAMES_PATIENCE: Final = 35.0
"""Seconds: longer than a call under the lock waits for a kernel that went away."""


@dataclass(frozen=True, slots=True)
class Home:
    """The paths of one system."""

    root: Path

    @classmethod
    def default(cls) -> Home:
        """The one that ``LLMOS_HOME`` names. Raises ``EINVAL``."""
        return cls(_folder(os.environ.get("LLMOS_HOME") or "~/.llmos"))

    @classmethod
    def at(cls, root: str | Path | None) -> Home:
        """The one in this folder; None: the default one. Raises ``EINVAL``."""
        return cls(_folder(root)) if root else cls.default()

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
    def server_key_file(self) -> Path:
        """The kernel's CURVE keypair, for those who come from other machines."""
        return self.root / "server.key"

    @property
    def keys(self) -> Path:
        """The public keys of nodes, one file each."""
        return self.root / "keys"

    @property
    def sessions(self) -> Path:
        """Tokens of named programs, one file each, mode 0600."""
        return self.root / "sessions"

    def program_log(self, pid: int) -> Path:
        """What the program of this process has written."""
        return self.logs / f"agent-{pid}.log"

    def create(self) -> None:
        """Make the folders; refuse a run folder that belongs to somebody else."""
        for folder in (
            self.root, self.run, self.logs, self.manifests, self.sessions, self.keys,
        ):  # fmt: skip
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (self.run, self.sessions, self.keys):
            status = folder.lstat()
            if status.st_uid != os.getuid() or not folder.is_dir() or folder.is_symlink():
                raise EAUTH(
                    f"{folder} belongs to another user",
                    hint="remove it, or choose a shorter LLMOS_HOME",
                )
            folder.chmod(0o700)

    def user_key(self) -> str:
        """The root of all rights on this system."""
        return self._key(self.user_key_file, _SHORTEST_USER_KEY)

    def service_key(self) -> str:
        """What drivers and agent hosts register with; it opens no syscall."""
        return self._key(self.service_key_file, 1)

    def session_file(self, name: str) -> Path:
        """Where a named program's token is kept. Raises ``EINVAL`` for what can't be a name."""
        from pydantic import TypeAdapter, ValidationError

        from llmagentos.abi.model import NAME_RULE, Name

        try:
            TypeAdapter(Name).validate_python(name, strict=True)
        except ValidationError:
            raise EINVAL(f"{name!a:.100} can't be a program's name", hint=NAME_RULE) from None
        return self.sessions / name

    def token(self, name: str) -> str:
        """The token that was kept for a named program; "" if there is none of any use."""
        file = self.session_file(name)
        try:
            return _secret(file)
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise EAUTH(f"{file} can't be read: {error.strerror}", hint="remove it") from None

    def _key(self, file: Path, least: int) -> str:
        try:
            key = _secret(file)
        except FileNotFoundError:
            raise ECONNREFUSED(
                f"there is no system in {self.root}", hint="start one: llmos up --detach"
            ) from None
        except PermissionError:
            raise EAUTH(f"{file} can't be read by this user") from None
        except OSError as error:
            raise EAUTH(f"{file} can't be read: {error.strerror}", hint=_ANEW) from None
        if len(key) < least:
            raise EAUTH(f"there is no key in {file}", hint=_ANEW)
        return key


def _folder(text: str | Path) -> Path:
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError:
        # No such user; or ``~`` is that of one whom the machine doesn't know, as in a container.
        raise EINVAL(
            f"nobody knows where {str(text)!a:.100} is: that user has no home folder",
            hint="set LLMOS_HOME to a whole path",
        ) from None


_ANEW: Final = "remove it and restart the system, which makes a new one: llmos down, llmos up"


def _secret(file: Path) -> str:
    """The key or token in a file; "" if what is there can't be one."""
    with file.open("rb") as source:
        text = source.read(_LONGEST_SECRET + 1).strip()
    return text.decode("ascii") if text.isascii() and len(text) <= _LONGEST_SECRET else ""


class NamesLock:
    """Held while a program takes up its name: of several that do so at once, the first becomes
    the process and the others find its token. It falls with the program, however that ends."""

    def __init__(self, home: Home) -> None:
        self._file = home.sessions / ".lock"
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            home.sessions.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._descriptor = os.open(self._file, flags, 0o600)
        except OSError as error:
            raise EIO(f"{self._file} can't be opened: {error.strerror}") from None

    def attempts(self) -> Iterator[float]:
        """Ends when the lock was taken; until then, gives the seconds to sleep."""
        deadline = time.monotonic() + _NAMES_PATIENCE
        while True:
            try:
                return fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise EBUSY(
                        f"another program has held {self._file} for {_NAMES_PATIENCE:g} s",
                        hint="see which one: fuser -v on that file",
                    ) from None
            yield 0.01

    def release(self) -> None:
        os.close(self._descriptor)


def write_secret(file: Path, text: str) -> None:
    """Write a file that only this user can read, all of it or nothing."""
    descriptor, fresh = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as out:
            out.write(text)
        Path(fresh).replace(file)
    except BaseException:
        Path(fresh).unlink(missing_ok=True)
        raise
