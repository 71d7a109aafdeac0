"""Does an endpoint's answer become the reports of a burst?"""

from __future__ import annotations

from typing import Any

import pytest

from drivers.cloud.answer import Answer
from drivers.cloud.names import Names
from llmagentos.abi.manifest import Sampling
from llmagentos.abi.talk import ChatMessage, ToolCall, ToolSpec
from tests.drivers.cloud.endpoint import MODEL, MockEndpoint, until
from tests.drivers.orders import order


def text_of(reports: list[Any]) -> str:
    return "".join(report.text for report in reports)


def test_is_an_answer_streamed_with_its_usage(mock: MockEndpoint, drive: Any) -> None:
    mock.behaviour.cached = 3
    reports = drive().answer(order(1, "hi"))
    last = reports[-1]
    assert text_of(reports) == "Hello, world!"
    assert sum(len(report.tokens) for report in reports) == 4
    assert (last.finish, last.prompt_tokens, last.completion_tokens) == ("stop", 7, 4)
    assert last.cached_tokens == 3
    assert [report.index for report in reports] == [
        sum(len(earlier.tokens) for earlier in reports[:n]) for n in range(len(reports))
    ]
    (asked,) = mock.requests
    assert asked["model"] == MODEL
    assert asked["messages"] == [{"role": "user", "content": "hi"}]
    assert asked["stream"]
    assert asked["stream_options"] == {"include_usage": True}
    assert asked["max_tokens"] == 24


def test_does_text_arrive_while_the_answer_is_made(mock: MockEndpoint, drive: Any) -> None:
    mock.behaviour.breaks = "hang after a word"
    driven = drive()
    driven.engine.start(order(1, "hi"))
    until(lambda: driven.engine.busy)
    (report,) = driven.engine.step()
    assert (report.text, report.finish) == ("Hel", None)
    assert not driven.engine.busy


def test_is_nothing_invented_where_usage_is_not_told(mock: MockEndpoint, drive: Any) -> None:
    mock.behaviour.usage = False
    last = drive().answer(order(1, "hi"))[-1]
    assert (last.finish, last.prompt_tokens, last.completion_tokens) == ("stop", None, None)


@pytest.mark.parametrize(
    ("theirs", "ours"), [("stop", "stop"), ("length", "length"), ("model_length", "length")]
)
def test_are_reasons_to_end_understood(
    mock: MockEndpoint, drive: Any, theirs: str, ours: str
) -> None:
    mock.behaviour.finish = theirs
    assert drive().answer(order(1, "hi"))[-1].finish == ours


@pytest.mark.parametrize(
    ("reason", "said", "code"),
    [("content_filter", "content filter", "EINVAL"), ("moonlight", "moonlight", "EDRIVER")],
)
def test_is_an_answer_that_was_taken_away_an_error(
    mock: MockEndpoint, drive: Any, reason: str, said: str, code: str
) -> None:
    mock.behaviour.finish = reason
    last = drive().answer(order(1, "hi"))[-1]
    assert (last.finish, last.error.code) == ("error", code)
    assert said in last.error.message
    assert (last.prompt_tokens, last.completion_tokens) == (7, 4), "it is paid for all the same"


def test_is_an_answer_cut_that_is_longer_than_it_may_be(mock: MockEndpoint, drive: Any) -> None:
    mock.behaviour.breaks = "endless words"
    reports = drive().answer(order(1, "hi", max_tokens=5))
    assert sum(len(report.tokens) for report in reports) == 5
    assert reports[-1].finish == "length"
    assert reports[-1].completion_tokens is None, "how many it made nobody knows"
    assert mock.gone.wait(30), "the endpoint is still at it"


def test_does_an_answer_of_just_the_length_have_its_usage(mock: MockEndpoint, drive: Any) -> None:
    mock.behaviour.finish = "length"
    last = drive().answer(order(1, "hi", max_tokens=4))[-1]
    assert (last.finish, last.completion_tokens) == ("length", 4)


def test_does_a_cancel_close_the_request(mock: MockEndpoint, drive: Any) -> None:
    mock.behaviour.breaks = "hang after a word"
    driven = drive()
    driven.engine.start(order(1, "hi"))
    until(lambda: driven.engine.busy)
    driven.engine.cancel(1)
    assert driven.engine.step() == [], "nothing more is said of it"
    assert mock.gone.wait(30)
    assert driven.engine.stats.active == 0


def test_do_bursts_run_at_the_same_time(mock: MockEndpoint, drive: Any) -> None:
    mock.behaviour.together = 8
    driven = drive()
    for burst in range(1, 9):
        driven.engine.start(order(burst, "hi"))
    refused = driven.engine.start(order(9, "hi"))
    assert refused.error.code == "EBUSY"
    for burst in range(1, 9):
        assert text_of(driven.rest(burst)) == "Hello, world!"


