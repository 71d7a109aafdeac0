"""Loading: what is needed of a model beside its weights, which OpenVINO reads itself.

It knows nothing about bursts, nor about OpenVINO.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from drivers.edge.sequence import Vocabulary
from drivers.huggingface import local_transformers
from llmagentos.abi.driver import FREE, ModelCard
from llmagentos.abi.errors import EINVAL, EIO

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
    if tokenizer.chat_template is None:
        raise EINVAL(
            f"{name!r} has no chat template, so it can't read a conversation",
            hint="use an instruction-tuned model; base models have none",
        )
    card = ModelCard(
        name=name,
        context_length=int(config.max_position_embeddings),
        dtype="int8",
        parameters=parameters,
        price=FREE,
        kv_bytes_per_token=_kv_bytes(config),
    )

    def decode(tokens: list[int]) -> str:
        return str(
            tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        )

    eos = _eos(transformers, folder, config, tokenizer)
    return LoadedModel(tokenizer, card, Vocabulary(decode, eos))


def _parameters(folder: Path) -> int:
    from safetensors import safe_open

    total = 0
    for file in folder.glob("*.safetensors"):
        with safe_open(file, "pt") as tensors:
            names = list(tensors.keys())
            total += sum(math.prod(tensors.get_slice(name).get_shape()) for name in names)
    return total


def _kv_bytes(config: Any) -> int:
    """A key and a value for each layer and each head that has its own."""
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return 2 * int(config.num_hidden_layers) * int(heads) * int(size) * _KV_BYTES


def _eos(transformers: Any, folder: Path, config: Any, tokenizer: Any) -> frozenset[int]:
    """All tokens that any of the three calls an end."""
    sources = [config, tokenizer]
    if (folder / "generation_config.json").is_file():
        sources.append(transformers.GenerationConfig.from_pretrained(folder, local_files_only=True))
    found: set[int] = set()
    for source in sources:
        ids = getattr(source, "eos_token_id", None)
        found.update([ids] if isinstance(ids, int) else ids or [])
    return frozenset(found)
