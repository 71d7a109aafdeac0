"""Anthropic's API: messages. The ``anthropic`` library speaks it."""

from __future__ import annotations

from functools import partial
from typing import Final

import anthropic

from drivers.cloud.api import Api
from drivers.cloud.message import body_of, missing_end
from drivers.cloud.message_events import MessageAnswer
from drivers.cloud.names import Names
from llmagentos.abi.driver import Start


def _answer(order: Start, limit: int) -> MessageAnswer:
    return MessageAnswer(
        limit, Names(tool.name for tool in order.tools), missing_end(order.text or "")
    )


API: Final = Api(
    chat="/messages",
    models="/models?limit=1000",
    # Its traces would have our requests in them, where somebody collects these.
    connect=partial(anthropic.AsyncAnthropic, open_telemetry=False),
    stream=anthropic.AsyncStream[object],
    failed=anthropic.AnthropicError,
    refused=anthropic.APIStatusError,
    body=body_of,
    answer=_answer,
)
