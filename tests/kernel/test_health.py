"""Which driver gets a burst, by its health, its provider, its pace and its price."""

from __future__ import annotations

from typing import Any

import pytest

from kernel.breaker import FAILURES, FIRST_PAUSE, LONGEST_PAUSE, Breaker
from kernel.bucket import Bucket
from kernel.pace import Pace
from llmagentos.abi.cards import Rate
from tests.kernel.rig import MODEL, FakeDriver, Rig, agent

DOWN = {"code": "EDRIVER", "message": "503"}


def _ask(rig: Rig, text: str = "hi", **args: Any) -> int:
    return rig.send("llm.generate", messages=[{"role": "user", "content": text}], **args)


def _fail(driver: FakeDriver, error: dict[str, Any]) -> None:
    driver.report(driver.started[-1], finish="error", error=error)


def _info(rig: Rig, name: str) -> dict[str, Any]:
    return rig.call("drv.info", name=name)


def test_does_a_driver_that_keeps_failing_get_nothing_for_a_while(rig: Rig) -> None:
    driver = rig.driver()
    for _ in range(FAILURES):
        _ask(rig)
        _fail(driver, DOWN)
    assert _info(rig, "edge")["breaker"] == "open"
    waiting = _ask(rig)
    assert len(driver.started) == FAILURES
    rig.wait(FIRST_PAUSE + 0.1)
    assert len(driver.started) == FAILURES + 1
    _ask(rig)
    assert len(driver.started) == FAILURES + 1  # one on trial
    driver.answer()
    assert rig.reply(waiting)["ok"]  # type: ignore[index]
    assert len(driver.started) == FAILURES + 2
    assert _info(rig, "edge")["breaker"] == "closed"


def test_does_a_failed_trial_double_the_pause(rig: Rig) -> None:
    driver = rig.driver()
    for _ in range(FAILURES):
        _ask(rig)
        _fail(driver, DOWN)
    _ask(rig)
    rig.wait(FIRST_PAUSE + 0.1)
    _fail(driver, DOWN)
    assert FIRST_PAUSE < _info(rig, "edge")["retry_in"] <= 2 * FIRST_PAUSE


def test_do_others_take_over_from_one_that_keeps_failing(rig: Rig) -> None:
    ill, well = rig.driver("ill"), rig.driver("well", slots=2)
    numbers = [_ask(rig) for _ in range(6)]
    while ill.started and _info(rig, "ill")["breaker"] == "closed":
        for start in list(ill.started):
            ill.report(start, finish="error", error=DOWN)
        for start in list(well.started):
            well.report(start, "fine", finish="stop", prompt=1)
        numbers += [_ask(rig), _ask(rig)]
    for start in list(well.started):
        well.report(start, "fine", finish="stop", prompt=1)
    done = [rig.reply(number) for number in numbers]
    assert not [body for body in done if body is not None and not body["ok"]]


def test_is_a_new_process_of_a_driver_not_blamed_for_the_last_one(rig: Rig) -> None:
    driver = rig.driver()
    for _ in range(FAILURES):
        _ask(rig)
        _fail(driver, DOWN)
    driver.register()
    assert _info(rig, "edge")["breaker"] == "closed"


def test_does_a_driver_wait_as_long_as_its_provider_says(rig: Rig) -> None:
    cloud = rig.driver("cloud", kind="cloud")
    number = _ask(rig)
    full = {"code": "ERATE", "message": "429", "detail": {"retry_after": 7.5}}
    _fail(cloud, full)
    assert len(cloud.started) == 1
    assert _info(rig, "cloud")["retry_in"] == 7.5
    rig.wait(7)
    assert len(cloud.started) == 1
    rig.wait(1)
    assert len(cloud.started) == 2
    cloud.answer()
    assert rig.reply(number)["ok"]  # type: ignore[index]


def test_does_an_answer_go_elsewhere_while_a_provider_takes_nothing(rig: Rig) -> None:
    cloud, edge = rig.driver("cloud", kind="cloud"), rig.driver("edge")
    host = rig.host()
    pid = rig.spawn(agent(placement={"prefer": "cloud"}))
    cloud.beat(closed=30.0)
    host.act(pid, "llm.generate")
    assert len(edge.started) == 1
    told = rig.call("proc.info", pid=pid)["placement"]
    assert told["chosen"] == "edge"
    assert told["considered"]["cloud"].startswith("waits for its provider")


def test_is_a_provider_never_sent_what_it_would_refuse(rig: Rig) -> None:
    rates = [{"what": "requests", "limit": 3, "period": 60.0}]
    cloud = rig.driver("cloud", kind="cloud", slots=64, rates=rates)
    for _ in range(10):
        _ask(rig)
    sent = [len(cloud.started)]
    for _ in range(5):
        rig.wait(20.0)
        sent.append(len(cloud.started))
    assert sent == [3, 4, 5, 6, 7, 8]


