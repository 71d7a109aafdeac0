"""What the OpenVINO engine is asked in tests, and what comes of it."""

from __future__ import annotations

from typing import Any

from drivers.clock import TOOLS
from llmagentos.abi.driver import Start, StepReport
from llmagentos.abi.talk import ChatMessage, ToolSpec
from tests.drivers.orders import Collected, order

NAME = "smollm2-135m-instruct"
TEXTS = ["What is the capital of France?", "Count: one, two,", "Say: schön 🙂", "Who wrote Hamlet?"]
LONG = "one two three four five six seven eight nine ten eleven twelve " * 12


def ask(burst: int, text: str, **more: Any) -> Start:
    return order(burst, text, **more).model_copy(update={"model": NAME})


def alone(make: Any, text: str, **more: Any) -> Collected:
    return Collected().start(engine := make(1), ask(1, text, **more)).run(engine)


def common(one: list[int], other: list[int]) -> int:
    pairs = zip(one, other, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


CLOCK = [
    ToolSpec(name=one.card.name, description=one.card.description, parameters=one.card.parameters)
    for one in TOOLS
]


def timed(choice: str, *more: ChatMessage, tools: Any = CLOCK, **sampling: Any) -> Start:
    start = ask(1, "What time is it in Berlin?", **({"max_tokens": 64} | sampling))
    update = {"tools": tools, "tool_choice": choice}
    return start.model_copy(update={**update, "messages": [*start.messages, *more]})


def answer(engine: Any, start: Start) -> tuple[str, list[int], StepReport]:
    assert engine.start(start) is None
    text, tokens, last = "", [], None
    while engine.busy:
        for report in engine.step():
            text, tokens, last = text + report.text, tokens + report.tokens, report
    assert last is not None
    return text, tokens, last
