"""Events of a message, as Anthropic's API streams them: told on as the chunks of a completion.

What is made of those is the same for every endpoint. It knows nothing about HTTP.
"""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel

from drivers.cloud.answer import Answer, Heard
from drivers.cloud.names import Names
from llmagentos.abi.logprob import TokenId

_REASONS: Final = {
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "model_context_window_exceeded": "length",
    "refusal": "content_filter",
}
"""Those that others call otherwise."""


class _Usage(BaseModel):
    input_tokens: TokenId | None = None
    output_tokens: TokenId | None = None
    cache_creation_input_tokens: TokenId | None = None
    cache_read_input_tokens: TokenId | None = None


class _Message(BaseModel):
    usage: _Usage | None = None


class _Block(BaseModel):
    type: str
    text: str = ""
    id: str | None = None
    name: str | None = None


class _Delta(BaseModel):
    """Of a block, or (``stop_reason``) of the message."""

    text: str = ""
    thinking: str = ""
    partial_json: str = ""
    stop_reason: str | None = None


class _Event(BaseModel):
    type: str
    index: int = 0
    message: _Message = _Message()
    content_block: _Block | None = None
    delta: _Delta = _Delta()
    usage: _Usage | None = None


class MessageAnswer(Answer):
    """``skip``: white space that the answer is to begin with. The endpoint could not be told of it,
    so where it says it too, it is left out."""

    def __init__(self, limit: int, names: Names, skip: str = "") -> None:
        super().__init__(limit, names)
        self._skip = skip
        self._used = _Usage()
        self._bare: set[int] = set()
        """Blocks that are calls without arguments, so far."""

    def hear(self, event: object) -> Heard:
        told = _Event.model_validate(event)
        match told.type:
            case "message_start":
                self._count(told.message.usage)
                # Of the answer it tells what there is of it so far, which is next to nothing.
                self._used.output_tokens = None
                return Heard()
            case "content_block_start" if told.content_block is not None:
                return super().hear(_chunk(self._begin(told.index, told.content_block)))
            case "content_block_delta":
                return super().hear(_chunk(self._go_on(told.index, told.delta)))
            case "content_block_stop" if told.index in self._bare:
                return super().hear(_chunk(_call(told.index, {"arguments": "{}"})))
            case "message_delta":
                self._count(told.usage)
                reason = told.delta.stop_reason
                chunk = _chunk({}, reason and _REASONS.get(reason, reason))
                return super().hear({**chunk, "usage": self._usage_told()})
        return Heard()  # there may come to be other types; they are of no interest

    def _begin(self, index: int, block: _Block) -> dict[str, Any]:
        if block.type != "tool_use":
            return {"content": self._unskipped(block.text)}
        self._bare.add(index)
        return _call(index, {"name": block.name}, id=block.id)

    def _go_on(self, index: int, delta: _Delta) -> dict[str, Any]:
        if delta.partial_json:
            self._bare.discard(index)
            return _call(index, {"arguments": delta.partial_json})
        return {"content": self._unskipped(delta.text), "reasoning": delta.thinking}

    def _unskipped(self, text: str) -> str:
        while self._skip and text.startswith(self._skip[0]):
            text, self._skip = text[1:], self._skip[1:]
        if text:
            self._skip = ""
        return text

    def _count(self, usage: _Usage | None) -> None:
        """What comes later is the sum of all, but not each field comes again."""
        told = usage.model_dump(exclude_none=True) if usage is not None else {}
        self._used = self._used.model_copy(update=told)

    def _usage_told(self) -> dict[str, Any] | None:
        used = self._used
        if used.input_tokens is None or used.output_tokens is None:
            return None
        cached = used.cache_read_input_tokens or 0
        return {
            # Theirs are without what was read from a cache, or written to one.
            "prompt_tokens": used.input_tokens + cached + (used.cache_creation_input_tokens or 0),
            "completion_tokens": used.output_tokens,
            "prompt_tokens_details": {"cached_tokens": cached},
        }


def _chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"choices": [{"delta": delta, "finish_reason": finish}]}


def _call(index: int, function: dict[str, Any], **rest: Any) -> dict[str, Any]:
    return {"tool_calls": [{"index": index, "function": function, **rest}]}
