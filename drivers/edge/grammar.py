"""Grammars: which tokens may come next, if an answer has to match something.

llguidance does the work, over the bytes that each token stands for. It knows nothing about
logits, nor about how a token is chosen.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy
import torch
from llguidance import LLMatcher, LLTokenizer
from llguidance.hf import from_tokenizer

from llmagentos.abi.errors import EDRIVER, EINVAL
from llmagentos.abi.manifest import Grammar

if TYPE_CHECKING:
    from llguidance._lib import JsonCompileOptions


Made = TypeVar("Made")

_STACK: Final = 512 * 1024 * 1024
"""Bytes; only what is used of it takes memory."""
_JSON: Final[JsonCompileOptions] = {
    # As Python and most of what models have read write it. Were any white space allowed, a small
    # model might write nothing else.
    "whitespace_flexible": False,
    "item_separator": ", ",
    "key_separator": ": ",
}


class Grammars:
    """Of one tokenizer, for logits of a ``vocabulary`` of this size; ``eos`` ends an answer."""

    def __init__(self, tokenizer: Any, vocabulary: int, eos: Iterable[int]) -> None:
        self._hf = tokenizer
        self._vocabulary = vocabulary
        self._eos = sorted(eos)

    @cached_property
    def _tokenizer(self) -> LLTokenizer:
        """Made when it is first needed, as it takes about half a second."""
        return from_tokenizer(self._hf, n_vocab=self._vocabulary, eos_token=self._eos)

    def matcher(self, grammar: Grammar) -> Matcher:
        """At the beginning of an answer. Raises ``EINVAL``."""
        matcher, wrong = _with_deep_stack(lambda: self._made(grammar))
        if matcher is None:
            raise EINVAL(
                f"the grammar can't be used: {' '.join(wrong.split())[:500]}",
                hint="llguidance's documentation says what of JSON Schema, Lark and regular "
                "expressions it takes",
            )
        return Matcher(matcher, self._vocabulary)

    def _made(self, grammar: Grammar) -> tuple[LLMatcher | None, str]:
        """Or what is wrong with it."""
        try:
            compiled = _compiled(grammar)
            wrong = LLMatcher.validate_grammar(compiled, self._tokenizer)
            return (None if wrong else LLMatcher(self._tokenizer, compiled)), wrong
        except (ValueError, RecursionError) as error:
            return None, str(error)


class Matcher:
    """Of one answer, as far as it goes."""

    def __init__(self, matcher: LLMatcher, vocabulary: int) -> None:
        self._matcher = matcher
        self._vocabulary = vocabulary

    def allowed(self) -> torch.Tensor:
        """[vocabulary], bool: what may come next. Raises ``EDRIVER`` if that takes too much."""
        bits = numpy.frombuffer(self._matcher.compute_bitmask(), dtype=numpy.uint8)
        self._check()
        unpacked = numpy.unpackbits(bits, count=self._vocabulary, bitorder="little")
        return torch.from_numpy(unpacked.view(numpy.bool_))

    def accept(self, token: int) -> None:
        """It came. Raises ``EDRIVER`` if it was not allowed."""
        self._matcher.consume_token(token)
        self._check()

    def _check(self) -> None:
        if self._matcher.is_error():
            said = " ".join(self._matcher.get_error().split())
            raise EDRIVER(f"the grammar failed: {said[:500]}")


def _with_deep_stack(make: Callable[[], Made]) -> Made:
    """What ``make`` gives. llguidance follows rules to rules by recursion, and a stack that is too
    small for a long chain of them would end the process."""
    made: list[Made] = []
    before = threading.stack_size(_STACK)
    try:
        thread = threading.Thread(target=lambda: made.append(make()))
        thread.start()
    finally:
        threading.stack_size(before)
    thread.join()
    return made[0]


def _compiled(grammar: Grammar) -> str:
    if grammar.json_schema is not None:
        return LLMatcher.grammar_from_json_schema(json.dumps(grammar.json_schema), overrides=_JSON)
    if grammar.regex is not None:
        return LLMatcher.grammar_from_regex(grammar.regex)
    return LLMatcher.grammar_from_lark(grammar.lark or "")
