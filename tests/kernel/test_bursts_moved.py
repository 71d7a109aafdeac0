"""What becomes of a burst whose driver dies, stays away, or talks nonsense?"""

from tests.kernel.rig import Rig, agent, said


def test_does_a_burst_go_on_elsewhere_from_its_tokens(rig: Rig) -> None:
    first = rig.driver("first")
    number = rig.send("llm.generate", messages=said("hi"), stream=True)
    first.report(first.started[0], "one two ", prompt=3)
    second = rig.driver("second")
    first.die()
    start = second.started[0]
    assert start.accepted == [0, 1]
    assert start.attempt == 2
    second.report(start, "three", finish="stop", prompt=3)
    reply = rig.reply(number)
    assert reply is not None
    assert reply["result"]["text"] == "one two three"
    assert reply["result"]["driver"] == "second"
    assert rig.streamed(number) == "one two three"


def test_is_a_late_report_of_a_dead_driver_ignored(rig: Rig) -> None:
    first = rig.driver("first")
    number = rig.send("llm.generate", messages=said("hi"))
    old = first.started[0]
    first.hang()
    rig.wait(rig.config.silence + 1)
    second = rig.driver("second")
    assert second.started
    first.report(old, "stale", finish="stop", prompt=3)
    assert rig.reply(number) is None
    assert rig.commands[first.peer][-1][0] == "who"


def test_does_a_burst_fail_when_driver_after_driver_dies_under_it(rig: Rig) -> None:
    number = rig.send("llm.generate", messages=said("poison"))
    for _ in range(rig.config.attempts):
        rig.driver().die()
    reply = rig.reply(number)
    assert reply is not None
    assert reply["error"]["code"] == "EDRIVER"


def test_does_a_burst_give_up_when_its_driver_stays_away(rig: Rig) -> None:
    driver, host = rig.driver(), rig.host()
    pid = rig.spawn()
    call = host.act(pid, "llm.generate")
    driver.die()
    assert rig.state(pid) == "WAITING(driver)"
    rig.wait(rig.config.driver_patience + 1)
    reply = host.reply(call)
    assert reply is not None
    assert reply["error"]["code"] == "EDRIVER"
    assert "edge" in reply["error"]["hint"]


def test_does_nonsense_from_a_driver_move_its_bursts(rig: Rig) -> None:
    first = rig.driver("first")
    number = rig.send("llm.generate", messages=said("hi"))
    second = rig.driver("second")
    first.say("report", {"steps": [{"burst": "all of them"}]})
    assert len(first.heard("refuse")) == 1
    second.answer()
    assert rig.reply(number) is not None


def test_does_a_gap_in_the_tokens_count_as_nonsense(rig: Rig) -> None:
    driver = rig.driver()
    rig.send("llm.generate", messages=said("hi"))
    driver.report(driver.started[0], "late", index=7)
    assert len(driver.heard("refuse")) == 1


def test_is_nothing_that_a_refused_driver_said_in_an_event(rig: Rig) -> None:
    driver = rig.driver()
    driver.say("what the model wrote", {})
    told = [event["data"]["why"] for event in rig.events if event["type"] == "drv.down"]
    assert told == ["it was refused: EPROTO"]
    assert "wrote" in rig.call("drv.list")["drivers"][0]["note"]


def test_does_nobody_but_the_user_hear_what_a_driver_says_of_itself(rig: Rig) -> None:
    """Whose data is in it nobody knows: it may be the text of an error."""
    driver, host = rig.driver("edge", slots=1), rig.host()
    pid = rig.spawn()
    host.act(pid, "llm.generate")  # there is no room for another one
    driver.beat("failed", note="the diary can't be read")
    waiting = rig.spawn()
    host.act(waiting, "llm.generate")
    asked = host.result_of(host.act(pid, "drv.list"))["drivers"]
    one = host.result_of(host.act(pid, "drv.info", name="edge"))
    placed = rig.call("proc.info", pid=waiting)["placement"]
    assert placed["considered"]["edge"] == "is failed"
    assert (asked[0]["note"], one["note"]) == ("", "")
    assert rig.call("drv.info", name="edge")["note"] == "the diary can't be read"
    assert {"name": "edge", "state": "failed"} in rig.data("drv.state")
    assert [e["considered"]["edge"] for e in rig.data("burst.waiting")][-1] == "is failed"
    assert "diary" not in repr(rig.events)


def test_does_nobody_but_the_user_hear_what_a_refused_driver_said(rig: Rig) -> None:
    driver, host = rig.driver("edge"), rig.host()
    tools = rig.tool()
    pid = rig.spawn(agent(placement={"failover": "fail"}, capabilities={"allow": ["tool:echo(*)"]}))
    call = host.act(pid, "llm.generate")
    driver.report(driver.started[0], "one ", prompt=3)
    job = host.act(pid, "tool.call", name="echo", arguments={})
    for one in (driver, tools):
        one.say("what the model wrote", {})
    shown = host.result_of(host.act(pid, "drv.list"))["drivers"]
    told = [host.error_of(call)["message"], host.error_of(job)["message"]]
    told += [one["note"] for one in shown if one["name"] != "host"]
    assert all(text.endswith("it was refused: EPROTO") for text in told)
    assert len(told) == 4


def test_does_a_stopped_burst_go_on_elsewhere_when_the_keeper_of_its_kv_dies(rig: Rig) -> None:
    first, host = rig.driver("first"), rig.host()
    pid = rig.spawn()
    call = host.act(pid, "llm.generate")
    first.report(first.started[0], "one ", prompt=3)
    rig.call("proc.kill", pid=pid, signal="STOP")
    first.die()
    second = rig.driver("second")
    rig.call("proc.kill", pid=pid, signal="CONT")
    start = second.started[0]
    assert start.accepted == [0]
    second.report(start, "two", finish="stop", prompt=3)
    reply = host.reply(call)
    assert reply is not None
    assert reply["result"]["text"] == "one two"


def test_is_a_driver_that_makes_more_tokens_than_allowed_refused(rig: Rig) -> None:
    driver = rig.driver()
    rig.send("llm.generate", messages=said("hi"), sampling={"max_tokens": 2})
    driver.report(driver.started[0], "one two three", prompt=1)
    assert len(driver.heard("refuse")) == 1
