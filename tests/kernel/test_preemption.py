"""Do quanta, policies and priorities decide who has the slots, and is nothing lost on the way?"""

from typing import Any

import pytest

from kernel.config import Config
from kernel.policies import POLICIES
from llmagentos.abi.errors import EBUSY
from tests.kernel.rig import MODEL, FakeDriver, Rig, agent

QUANTUM = 4


def rig_with(policy: str, **settings: Any) -> Rig:
    rig = Rig(Config(default_model=MODEL, policy=policy, **settings))
    rig.machine.scheduler._policy.quantum = QUANTUM if POLICIES[policy]().quantum else 0
    return rig


def program(rig: Rig, name: str) -> tuple[str, bytes]:
    _, session = rig.program(name, peer=name.encode())
    return session, name.encode()


def generate(rig: Rig, who: tuple[str, bytes], most: int = 20) -> int:
    session, peer = who
    said = [{"role": "user", "content": "hi"}]
    return rig.send(
        "llm.generate", session=session, peer=peer, messages=said, sampling={"max_tokens": most}
    )


def say(driver: FakeDriver, start: Any, at: int, count: int, finish: str | None = None) -> None:
    words = " ".join(["x"] * count) + " "
    driver.report(start, words, index=at, finish=finish, prompt=1 if at == 0 else None)


@pytest.mark.parametrize("policy", ["fair", "rr"])
def test_does_a_burst_give_its_slot_away_after_its_quantum(policy: str) -> None:
    rig = rig_with(policy)
    driver = rig.driver(slots=1)
    one, two = program(rig, "one"), program(rig, "two")
    first, second = generate(rig, one), generate(rig, two)
    a = driver.started[0]
    say(driver, a, 0, QUANTUM - 1)
    assert len(driver.started) == 1, "its quantum is not over"
    say(driver, a, QUANTUM - 1, 1)
    assert [ref.burst for ref in driver.heard("preempt")] == [a.burst]
    b = driver.started[1]
    say(driver, b, 0, 2, finish="stop")
    assert [ref.burst for ref in driver.heard("resume")] == [a.burst]
    say(driver, a, QUANTUM, 3, finish="stop")
    answers = [rig.reply(first, b"one"), rig.reply(second, b"two")]
    tokens = [body["result"]["usage"]["completion_tokens"] for body in answers if body]
    assert tokens == [QUANTUM + 3, 2]


def test_does_nobody_give_a_slot_away_that_nobody_waits_for() -> None:
    rig = rig_with("rr")
    driver = rig.driver(slots=2)
    generate(rig, program(rig, "one"))
    say(driver, driver.started[0], 0, 3 * QUANTUM)
    assert driver.heard("preempt") == []


def test_is_a_driver_that_can_not_preempt_left_alone() -> None:
    rig = rig_with("rr")
    driver = rig.driver(slots=1, features=["resume_tokens"])
    generate(rig, program(rig, "one"))
    generate(rig, program(rig, "two"))
    say(driver, driver.started[0], 0, 3 * QUANTUM)
    assert len(driver.started) == 1
    assert driver.heard("preempt") == driver.heard("cancel") == []


def test_does_fifo_never_preempt() -> None:
    rig = rig_with("fifo")
    driver = rig.driver(slots=1)
    generate(rig, program(rig, "one"))
    generate(rig, program(rig, "two"))
    say(driver, driver.started[0], 0, 3 * QUANTUM)
    assert driver.heard("preempt") == []


def test_does_a_token_that_comes_after_the_preemption_count() -> None:
    rig = rig_with("rr")
    driver = rig.driver(slots=1)
    one = program(rig, "one")
    call = generate(rig, one)
    generate(rig, program(rig, "two"))
    a = driver.started[0]
    say(driver, a, 0, QUANTUM)
    say(driver, a, QUANTUM, 1, finish="stop")  # it was on its way when the preemption was
    body = rig.reply(call, b"one")
    assert body is not None
    assert body["result"]["usage"]["completion_tokens"] == QUANTUM + 1
    assert rig.machine.scheduler.queued == 0