def test_are_calls_of_tools_put_together(mock: MockEndpoint, drive: Any) -> None:
    mock.behaviour.words = []
    mock.behaviour.finish = "tool_calls"
    mock.behaviour.tools = [
        {"index": 0, "id": "a", "function": {"name": "fs__read", "arguments": ""}},
        {"index": 0, "function": {"arguments": '{"path": '}},
        {"index": 1, "id": "b", "function": {"name": "nothing", "arguments": "{}"}},
        {"index": 0, "function": {"arguments": '"/x"}'}},
        {"index": 1, "id": "c", "function": {"name": "time__now"}},
    ]
    tools = [ToolSpec(name="fs.read", description="Read."), ToolSpec(name="time.now")]
    asked = order(1, "hi").model_copy(update={"tools": tools})
    last = drive().answer(asked)[-1]
    assert last.finish == "tool_calls"
    assert last.tool_calls == [
        ToolCall(id="a", name="fs.read", arguments='{"path": "/x"}'),
        ToolCall(id="b", name="nothing", arguments="{}"),
        ToolCall(id="c", name="time.now"),
    ]
    assert "tool_choice" not in mock.requests[0]
    assert [tool["function"]["name"] for tool in mock.requests[0]["tools"]] == [
        "fs__read", "time__now",
    ]  # fmt: skip


@pytest.mark.parametrize("choice", ["required", "none"])
def test_is_it_said_whether_a_tool_must_be_called(
    mock: MockEndpoint, drive: Any, choice: str
) -> None:
    update = {"tools": [ToolSpec(name="time.now")], "tool_choice": choice}
    drive().answer(order(1, "hi").model_copy(update=update))
    assert mock.requests[0]["tool_choice"] == choice


def test_is_a_conversation_with_tools_told_as_it_was(mock: MockEndpoint, drive: Any) -> None:
    messages = [
        ChatMessage(role="user", content="what time is it?"),
        ChatMessage(role="assistant", content="", tool_calls=[ToolCall(id="a", name="time.now")]),
        ChatMessage(role="tool", content="noon", tool_call="a"),
    ]
    drive().answer(order(1, "").model_copy(update={"messages": messages}))
    assert mock.requests[0]["messages"][1:] == [
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "time__now", "arguments": ""}}
            ],
        },
        {"role": "tool", "content": "noon", "tool_call_id": "a"},
    ]


@pytest.mark.parametrize("continues", ["prefill", "vllm", "prefix"])
def test_does_an_answer_go_on_from_a_text(mock: MockEndpoint, drive: Any, continues: str) -> None:
    begun = order(1, "hi", accepted=[5, 6, 7], max_tokens=10).model_copy(update={"text": " Oh,\n "})
    driven = drive(continues=continues)
    reports = driven.answer(begun)
    assert reports[0].index == 3
    (asked,) = mock.requests
    assert asked["max_tokens"] == 7
    assert asked["messages"][-1]["content"] == " Oh,\n "
    assert asked["messages"][-1].get("prefix", False) == (continues == "prefix")
    assert asked.get("continue_final_message", False) == (continues == "vllm")
    whole = order(2, "hi", accepted=[1] * 10, max_tokens=10).model_copy(update={"text": "x"})
    assert driven.engine.start(whole).finish == "length"


def test_does_it_say_so_if_it_cannot_go_on(drive: Any) -> None:
    begun = order(1, "hi", accepted=[5]).model_copy(update={"text": "Oh"})
    report = drive().engine.start(begun)
    assert report.error.code == "EINVAL"
    assert (report.index, report.prompt_tokens) == (1, 0)


def test_is_a_count_that_goes_on_not_taken_for_the_last() -> None:
    def chunk(**more: Any) -> dict[str, Any]:
        usage = {"prompt_tokens": 7, "completion_tokens": more.pop("made")}
        return {"choices": [{"index": 0, **more}], "usage": usage}

    answer = Answer(10, Names([]))
    answer.hear(chunk(delta={"content": "a"}, made=1))
    answer.hear({"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": None})
    assert answer.end().completion_tokens is None
    answer.hear(chunk(made=3))
    assert answer.whole
    assert answer.end().completion_tokens == 3


def test_are_ways_of_sampling_said_in_its_words(mock: MockEndpoint, drive: Any) -> None:
    sampling = Sampling.model_validate({
        "max_tokens": 5, "temperature": 0.5, "top_p": 0.9, "top_k": 5, "repetition_penalty": 1.1,
        "presence_penalty": 1.0, "seed": 2**40 + 3, "stop": ["x"],
        "grammar": {"json_schema": {"type": "object"}},
    })  # fmt: skip
    driven = drive(
        knows={"top_k": "top_k", "repetition_penalty": "repeat_penalty"}, grammar=True,
        limit_field="max_completion_tokens", seed="random_seed",
    )  # fmt: skip
    driven.answer(order(1, "hi").model_copy(update={"sampling": sampling}))
    (asked,) = mock.requests
    assert asked["max_completion_tokens"] == 5
    assert {name: asked[name] for name in ("temperature", "top_p", "top_k", "stop")} == {
        "temperature": 0.5, "top_p": 0.9, "top_k": 5, "stop": ["x"],
    }  # fmt: skip
    assert asked["repeat_penalty"] == 1.1
    assert asked["random_seed"] == 3
    assert asked["response_format"]["json_schema"]["schema"] == {"type": "object"}
    assert "frequency_penalty" not in asked


def test_is_nothing_said_to_a_model_that_samples_in_its_own_way(
    mock: MockEndpoint, drive: Any
) -> None:
    asked = order(1, "hi", temperature=0.7, top_k=5, stop=["x"])
    assert drive(own_sampling=True).answer(asked)[-1].finish == "stop"
    assert {"temperature", "top_k"}.isdisjoint(mock.requests[0])
    assert mock.requests[0]["stop"] == ["x"]
