"""A message: an order, as Anthropic's API is asked for one.

What was asked for and can't be said there is an ``EINVAL``. It knows nothing about HTTP, nor about
answers.
"""

from __future__ import annotations

import json
from typing import Any, Final

from drivers.cloud.endpoint import Endpoint
from drivers.cloud.names import outward
from drivers.cloud.request import begun, call_answered, check_tools, schema_of
from llmagentos.abi.driver import Start
from llmagentos.abi.errors import EINVAL
from llmagentos.abi.manifest import Sampling
from llmagentos.abi.talk import ChatMessage, ToolCall, ToolSpec

_USUAL: Final = Sampling()
_UNSAYABLE: Final = (
    "temperature", "top_p", "top_k", "min_p",
    "repetition_penalty", "presence_penalty", "frequency_penalty",
)  # fmt: skip
_CHOICES: Final = {"required": "any", "none": "none"}


def body_of(order: Start, endpoint: Endpoint) -> dict[str, Any]:
    """The JSON of ``POST /messages``."""
    system, messages = _told(order.messages)
    body: dict[str, Any] = {
        "model": endpoint.upstream[order.model],
        "messages": messages,
        "stream": True,
        "max_tokens": order.sampling.max_tokens - len(order.accepted),
        **_sampled(order.sampling, endpoint),
    }
    if system:
        body["system"] = system
    if order.tools:
        check_tools(endpoint)
        body["tools"] = [_tool(tool) for tool in order.tools]
        if order.tool_choice != "auto":
            body["tool_choice"] = {"type": _CHOICES[order.tool_choice]}
    if order.accepted and (text := begun(order.text, endpoint).rstrip()):
        messages.append({"role": "assistant", "content": text})
    return body


def missing_end(text: str) -> str:
    """The white space at its end, with which no text that it is to go on from may end there."""
    return text[len(text.rstrip()) :]


def _told(told: list[ChatMessage]) -> tuple[str, list[dict[str, Any]]]:
    """What comes first from the system has a field of its own."""
    first = next((n for n, message in enumerate(told) if message.role != "system"), len(told))
    messages: list[dict[str, Any]] = []
    for message in told[first:]:
        if message.role == "tool":
            # All results of an answer's calls are one turn.
            if not (messages and messages[-1]["role"] == "user" and _has_results(messages[-1])):
                messages.append({"role": "user", "content": []})
            result = {
                "type": "tool_result",
                "tool_use_id": call_answered(message),
                "content": message.content,
            }
            messages[-1]["content"].append(result)
        elif message.tool_calls:
            said = [{"type": "text", "text": message.content}] if message.content.strip() else []
            blocks = [*said, *map(_call, message.tool_calls)]
            messages.append({"role": message.role, "content": blocks})
        elif message.content.strip() or message.role != "assistant":
            # An answer that was empty, or white space, can't be told, and tells nothing.
            messages.append({"role": message.role, "content": message.content})
    return "\n\n".join(message.content for message in told[:first]), messages


def _has_results(message: dict[str, Any]) -> bool:
    return isinstance(message["content"], list)


def _call(call: ToolCall) -> dict[str, Any]:
    try:
        arguments = json.loads(call.arguments or "{}")
    except ValueError:
        arguments = None
    if not isinstance(arguments, dict):
        # It has to be an object there. The model should still see what it wrote.
        arguments = {"malformed": call.arguments}
    return {"type": "tool_use", "id": call.id, "name": outward(call.name), "input": arguments}


def _tool(tool: ToolSpec) -> dict[str, Any]:
    schema = tool.parameters or {"type": "object", "properties": {}}
    told = {"name": outward(tool.name), "input_schema": schema}
    return {**told, "description": tool.description} if tool.description else told


def _sampled(sampling: Sampling, endpoint: Endpoint) -> dict[str, Any]:
    for name in () if endpoint.own_sampling else _UNSAYABLE:
        if getattr(sampling, name) != getattr(_USUAL, name):
            raise EINVAL(
                f"this API knows no {name}: its models choose their tokens in their own way",
                hint="leave it out, or give its driver --own-sampling, if that is all right",
            )
    body: dict[str, Any] = {"stop_sequences": sampling.stop} if sampling.stop else {}
    schema = schema_of(sampling, endpoint)
    if schema is not None:
        body["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
    return body
