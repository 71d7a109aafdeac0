"""The archive: blocks of KV on the disk, under their names.

Whoever needs the memory puts others' blocks in here, and whoever needs the blocks finds them by
name. What is in it outlives the driver. A file holds the blocks that were put in together, and goes
when nobody claims it any more. Those of an earlier driver, whose claimants nobody knows, go when
they are a day old. Where room is needed, files go that nobody claims, and then those that nobody
claims firmly, oldest first. It knows nothing about who the claimants are.
"""

from __future__ import annotations

import logging
import math
import secrets
import shutil
import tempfile
import time
import weakref
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from llmagentos.abi.errors import EIO, ENOSPC

log = logging.getLogger("driver")

_OLD: Final = 86400.0
"""Seconds after which a file of an earlier driver is deleted, if nobody claims it."""
_KEY: Final = "kv"
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
"""Files are not synced, so after a power cut they might have anything in them."""


@dataclass(slots=True, eq=False)
class _File:
    path: Path
    names: list[bytes]
    size: int
    claimants: dict[Hashable, bool] = field(default_factory=dict)
    """And whether they do so firmly."""
    written: float = math.inf
    """Seconds since 1970, if an earlier driver wrote it."""

    @property
    def rank(self) -> int:
        """Which go first where room is needed; those of 2 don't."""
        return 2 if any(self.claimants.values()) else 1 if self.claimants else 0


class Archive:
    """In this folder, which is nobody else's; without one, in one of its own that goes with it.
    ``fingerprint``: of whatever the numbers depend on; files of another one are deleted. ``most``:
    bytes on the disk."""

    def __init__(self, folder: Path | None, fingerprint: str, most: int) -> None:
        self._folder = folder
        boot = _BOOT.read_text(encoding="ascii").strip() if _BOOT.exists() else ""
        self._fingerprint = f"{fingerprint} {boot}"
        self._most = most
        self._files: dict[_File, None] = {}
        """Oldest first."""
        self._places: dict[bytes, tuple[_File, int]] = {}
        self._claims: dict[Hashable, set[_File]] = defaultdict(set)
        self.bytes = 0
        if folder is not None and folder.exists():
            for path in sorted(folder.iterdir()):
                self._take_over(path)
            self._files = dict.fromkeys(sorted(self._files, key=lambda file: file.written))

    @property
    def claimants(self) -> list[Any]:
        return list(self._claims)

    def __contains__(self, name: bytes) -> bool:
        return name in self._places

    def put(self, names: Sequence[bytes], content: torch.Tensor) -> None:
        """Keep these blocks, which are not here yet; nobody claims them. ``content``: as of
        ``Pool.copy_out``. Raises ``ENOSPC``."""
        size = content.numel() * content.element_size()
        self._make_room(size)
        metadata = {"fingerprint": self._fingerprint, "names": b"".join(names).hex()}
        try:
            final = self._place() / f"{secrets.token_hex(12)}.safetensors"
            part = final.with_suffix(".part")
            try:
                save_file({_KEY: content.contiguous()}, part, metadata)
                part.rename(final)
            finally:
                part.unlink(missing_ok=True)
        except Exception as error:  # safetensors has errors of its own for a full disk
            raise ENOSPC(
                f"KV can't be put away in {self._folder}: {error}",
                hint="make room on the disk, or give the driver more --kv-bytes",
            ) from error
        self._add(_File(final, list(names), size))

    def read(self, names: Sequence[bytes]) -> torch.Tensor:
        """As of ``Pool.copy_out``, in the order of ``names``. Raises ``EIO``; a file that can't be
        read is gone then."""
        if not all(name in self._places for name in names):
            raise EIO("KV that was put away is not there any more")
        parts: list[torch.Tensor] = []
        at = 0
        while at < len(names):
            file, first = self._places[names[at]]
            count = 1
            while self._places.get(names[at + count] if at + count < len(names) else b"") == (
                file,
                first + count,
            ):
                count += 1
            parts.append(self._read(file, first, count))
            at += count
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)

    def claim(self, who: Hashable, names: Iterable[bytes], *, firm: bool) -> None:
        """Those of these blocks that are here stay until ``who`` releases them; if that is not
        ``firm``, only as long as the room is not needed."""
        for name in names:
            if (place := self._places.get(name)) is not None:
                place[0].claimants[who] = firm
                self._claims[who].add(place[0])

    def share(self, who: Hashable, other: Hashable) -> None:
        """``other`` claims what ``who`` claims."""
        for file in self._claims.get(who, ()):
            file.claimants[other] = file.claimants[who]
            self._claims[other].add(file)

    def release(self, who: Hashable) -> None:
        """Nothing is claimed in this name any more."""
        for file in self._claims.pop(who, ()):
            file.claimants.pop(who, None)
            if not file.claimants and file.written == math.inf:
                self._delete(file)

    # -- files -------------------------------------------------------------------------------

    def _read(self, file: _File, first: int, count: int) -> torch.Tensor:
        try:
            with safe_open(file.path, framework="pt") as opened:
                if count == len(file.names):
                    return opened.get_tensor(_KEY)
                part: torch.Tensor = opened.get_slice(_KEY)[:, :, first : first + count]
                return part
        except Exception as error:
            self._delete(file)
            raise EIO(f"KV that was put away can't be read: {error}") from error

    def _take_over(self, path: Path) -> None:
        """A file of an earlier driver: its blocks, if they are what we would have computed."""
        names: list[bytes] = []
        try:
            stat = path.lstat()
            if path.suffix == ".safetensors" and stat.st_mtime > time.time() - _OLD:
                with safe_open(path, framework="pt") as opened:
                    metadata = opened.metadata() or {}
                if metadata.get("fingerprint") == self._fingerprint:
                    whole = bytes.fromhex(metadata["names"])
                    names = [whole[at : at + 16] for at in range(0, len(whole), 16)]
        except Exception as error:
            log.warning("%s can't be read, and is deleted: %s", path, error)
        if names:
            self._add(_File(path, names, stat.st_size, written=stat.st_mtime))
        else:
            _unlink(path)

    def _add(self, file: _File) -> None:
        self._files[file] = None
        self.bytes += file.size
        for place, name in enumerate(file.names):
            self._places[name] = file, place

    def _delete(self, file: _File) -> None:
        if file not in self._files:
            return
        del self._files[file]
        self.bytes -= file.size
        for name in file.names:
            if self._places.get(name, (None,))[0] is file:
                del self._places[name]
        for who in file.claimants:
            self._claims[who].discard(file)
            if not self._claims[who]:
                del self._claims[who]
        _unlink(file.path)

    def _make_room(self, size: int) -> None:
        now = time.time()
        for file in sorted(self._files, key=lambda file: file.rank):
            aged = not file.claimants and file.written < now - _OLD
            if aged or (file.rank < 2 and self.bytes + size > self._most):
                self._delete(file)
        if self.bytes + size > self._most:
            raise ENOSPC(
                f"KV on the disk takes {self.bytes:,} bytes, and {size:,} more are over the limit "
                f"of {self._most:,}",
                hint="give the driver more --swap-bytes, or more --kv-bytes",
            )

    def _place(self) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="llmos-kv-"))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self._folder


def _unlink(path: Path) -> None:
    """What can't be deleted stays, and hurts nobody but the disk."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("%s can't be deleted: %s", path, error.strerror)
