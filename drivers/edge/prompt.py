"""The prompt: a conversation as the model's own chat template writes it, in tokens.

It decides whether the prompt and the answer fit, and never shortens either. It knows nothing
about how tokens are computed.
"""

from __future__ import annotations

from typing import Any

from drivers.edge.dialect import dialect_of
from drivers.edge.telling import told, without_system
from llmagentos.abi.driver import Start
from llmagentos.abi.errors import ECONTEXT, EINVAL


def prompt_tokens(tokenizer: Any, order: Start, context_length: int) -> list[int]:
    """The token ids of an order's messages and tools, up to where the answer begins."""
    if not order.messages:
        raise EINVAL("there is no message to answer", hint="append one to the context first")
    messages, tools = told(order, dialect_of(tokenizer))
    try:
        try:
            encoded = _encoded(tokenizer, messages, tools)
        except Exception:
            # No fault of whoever asks, if the system message is ours.
            ours = order.messages[0].role != "system" and messages[0]["role"] == "system"
            other = without_system(messages) if ours else None
            if other is None:
                raise
            encoded = _encoded(tokenizer, other, None)
    except Exception as error:  # templates are programs, and raise what their authors liked
        raise EINVAL(
            f"the model's chat template refuses these messages: {str(error).splitlines()[0]}",
            hint="some models want a user message first, or know no 'system' or 'tool' messages",
        ) from error
    prompt = [int(token) for token in encoded["input_ids"]]
    if not prompt:
        raise EINVAL("there is nothing to go on from", hint="say something to the model")
    _check_room(len(prompt), order.sampling.max_tokens, order, context_length)
    return prompt


def _encoded(tokenizer: Any, messages: list[Any], tools: list[Any] | None) -> Any:
    return tokenizer.apply_chat_template(
        messages, tools=tools, add_generation_prompt=True, tokenize=True, return_dict=True
    )


def check_sequel(prompt: int, answer: int, order: Start, context_length: int) -> None:
    """Raises ``ECONTEXT`` for a burst that goes on from a text, if that has more tokens here than
    where it was made, so that the whole ``answer`` does not fit."""
    if answer > order.sampling.max_tokens:
        _check_room(prompt, answer, order, context_length)


def _check_room(prompt: int, wanted: int, order: Start, context_length: int) -> None:
    own = order.context_tokens
    limit = context_length if own is None else min(own, context_length)
    whose = "the process's own limit" if limit == own else "the model's context length"
    detail = {"prompt_tokens": prompt, "max_tokens": wanted, "limit": limit}
    if prompt + 1 > limit:
        raise ECONTEXT(
            f"the context has {prompt} tokens, which leaves no room for an answer within "
            f"{limit} ({whose})",
            hint="shorten or compact the context, or raise the limit context_tokens",
            detail=detail,
        )
    if prompt + wanted > limit:
        raise ECONTEXT(
            f"{prompt} tokens of context and up to {wanted} of answer are more than {limit} "
            f"({whose})",
            hint=f"lower max_tokens to {limit - prompt}, or shorten or compact the context",
            detail=detail,
        )
