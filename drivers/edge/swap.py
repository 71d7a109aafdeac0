"""Swap: KV that is put away on the disk while its sequence is held.

A file for each, in a folder that only its user may enter. What an earlier life of the driver left
there is deleted. It knows nothing about blocks or sequences.
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
import weakref
from itertools import count
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from llmagentos.abi.errors import EIO, ENOSPC


class Swap:
    """In this folder, which is nobody else's; without one, in one of its own that goes with it."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        # Nobody is given what another one put away, even if two are told the same folder.
        self._series, self._numbers = secrets.token_hex(8), count(1)
        if folder is not None and folder.exists():
            for file in folder.iterdir():
                if file.is_file() or file.is_symlink():
                    file.unlink()

    def put(self, content: torch.Tensor) -> str:
        """Keep it; under this name it can be taken back. Raises ``ENOSPC``."""
        name = f"{self._series}-{next(self._numbers)}.safetensors"
        try:
            save_file({"kv": content.contiguous()}, self._place() / name)
        except Exception as error:  # safetensors has errors of its own for a full disk
            raise ENOSPC(
                f"KV can't be put away in {self._folder}: {error}",
                hint="make room on the disk, or give the driver more --kv-bytes",
            ) from error
        return name

    def take(self, name: str) -> torch.Tensor:
        """It, and it is not kept any longer. Raises ``EIO``."""
        try:
            content: torch.Tensor = load_file(self._place() / name)["kv"]
        except Exception as error:
            raise EIO(f"KV that was put away can't be read: {error}") from error
        self.drop(name)
        return content

    def drop(self, name: str) -> None:
        (self._place() / name).unlink(missing_ok=True)

    def _place(self) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="llmos-kv-"))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self._folder
