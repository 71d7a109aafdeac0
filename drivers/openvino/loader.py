"""Loading: what is needed of a model beside its weights, which OpenVINO reads itself.

It knows nothing about bursts, nor about OpenVINO.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

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
from llmagentos.abi.errors import EIO

_KV_BYTES: Final = 2
"""Of a number in the KV cache, which the pipeline keeps in f16."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """``tokenizer`` is transformers' own."""

    tokenizer: Any
    card: ModelCard
    vocabulary: Vocabulary


def load_model(name: str, folder: Path) -> LoadedModel:
    """The model ``name`` from its folder in the store."""
    transformers = local_transformers()
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
        parameters = _parameters(folder)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        raise EIO(
            f"the model in {folder} can't be loaded: {str(error).splitlines()[0]}",
            hint=f"check its files: llmos models verify {name}",
        ) from error
    check_chat_template(name, tokenizer)
    card = ModelCard(
        name=name,
        context_length=int(config.max_position_embeddings),
        dtype="int8",
        parameters=parameters,
        price=FREE,
        kv_bytes_per_token=kv_bytes(config, _KV_BYTES),
    )
    sources = [config, tokenizer]
    if (folder / "generation_config.json").is_file():
        sources.append(transformers.GenerationConfig.from_pretrained(folder, local_files_only=True))
    dialect = dialect_of(tokenizer)
    vocabulary = Vocabulary(
        decoder(tokenizer, dialect.opening), encoder(tokenizer), end_tokens(*sources), dialect
    )
    return LoadedModel(tokenizer, card, vocabulary)


def _parameters(folder: Path) -> int:
    from safetensors import safe_open

    total = 0
    for file in folder.glob("*.safetensors"):
        with safe_open(file, "pt") as tensors:
            names = list(tensors.keys())
            total += sum(math.prod(tensors.get_slice(name).get_shape()) for name in names)
    return total
