"""An endpoint of Anthropic's API, that behaves, or doesn't, as the other one does.

Its stream is the one of that API: named events, of which some are of no interest to us.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from tests.drivers.cloud.endpoint import MODEL, PROMPT_TOKENS, Behaviour, MockEndpoint


class MessagesEndpoint(MockEndpoint):
    """Of ``PROMPT_TOKENS`` those in ``behaviour.cached`` were read from a cache, and one written
    to it. ``behaviour.tools``: blocks, each with its pieces of JSON as ``input``."""

    chat_path = "/v1/messages"

    async def models(self, request: web.Request) -> web.StreamResponse:
        self.keys.append(request.headers.get("authorization"))
        row = {"type": "model", "id": MODEL, "display_name": "M", "max_input_tokens": 4096}
        return web.json_response({"data": [row], "has_more": False})

    def error(self, said: str, code: str | None) -> dict[str, Any]:
        # It has no codes: what would be one is in its words.
        told = f"prompt is too long: {said}" if code else said
        return {"type": "error", "error": {"type": "some_error", "message": told}}

    def word(self, text: str) -> bytes:
        return delta(0, type="text_delta", text=text)

    def broken(self) -> dict[str, list[tuple[bytes, int]]]:
        said = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
        return super().broken() | {
            "garbage": [(b"event: content_block_delta\ndata: {this is no JSON\n\n", 1)],
            "bytes": [(b"event: content_block_delta\ndata: \xff\xfe\x00\n\n", 1)],
            "nonsense": [(event("content_block_delta", index="x", delta=5), 1)],
            "error event": [(event(**said), 1)],
            "error at once": [(event(**said), 1)],
        }

    async def chunks(self, plan: Behaviour) -> AsyncIterator[bytes]:
        usage = {
            "input_tokens": PROMPT_TOKENS - plan.cached - 1,
            "cache_creation_input_tokens": 1,
            "cache_read_input_tokens": plan.cached,
            "output_tokens": 1,
        }
        message = {"id": "msg_1", "type": "message", "role": "assistant", "content": []}
        yield event("message_start", message={**message, "model": MODEL, "usage": usage})
        yield event("ping")
        yield event("content_block_start", index=0, content_block={"type": "text", "text": ""})
        for word in plan.words:
            if plan.between:
                await asyncio.sleep(plan.between)
            yield self.word(word)
        yield event("content_block_stop", index=0)
        for index, block in enumerate(plan.tools, 1):
            begun = {"type": "tool_use", "id": block["id"], "name": block["name"], "input": {}}
            yield event("content_block_start", index=index, content_block=begun)
            for piece in ["", *block["input"]]:
                yield delta(index, type="input_json_delta", partial_json=piece)
            yield event("content_block_stop", index=index)
        finish = "end_turn" if plan.finish == "stop" else plan.finish
        end = {"stop_reason": finish, "stop_sequence": None}
        used = {"usage": {"output_tokens": len(plan.words)}} if plan.usage else {}
        yield event("message_delta", delta=end, **used)
        yield event("message_stop")


def event(type: str, **data: Any) -> bytes:
    return f"event: {type}\ndata: {json.dumps({'type': type, **data})}\n\n".encode()


def delta(index: int, **data: Any) -> bytes:
    return event("content_block_delta", index=index, delta=data)
