"""OpenAI's API: chat completions, as most servers offer them. The ``openai`` library speaks it."""

from __future__ import annotations

from typing import Final

import openai

from drivers.cloud.answer import Answer
from drivers.cloud.api import Api
from drivers.cloud.names import Names
from drivers.cloud.request import body_of
from llmagentos.abi.driver import Start


def _answer(order: Start, limit: int) -> Answer:
    return Answer(limit, Names(tool.name for tool in order.tools))


API: Final = Api(
    chat="/chat/completions",
    models="/models",
    connect=openai.AsyncOpenAI,
    stream=openai.AsyncStream[object],
    failed=openai.OpenAIError,
    refused=openai.APIStatusError,
    body=body_of,
    answer=_answer,
)
