"""Is this folder a model that a driver can load? Judged from its files, without torch.

Weights must be safetensors: other formats run code when they are read. It knows nothing about
the store, nor about what the tensors mean.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Final

from drivers.models.progress import Progress
from llmagentos.abi.errors import EINVAL

WANTED: Final = (
    "*.safetensors",
    "model.onnx",
    "*.json",
    "*.jinja",
    "*.model",
    "*.txt",
    "LICENSE*",
    "README*",
)
"""What of a model's folder is kept: weights, configuration, tokenizer, and its papers."""

_LONGEST_HEADER: Final = 100_000_000


def check_folder(folder: Path) -> None:
    """Raises ``EINVAL`` that says what is missing or broken."""
    if (folder / "model.onnx").is_file() and (folder / "tokenizer.json").is_file():
        return  # one that embeds; ONNX runs no code of the file's own
    if not (folder / "config.json").is_file():
        raise EINVAL(
            f"{folder} is not a model: it has no config.json",
            hint="give a folder as transformers saves it, or a .gguf file",
        )
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise EINVAL(
            f"{folder} has no *.safetensors file",
            hint="other weight formats can run code when read; convert them to safetensors",
        )
    if not any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer.model")):
        raise EINVAL(
            f"{folder} has no tokenizer", hint="copy its tokenizer.json into the folder as well"
        )
    for shard in _shards_named(folder):
        if not (folder / shard).is_file():
            raise EINVAL(f"{folder} lacks {shard}", hint="the weights are not complete")
    for file in weights:
        _check_file(file)


def copy_folder(source: Path, target: Path, progress: Progress) -> None:
    """Copy what is wanted of a model's folder."""
    files = sorted({f for pattern in WANTED for f in source.glob(pattern) if f.is_file()})
    done, total = 0, sum(file.stat().st_size for file in files)
    for file in files:
        progress("copy", done, total, "bytes")
        shutil.copyfile(file, target / file.name)
        done += file.stat().st_size
    progress("copy", total, total, "bytes")


def _shards_named(folder: Path) -> set[str]:
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return set()
    try:
        return set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, KeyError, TypeError, AttributeError):
        raise EINVAL(f"{index} is not an index of weights", hint="copy the model again") from None


def _check_file(file: Path) -> None:
    """The header must be what the format says, and the file as long as the header says."""
    size = file.stat().st_size
    with file.open("rb") as source:
        length = int.from_bytes(source.read(8), "little")
        header = source.read(length) if length <= min(size, _LONGEST_HEADER) else b""
    try:
        tensors = json.loads(header)
        end = max((t["data_offsets"][1] for k, t in tensors.items() if k != "__metadata__"))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        raise EINVAL(f"{file} is not a safetensors file", hint="copy it again") from None
    if 8 + length + end != size:
        raise EINVAL(
            f"{file} has {size} bytes, its header says {8 + length + end}",
            hint="it was cut or damaged; copy it again",
        )
