"""Grammars: which tokens may come next, if an answer has to match something, or may call tools.

llguidance does the work, over the bytes that each token stands for. It knows nothing about
logits, nor about how a token is chosen.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy
import torch
from llguidance import LLMatcher, LLTokenizer
from llguidance.hf import from_tokenizer

from drivers.edge.call_grammar import Marks, call_grammar
from drivers.edge.dialect import HERMES, Dialect
from llmagentos.abi.driver import Start
from llmagentos.abi.errors import EDRIVER, EINVAL
from llmagentos.abi.manifest import Grammar

if TYPE_CHECKING:
    from llguidance._lib import JsonCompileOptions


log = logging.getLogger("driver")

Made = TypeVar("Made")

_KEPT: Final = 64
"""Grammars of calls: an agent offers the same tools again and again."""
_LONGEST: Final = 32_000
"""Characters of a tool's schema. What reading one takes grows with the square of an object's
fields: ten times as many, and the driver would be silent so long that it was taken for dead."""
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
    """Of one tokenizer, for logits of a ``vocabulary`` of this size; ``eos`` ends an answer;
    ``dialect``: of its calls of tools."""

    def __init__(
        self, tokenizer: Any, vocabulary: int, eos: Iterable[int], dialect: Dialect = HERMES
    ) -> None:
        self._hf = tokenizer
        self._dialect = dialect
        self._calls: dict[str, LLMatcher | None] = {}
        """By what is offered; None: llguidance can't."""
        self._vocabulary = vocabulary
        self._eos = sorted(eos)

    @cached_property
    def _tokenizer(self) -> LLTokenizer:
        """Made when it is first needed, as it takes about half a second."""
        return from_tokenizer(self._hf, n_vocab=self._vocabulary, eos_token=self._eos)

    def prepare(self) -> None:
        """Make now what is else made when it is first needed. Who needs it hears why there is
        none, if there can't be one; all others do without."""
        try:
            _ = self._tokenizer
        except ValueError as error:
            log.warning("no answer can be held to a grammar: %s", error)

    def matcher_for(self, order: Start) -> Matcher | None:
        """At the beginning of its answer; None: that may be anything. Raises ``EINVAL``."""
        grammar = order.sampling.grammar
        if grammar is None:
            return self._call_matcher(order) if order.tools else None
        if order.tools and order.tool_choice == "required":
            raise EINVAL(
                "an answer that must call a tool can't match a grammar of its own",
                hint="leave the grammar out, or tool_choice",
            )
        return self.matcher(grammar)

    def _call_matcher(self, order: Start) -> Matcher | None:
        """Calls are well-formed, to tools that there are, with arguments that they take."""
        offered = json.dumps([order.tool_choice, *(tool.model_dump() for tool in order.tools)])
        if offered not in self._calls:
            while len(self._calls) >= _KEPT:
                del self._calls[next(iter(self._calls))]
            self._calls[offered] = _with_deep_stack(lambda: self._made_for_calls(order))
        made = self._calls[offered]
        if made is None:
            if order.tool_choice == "auto":
                log.warning("answers that call these %d tools go unguided", len(order.tools))
                return None
            raise EINVAL(
                f"an answer can't be held to tool_choice {order.tool_choice} with these tools",
                hint="offer fewer, or leave tool_choice out",
            )
        return Guide(made.deep_copy(), self._vocabulary)

    def _made_for_calls(self, order: Start) -> LLMatcher | None:
        try:
            marks = self._marks
        except ValueError as error:  # of a tokenizer that llguidance doesn't know
            log.warning("no grammar of calls: %s", error)
            return None
        for fit in (self._fitted, _any_object):
            text = call_grammar(order.tools, order.tool_choice, self._dialect, marks, fit)
            matcher, wrong = self._made(LLMatcher.grammar_from_lark, text)
            if matcher is not None:
                return matcher
            log.warning("no grammar of calls: %s", " ".join(wrong.split())[:200])
        return None

    @cached_property
    def _marks(self) -> Marks:
        added = {
            token: one.content
            for token, one in self._hf.added_tokens_decoder.items()
            if token < self._vocabulary and self._tokenizer.is_special_token(token)
        }
        others = sorted(added.keys() - set(self._eos))
        return Marks({text: token for token, text in added.items()}, others)

    def _fitted(self, schema: dict[str, Any]) -> dict[str, Any] | None:
        """A tool's schema, if llguidance takes it, and it is not too long. What it doesn't know in
        it goes unseen."""
        fitted = {**schema, "x-guidance": {**_JSON, "lenient": True}}
        if len(text := json.dumps(fitted)) > _LONGEST:
            return None
        made, _ = self._made(LLMatcher.grammar_from_json_schema, text)
        return fitted if made is not None else None

    def matcher(self, grammar: Grammar) -> Matcher:
        """At the beginning of an answer. Raises ``EINVAL``."""
        matcher, wrong = _with_deep_stack(lambda: self._made(_compiled, grammar))
        if matcher is None:
            raise EINVAL(
                f"the grammar can't be used: {' '.join(wrong.split())[:500]}",
                hint="llguidance's documentation says what of JSON Schema, Lark and regular "
                "expressions it takes",
            )
        return Matcher(matcher, self._vocabulary)

    def _made(self, compile: Callable[[Made], str], source: Made) -> tuple[LLMatcher | None, str]:
        """Or what is wrong with it."""
        try:
            compiled = compile(source)
            wrong = LLMatcher.validate_grammar(compiled, self._tokenizer)
            return (None if wrong else LLMatcher(self._tokenizer, compiled)), wrong
        except (ValueError, RecursionError) as error:
            return None, str(error)


class Matcher:
    """Of one answer, as far as it goes."""

    def __init__(self, matcher: LLMatcher, vocabulary: int) -> None:
        self._matcher = matcher
        self._vocabulary = vocabulary

    def allowed(self) -> torch.Tensor | None:
        """[vocabulary], bool: what may come next; None: anything. Raises ``EDRIVER`` if that takes
        too much."""
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


class Guide(Matcher):
    """One that helps as far as it can. What another engine has begun in its own way, or what takes
    too much, goes on without it."""

    def __init__(self, matcher: LLMatcher, vocabulary: int) -> None:
        super().__init__(matcher, vocabulary)
        self._lost = False

    def allowed(self) -> torch.Tensor | None:
        try:
            return None if self._lost else super().allowed()
        except EDRIVER:
            self._lose()
            return None

    def accept(self, token: int) -> None:
        try:
            if not self._lost:
                super().accept(token)
        except EDRIVER:
            self._lose()

    def _lose(self) -> None:
        log.info("an answer goes on unguided")
        self._lost = True


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


def _any_object(schema: dict[str, Any]) -> dict[str, Any]:
    """Where the schemas are too much for one grammar."""
    return {"type": "object", "x-guidance": {**_JSON}}


def _compiled(grammar: Grammar) -> str:
    if grammar.json_schema is not None:
        return LLMatcher.grammar_from_json_schema(json.dumps(grammar.json_schema), overrides=_JSON)
    if grammar.regex is not None:
        return LLMatcher.grammar_from_regex(grammar.regex)
    return LLMatcher.grammar_from_lark(grammar.lark or "")
