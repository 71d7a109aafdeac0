"""What becomes of an answer whose driver dies, or fails, in its middle."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kernel.rig import MODEL, FakeDriver, Program, Rig, agent

TEXTUAL = ["resume_text"]
PRICE = {"prompt": 1.0, "completion": 2.0}


@pytest.fixture
def rig() -> Rig:
    return Rig()


def _generate(rig: Rig, **args: Any) -> int:
    messages = [{"role": "user", "content": "hi"}]
    return rig.send("llm.generate", messages=messages, stream=True, **args)


def _asked(rig: Rig, **placement: Any) -> int:
    """An agent's answer that is on its way; its host's call."""
    host = rig.host()
    pid = rig.spawn(agent(placement=placement))
    return host.act(pid, "llm.generate", stream=True)


def _told(rig: Rig, number: int) -> list[tuple[int, int, str]]:
    """What a host has heard of an answer: restarts, offset, text."""
    heard = [m.body for m in rig.inbox[b"host"] if m.id == number and m.kind == "stream"]
    return [(body["restarts"], body["offset"], body["text"]) for body in heard]


def _end(driver: FakeDriver, text: str, tokens: int, **more: Any) -> None:
    """The end of what the driver was given last, with its bill."""
    start = driver.started[-1]
    step = {
        "burst": start.burst,
        "attempt": start.attempt,
        "index": len(start.accepted),
        "tokens": [0] * tokens,
        "text": text,
        "finish": "stop",
        **more,
    }
    driver.say("report", {"steps": [step]})


def _events(rig: Rig, kind: str) -> list[dict[str, Any]]:
    return [event["data"] for event in rig.events if event["type"] == kind]


def test_does_an_answer_go_on_by_its_text_where_numbers_mean_nothing(rig: Rig) -> None:
    edge, number = rig.driver(), _generate(rig)
    edge.report(edge.started[-1], "one two ", prompt=3)
    cloud = rig.driver("cloud", kind="cloud", features=TEXTUAL)
    edge.die()
    start = cloud.started[-1]
    assert (start.text, len(start.accepted)) == ("one two ", 2)
    _end(cloud, "three", 1, prompt_tokens=4, completion_tokens=1)
    assert rig.streamed(number) == "one two three"
    result = rig.reply(number)["result"]  # type: ignore[index]
    assert result["text"] == "one two three"
    assert result["usage"]["completion_tokens"] == 3
    assert result["tokens"] == []  # of those of the cloud nobody knows which they are
    assert [(e["driver"], e["tokens"]) for e in _events(rig, "burst.interrupted")] == [("edge", 2)]
    assert _events(rig, "burst.started")[-1]["resumes"] == "text"


def test_are_tokens_that_were_only_counted_not_given_to_a_driver_that_wants_numbers(
    rig: Rig,
) -> None:
    cloud, number = rig.driver("cloud", kind="cloud", features=TEXTUAL), _generate(rig)
    cloud.report(cloud.started[-1], "one two ")
    edge = rig.driver("edge")
    cloud.die()
    assert edge.started == []
    reply = rig.reply(number)
    assert reply is None  # the cloud may come back, and could go on
    rig.driver("both", features=["resume_tokens", "resume_text"])
    both = rig.machine.registry.named("both")
    assert both is not None
    assert both.load == 1


def test_do_numbers_of_one_model_mean_nothing_to_another(rig: Rig) -> None:
    edge = rig.driver()
    number = _generate(rig, model=[MODEL, "other"])
    edge.report(edge.started[-1], "one two ", prompt=3)
    other = rig.driver("other", models=[{"name": "other", "context_length": 99}])
    edge.die()
    assert other.started == []
    assert rig.reply(number) is None
    texts = rig.driver("texts", models=[{"name": "other", "context_length": 99}], features=TEXTUAL)
    assert texts.started[-1].text == "one two "


def test_does_an_answer_fail_that_nobody_can_go_on_with(rig: Rig) -> None:
    cloud, number = rig.driver("cloud", kind="cloud", features=[]), _generate(rig)
    rig.driver("edge")
    cloud.report(cloud.started[-1], "one two ")
    broken = {"code": "EDRIVER", "message": "the stream broke off"}
    cloud.report(cloud.started[-1], index=2, finish="error", error=broken)
    error = rig.reply(number)["error"]  # type: ignore[index]
    assert (error["code"], error["message"]) == ("EDRIVER", "the stream broke off")


def test_is_an_answer_begun_anew_if_its_manifest_says_so(rig: Rig) -> None:
    cloud = rig.driver("cloud", kind="cloud", features=[])
    number = _asked(rig, failover="restart")
    cloud.report(cloud.started[-1], "one two ")
    edge = rig.driver("edge")
    cloud.die()
    start = edge.started[-1]
    assert (start.accepted, start.text) == ([], None)
    edge.report(start, "three four", finish="stop", prompt=3)
    assert _told(rig, number) == [(0, 0, "one two "), (1, 0, ""), (1, 0, "three four")]
    assert [event["tokens"] for event in _events(rig, "burst.restarted")] == [2]
    usage = rig.reply(number, b"host")["result"]["usage"]  # type: ignore[index]
    assert usage["completion_tokens"] == 4  # also those that were thrown away were made


def test_does_an_answer_fail_at_once_if_its_manifest_says_so(rig: Rig) -> None:
    edge = rig.driver()
    rig.driver("other", slots=1)
    number = _asked(rig, failover="fail")
    first = edge if edge.started else None
    assert first is not None
    first.report(first.started[-1], "one ", prompt=3)
    first.die()
    assert rig.reply(number, b"host")["error"]["code"] == "EDRIVER"  # type: ignore[index]


def test_does_an_error_of_a_driver_that_lives_move_the_answer(rig: Rig) -> None:
    first, second = rig.driver("a"), rig.driver("b")
    number = _generate(rig)
    ill, well = (first, second) if first.started else (second, first)
    ill.report(ill.started[-1], "one ", prompt=3)
    slow = {"code": "ETIMEOUT", "message": "no token for 30 s"}
    ill.report(ill.started[-1], index=1, finish="error", error=slow)
    assert well.started[-1].accepted == [0]
    well.report(well.started[-1], "two", finish="stop")
    assert rig.streamed(number) == "one two"


def test_is_an_error_that_no_other_driver_would_spare_us_the_end(rig: Rig) -> None:
    first, second = rig.driver("a"), rig.driver("b")
    number = _generate(rig)
    ill, well = (first, second) if first.started else (second, first)
    wrong = {"code": "EINVAL", "message": "top_k is not for this endpoint"}
    ill.report(ill.started[-1], finish="error", error=wrong)
    assert rig.reply(number)["error"]["code"] == "EINVAL"  # type: ignore[index]
    assert well.started == []


@pytest.mark.parametrize(("patience", "waits"), [(0, 0.0), (5, 5.0), (None, 60.0)])
def test_does_an_answer_wait_for_its_driver_as_long_as_its_manifest_says(
    rig: Rig, patience: float | None, waits: float
) -> None:
    rig.driver("edge")
    cloud = rig.driver("cloud", kind="cloud")
    number = _asked(rig, allow=["cloud"], patience=patience)
    cloud.report(cloud.started[-1])
    cloud.die()
    if waits:
        rig.wait(waits - 1)
        assert rig.reply(number, b"host") is None
    rig.wait(2)
    assert rig.reply(number, b"host")["error"]["code"] == "EDRIVER"  # type: ignore[index]


# -- money ----------------------------------------------------------------------------------------


def _payer(rig: Rig, money: float = 1.0) -> Program:
    return Program(rig, "payer", "llm:*", money=money)


def _spent(rig: Rig, payer: Program) -> tuple[float, float]:
    """Spent, and set aside."""
    account = rig.call("proc.info", pid=payer.pid)["ledger"]["money"]
    return account["spent"], account["reserved"]


def _paid_cloud(rig: Rig, price: dict[str, float] = PRICE, **card: Any) -> FakeDriver:
    models = [{"name": MODEL, "context_length": 2048, "price": price}]
    return rig.driver("cloud", kind="cloud", features=TEXTUAL, models=models, **card)


def _pay(payer: Program, most: int = 10) -> int:
    messages = [{"role": "user", "content": "hi"}]
    return payer.start("llm.generate", messages=messages, sampling={"max_tokens": most})


def test_is_the_most_set_aside_and_the_bill_paid(rig: Rig) -> None:
    cloud, payer = _paid_cloud(rig), _payer(rig)
    _pay(payer)
    spent, reserved = _spent(rig, payer)
    assert spent == 0
    assert reserved >= 10 * 2e-6 + 2 * 1e-6
    _end(cloud, "a b", 1, prompt_tokens=7, completion_tokens=2)
    assert _spent(rig, payer) == (pytest.approx(7e-6 + 2 * 2e-6), 0)


def test_is_nothing_paid_for_what_was_refused(rig: Rig) -> None:
    cloud, payer = _paid_cloud(rig), _payer(rig)
    number = _pay(payer)
    down = {"code": "EDRIVER", "message": "503"}
    _end(cloud, "", 0, finish="error", error=down, prompt_tokens=0)
    assert payer.reply(number)["error"]["code"] == "EDRIVER"  # type: ignore[index]
    assert _spent(rig, payer) == (0, 0)


def test_is_the_most_paid_where_nobody_knows(rig: Rig) -> None:
    cloud, payer = _paid_cloud(rig), _payer(rig)
    _pay(payer)
    _, reserved = _spent(rig, payer)
    cloud.report(cloud.started[-1], "one ")
    rig.call("llm.cancel", pid=payer.pid)
    assert _spent(rig, payer) == (pytest.approx(reserved), 0)


def test_is_an_answer_paid_on_both_sides_of_its_move(rig: Rig) -> None:
    cloud, payer = _paid_cloud(rig), _payer(rig)
    _pay(payer)
    _, first = _spent(rig, payer)
    cloud.report(cloud.started[-1], "one two ")
    cloud.die()
    cloud.register()
    assert cloud.started[-1].text == "one two "
    _end(cloud, "three", 1, prompt_tokens=9, completion_tokens=1)
    # What the first half cost nobody has said. The prompt of the second had its text in it.
    assert _spent(rig, payer)[0] == pytest.approx(first + 9 * 1e-6 + 1 * 2e-6)


def test_is_a_paid_call_not_free_because_the_kernel_died_in_its_middle(rig: Rig) -> None:
    _paid_cloud(rig)
    payer = _payer(rig)
    _pay(payer)
    _, reserved = _spent(rig, payer)
    rig.crash()
    assert _spent(rig, payer) == (pytest.approx(reserved), 0)


def test_do_many_calls_on_one_budget_not_pass_it(rig: Rig) -> None:
    dear = {"prompt": 100.0, "completion": 200.0}
    cloud, payer = _paid_cloud(rig, dear, slots=4096), _payer(rig, money=1.0)
    numbers = [_pay(payer, most=50) for _ in range(200)]
    refused = [n for n in numbers if (payer.reply(n) or {}).get("error")]
    assert refused
    for start in list(cloud.started):
        step = {
            "burst": start.burst, "attempt": start.attempt, "index": 0, "tokens": [0] * 50,
            "finish": "length", "prompt_tokens": 80, "completion_tokens": 50,
        }  # fmt: skip
        cloud.say("report", {"steps": [step]})
        spent, reserved = _spent(rig, payer)
        assert spent + reserved <= 1.0
    assert _spent(rig, payer)[1] == 0


def test_is_it_told_when_a_bill_is_higher_than_it_can_be(rig: Rig) -> None:
    cloud, payer = _paid_cloud(rig), _payer(rig)
    _pay(payer)
    _end(cloud, "a", 1, prompt_tokens=100_000, completion_tokens=1)
    assert _spent(rig, payer)[0] == pytest.approx(0.1 + 2e-6)
    assert [event["driver"] for event in _events(rig, "budget.exceeded")] == ["cloud"]


def test_has_each_call_of_an_answer_an_id_of_its_own(rig: Rig) -> None:
    cloud = rig.driver("cloud", kind="cloud", features=["tools"])
    host, pid = rig.host(), rig.spawn(agent())
    number = host.act(pid, "llm.generate", tools=[{"name": "clock"}])
    calls = [{"id": "same", "name": "clock", "arguments": "{}"} for _ in range(3)]
    _end(cloud, "", 1, finish="tool_calls", tool_calls=calls, prompt_tokens=1)
    made = host.reply(number)["result"]["tool_calls"]  # type: ignore[index]
    assert [call["id"] for call in made] == ["same", "same-2", "same-3"]
    said = [{"role": "assistant", "content": "", "tool_calls": calls}]
    body = host.reply(host.act(pid, "ctx.append", messages=said))
    assert body is not None
    assert body["error"]["code"] == "EINVAL"


def test_are_calls_of_tools_kept_with_the_answer_over_a_crash(rig: Rig) -> None:
    cloud = rig.driver("cloud", kind="cloud", features=["tools"])
    host, pid = rig.host(), rig.spawn(agent())
    tool = {"name": "clock", "description": "tells the time", "parameters": {"type": "object"}}
    number = host.act(pid, "llm.generate", tools=[tool])
    assert cloud.started[-1].tools[0].name == "clock"
    call = {"id": "c1", "name": "clock", "arguments": "{}"}
    _end(cloud, "", 1, finish="tool_calls", tool_calls=[call], prompt_tokens=1)
    assert host.reply(number)["result"]["tool_calls"] == [call]  # type: ignore[index]
    said = [{"role": "tool", "content": "noon", "tool_call": "c1"}]
    host.act(pid, "ctx.append", messages=said)
    rig.crash()
    messages = rig.call("ctx.read", pid=pid)["messages"]
    assert [message["tool_calls"] for message in messages] == [[], [call], []]
    assert messages[-1]["tool_call"] == "c1"


def test_is_a_driver_told_whether_a_tool_must_be_called(rig: Rig) -> None:
    driver = rig.driver(features=["tools"])
    host, pid = rig.host(), rig.spawn(agent())
    for choice in ("auto", "required", "none"):
        said = {} if choice == "auto" else {"tool_choice": choice}
        host.act(pid, "llm.generate", tools=[{"name": "clock"}], **said)
        assert driver.started[-1].tool_choice == choice
        _end(driver, "a", 1, prompt_tokens=1)
    number = host.act(pid, "llm.generate", tool_choice="required")
    assert host.reply(number)["error"]["code"] == "EINVAL"  # type: ignore[index]


def test_does_a_driver_without_tools_get_no_call_that_has_them(rig: Rig) -> None:
    edge = rig.driver()
    rig.wait(3)
    number = _generate(rig, tools=[{"name": "clock"}])
    assert edge.started == []
    assert rig.reply(number)["error"]["code"] == "ENODRIVER"  # type: ignore[index]