def test_does_a_preempted_burst_go_on_elsewhere_when_its_driver_dies() -> None:
    rig = rig_with("rr")
    driver = rig.driver("first", slots=1)
    call = generate(rig, program(rig, "one"))
    generate(rig, program(rig, "two"))
    say(driver, driver.started[0], 0, QUANTUM)
    other = rig.driver("other", slots=4)
    assert other.started == [], "its KV is on the first driver"
    driver.die()
    moved = [start for start in other.started if start.accepted]
    assert [start.accepted for start in moved] == [[0, 1, 2, 3]]
    say(other, moved[0], QUANTUM, 1, finish="stop")
    assert rig.reply(call, b"one") is not None


def test_may_a_tree_with_many_children_not_crowd_out_another() -> None:
    rig = rig_with("fair")
    driver, host = rig.driver(slots=1), rig.host(slots=64)
    big = rig.spawn(agent("big", capabilities={"allow": ["proc:spawn"]}))
    for number in range(10):
        made = host.reply(host.act(big, "proc.spawn", manifest=agent(f"c{number}"), text="x"))
        assert made is not None
        host.act(made["result"]["pid"], "llm.generate")
    small = rig.spawn(agent("small"))
    for _ in range(6):
        host.act(small, "llm.generate", messages=[{"role": "user", "content": "x"}])
    for _ in range(8):
        say(driver, driver.started[-1], 0, 2, finish="stop")
    served = [start.pid == small for start in driver.started[1:9]]
    assert 3 <= sum(served) <= 5, "each tree has its share, however many it is"


def test_does_nice_move_a_burst_that_waits_already() -> None:
    rig = rig_with("priority")
    driver = rig.driver(slots=1)
    rig.host()
    generate(rig, program(rig, "busy"))
    first, second = program(rig, "first"), program(rig, "second")
    generate(rig, first)
    generate(rig, second)
    pids = {p.name: p.pid for p in rig.machine.table}
    rig.call("proc.nice", pid=pids["second"], priority=-5)
    say(driver, driver.started[0], 0, 1, finish="stop")
    assert driver.started[1].pid == pids["second"]


def test_is_the_most_urgent_deadline_first() -> None:
    rig = rig_with("deadline")
    driver, host = rig.driver(slots=1), rig.host(slots=9)
    pids = [
        rig.spawn(agent(name, schedule={"deadline": due}))
        for name, due in (("busy", 900), ("late", 600), ("soon", 60))
    ]
    for pid in pids:
        host.act(pid, "llm.generate")
    say(driver, driver.started[0], 0, 1, finish="stop")
    assert driver.started[1].pid == pids[2]


def test_does_a_full_queue_say_where_one_would_stand_and_for_how_long() -> None:
    rig = rig_with("fair", queue_limit=2)
    driver = rig.driver(slots=1)
    one = program(rig, "one")
    for _ in range(20):
        generate(rig, one)
        rig.wait(2)
        say(driver, driver.started[-1], 0, 1, finish="stop")
    for _ in range(3):
        generate(rig, one)
    with pytest.raises(EBUSY) as caught:
        rig.call("llm.generate", session=one[0], peer=b"one",
                 messages=[{"role": "user", "content": "x"}])  # fmt: skip
    assert caught.value.detail["position"] == 3
    assert 3 < caught.value.detail["estimate"] < 9, "three bursts of two seconds each"
    queued = [e["data"] for e in rig.events if e["type"] == "burst.queued"]
    assert [data["position"] for data in queued[-2:]] == [1, 2]


def test_do_all_policies_bring_every_burst_to_its_end() -> None:
    for policy in POLICIES:
        rig = rig_with(policy)
        driver = rig.driver(slots=2)
        programs = [program(rig, f"p{n}") for n in range(5)]
        calls = [(generate(rig, who, most=9), who[1]) for who in programs * 3]
        at: dict[int, int] = {}
        for _ in range(200):
            running = [b.id for b in rig.machine.registry.named("edge").running]  # type: ignore[union-attr]
            for start in driver.started:
                if start.burst in running and at.get(start.burst, 0) < 9:
                    count = at.get(start.burst, 0)
                    at[start.burst] = count + 1
                    say(driver, start, count, 1, finish="length" if count == 8 else None)
        for call, peer in calls:
            body = rig.reply(call, peer)
            assert body is not None, policy
            assert body["result"]["usage"]["completion_tokens"] == 9