def test_do_tokens_count_as_well_and_nobody_is_overtaken(rig: Rig) -> None:
    rates = [{"what": "tokens", "limit": 600, "period": 60.0}]
    cloud = rig.driver("cloud", kind="cloud", slots=64, rates=rates)
    for most in (300, 500, 10):
        _ask(rig, sampling={"max_tokens": most})
    assert [start.sampling.max_tokens for start in cloud.started] == [300]
    rig.wait(10.0)  # the last one has room now, and waits all the same
    assert [start.sampling.max_tokens for start in cloud.started] == [300]
    rig.wait(20.0)
    assert [start.sampling.max_tokens for start in cloud.started] == [300, 500, 10]


def test_is_the_faster_driver_taken_when_both_were_measured(rig: Rig) -> None:
    slow, fast = rig.driver("a-slow"), rig.driver("b-fast")
    for driver, seconds in ((slow, 8.0), (fast, 0.5)):
        other = fast if driver is slow else slow
        rig.call("drv.drain", name=other.name, on=True)
        _ask(rig)
        rig.wait(seconds)
        driver.report(driver.started[-1], "one ", prompt=10)
        rig.wait(seconds)
        driver.report(driver.started[-1], "two", index=1, finish="stop")
        rig.call("drv.drain", name=other.name, on=False)
    for _ in range(3):
        _ask(rig)
    assert (len(slow.started), len(fast.started)) == (1, 4)
    assert _info(rig, "b-fast")["ttft_p50"] == pytest.approx(0.5, abs=0.01)


def test_is_the_cheaper_of_two_equal_drivers_taken(rig: Rig) -> None:
    for name, price in (("dear", 9.0), ("cheap", 1.0)):
        card = {
            "name": MODEL,
            "context_length": 99,
            "price": {"prompt": price, "completion": price},
        }
        rig.driver(name, kind="cloud", models=[card], slots=2)
    host, pid = rig.host(), rig.spawn()
    for _ in range(3):
        host.act(pid, "llm.generate", messages=[{"role": "user", "content": "x"}])
    assert _info(rig, "cheap")["running"] == 2
    assert _info(rig, "dear")["running"] == 1
    told = rig.call("proc.info", pid=pid)["placement"]["considered"]
    assert told["cheap"] == "all of its 2 slots are taken"
    assert "in money" in told["dear"]


def test_does_an_agent_stay_where_its_context_was_read(rig: Rig) -> None:
    kinds = ["preempt", "resume_tokens", "count", "fork"]
    first, second = rig.driver("a", features=kinds), rig.driver("b", features=kinds)
    host, pid = rig.host(), rig.spawn()
    host.act(pid, "llm.generate")
    home, away = (first, second) if first.started else (second, first)
    home.answer(prompt=50)
    for _ in range(3):
        host.act(pid, "llm.generate")
        home.answer(prompt=50)
    assert (len(home.started), len(away.started)) == (4, 0)


def test_does_the_event_of_a_start_say_who_was_considered(rig: Rig) -> None:
    rig.driver("edge")
    rig.driver("cloud", kind="cloud", models=[{"name": "other", "context_length": 9}])
    _ask(rig)
    told = [event["data"] for event in rig.events if event["type"] == "burst.started"][-1]
    assert told["considered"]["edge"].startswith("chosen: 0 of 4 slots taken")
    assert told["considered"]["cloud"] == f"does not offer {MODEL}"


# -- the parts ------------------------------------------------------------------------------------


def test_does_a_breaker_never_pause_longer_than_it_may() -> None:
    breaker = Breaker()
    for _ in range(FAILURES):
        breaker.failed()
    for _ in range(20):
        breaker.try_again()
        assert breaker.failed()
    assert breaker.pause == LONGEST_PAUSE
    assert breaker.succeeded()
    assert (breaker.state, breaker.pause) == ("closed", FIRST_PAUSE)


def test_does_a_success_between_failures_keep_it_closed() -> None:
    breaker = Breaker()
    for _ in range(10):
        assert not breaker.failed()
        assert not breaker.failed()
        breaker.succeeded()


def test_does_a_bucket_fill_evenly_and_believe_the_smaller_number() -> None:
    rate = Rate(what="requests", limit=60, period=60.0)
    bucket = Bucket.of(rate, 0.0)
    bucket.take(60, 0.0)
    assert bucket.ready_in(5, 0.0) == 5.0
    assert bucket.there(30.0) == 30.0
    told = rate.model_copy(update={"left": 50})
    assert Bucket.of(told, 30.0, bucket).there(30.0) == 30.0
    assert Bucket.of(told, 90.0, bucket).there(90.0) == 50.0


def test_may_what_is_more_than_a_bucket_holds_go_when_it_is_full() -> None:
    bucket = Bucket.of(Rate(what="tokens", limit=10), 0.0)
    assert bucket.ready_in(1000, 0.0) == 0.0
    bucket.take(1000, 0.0)
    assert bucket.ready_in(1, 0.0) > 60


def test_is_what_was_measured_long_ago_forgotten() -> None:
    pace = Pace()
    pace.began(2.0, 10, 0.0)
    pace.went_on(1.0, 10, 1.0)
    assert pace.expected(10, 10, 1.0) == pytest.approx(3.0)
    assert pace.expected(10, 10, 1000.0) is None
    pace.began(1.0, 10, 1000.0)
    assert pace.expected(10, 10, 1000.0) == pytest.approx(1.0)
