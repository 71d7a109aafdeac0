"""Is Anthropic's API spoken as it is meant, and does what it says become the same reports?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

pytest.importorskip("anthropic")

from drivers.cloud.limits import rates
from llmagentos.abi.manifest import Sampling
from llmagentos.abi.talk import ChatMessage, ToolCall, ToolSpec
from tests.drivers.cloud.driven import Driven, driving
from tests.drivers.cloud.endpoint import MODEL, MockEndpoint
from tests.drivers.cloud.messages import MessagesEndpoint
from tests.drivers.orders import order


@pytest.fixture
def mock() -> Iterator[MockEndpoint]:
    with MessagesEndpoint() as endpoint:
        yield endpoint


@pytest.fixture
def drive(mock: MockEndpoint) -> Iterator[Callable[..., Driven]]:
    with driving(mock.url, "anthropic") as make:
        yield make


def text_of(reports: list[Any]) -> str:
    return "".join(report.text for report in reports)


def test_is_an_answer_streamed_with_its_usage(mock: MockEndpoint, drive: Any) -> None:
    mock.behaviour.cached = 3
    reports = drive().answer(order(1, "hi", stop=["\n"]))
    last = reports[-1]
    assert text_of(reports) == "Hello, world!"
    assert sum(len(report.tokens) for report in reports) == 4
    assert (last.finish, last.prompt_tokens, last.completion_tokens) == ("stop", 7, 4)
    assert last.cached_tokens == 3
    assert mock.headers[0]["anthropic-version"] >= "2026-10-21"
    assert mock.requests == [{
        "model": MODEL,
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 24,
        "stop_sequences": ["\n"],
        "stream": True,
    }]  # fmt: skip


def test_is_nothing_invented_where_the_end_tells_no_usage(mock: MockEndpoint, drive: Any) -> None:
    mock.behaviour.usage = False  # what the message begins with is 1 token, of any answer
    last = drive().answer(order(1, "hi"))[-1]
    assert (last.finish, last.prompt_tokens, last.completion_tokens) == ("stop", None, None)


@pytest.mark.parametrize(
    ("theirs", "ours", "code"),
    [
        ("end_turn", "stop", None),
        ("stop_sequence", "stop", None),
        ("max_tokens", "length", None),
        ("model_context_window_exceeded", "length", None),
        ("refusal", "error", "EINVAL"),
        ("pause_turn", "error", "EDRIVER"),
    ],
)
def test_are_reasons_to_end_understood(
    mock: MockEndpoint, drive: Any, theirs: str, ours: str, code: str | None
) -> None:
    mock.behaviour.finish = theirs
    last = drive().answer(order(1, "hi"))[-1]
    assert (last.finish, last.error and last.error.code) == (ours, code)
    assert (last.prompt_tokens, last.completion_tokens) == (7, 4)


def test_is_an_answer_cut_that_is_longer_than_it_may_be(mock: MockEndpoint, drive: Any) -> None:
    mock.behaviour.breaks = "endless words"
    reports = drive().answer(order(1, "hi", max_tokens=5))
    assert sum(len(report.tokens) for report in reports) == 5
    assert reports[-1].finish == "length"
    assert mock.gone.wait(30), "the request was closed"


def test_are_calls_of_tools_put_together(mock: MockEndpoint, drive: Any) -> None:
    mock.behaviour.words = ["Let me see."]
    mock.behaviour.finish = "tool_use"
    mock.behaviour.tools = [
        {"id": "toolu_a", "name": "fs__read", "input": ['{"path": ', '"/x"}']},
        {"id": "toolu_b", "name": "time__now", "input": []},
    ]
    tools = [ToolSpec(name="fs.read", description="Read."), ToolSpec(name="time.now")]
    asked = order(1, "hi").model_copy(update={"tools": tools, "tool_choice": "required"})
    last = drive().answer(asked)[-1]
    assert last.finish == "tool_calls"
    assert last.tool_calls == [
        ToolCall(id="toolu_a", name="fs.read", arguments='{"path": "/x"}'),
        ToolCall(id="toolu_b", name="time.now", arguments="{}"),
    ]
    assert mock.requests[0]["tool_choice"] == {"type": "any"}
    empty = {"type": "object", "properties": {}}
    assert mock.requests[0]["tools"] == [
        {"name": "fs__read", "description": "Read.", "input_schema": empty},
        {"name": "time__now", "input_schema": empty},
    ]


def test_is_a_conversation_told_as_it_was(mock: MockEndpoint, drive: Any) -> None:
    said = [
        ("system", "Be short."),
        ("system", "What was said before: nothing."),
        ("user", "what time is it?"),
        ("assistant", ""),
        ("assistant", " \n"),
        ("user", "well?"),
    ]
    calls = [
        ToolCall(id="a", name="time.now"),
        ToolCall(id="b", name="fs.read", arguments="{oops"),
    ]
    messages = [
        *(ChatMessage.model_validate({"role": role, "content": text}) for role, text in said),
        ChatMessage(role="assistant", content="I look.", tool_calls=calls),
        ChatMessage(role="tool", content="noon", tool_call="a"),
        ChatMessage(role="tool", content="no", tool_call="b"),
        ChatMessage(role="user", content="thanks"),
    ]
    drive().answer(order(1, "").model_copy(update={"messages": messages}))
    (asked,) = mock.requests
    assert asked["system"] == "Be short.\n\nWhat was said before: nothing."
    assert asked["messages"] == [
        {"role": "user", "content": "what time is it?"},
        {"role": "user", "content": "well?"},
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "I look."},
                {"type": "tool_use", "id": "a", "name": "time__now", "input": {}},
                {
                    "type": "tool_use",
                    "id": "b",
                    "name": "fs__read",
                    "input": {"malformed": "{oops"},
                },
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "a", "content": "noon"},
                {"type": "tool_result", "tool_use_id": "b", "content": "no"},
            ],
        },
        {"role": "user", "content": "thanks"},
    ]


@pytest.mark.parametrize(
    ("words", "rest"), [([" \n", "there"], "there"), (["  there"], " there"), (["there"], "there")]
)
def test_does_an_answer_go_on_from_a_text_that_ends_in_white_space(
    mock: MockEndpoint, drive: Any, words: list[str], rest: str
) -> None:
    mock.behaviour.words = words
    begun = order(1, "hi", accepted=[5, 6], max_tokens=10).model_copy(update={"text": "Oh, \n"})
    assert text_of(drive(continues="prefill").answer(begun)) == rest
    assert mock.requests[0]["messages"][-1] == {"role": "assistant", "content": "Oh,"}
    assert mock.requests[0]["max_tokens"] == 8


def test_is_its_own_way_of_sampling_said_to_be_all_right_first(
    mock: MockEndpoint, drive: Any
) -> None:
    sampling = Sampling(temperature=0.7, top_p=0.9, repetition_penalty=1.1, max_tokens=5)
    asked = order(1, "hi").model_copy(update={"sampling": sampling})
    report = drive().engine.start(asked)
    assert (report.error.code, mock.requests) == ("EINVAL", [])
    assert "--own-sampling" in report.error.hint
    assert drive(own_sampling=True).answer(asked)[-1].finish == "stop"
    assert {"temperature", "top_p", "top_k"}.isdisjoint(mock.requests[0])


def test_is_a_schema_said_in_its_words(mock: MockEndpoint, drive: Any) -> None:
    asked = order(1, "hi", grammar={"json_schema": {"type": "object"}})
    assert drive().engine.start(asked).error.code == "EINVAL"
    drive(grammar=True).answer(asked)
    assert mock.requests[0]["output_config"] == {
        "format": {"type": "json_schema", "schema": {"type": "object"}}
    }


def test_are_its_limits_read() -> None:
    reset = (datetime.now(UTC) + timedelta(seconds=30)).isoformat().replace("+00:00", "Z")
    (rate,) = rates({
        "anthropic-ratelimit-requests-limit": "60",
        "anthropic-ratelimit-requests-remaining": "30",
        "anthropic-ratelimit-requests-reset": reset,
        "anthropic-ratelimit-tokens-limit": "no number",
    })  # fmt: skip
    assert (rate.what, rate.limit, rate.left) == ("requests", 60, 30)
    assert 58 < rate.period <= 60
