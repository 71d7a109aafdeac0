"""A model small enough to build, with a tokenizer that splits characters between tokens."""

from __future__ import annotations

import warnings
from typing import Any


def tokenizer() -> Any:
    """A byte-level BPE tokenizer, so that characters are split between tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=330,
        special_tokens=["<|end|>", "<|start|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    text = ["the quick brown fox jumps over the lazy dog", "ünïcödé ist schön, naïve café"]
    tokenizer.train_from_iterator(text * 20, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>")
    fast.chat_template = (
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no rules') }}"
        "{% endif %}<|start|>{{ m.role }}: {{ m.content }}\n{% endfor %}"
        "{% if add_generation_prompt %}<|start|>assistant: {% endif %}"
    )
    return fast


def model(tokenizer: Any) -> Any:
    """A random Llama with its tokenizer, as the engine takes it. fp32, 512 tokens of context."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from drivers.edge.loader import prepare

    torch.set_num_threads(1)  # two threads would wait for each other longer than they work
    torch.manual_seed(7)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=48,
        intermediate_size=96,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        initializer_range=0.3,  # far apart logits, as a trained model's: no ties by rounding
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.eos_token_id,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        model = LlamaForCausalLM(config).eval()
    return prepare("tiny", model, tokenizer)
