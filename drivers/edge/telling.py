"""Telling: an order's messages and tools, as a chat template takes them.

A template that tells of tools gets them as they are. For any other one calls and results become
text, in the roles that each knows, and the tools a part of the system message. It knows nothing
about tokens, nor about how templates work.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, Final

from drivers.edge.dialect import HERMES, Dialect
from llmagentos.abi.driver import Start
from llmagentos.abi.talk import ChatMessage, ToolCall, ToolSpec

Said = dict[str, Any]

_ID: Final = 9
"""Characters of a call's id. Mistral's templates take no other number, and only letters and
digits."""


def told(order: Start, dialect: Dialect) -> tuple[list[Said], list[Said] | None]:
    """Its messages, and the tools beside them, if the template is to tell of these."""
    if dialect.native:
        names = {call.id: call.name for one in order.messages for call in one.tool_calls}
        return [_native(one, names) for one in order.messages], [*map(_tool, order.tools)] or None
    messages = [*_as_text(order.messages)]
    if not order.tools:
        return messages, None
    text = instruction(order.tools)
    if messages[0]["role"] == "system":
        messages[0]["content"] = f"{messages[0]['content']}\n\n{text}".lstrip()
        return messages, None
    return [{"role": "system", "content": text}, *messages], None


def without_system(messages: Sequence[Said]) -> list[Said] | None:
    """The same for a template that knows no such message: what that says begins the next one. None,
    if there is none of them."""
    if len(messages) < 2 or messages[0]["role"] != "system" or messages[1]["role"] != "user":
        return None
    content = f"{messages[0]['content']}\n\n{messages[1]['content']}"
    return [{"role": "user", "content": content}, *messages[2:]]


def instruction(tools: Sequence[ToolSpec]) -> str:
    """What a model is told of its tools, where its template has no words for them."""
    lines = "\n".join(_dumped(_function(tool)) for tool in tools)
    return (
        "You can call tools. Each line between <tools> and </tools> is one of them, with the JSON "
        f"Schema of its arguments:\n<tools>\n{lines}\n</tools>\n"
        "To call one, answer with its name and arguments, as JSON between two marks:\n"
        '<tool_call>\n{"name": "<name>", "arguments": {<arguments>}}\n</tool_call>\n'
        "Its result comes between <tool_response> and </tool_response>. Then answer."
    )


def written(call: ToolCall) -> str:
    """A call as a Hermes model writes it."""
    arguments = call.arguments.strip() or "{}"
    name = json.dumps(call.name, ensure_ascii=False)
    body = f'{{"name": {name}, "{HERMES.key}": {arguments}}}'
    return f"{HERMES.opening}\n{body}\n{HERMES.closing}"


def _as_text(messages: Sequence[ChatMessage]) -> Iterator[Said]:
    for is_result, group in groupby(messages, lambda one: one.role == "tool"):
        if is_result:
            # In one message: most templates want the roles to take turns.
            results = (f"<tool_response>\n{one.content}\n</tool_response>" for one in group)
            yield {"role": "user", "content": "\n".join(results)}
            continue
        for one in group:
            parts = [one.content] if one.content or not one.tool_calls else []
            content = "\n".join([*parts, *map(written, one.tool_calls)])
            yield {"role": one.role, "content": content}


def _native(message: ChatMessage, names: dict[str, str]) -> Said:
    said: Said = {"role": message.role, "content": message.content}
    if message.tool_calls:
        said["tool_calls"] = [
            {
                "id": _id(call.id),
                "type": "function",
                "function": {"name": call.name, "arguments": _arguments(call.arguments)},
            }
            for call in message.tool_calls
        ]
    if message.tool_call is not None:
        said["tool_call_id"] = _id(message.tool_call)
        said["name"] = names.get(message.tool_call, "")
    return said


def _tool(tool: ToolSpec) -> Said:
    return {"type": "function", "function": _function(tool)}


def _function(tool: ToolSpec) -> Said:
    parameters = tool.parameters or {"type": "object", "properties": {}}
    return {"name": tool.name, "description": tool.description, "parameters": parameters}


def _arguments(text: str) -> Any:
    """Templates write them as JSON, so they get what it means; what is none stays a text."""
    if not text.strip():
        return {}
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, dict) else text


def _id(id: str) -> str:
    return hashlib.blake2b(id.encode(), digest_size=16).hexdigest()[:_ID]


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
