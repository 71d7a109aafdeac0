"""The cut: which messages of a context stay when room must be made, and which go.

Pure functions. A cut parts no call of a tool from its results, takes no system prompt, and leaves
the last turn alone where it can. It knows nothing about memory, summaries or the kernel.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from llmagentos.abi.calls.ctx import ContextMessage

RECALLED: Final = "(Recalled from earlier in this conversation; this is no new message.)"
"""How a message begins that was brought back from memory. It belongs to the turn before it."""

_AROUND: Final = 8
"""Bytes that a chat template is taken to put around a message, as far as tokens come of them."""

_GUESS: Final = 1 / 3
"""Tokens for a byte, as long as nobody has counted."""


class Scale:
    """How many tokens a text comes to, about: by what a driver has counted, if it has."""

    def __init__(
        self, context: Sequence[ContextMessage], counted: int, before: Scale | None = None
    ) -> None:
        """``counted``: the tokens of the context up to its last answer; 0: nobody knows, and what
        was known ``before`` holds."""
        answers = [place for place, one in enumerate(context, 1) if one.role == "assistant"]
        known = sum(map(_bytes, context[: answers[-1]])) if answers else 0
        self._rate: float = before._rate if before else _GUESS
        if counted and known:
            self._rate = counted / known

    def tokens(self, *messages: ContextMessage) -> float:
        return self._rate * sum(map(_bytes, messages))

    def of_text(self, text: str) -> float:
        return self._rate * (len(text.encode()) + _AROUND)

    def characters(self, tokens: float) -> int:
        """How many characters come to so many tokens; fewer where they take several bytes."""
        return max(1, int(tokens / self._rate) - _AROUND)


def head(context: Sequence[ContextMessage]) -> int:
    """How many messages at the beginning are never touched: the system prompt, if there is one."""
    return int(bool(context) and context[0].role == "system" and not context[0].sources)


def is_recalled(message: ContextMessage) -> bool:
    return message.role == "user" and message.content.startswith(RECALLED)


def begins_turn(message: ContextMessage) -> bool:
    """Whether somebody says something new."""
    return message.role == "user" and not is_recalled(message)


def cut(context: Sequence[ContextMessage], scale: Scale, room: float, most: float) -> int | None:
    """The index of the first message that stays; all before it go, but for the system prompt. As
    many of the last turns stay as fit into ``room`` tokens. The last one stays whole if it fits
    into ``most``; else only its last steps do. None: nothing can go that is worth it."""
    steps = list(_steps(context))
    turns = [place for place in steps if begins_turn(context[place])]
    left = {place: scale.tokens(*context[place:]) for place in steps}
    for places, limit in ((turns, room), (turns, most), (steps, room)):
        fitting = [place for place in places if left[place] <= limit]
        if fitting:
            return fitting[0]
    return steps[-1] if steps else None


def _steps(context: Sequence[ContextMessage]) -> Iterator[int]:
    """Where a cut may be: behind something that is worth it, and where no call waits for its
    result."""
    first, open_calls, gone = head(context), set[str](), 0
    for place, message in enumerate(context):
        if place > first and gone and not open_calls and message.role != "tool":
            yield place
        open_calls |= {call.id for call in message.tool_calls}
        if message.tool_call is not None:
            open_calls.discard(message.tool_call)
        # A summary alone would only be summarised again.
        gone += place >= first and not message.sources


def turns(messages: Sequence[ContextMessage]) -> list[list[ContextMessage]]:
    """One list for each turn; the first may have begun before."""
    found: list[list[ContextMessage]] = []
    for message in messages:
        if not found or begins_turn(message):
            found.append([])
        found[-1].append(message)
    return found


def _bytes(message: ContextMessage) -> int:
    calls = sum(len(call.name) + len(call.arguments.encode()) for call in message.tool_calls)
    return len(message.content.encode()) + calls + _AROUND
