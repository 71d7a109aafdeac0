"""Dialects: how a model is told of tools, and how it writes the calls that it wants made.

Known from its chat template: one that tells of tools, in a way that is known here, is used as it
is. Any other model is told in the system message, as Hermes models are, which is what most small
ones have seen most of. It knows nothing about which tools there are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final

from jinja2 import Environment, TemplateError


@dataclass(frozen=True, slots=True)
class Dialect:
    """``opening`` and ``closing`` stand around a call, or a list of them (``lists``); "": a call
    stands alone and is all of its answer. ``key``: what the arguments are called. ``native``: the
    chat template tells of tools. ``most``: calls in one answer, 0: any number."""

    opening: str
    closing: str
    key: str = "arguments"
    lists: bool = False
    native: bool = False
    most: int = 0


HERMES: Final = Dialect("<tool_call>", "</tool_call>")
MISTRAL: Final = Dialect("[TOOL_CALLS]", "", lists=True, native=True)
LLAMA: Final = Dialect("", "", key="parameters", native=True, most=1)


def dialect_of(tokenizer: Any) -> Dialect:
    """That of the model with this tokenizer."""
    template = tokenizer.chat_template
    if isinstance(template, dict):  # several, one of which may be for this
        template = template.get("tool_use") or template.get("default")
    return _dialect(template) if isinstance(template, str) else HERMES


@lru_cache(maxsize=8)
def _dialect(template: str) -> Dialect:
    if not _tells_of_tools(template):
        return HERMES
    if HERMES.opening in template and "<function=" not in template:
        return replace(HERMES, native=True)
    if MISTRAL.opening in template and "[ARGS]" not in template:
        return MISTRAL
    if '"parameters": ' in template and "ipython" in template:
        return LLAMA
    return HERMES


def _tells_of_tools(template: str) -> bool:
    """Whether it reads ``tools``; the word in its text alone is none."""
    try:
        words = list(Environment().lex(template))
    except TemplateError:
        return False
    return any((kind, word) == ("name", "tools") for _, kind, word in words)
