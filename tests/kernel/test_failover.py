"""What becomes of an answer whose driver dies, or fails, in its middle."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kernel.rig import MODEL, Rig, agent, said

TEXTUAL = ["resume_text"]


def _generate(rig: Rig, **args: Any) -> int:
    return rig.send("llm.generate", messages=said(), stream=True, **args)


def _asked(rig: Rig, **placement: Any) -> int:
    """An agent's answer that is on its way; its host's call."""
    host = rig.host()
    pid = rig.spawn(agent(placement=placement))
    return host.act(pid, "llm.generate", stream=True)


def _told(rig: Rig, number: int) -> list[tuple[int, int, str]]:
    """What a host has heard of an answer: restarts, offset, text."""
    heard = [m.body for m in rig.inbox[b"host"] if m.id == number and m.kind == "stream"]
    return [(body["restarts"], body["offset"], body["text"]) for body in heard]


def test_does_an_answer_go_on_by_its_text_where_numbers_mean_nothing(rig: Rig) -> None:
    edge, number = rig.driver(), _generate(rig)
    edge.report(edge.started[-1], "one two ", prompt=3)
    cloud = rig.driver("cloud", kind="cloud", features=TEXTUAL)
    edge.die()
    start = cloud.started[-1]
    assert (start.text, len(start.accepted)) == ("one two ", 2)
    cloud.end("three", 1, prompt_tokens=4, completion_tokens=1)
    assert rig.streamed(number) == "one two three"
    result = rig.reply(number)["result"]  # type: ignore[index]
    assert result["text"] == "one two three"
    assert result["usage"]["completion_tokens"] == 3
    assert result["tokens"] == []  # of those of the cloud nobody knows which they are
    assert [(e["driver"], e["tokens"]) for e in rig.data("burst.interrupted")] == [("edge", 2)]
    assert rig.data("burst.started")[-1]["resumes"] == "text"


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
    assert [event["tokens"] for event in rig.data("burst.restarted")] == [2]
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
