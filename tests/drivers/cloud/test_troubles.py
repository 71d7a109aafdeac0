"""Does whatever an endpoint does wrong end in time, as an error that says what it was?"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from drivers.cloud.api import ApiName
from drivers.cloud.key import Key
from llmagentos.abi.cards import Rate
from llmagentos.abi.manifest import Sampling
from tests.drivers.cloud.driven import Driven, driving
from tests.drivers.cloud.endpoint import MockEndpoint, until
from tests.drivers.cloud.messages import MessagesEndpoint
from tests.drivers.orders import order

SECRET = "sk-very-secret-1234"
APIS: list[tuple[ApiName, type[MockEndpoint]]] = [
    ("openai", MockEndpoint),
    ("anthropic", MessagesEndpoint),
]
AMPLE = {"patience": 0.2, "first_token": 30.0, "between": 30.0, "connect": 30.0}
"""A refusal is not asked again, and whatever is answered is heard, however slow the machine is."""
QUICK = AMPLE | {"first_token": 0.3, "between": 0.3}
"""For what does not end by itself."""


@pytest.fixture(params=APIS, ids=[name for name, _ in APIS])
def api(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def mock(api: Any) -> Iterator[MockEndpoint]:
    with api[1]() as endpoint:
        yield endpoint


@pytest.fixture
def drive(api: Any, mock: MockEndpoint) -> Iterator[Callable[..., Driven]]:
    with driving(mock.url, api[0]) as make:
        yield make


@pytest.mark.parametrize(
    ("status", "code", "said", "error"),
    [
        (400, None, "bad temperature", "EINVAL"),
        (400, "context_length_exceeded", "too long", "ECONTEXT"),
        (400, None, "request (9 tokens) exceeds the available context size", "ECONTEXT"),
        (401, None, "wrong key", "EAUTH"),
        (403, None, "not for you", "EAUTH"),
        (404, None, "no such model", "ENOENT"),
        (422, None, "unknown field", "EINVAL"),
        (429, None, "slow down", "ERATE"),
        (500, None, "oops", "EDRIVER"),
        (502, None, "oops", "EDRIVER"),
        (503, None, "overloaded", "EDRIVER"),
        (504, None, "late", "ETIMEOUT"),
        (529, None, "overloaded", "EDRIVER"),
        (307, None, "elsewhere", "EDRIVER"),
    ],
)
def test_is_a_refusal_typed_and_free(
    mock: MockEndpoint, drive: Any, status: int, code: str | None, said: str, error: str
) -> None:
    mock.behaviour.status, mock.behaviour.code, mock.behaviour.message = status, code, said
    driven = drive(**AMPLE)
    (report,) = driven.answer(order(1, "hi"))
    assert (report.finish, report.error.code, report.prompt_tokens) == ("error", error, 0)
    assert report.error.hint
    assert status == 307 or report.error.message.endswith(f": {said}")
    mock.behaviour.status = 200
    assert driven.answer(order(2, "hi"))[-1].finish == "stop", "it goes on as if nothing had been"


def test_is_a_server_that_recovers_asked_again(mock: MockEndpoint, drive: Any) -> None:
    mock.behaviour.status, mock.behaviour.times = 500, 2
    mock.behaviour.headers = {"retry-after": "0.01"}
    reports = drive().answer(order(1, "hi"))
    assert reports[-1].finish == "stop"
    assert len(mock.requests) == 3


def test_is_a_pause_that_was_asked_for_kept(mock: MockEndpoint, drive: Any) -> None:
    mock.behaviour.status, mock.behaviour.times = 429, 1
    mock.behaviour.headers = {"retry-after": "0.4"}
    begun = time.monotonic()
    assert drive().answer(order(1, "hi"))[-1].finish == "stop"
    assert time.monotonic() - begun >= 0.4


def test_is_a_long_pause_told_of_and_kept_by_the_others(mock: MockEndpoint, drive: Any) -> None:
    mock.behaviour.status, mock.behaviour.headers = 429, {"retry-after": "90"}
    driven = drive()
    (report,) = driven.answer(order(1, "hi"))
    assert report.error.code == "ERATE"
    assert report.error.detail["retry_after"] == 90
    assert 45 < driven.engine.stats.closed <= 90
    assert driven.news == 1, "the kernel hears of it at once"
    (other,) = driven.answer(order(2, "hi"))
    assert other.error.code == "ERATE"
    assert 45 < other.error.detail["retry_after"] <= 90
    assert len(mock.requests) == 1, "it was not asked again"


@pytest.mark.parametrize(
    ("breaks", "error"),
    [
        ("hang", "ETIMEOUT"),
        ("hang after headers", "ETIMEOUT"),
        ("hang after a word", "ETIMEOUT"),
        ("close", "EDRIVER"),
        ("drop", "EDRIVER"),
        ("html", "EDRIVER"),
        ("garbage", "EDRIVER"),
        ("bytes", "EDRIVER"),
        ("nonsense", "EDRIVER"),
        ("huge body", "EDRIVER"),
        ("huge error", "EDRIVER"),
        ("huge line", "EDRIVER"),
        ("endless events", "EDRIVER ETIMEOUT"),  # whichever bound it reaches first
        ("error event", "EDRIVER"),
        ("error at once", "EDRIVER"),
        ("compressed", "EDRIVER"),
    ],
)
def test_does_a_broken_endpoint_end_in_time(
    mock: MockEndpoint, drive: Any, breaks: str, error: str
) -> None:
    mock.behaviour.breaks = breaks
    driven = drive(**(QUICK if "ETIMEOUT" in error else AMPLE))
    last = driven.answer(order(1, "hi"))[-1]
    assert last.finish == "error"
    assert last.error.code in error.split()
    assert last.prompt_tokens is None, "what it used nobody knows"
    # One that hung may have been given up before the endpoint had seen it.
    least = 0 if breaks == "hang" else 1
    assert least <= len(mock.requests) <= 1, "it may have been paid for, so it was not sent again"
    assert driven.engine.stats.active == 0


@pytest.mark.parametrize("breaks", ["hang", "endless"])
def test_does_a_refusal_whose_words_do_not_end_say_its_status(
    mock: MockEndpoint, drive: Any, monkeypatch: pytest.MonkeyPatch, breaks: str
) -> None:
    monkeypatch.setattr("drivers.cloud.transport._WORDS", 0.2)
    mock.behaviour.breaks = f"{breaks} in a refusal"
    driven = drive(**AMPLE)
    (report,) = driven.answer(order(1, "hi"))
    assert (report.error.code, report.prompt_tokens) == ("EINVAL", 0)
    assert report.error.detail["status"] == 400
    assert mock.gone.wait(30), "the connection was closed"
    mock.behaviour.breaks = ""
    assert driven.answer(order(2, "hi"))[-1].finish == "stop"


def test_is_nobody_there_told_of_without_a_charge(mock: MockEndpoint, drive: Any) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}/v1"
        (report,) = drive(url=url, **AMPLE).answer(order(1, "hi"))
    assert (report.error.code, report.prompt_tokens) == ("EDRIVER", 0)
    assert "can't be reached" in report.error.message


def test_is_the_key_sent_and_never_shown(mock: MockEndpoint, drive: Any) -> None:
    mock.behaviour.status = 401
    mock.behaviour.message = "Incorrect API key provided: {key}"
    key = Key(SECRET, "the environment variable MY_KEY")
    (report,) = drive(key=key).answer(order(1, "hi"))
    assert mock.keys == [f"Bearer {SECRET}"]
    assert "Incorrect API key" in report.error.message
    assert SECRET not in report.model_dump_json()
    assert "MY_KEY" in report.error.hint
    assert SECRET not in repr(key)


def test_is_no_key_sent_where_none_was_named(mock: MockEndpoint, drive: Any) -> None:
    drive().answer(order(1, "hi"))
    assert mock.keys == [None]


def test_are_the_limits_heard_that_headers_tell(mock: MockEndpoint, drive: Any) -> None:
    mock.behaviour.headers = {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "1s",
        "x-ratelimit-limit-tokens": "150000",
        "x-ratelimit-remaining-tokens": "149984",
        "x-ratelimit-reset-tokens": "6m0s",
    }
    mine = Rate(what="requests", limit=10)
    driven = drive(rates=[mine])
    assert driven.engine.stats.rates == [mine]
    driven.answer(order(1, "hi"))
    told = Rate(what="tokens", limit=150000, period=3600, left=149984)
    assert driven.engine.stats.rates == [mine, told], "what was declared stands"


@pytest.mark.parametrize(
    "sampling",
    [
        {"top_k": 5},
        {"min_p": 0.1},
        {"repetition_penalty": 1.1},
        {"logprobs": 1},
        {"grammar": {"regex": "a+"}},
        {"grammar": {"json_schema": {"type": "object"}}},
    ],
)
def test_is_nothing_dropped_in_silence(mock: MockEndpoint, drive: Any, sampling: Any) -> None:
    asked = order(1, "hi").model_copy(
        update={"sampling": Sampling.model_validate({"max_tokens": 5, **sampling})}
    )
    report = drive().engine.start(asked)
    assert report.error.code == "EINVAL"
    assert mock.requests == []


def test_does_clearing_it_close_all_requests(mock: MockEndpoint, drive: Any) -> None:
    mock.behaviour.breaks = "hang after a word"
    driven = drive()
    driven.engine.start(order(1, "hi"))
    until(lambda: driven.engine.busy)
    driven.engine.clear()
    assert mock.gone.wait(30)
    assert driven.engine.step() == []
