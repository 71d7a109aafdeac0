"""Is an agent that ends begun again as its manifest says, and a crash loop ended?"""

import pytest

from tests.kernel.rig import FakeHost, Rig, agent


def restarting(strategy: str, intensity: int = 2, period: str = "60s") -> dict[str, object]:
    return {"strategy": strategy, "intensity": intensity, "period": period}


def failing(rig: Rig, host: FakeHost, **rule: object) -> int:
    return rig.spawn(agent(restart=restarting("on-failure", **rule)))  # type: ignore[arg-type]


def test_is_a_failed_agent_begun_again_under_its_pid(rig: Rig) -> None:
    host = rig.host()
    pid = failing(rig, host)
    first = host.session_of(pid)
    host.act(pid, "ctx.append", messages=[{"role": "assistant", "content": "half of it"}])
    host.act(pid, "proc.exit", code=1)
    assert rig.state(pid) == "READY"
    assert host.session_of(pid) != first, "the life of before may not act any more"
    told = [m["content"] for m in rig.call("ctx.read", pid=pid)["messages"]]
    assert told == ["hello"], "it begins with what it was born with"
    (event,) = [e for e in rig.events if e["type"] == "proc.restarted"]
    assert event["data"] == {"why": "exit 1", "count": 1}


def test_is_a_success_not_begun_again(rig: Rig) -> None:
    host = rig.host()
    pid = failing(rig, host)
    host.act(pid, "proc.exit", answer="done")
    assert rig.call("proc.wait", pid=pid)["answer"] == "done"


def test_is_always_also_after_a_success(rig: Rig) -> None:
    host = rig.host()
    pid = rig.spawn(agent(restart=restarting("always", intensity=1)))
    host.act(pid, "proc.exit")
    assert rig.state(pid) == "READY"
    host.act(pid, "proc.exit")
    assert rig.call("proc.wait", pid=pid)["error"]["code"] == "EFAILED"


def test_does_a_crash_loop_end_as_failed_with_its_reasons(rig: Rig) -> None:
    host = rig.host()
    pid = failing(rig, host, intensity=2)
    waiting = rig.send("proc.wait", pid=pid)
    for number in (1, 2):
        host.act(pid, "proc.exit", code=number, error={"code": "EIO", "message": "no"})
        assert rig.reply(waiting) is None, "who waits for it waits for the end of all its lives"
    host.act(pid, "proc.exit", code=3)
    reply = rig.reply(waiting)
    assert reply is not None
    record = reply["result"]
    assert (record["code"], record["error"]["code"]) == (3, "EFAILED")
    assert record["error"]["detail"]["reasons"] == ["exit 1: EIO", "exit 2: EIO", "exit 3"]


def test_is_an_agent_that_fails_now_and_then_begun_again_for_ever(rig: Rig) -> None:
    host = rig.host()
    pid = failing(rig, host, intensity=1, period="10s")
    for _ in range(5):
        host.act(pid, "proc.exit", code=1)
        assert rig.state(pid) == "READY"
        rig.wait(11)


def test_does_a_boot_not_start_the_count_anew(rig: Rig) -> None:
    host = rig.host()
    pid = failing(rig, host, intensity=1)
    host.act(pid, "proc.exit", code=1)
    rig.beating.clear()
    rig.crash()
    host = rig.host("other")
    rig.wait(rig.config.claim_patience + 1)
    host.act(pid, "proc.exit", code=1)
    assert rig.call("proc.wait", pid=pid)["error"]["code"] == "EFAILED"


@pytest.mark.parametrize("signal", ["KILL", "TERM"])
def test_is_what_a_signal_ended_not_begun_again(rig: Rig, signal: str) -> None:
    host = rig.host()
    pid = failing(rig, host)
    rig.call("proc.kill", pid=pid, signal=signal)
    if signal == "TERM":
        host.act(pid, "proc.exit", code=143)
    assert rig.call("proc.wait", pid=pid)["signal"] == signal


def test_is_what_ran_out_of_wall_time_not_begun_again(rig: Rig) -> None:
    rig.host()
    pid = rig.spawn(agent(restart=restarting("always"), limits={"wall": "5s"}))
    rig.wait(6)
    assert rig.call("proc.wait", pid=pid)["error"]["code"] == "EQUOTA"


def test_do_the_children_of_an_earlier_life_end_with_it(rig: Rig) -> None:
    host = rig.host()
    spawns = {"allow": ["proc:spawn"]}
    pid = rig.spawn(agent(restart=restarting("on-failure"), capabilities=spawns))
    made = host.reply(host.act(pid, "proc.spawn", manifest=agent("c"), text="x"))
    assert made is not None
    host.act(pid, "proc.exit", code=1)
    assert rig.state(made["result"]["pid"]) == "ZOMBIE"
    assert rig.state(pid) == "READY"


def test_is_what_it_spent_still_spent_after_a_restart(rig: Rig) -> None:
    driver, host = rig.driver(), rig.host()
    pid = rig.spawn(agent(restart=restarting("on-failure"), limits={"tokens": 300}))
    host.act(pid, "llm.generate", sampling={"max_tokens": 250})
    driver.answer("a b c", prompt=100 - 53)
    host.act(pid, "proc.exit", code=1)
    assert rig.machine.table.get(pid).account("tokens").spent == 50
    reply = host.reply(host.act(pid, "llm.generate", sampling={"max_tokens": 251}))
    assert reply is not None
    assert reply["error"]["code"] == "EQUOTA"
