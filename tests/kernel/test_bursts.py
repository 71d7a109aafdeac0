"""How bursts are admitted, wait, are placed, and fail when nothing helps."""

import pytest

from kernel.config import Config
from kernel.effects import FromDriver
from llmagentos.abi.errors import EBUSY, ECONTEXT, ENODRIVER
from llmagentos.abi.wire import Message
from tests.kernel.embedding import embedder
from tests.kernel.rig import MODEL, Program, Rig, agent, said


def test_do_bursts_get_slots_in_the_order_they_came(rig: Rig) -> None:
    driver = rig.driver(slots=1)
    for word in ("one", "two", "three"):
        rig.send("llm.generate", messages=said(word))
    order = []
    while len(order) < 3:
        start = driver.started[-1]
        order.append(start.messages[0].content)
        driver.report(start, "ok", finish="stop", prompt=1)
    assert order == ["one", "two", "three"]


def test_is_an_unknown_model_refused_at_once(rig: Rig) -> None:
    rig.driver()
    rig.wait(3)
    with pytest.raises(ENODRIVER, match="no driver offers the model nope") as caught:
        rig.call("llm.generate", messages=said("hi"), model="nope")
    assert MODEL in caught.value.hint


def test_is_a_model_that_makes_vectors_none_to_talk_to(rig: Rig) -> None:
    rig.driver()
    vectors = {"name": "vec", "context_length": 512, "embeds": True}
    rig.driver("embedding", models=[vectors], features=["embed"])
    rig.wait(3)
    for name, hint in (("nope", ""), ("vec", "; vec makes vectors, not text")):
        with pytest.raises(ENODRIVER, match=f"no driver offers the model {name}") as caught:
            rig.call("llm.generate", messages=said("hi"), model=name)
        assert caught.value.hint == f"offered are {MODEL}{hint}"


def test_may_a_driver_be_late_at_the_boot(rig: Rig) -> None:
    number = rig.send("llm.generate", messages=said("hi"))
    rig.wait(10)
    assert rig.reply(number) is None
    driver = rig.driver()
    driver.answer()
    assert rig.reply(number) is not None


def test_does_nobody_wait_for_ever_for_a_driver_that_never_comes(rig: Rig) -> None:
    number = rig.send("llm.generate", messages=said("hi"))
    rig.wait(rig.config.boot_patience + 1)
    reply = rig.reply(number)
    assert reply is not None
    assert reply["error"]["code"] == "ENODRIVER"


def test_does_a_burst_wait_while_its_driver_loads(rig: Rig) -> None:
    driver = rig.driver(state="loading")
    rig.host()
    number = rig.send("llm.generate", messages=said("hi"))
    driver.beat("loading", note="pulling", progress=0.1)
    for _ in range(10):
        rig.now += 9
        driver.beat("loading", note="pulling", progress=0.5)
    assert rig.reply(number) is None
    driver.beat("ready")
    driver.answer()
    assert rig.reply(number) is not None


def test_is_a_driver_without_the_service_key_refused(rig: Rig) -> None:
    driver = rig.driver()
    for key in ("", "a guess", "schlüssel"):
        rig.put_in(FromDriver(b"x", Message("register", session=key, body=driver.card)))
        assert rig.commands[b"x"][-1][0] == "refuse"
    assert len(rig.call("drv.list")["drivers"]) == 1


def test_is_a_full_queue_refused(rig: Rig) -> None:
    small = Rig(Config(default_model=MODEL, queue_limit=2))
    small.driver(slots=1)
    for _ in range(3):
        small.send("llm.generate", messages=said("hi"))
    with pytest.raises(EBUSY, match="2 bursts wait"):
        small.call("llm.generate", messages=said("hi"))


def test_does_one_blocked_queue_leave_the_others_alone(rig: Rig) -> None:
    full, free = rig.driver("full", slots=1), rig.driver("free", models=[_card("other")])
    rig.send("llm.generate", messages=said("a"))
    rig.send("llm.generate", messages=said("b"))
    rig.send("llm.generate", messages=said("c"), model="other")
    assert len(full.started) == 1
    assert len(free.started) == 1


