"""The Hugging Face libraries inside our processes: offline, silent, and what we read from them.

A driver's stderr is its log and a pull's stdout is a contract, so neither may carry foreign
progress bars; and loading a local model must never reach for the network. It knows nothing
about weights, nor about how tokens are computed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from types import ModuleType
from typing import Any

from llmagentos.abi.errors import EINVAL


def local_transformers() -> ModuleType:
    """``transformers``, imported so that it stays offline and quiet."""
    # Read once, when the libraries are imported; so before that.
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    return transformers


def kv_bytes(config: Any, width: int) -> int:
    """Of one token: a key and a value for each layer and each head that has its own, of numbers of
    ``width`` bytes."""
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return 2 * int(config.num_hidden_layers) * int(heads) * int(size) * width


def end_tokens(*sources: Any) -> frozenset[int]:
    """All tokens that any of a model's configurations, or its tokenizer, calls an end."""
    found: set[int] = set()
    for source in sources:
        ids = getattr(source, "eos_token_id", None)
        found.update([ids] if isinstance(ids, int) else ids or [])
    return frozenset(found)


def decoder(tokenizer: Any, mark: str = "") -> Callable[[list[int]], str]:
    """How tokens read. Special ones don't, except the ``mark``, if it is one of these."""
    added = tokenizer.added_tokens_decoder
    special = {token for token, one in added.items() if one.special}
    marks = {token for token in special if added[token].content == mark}

    def decode(tokens: list[int]) -> str:
        if marks:
            tokens = [one for one in tokens if one in marks or one not in special]
        return str(
            tokenizer.decode(
                tokens, skip_special_tokens=not marks, clean_up_tokenization_spaces=False
            )
        )

    return decode


def encoder(tokenizer: Any) -> Callable[[str], list[int]]:
    """How a text is written in tokens, without what belongs around a whole one. What reads like a
    special token in it is a text like any other."""

    def encode(text: str) -> list[int]:
        return [
            int(token)
            for token in tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
        ]

    return encode


def check_chat_template(name: str, tokenizer: Any) -> None:
    """Raises ``EINVAL``."""
    if tokenizer.chat_template is None:
        raise EINVAL(
            f"{name!r} has no chat template, so it can't read a conversation",
            hint="use an instruction-tuned model; base models have none",
        )
