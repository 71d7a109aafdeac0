"""A script: what a model that is none answers, and what it was asked.

It knows nothing about drivers.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from llmagentos.abi.driver import Start
from llmagentos.abi.errors import EINVAL, LLMOSError
from llmagentos.abi.model import MAX_TEXT
from llmagentos.abi.talk import ChatMessage, ToolCall


class Call:
    """A call of a tool that an answer wants made: ``Call("weather", city="Oslo")``."""

    def __init__(self, name: str, /, **arguments: Any) -> None:
        self.name = name
        self.arguments = arguments


class Say:
    """An answer: its text, the calls of tools that it wants made, and the seconds that each of its
    words takes."""

    def __init__(self, text: str = "", *, calls: Sequence[Call] = (), delay: float = 0.0) -> None:
        self.text = text
        self.calls = tuple(calls)
        self.delay = delay


Answer = str | Say | LLMOSError
"""A text, or more than that, or an error of the model's driver."""

Answers = str | Iterable[Answer] | Callable[[list[ChatMessage]], Answer]
"""One answer to everything; answers in their order; or what makes one of the messages."""


class Script:
    """``asked``: each LLM call that was answered, as a driver gets it: ``messages``, ``tools``,
    ``sampling``, ``pid``, ``labels``; oldest first."""

    def __init__(self, answers: Answers) -> None:
        self.asked: list[Start] = []
        self._answers = answers if isinstance(answers, str) or callable(answers) else list(answers)
        self._next = 0
        self._lock = threading.Lock()

    def answer(self, order: Start) -> Say:
        """The next one. Raises the ``LLMOSError`` that is in its place, and ``EINVAL`` when there
        are no more, the function fails, or no model could say it."""
        with self._lock:
            self.asked.append(order)
            answer = self._made(order)
        if isinstance(answer, LLMOSError):
            raise answer
        said = Say(answer) if isinstance(answer, str) else answer
        if not isinstance(said, Say):
            raise EINVAL(f"the script answered {said!r:.100}, which is no text, Say or error")
        if len(said.text.encode("utf-8", "replace")) > MAX_TEXT or sayable(said.text) != said.text:
            raise EINVAL(f"no model could say {said.text!a:.100}: too long, or half a character")
        return said

    def _made(self, order: Start) -> Answer:
        if isinstance(self._answers, str):
            return self._answers
        if callable(self._answers):
            try:
                return self._answers(order.messages)
            except LLMOSError as error:
                return error
            except BaseException as error:  # pytest.fail and the like are no Exception
                return EINVAL(sayable(f"the script failed: {type(error).__name__}: {error}"))
        if self._next >= len(self._answers):
            return EINVAL(
                f"the script has {len(self._answers)} answers, and was asked for another one",
                hint="give it more, or a function",
            )
        self._next += 1
        return self._answers[self._next - 1]


def wanted(order: Start, say: Say) -> list[ToolCall]:
    """The calls of an answer, as they are reported; their ids differ from all before. Raises
    ``EINVAL``."""
    try:
        return [
            ToolCall(id=f"call-{order.burst}-{number}", name=call.name,
                     arguments=json.dumps(call.arguments))
            for number, call in enumerate(say.calls)
        ]  # fmt: skip
    except (ValueError, TypeError) as error:
        names = ", ".join(str(call.name) for call in say.calls)
        raise EINVAL(sayable(f"the script wants {names}, and no model could: {error}")) from None


def sayable(text: str) -> str:
    """With what is half a character replaced: no message can have it."""
    return text.encode("utf-8", "replace").decode()
