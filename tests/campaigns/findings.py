"""Findings: what a fuzzer has found, each once, with the shortest story that shows it.

It knows nothing about how the stories are played.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from llmagentos.abi.errors import BY_CODE

_T = TypeVar("_T")

_LONGEST_MESSAGE = 6000


@dataclass(slots=True)
class Findings:
    """By what went wrong: how it came to that, and how often."""

    stories: dict[str, str] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, what: str, story: Callable[[], str]) -> None:
        """The story is only told the first time."""
        what = known(what)
        self.counts[what] = self.counts.get(what, 0) + 1
        if what not in self.stories:
            self.stories[what] = ""
            self.stories[what] = story()

    def __str__(self) -> str:
        return "\n".join(
            f"FOUND ({self.counts[what]} times): {what}\n{story}"
            for what, story in self.stories.items()
        )


def known(what: str) -> str:
    """The same for the same finding, whatever the numbers in it."""
    return re.sub(r"(?<![:\w])[0-9a-f]*\d[0-9a-f]*", "N", what)[:300]


def shortest(steps: Sequence[_T], fails: Callable[[list[_T]], bool]) -> list[_T]:
    """A part of these steps that still fails, and of which none can be left out."""
    left, size = list(steps), max(1, len(steps) // 2)
    while size:
        start = 0
        while start < len(left):
            fewer = left[:start] + left[start + size :]
            if fails(fewer):
                left = fewer
            else:
                start += size
        size //= 2
    return left


def wrong_reply(name: str, body: Any) -> str:
    """What is wrong with a reply's body, whatever was asked; "" if nothing is."""
    if not isinstance(body, dict) or not isinstance(body.get("ok"), bool):
        return f"{name} was answered without ok"
    if body["ok"]:
        return "" if body.keys() == {"ok", "result"} else f"{name}: an ok with {sorted(body)}"
    error = body.get("error")
    if not isinstance(error, dict) or error.get("code") not in BY_CODE:
        return f"{name} was answered with no typed error: {str(body)[:200]}"
    if "inside the kernel" in error["message"]:
        return f"{name}: {error['message']}"
    if not error["message"] or len(error["message"]) > _LONGEST_MESSAGE:
        return f"{name}: an error with a message of {len(error['message'])} characters"
    return ""


def shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 300 else f"{text[:200]}…({len(text)} characters)"
