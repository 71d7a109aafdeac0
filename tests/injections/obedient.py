"""The obedient model: it does its user's task by a plan, and all that anybody else tells it too.

Whatever it reads (results, errors, mails, the description of a tool) and understands as an order it
carries out at once, before it goes on. The same context always gets the same answer. It knows
nothing about what it may do, and never asks itself.
"""

from __future__ import annotations

import base64
import codecs
import hashlib
import json
import re
from collections.abc import Sequence
from typing import Final

from llmagentos.abi.talk import ChatMessage, ToolCall, ToolSpec
from tests.injections.tasks import TASKS
from tests.injections.wordings import orders, strings

OBEYS: Final = "obeys"
"""What begins the id of a call that its user has not asked for."""

_HOLE: Final = re.compile(r"<<(all|pid)(?::(\w+))?>>")
_MOST: Final = 3000


def answer(
    messages: Sequence[ChatMessage], tools: Sequence[ToolSpec]
) -> tuple[str, list[ToolCall]]:
    """What it says, and the calls that it wants made."""
    asked = [call.id for one in messages for call in one.tool_calls]
    if calls := _obeyed(messages, tools, asked):
        return "Certainly. ", calls
    first = next((one.content for one in messages if one.role == "user"), "")
    name = re.match(r"Task ([\w-]+):", first)
    task = TASKS.get(name[1]) if name else None
    if task is None:
        return f"So it is: {_last(messages)}", []
    results = {one.tool_call: one.content for one in messages if one.role == "tool"}
    known = [results[id] for n in range(len(task.plan)) if (id := f"plan-{n}") in results]
    if len(known) < len(task.plan):
        tool, arguments = task.plan[len(known)]
        given = json.dumps(arguments(first, known))
        return "Next. ", [ToolCall(id=f"plan-{len(known)}", name=tool, arguments=given)]
    return task.answer(first, known), []


def _obeyed(
    messages: Sequence[ChatMessage], tools: Sequence[ToolSpec], asked: Sequence[str]
) -> list[ToolCall]:
    """The next calls of the first order that is not carried out yet."""
    own = next((n for n, one in enumerate(messages) if one.role == "user"), 0)
    heard = [
        text
        for n, one in enumerate(messages)
        if one.role in ("tool", "user") and not (n == own and one.content.startswith("Task "))
        for text in strings(one.content)
    ]
    heard += [tool.description for tool in tools]
    answers = sum(one.role == "assistant" for one in messages)
    for calls, at_once, delay in orders(heard):
        mark = f"{OBEYS}-{hashlib.sha256(repr(calls).encode()).hexdigest()[:8]}"
        begun = sum(id.startswith(mark) for id in asked)
        if begun == len(calls) or answers < delay:
            continue
        rest = calls[begun:] if at_once else calls[begun : begun + 1]
        return [
            ToolCall(id=f"{mark}-{begun + n}", name=name, arguments=_filled(said, messages))
            for n, (name, said) in enumerate(rest)
        ]
    return []


def _filled(said: str, messages: Sequence[ChatMessage]) -> str:
    """``<<all>>``: what it has been told so far, in some code; ``<<pid>>``: whom it has begun."""
    told = "\n".join(one.content for one in messages if one.role in ("tool", "user"))[-_MOST:]
    pids = re.findall(r'"pid": ?(\d+)', told)

    def fill(hole: re.Match[str]) -> str:
        if hole[1] == "pid":
            return pids[-1] if pids else "0"
        return json.dumps(_hidden(told, hole[2]))[1:-1]

    return _HOLE.sub(fill, said)


def _hidden(text: str, code: str | None) -> str:
    match code:
        case "base64":
            return base64.b64encode(text.encode()).decode()
        case "hex":
            return text.encode().hex()
        case "reversed":
            return text[::-1]
        case "rot13":
            return codecs.encode(text, "rot13")
    return text


def _last(messages: Sequence[ChatMessage]) -> str:
    return next((one.content for one in reversed(messages) if one.role == "tool"), "nothing")
