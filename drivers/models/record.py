"""``llmos.json``: what a model in the store is, where it came from, and its checksums.

It knows nothing about where the store lies, nor about what is inside the weights.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Final

from pydantic import Field, ValidationError

from llmagentos.abi.errors import EIO
from llmagentos.abi.model import Model

RECORD_NAME: Final = "llmos.json"
_BLOCK: Final = 4 * 1024 * 1024


class FileRecord(Model):
    """One file: its name inside the model's folder, its sha256 in hex, its size in bytes."""

    name: str
    sha256: str
    bytes: int = Field(ge=0)


class ModelRecord(Model):
    """``created`` in seconds since 1970; ``converted_from`` the file format that it had."""

    name: str
    source: str
    license: str = ""
    created: float
    converted_from: str | None = None
    files: list[FileRecord]

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files)

    def write(self, folder: Path) -> None:
        target = folder / RECORD_NAME
        target.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")
        _to_disk(target)

    @classmethod
    def read(cls, folder: Path) -> ModelRecord:
        """The record in this folder. Raises ``FileNotFoundError``, or ``EIO`` if it is broken."""
        text = (folder / RECORD_NAME).read_text(encoding="utf-8")
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise EIO(
                f"{folder / RECORD_NAME} is not a model's record: {error.errors()[0]['msg']}",
                hint="remove the folder and pull the model again",
            ) from None


def sha256_of(file: Path) -> str:
    """The sha256 of a file's content, in hex."""
    digest = hashlib.sha256()
    with file.open("rb") as source:
        while block := source.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def record_file(folder: Path, name: str) -> FileRecord:
    """Measure a finished file, and make sure that it is on the disk and not only in RAM."""
    file = folder / name
    _to_disk(file)
    return FileRecord(name=name, sha256=sha256_of(file), bytes=file.stat().st_size)


def _to_disk(file: Path) -> None:
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
