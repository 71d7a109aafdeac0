"""A request: an order, as a chat completion that an endpoint is asked for.

What orders ask for in any dialect is checked here too.

What was asked for and can't be said to this endpoint is an ``EINVAL``; nothing is left out in
silence. It knows nothing about HTTP, nor about answers.
"""

from __future__ import annotations

from typing import Any, Final

from drivers.cloud.endpoint import EXTRAS, Endpoint
from drivers.cloud.names import outward
from llmagentos.abi.driver import Start
from llmagentos.abi.errors import EINVAL
from llmagentos.abi.manifest import Sampling
from llmagentos.abi.talk import ChatMessage, ToolSpec

_SEEDS: Final = 2**31
"""Some endpoints keep a seed in 32 bits."""

_USUAL: Final = Sampling()


def body_of(order: Start, endpoint: Endpoint) -> dict[str, Any]:
    """The JSON of ``POST /chat/completions``."""
    messages = [_message(message) for message in order.messages]
    body: dict[str, Any] = {
        "model": endpoint.upstream[order.model],
        "messages": messages,
        "stream": True,
        "stream_options": {"include_usage": True},
        endpoint.limit_field: order.sampling.max_tokens - len(order.accepted),
        **_sampled(order.sampling, endpoint),
    }
    if order.tools:
        check_tools(endpoint)
        body["tools"] = [_tool(tool) for tool in order.tools]
        if order.tool_choice != "auto":
            body["tool_choice"] = order.tool_choice
    if order.accepted and (text := begun(order.text, endpoint)):
        _go_on(body, text, endpoint)
    return body


def check_tools(endpoint: Endpoint) -> None:
    if not endpoint.tools:
        raise EINVAL("this endpoint knows no tools", hint="see --no-tools of its driver")


def call_answered(message: ChatMessage) -> str:
    """By a message of role ``tool``."""
    if message.tool_call is None:
        raise EINVAL(
            "a message of role tool does not say which call it answers",
            hint="set its tool_call to the call's id",
        )
    return message.tool_call


def _message(message: ChatMessage) -> dict[str, Any]:
    said: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.role == "tool":
        said["tool_call_id"] = call_answered(message)
    if message.tool_calls:
        said["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": outward(call.name), "arguments": call.arguments},
            }
            for call in message.tool_calls
        ]
    return said


def _tool(tool: ToolSpec) -> dict[str, Any]:
    parameters = tool.parameters or {"type": "object", "properties": {}}
    function = {"name": outward(tool.name), "parameters": parameters}
    if tool.description:
        function["description"] = tool.description
    return {"type": "function", "function": function}


def _sampled(sampling: Sampling, endpoint: Endpoint) -> dict[str, Any]:
    body = {} if endpoint.own_sampling else _chosen(sampling, endpoint)
    if sampling.stop:
        body["stop"] = sampling.stop
    if sampling.seed is not None and endpoint.seed is not None:
        body[endpoint.seed] = sampling.seed % _SEEDS
    schema = schema_of(sampling, endpoint)
    if schema is not None:
        answer = {"name": "answer", "strict": True, "schema": schema}
        body["response_format"] = {"type": "json_schema", "json_schema": answer}
    return body


def _chosen(sampling: Sampling, endpoint: Endpoint) -> dict[str, Any]:
    """How tokens are chosen."""
    # Endpoints' own default temperature is not ours.
    body: dict[str, Any] = {"temperature": sampling.temperature}
    for name in ("top_p", "presence_penalty", "frequency_penalty"):
        if (value := getattr(sampling, name)) != getattr(_USUAL, name):
            body[name] = value
    for name in EXTRAS:
        if (value := getattr(sampling, name)) != getattr(_USUAL, name):
            if name not in endpoint.knows:
                raise EINVAL(
                    f"this endpoint is not said to know {name}",
                    hint=f"leave it out, or give its driver --knows {name}, if it does",
                )
            body[endpoint.knows[name]] = value
    return body


def schema_of(sampling: Sampling, endpoint: Endpoint) -> dict[str, Any] | None:
    """To which the answer is to keep, if any."""
    if sampling.logprobs is not None:
        raise EINVAL(
            "a cloud driver tells no probabilities of tokens",
            hint="leave logprobs out, or allow only edge drivers",
        )
    if sampling.grammar is None:
        return None
    if not endpoint.grammar:
        raise EINVAL(
            "this endpoint is not said to keep to a grammar",
            hint="leave it out, or give its driver --grammar, if it takes a json_schema",
        )
    if sampling.grammar.json_schema is None:
        raise EINVAL(
            "an endpoint can be given a JSON Schema, and no other grammar",
            hint="use json_schema, or allow only edge drivers",
        )
    return sampling.grammar.json_schema


def begun(text: str | None, endpoint: Endpoint) -> str:
    """From which it is to go on; none, if nothing of it was readable: it begins anew."""
    if text is None or endpoint.continues == "none":
        raise EINVAL(
            "this endpoint can't go on with an answer that others have begun",
            hint="see --continues of its driver",
        )
    return text


def _go_on(body: dict[str, Any], text: str, endpoint: Endpoint) -> None:
    last: dict[str, Any] = {"role": "assistant", "content": text}
    if endpoint.continues == "prefix":
        last["prefix"] = True
    elif endpoint.continues == "vllm":
        body |= {"add_generation_prompt": False, "continue_final_message": True}
    body["messages"].append(last)
