"""Swap: KV that is put away on the disk while its sequence is held.

A file for each, in a folder that only its user may enter. What an earlier life of the driver left
there is deleted. It knows nothing about blocks or sequences.
"""

from __future__ import annotations

from itertools import count
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from llmagentos.abi.errors import EIO, ENOSPC


class Swap:
    """In this folder, which is nobody else's."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = count(1)
        if folder.exists():
            for file in folder.glob("*.safetensors"):
                file.unlink()

    def put(self, content: torch.Tensor) -> str:
        """Keep it; under this name it can be taken back. Raises ``ENOSPC`` or ``EIO``."""
        name = f"{next(self._numbers)}.safetensors"
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            save_file({"kv": content.contiguous()}, self._folder / name)
        except OSError as error:
            raise ENOSPC(
                f"KV can't be put away in {self._folder}: {error.strerror}",
                hint="make room on the disk, or give the driver more --kv-bytes",
            ) from error
        return name

    def take(self, name: str) -> torch.Tensor:
        """It, and it is not kept any longer. Raises ``EIO``."""
        try:
            content: torch.Tensor = load_file(self._folder / name)["kv"]
        except Exception as error:
            raise EIO(f"KV that was put away can't be read: {error}") from error
        self.drop(name)
        return content

    def drop(self, name: str) -> None:
        (self._folder / name).unlink(missing_ok=True)
