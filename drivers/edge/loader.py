"""Loading: a folder of the model store becomes a model that can be run.

``auto`` is bfloat16 where the device multiplies it, and float32 elsewhere: a CPU that can't widens
it for every product, which is 3 to 10 times as slow. fp32 is the exact mode: greedy tokens are
those of transformers' own ``generate``, up to ties within rounding, however sequences are batched.
It knows nothing about bursts.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from drivers.edge.cache import fits
from drivers.edge.dialect import dialect_of
from drivers.edge.sequence import Vocabulary
from drivers.huggingface import (
    check_chat_template,
    decoder,
    encoder,
    end_tokens,
    kv_bytes,
    local_transformers,
)
from llmagentos.abi.cards import FREE, ModelCard
from llmagentos.abi.errors import EIO, ENOSYS

Dtype = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """``model`` and ``tokenizer`` are transformers' own."""

    model: Any
    tokenizer: Any
    card: ModelCard
    vocabulary: Vocabulary


def load_model(name: str, folder: Path, dtype: Dtype = "auto", device: str = "auto") -> LoadedModel:
    """The model ``name`` from its folder; ``device`` auto, cpu or cuda."""
    transformers = local_transformers()
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if dtype == "auto":
        dtype = "bfloat16" if device.startswith("cuda") or _cpu_has_bf16() else "float32"
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model = transformers.AutoModelForCausalLM.from_pretrained(
            folder, dtype=getattr(torch, dtype), local_files_only=True
        )
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        raise EIO(
            f"the model in {folder} can't be loaded: {str(error).splitlines()[0]}",
            hint=f"check its files: llmos models verify {name}",
        ) from error
    return prepare(name, model.eval().to(device), tokenizer)


def emptied(loaded: LoadedModel) -> None:
    """Its weights are given back: a ``Llama`` has its own."""
    for weight in loaded.model.parameters():
        weight.data = weight.data.new_empty(0)


def prepare(name: str, model: Any, tokenizer: Any) -> LoadedModel:
    """A model and its tokenizer as the engine takes them; refuses what it can't serve."""
    config = model.config.get_text_config()
    if not fits(config):
        raise ENOSYS(
            f"{name!r} has layers that don't attend to all of the past (sliding or linear)",
            hint="use a model with full attention, such as Llama, Qwen or SmolLM",
        )
    check_chat_template(name, tokenizer)
    card = ModelCard(
        name=name,
        context_length=int(config.max_position_embeddings),
        dtype=str(model.dtype).removeprefix("torch."),
        parameters=sum(p.numel() for p in model.parameters()),
        price=FREE,
        kv_bytes_per_token=kv_bytes(config, model.dtype.itemsize),
    )
    generation = getattr(model, "generation_config", None)
    dialect = dialect_of(tokenizer)
    vocabulary = Vocabulary(
        decoder(tokenizer, dialect.opening),
        encoder(tokenizer),
        end_tokens(generation, config, tokenizer),
        dialect,
    )
    return LoadedModel(model, tokenizer, card, vocabulary)


def _cpu_has_bf16() -> bool:
    """Whether it has instructions for that (x86: two of them; Arm: one)."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    except OSError:
        return False
    return not {"avx512_bf16", "amx_bf16", "bf16"}.isdisjoint(flags)
