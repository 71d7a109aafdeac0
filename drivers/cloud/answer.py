"""An answer, as an endpoint streams it: chunks in, parts out.

A part is a text that has come, or the end. It keeps to the number of pieces that there may be,
puts calls of tools together, and takes no chunk on trust. It knows nothing about HTTP or threads.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Final, NamedTuple

from pydantic import BaseModel, Field

from drivers.cloud.names import Names
from llmagentos.abi.driver import Finish
from llmagentos.abi.errors import EDRIVER, LLMOSError
from llmagentos.abi.logprob import TokenId
from llmagentos.abi.model import MAX_TEXT
from llmagentos.abi.talk import ToolCall

_CALLS: Final = 128
_NAME: Final = 256
_ID: Final = 128
_FINISHES: Final[dict[str, Finish]] = {
    "stop": "stop",
    "eos": "stop",
    "end_turn": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
}


class _Function(BaseModel):
    name: str | None = None
    arguments: str | None = None


class _CallDelta(BaseModel):
    index: int | None = None
    id: str | None = None
    function: _Function = _Function()


class _Delta(BaseModel):
    """``reasoning…``: what some models think before they speak. It is paid for, and no answer."""

    content: str | None = None
    refusal: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[_CallDelta] | None = None


class _Choice(BaseModel):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Details(BaseModel):
    cached_tokens: TokenId | None = None


class _Usage(BaseModel):
    prompt_tokens: TokenId
    completion_tokens: TokenId = 0
    prompt_tokens_details: _Details | None = None
    prompt_cache_hit_tokens: TokenId | None = None

    @property
    def cached(self) -> int:
        told = self.prompt_tokens_details and self.prompt_tokens_details.cached_tokens
        return min(told or self.prompt_cache_hit_tokens or 0, self.prompt_tokens)


class _Chunk(BaseModel):
    choices: Annotated[list[_Choice] | None, Field(max_length=1)] = None
    usage: _Usage | None = None


@dataclass(slots=True)
class _Call:
    index: int
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)
    length: int = 0


class End(NamedTuple):
    """How it ended. Of what it used, None is not known."""

    finish: Finish
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int = 0
    tool_calls: tuple[ToolCall, ...] = ()
    error: LLMOSError | None = None


class Heard(NamedTuple):
    """``alive``: it is at work, even if there is nothing of it to read."""

    text: str = ""
    alive: bool = False


class Answer:
    """``limit``: how many pieces it may have. ``cut``: it would have had more."""

    def __init__(self, limit: int, names: Names) -> None:
        self._limit = limit
        self._names = names
        self._pieces = 0
        self._calls: list[_Call] = []
        self._usage: _Usage | None = None
        self._reason: str | None = None
        self.cut = False

    @property
    def said(self) -> bool:
        """It has said why it ends; what it used may still come."""
        return self._reason is not None

    @property
    def whole(self) -> bool:
        """All has come that is of interest."""
        return self._reason is not None and self._usage is not None

    def hear(self, event: object) -> Heard:
        """The next chunk. Raises ``ValueError`` if it is none."""
        chunk = _Chunk.model_validate(event)
        choice = chunk.choices[0] if chunk.choices else _Choice()
        if chunk.usage is not None or choice.finish_reason:
            # Some count as they go on: only what comes with the end, or after it, is all.
            self._usage = chunk.usage
        self._reason = choice.finish_reason or self._reason
        delta = choice.delta
        if delta is None:
            return Heard()
        for call in delta.tool_calls or ():
            self._call(call)
        text = (delta.content or "") + (delta.refusal or "")
        if text:
            self.cut = self._pieces >= self._limit
            if self.cut:
                return Heard()
            self._pieces += 1
        thought = delta.reasoning or delta.reasoning_content
        return Heard(text, bool(text or thought or delta.tool_calls))

    def end(self) -> End:
        """How it ended, when nothing more comes. Raises ``EDRIVER`` if that is in its middle."""
        if self.cut:
            return End("length")
        if self._reason is None:
            raise EDRIVER(
                "the endpoint broke its answer off",
                hint="try again; if it stays so, ask who runs it",
            )
        finish, error = _FINISHES.get(self._reason), None
        if finish is None:
            finish, error = "error", _bad_end(self._reason)
        calls: tuple[ToolCall, ...] = ()
        if finish in ("stop", "tool_calls"):
            # Some say stop all the same. Of an answer that is too long, the last one is no call.
            calls = tuple(self._whole(number, call) for number, call in enumerate(self._calls))
            finish = "tool_calls" if calls else "stop"
        used = self._usage
        if used is None:
            return End(finish, tool_calls=calls, error=error)
        return End(finish, used.prompt_tokens, used.completion_tokens, used.cached, calls, error)

    def _call(self, part: _CallDelta) -> None:
        """A call begins with its id; what comes under the same index is the rest of it."""
        index = part.index if part.index is not None else len(self._calls) - (not part.id)
        call = next((one for one in reversed(self._calls) if one.index == index), None)
        if call is None or (part.id and call.id and part.id != call.id):
            if len(self._calls) >= _CALLS:
                raise EDRIVER(
                    f"the model calls more than {_CALLS} tools at once", hint="ask it for fewer"
                )
            call = _Call(index)
            self._calls.append(call)
        call.id = call.id or part.id or ""
        call.name = (call.name + (part.function.name or ""))[:_NAME]
        arguments = part.function.arguments or ""
        call.arguments.append(arguments)
        call.length += len(arguments)
        if call.length > MAX_TEXT:
            raise EDRIVER("the arguments of a tool call don't end", hint="lower max_tokens")

    def _whole(self, number: int, call: _Call) -> ToolCall:
        taken = {one.id for one in self._calls[:number]}
        known = 0 < len(call.id) <= _ID and call.id not in taken
        return ToolCall(
            id=call.id if known else f"call_{number}",
            name=self._names.inward(call.name),
            arguments="".join(call.arguments),
        )


def _bad_end(reason: str) -> LLMOSError:
    if reason == "content_filter":
        return EDRIVER(
            "the provider's content filter ended the answer",
            hint="say it in other words, or use another provider",
            detail={"finish_reason": reason},
        )
    return EDRIVER(
        f"the endpoint ended the answer for a reason of its own: {reason[:100]}",
        hint="try again; if it stays so, ask who runs it",
    )