def test_does_a_cancelled_burst_leave_the_driver_and_its_slot(rig: Rig) -> None:
    driver = rig.driver(slots=1)
    first = rig.send("llm.generate", messages=said("a"))
    second = rig.send("llm.generate", messages=said("b"))
    assert rig.call("llm.cancel", call=first)["cancelled"] == 1
    reply = rig.reply(first)
    assert reply is not None
    assert reply["error"]["code"] == "ECANCELED"
    assert len(driver.heard("cancel")) == 1
    driver.answer()
    assert rig.reply(second) is not None


def test_is_the_work_of_a_client_that_went_cancelled_not_done(rig: Rig) -> None:
    driver = rig.driver(slots=1)
    for _ in range(50):
        rig.send("llm.generate", messages=said("a"), peer=b"gone")
    kept = rig.send("llm.generate", messages=said("b"))
    rig.drop_client(b"gone")
    driver.answer()
    assert rig.reply(kept) is not None
    assert len(driver.started) == 2


def test_does_a_drained_driver_get_nothing_new(rig: Rig) -> None:
    driver = rig.driver()
    rig.send("llm.generate", messages=said("a"))
    rig.wait(30)
    rig.call("drv.drain", name="edge")
    waiting = rig.send("llm.generate", messages=said("b"))
    assert len(driver.started) == 1
    rig.call("drv.drain", name="edge", on=False)
    assert len(driver.started) == 2
    driver.answer()
    assert rig.reply(waiting) is not None


def test_is_private_data_kept_from_a_driver_that_may_not_see_it(rig: Rig) -> None:
    cloud, host = rig.driver("cloud", kind="cloud"), rig.host()
    pid = rig.spawn(agent(labels=["private"]))
    rig.wait(3)
    call = host.act(pid, "llm.generate")
    reply = host.reply(call)
    assert reply is not None
    assert reply["error"]["code"] == "ENODRIVER"
    assert "may not see data labelled private" in reply["error"]["hint"]
    assert not cloud.started
    edge = rig.driver("edge", labels=["private"])
    host.act(pid, "llm.generate")
    assert edge.started
    assert not cloud.started


def test_does_info_say_why_a_burst_is_where_it_is(rig: Rig) -> None:
    rig.driver("edge")
    rig.driver("far", kind="cloud")
    host = rig.host()
    pid = rig.spawn(agent(placement={"allow": ["edge"]}))
    host.act(pid, "llm.generate")
    placement = rig.call("proc.info", pid=pid)["placement"]
    assert placement["chosen"] == "edge"
    far = "computes in the cloud, and the process may only be served on this device"
    assert placement["considered"]["far"] == far
    assert placement["considered"]["edge"].startswith("chosen")


def test_does_a_refusal_name_only_drivers_that_have_the_model(rig: Rig) -> None:
    rig.driver("edge")
    embedder(rig)
    host = rig.host()
    pid = rig.spawn(agent(placement={"allow": ["cloud", "node"]}))
    rig.wait(3)
    reply = host.reply(host.act(pid, "llm.generate"))
    assert reply is not None
    assert reply["error"]["hint"] == (
        "edge computes on this device, and the process may only be served in the cloud or on "
        "another machine of ours"
    )
    assert reply["error"]["detail"].keys() == {"edge", "vectors"}


def test_is_the_preferred_place_taken_while_it_has_room(rig: Rig) -> None:
    edge, cloud = rig.driver("edge", slots=1), rig.driver("zcloud", kind="cloud")
    host = rig.host()
    for _ in range(2):
        pid = rig.spawn(agent(placement={"allow": ["edge", "cloud"], "prefer": "edge"}))
        host.act(pid, "llm.generate")
    assert len(edge.started) == 1
    assert len(cloud.started) == 1


def test_is_a_lesser_model_used_only_when_the_best_is_not_up(rig: Rig) -> None:
    best, lesser = rig.driver("best", slots=1), rig.driver("lesser", models=[_card("small")])
    host = rig.host()
    for _ in range(2):
        pid = rig.spawn(agent(model=[MODEL, "small"]))
        host.act(pid, "llm.generate")
    assert len(best.started) == 1
    assert not lesser.started
    best.die()
    assert len(lesser.started) >= 1


def test_does_an_error_of_the_driver_reach_the_caller_as_it_is(rig: Rig) -> None:
    driver = rig.driver()
    number = rig.send("llm.generate", messages=said("long"))
    error = {"code": "ECONTEXT", "message": "too long", "hint": "shorten it"}
    driver.report(driver.started[0], finish="error", error=error)
    reply = rig.reply(number)
    assert reply is not None
    assert reply["error"]["code"] == "ECONTEXT"
    assert reply["error"]["hint"] == "shorten it"


def test_is_every_sampled_burst_given_a_seed(rig: Rig) -> None:
    driver = rig.driver()
    rig.send("llm.generate", messages=said("a"), sampling={"temperature": 1.0})
    rig.send("llm.generate", messages=said("a"))
    assert driver.started[0].sampling.seed is not None
    assert driver.started[1].sampling.seed is None


def test_is_a_prompt_refused_that_fits_into_no_message(rig: Rig) -> None:
    driver = rig.driver(slots=1)
    _, session = rig.program()
    for _ in range(5):
        big = [{"role": "user", "content": "y" * 1_000_000}]
        rig.call("ctx.append", session=session, peer=b"prog", messages=big)
    with pytest.raises(ECONTEXT, match="the most is"):
        rig.call("llm.generate", session=session, peer=b"prog")
    rig.send("llm.generate", messages=said("hi"))
    assert len(driver.started) == 1


def test_does_each_burst_wait_its_full_time_for_a_driver(rig: Rig) -> None:
    rig.driver().die()
    first = rig.send("llm.generate", messages=said("a"))
    rig.wait(rig.config.driver_patience - 5)
    second = rig.send("llm.generate", messages=said("b"))
    rig.wait(10)
    assert rig.reply(first) is not None
    assert rig.reply(second) is None
    rig.wait(rig.config.driver_patience)
    assert rig.reply(second) is not None


def test_does_a_draining_driver_finish_a_burst_that_was_stopped(rig: Rig) -> None:
    driver, host = rig.driver(), rig.host()
    pid = rig.spawn()
    host.act(pid, "llm.generate")
    driver.report(driver.started[0], "one ", prompt=1)
    rig.call("proc.kill", pid=pid, signal="STOP")
    rig.call("drv.drain", name="edge")
    rig.call("proc.kill", pid=pid, signal="CONT")
    assert len(driver.heard("resume")) == 1


def test_is_a_call_of_a_stopped_process_answered_when_it_is_killed(rig: Rig) -> None:
    rig.driver()
    pid, session = rig.program("worker")
    number = rig.send("llm.generate", session=session, peer=b"prog", messages=said("a"))
    rig.call("proc.kill", pid=pid, signal="STOP")
    rig.call("proc.kill", pid=pid, signal="KILL")
    assert rig.reply(number, b"prog") is not None


def _card(name: str) -> dict[str, object]:
    return {"name": name, "context_length": 2048}


def test_does_a_driver_that_lies_about_its_cache_get_nobody_served_before_others(rig: Rig) -> None:
    driver = rig.driver(slots=1)
    liked, other = Program(rig, "liked", "llm:*"), Program(rig, "other", "llm:*")
    for one in (liked, other) * 16:
        one.start("llm.generate", messages=said("hi"))
    for _ in range(32):
        start = driver.started[-1]
        cached = 2**31 - 1 if start.pid == liked.pid else 0
        driver._step(start, index=0, tokens=[1] * 9, text="x", prompt_tokens=100,
                     cached_tokens=cached, finish="stop")  # fmt: skip
    served = [start.pid for start in driver.started]
    assert sorted(served) == [liked.pid] * 16 + [other.pid] * 16
    # It may have read its prompts before, and those cost nothing; its answers do.
    assert other.pid in served[2:12]
