"""Are tokens, money, KV and rates held to their limits exactly, whatever a driver can count?"""

from typing import Any

import pytest

from kernel.ledger import MONEY
from llmagentos.abi.errors import EBUDGET, EQUOTA, ERATE
from tests.kernel.rig import MODEL, FakeDriver, Rig, agent

CARD = {"name": MODEL, "context_length": 2048}
PRICED = {**CARD, "price": {"prompt": 2.0, "completion": 10.0}}
SAID = [{"role": "user", "content": "hello there"}]


def program(rig: Rig, **limits: Any) -> tuple[int, str]:
    made = rig.call("proc.adopt", peer=b"prog", limits=limits)
    return made["pid"], made["session"]


def generate(rig: Rig, session: str, most: int = 10) -> int:
    return rig.send(
        "llm.generate", session=session, peer=b"prog", messages=SAID, sampling={"max_tokens": most}
    )


def error(rig: Rig, call: int) -> str | None:
    reply = rig.reply(call, b"prog")
    return reply["error"]["code"] if reply and not reply["ok"] else None


def spent(rig: Rig, pid: int, what: str) -> tuple[int, int]:
    account = rig.machine.table.get(pid).account(what)
    return account.spent, account.reserved


def test_is_a_prompt_counted_before_it_is_read_where_tokens_are_limited(rig: Rig) -> None:
    driver = rig.driver()
    pid, session = program(rig, tokens=30)
    call = generate(rig, session)
    (start,) = driver.started
    assert start.hold
    driver.report(start, prompt=21)
    assert error(rig, call) == "EQUOTA"
    assert len(driver.heard("cancel")) == 1
    assert spent(rig, pid, "tokens") == (0, 0), "nothing was read, so nothing is owed"


def test_does_a_held_burst_go_on_when_its_prompt_fits(rig: Rig) -> None:
    driver = rig.driver()
    pid, session = program(rig, tokens=30)
    generate(rig, session)
    driver.report(driver.started[0], prompt=20)
    assert [ref.burst for ref in driver.heard("resume")] == [driver.started[0].burst]
    assert spent(rig, pid, "tokens") == (0, 30)
    driver.report(driver.started[0], "one two", finish="stop")
    assert spent(rig, pid, "tokens") == (22, 0)


def test_is_nothing_held_where_nothing_is_limited(rig: Rig) -> None:
    driver = rig.driver()
    _, session = program(rig)
    generate(rig, session)
    assert not driver.started[0].hold


def test_is_the_most_reserved_for_a_driver_that_cannot_count(rig: Rig) -> None:
    driver = rig.driver(features=["preempt", "resume_tokens"])
    pid, session = program(rig, tokens=1000)
    generate(rig, session)
    assert not driver.started[0].hold
    assert spent(rig, pid, "tokens")[1] > 10 + len("hello there")
    driver.answer("a b", prompt=3)
    assert spent(rig, pid, "tokens") == (5, 0)
    _, poor = program(rig, tokens=50)
    assert error(rig, generate(rig, poor)) == "EQUOTA", "its prompt might be more than that"


def test_do_two_hundred_callers_on_one_budget_overspend_by_nothing(rig: Rig) -> None:
    driver = rig.driver(slots=200)
    pid, session = program(rig, tokens=1000)
    calls = [generate(rig, session, most=20) for _ in range(200)]
    for number, start in enumerate(driver.started):
        driver.report(start, "one two three", prompt=1 + number % 40, finish="stop")
    codes = [error(rig, call) for call in calls]
    assert set(codes) == {None, "EQUOTA"}
    assert spent(rig, pid, "tokens")[0] <= 1000
    assert spent(rig, pid, "tokens")[1] == 0


def test_is_money_reserved_at_the_most_and_settled_at_what_it_was(rig: Rig) -> None:
    driver = rig.driver(models=[PRICED])
    pid, session = program(rig, money=1.0)
    generate(rig, session)
    driver.report(driver.started[0], prompt=100)
    assert spent(rig, pid, "money") == (0, (2 * 100 + 10 * 10) * MONEY // 1_000_000)
    driver.report(driver.started[0], "a b", finish="stop")
    assert spent(rig, pid, "money") == ((2 * 100 + 10 * 2) * MONEY // 1_000_000, 0)
    usage = rig.call("proc.info", pid=pid)["process"]["usage"]
    assert usage["money"] == pytest.approx(0.00022)


def test_is_a_call_refused_that_could_cost_too_much(rig: Rig) -> None:
    rig.driver(models=[PRICED])
    pid, session = program(rig, money=0.00005)
    assert error(rig, generate(rig, session)) == "EBUDGET"
    assert spent(rig, pid, "money") == spent(rig, pid, "tokens") == (0, 0)


def test_is_a_model_without_a_price_refused_where_money_is_limited(rig: Rig) -> None:
    rig.driver()
    rig.wait(3)
    _, session = program(rig, money=5.0)
    with pytest.raises(EBUDGET, match="no known price"):
        rig.call("llm.generate", session=session, peer=b"prog", messages=SAID)
    _, free = program(rig)
    assert error(rig, generate(rig, free)) is None


def test_is_what_a_dead_driver_has_cost_paid_too(rig: Rig) -> None:
    first = rig.driver("first", models=[PRICED])
    pid, session = program(rig, money=1.0)
    generate(rig, session)
    first.report(first.started[0], prompt=100)
    first.report(first.started[0], "a b ")
    second = rig.driver("second", models=[PRICED])
    first.die()
    start = second.started[0]
    assert start.accepted == [0, 1]
    second.report(start, "c", finish="stop", prompt=100)
    twice = 2 * 100 + 10 * 2 + 2 * (100 + 2) + 10 * 1
    assert spent(rig, pid, "money") == (twice * MONEY // 1_000_000, 0)


def test_is_kv_held_only_as_long_as_it_is_there(rig: Rig) -> None:
    driver = rig.driver(models=[{**CARD, "kv_bytes_per_token": 100}])
    pid, session = program(rig, kv_bytes=4000)
    first = generate(rig, session)
    driver.report(driver.started[0], prompt=20)
    assert spent(rig, pid, "kv_bytes") == (0, 3000)
    assert error(rig, first) is None
    second = generate(rig, session)
    driver.report(driver.started[1], prompt=20)
    assert error(rig, second) == "EQUOTA"
    driver.report(driver.started[0], "a", finish="stop")
    assert spent(rig, pid, "kv_bytes") == (0, 0)


def test_has_no_minute_more_tokens_than_the_limit(rig: Rig) -> None:
    driver = rig.driver()
    _, session = program(rig, tokens_per_minute=100)

    def use(tokens: int) -> str | None:
        call = generate(rig, session, most=tokens)
        if error(rig, call) is None:
            driver.answer(" ".join(["x"] * tokens), prompt=0)
        return error(rig, call)

    assert [use(40), use(40), use(40)] == [None, None, "ERATE"]
    rig.wait(30)
    assert [use(20), use(1)] == [None, "ERATE"]
    rig.wait(36)
    assert [use(80), use(1)] == [None, "ERATE"]


def test_is_the_rate_kept_for_a_driver_that_cannot_count(rig: Rig) -> None:
    driver = rig.driver(features=[])
    pid, session = program(rig, tokens_per_minute=200)
    first = generate(rig, session, most=20)
    _, reserved = spent(rig, pid, "tokens")
    assert 100 < reserved < 200, "the most that its prompt might be, too"
    driver.answer("x", prompt=100)
    second = generate(rig, session, most=20)
    assert [error(rig, first), error(rig, second)] == [None, "ERATE"]


def test_does_the_refusal_say_when_to_try_again(rig: Rig) -> None:
    driver = rig.driver()
    _, session = program(rig, tokens_per_minute=100)
    generate(rig, session, most=60)
    driver.answer(" ".join(["x"] * 60), prompt=0)
    with pytest.raises(ERATE) as caught:
        rig.call("llm.generate", session=session, peer=b"prog", messages=SAID,
                 sampling={"max_tokens": 50})  # fmt: skip
    after = caught.value.detail["retry_after"]
    assert 55 <= after <= 66
    rig.wait(after)
    assert error(rig, generate(rig, session, most=50)) is None


def test_does_the_rate_of_a_parent_bind_its_children(rig: Rig) -> None:
    driver, host = rig.driver(), rig.host()
    parent = rig.spawn(
        agent(limits={"tokens_per_minute": 50}, capabilities={"allow": ["proc:spawn"]})
    )
    made = host.reply(host.act(parent, "proc.spawn", manifest=agent("c"), text="x"))
    assert made is not None
    child = made["result"]["pid"]
    host.act(child, "llm.generate", sampling={"max_tokens": 40})
    driver.answer(" ".join(["x"] * 40), prompt=5)
    reply = host.reply(host.act(parent, "llm.generate", sampling={"max_tokens": 10}))
    assert reply is not None
    assert reply["error"]["code"] == "ERATE"


def test_are_a_fork_and_its_parent_together_held_to_one_budget(rig: Rig) -> None:
    driver, host = rig.driver(slots=64), rig.host()
    pid = rig.spawn(agent(limits={"tokens": 100}, capabilities={"allow": ["proc:spawn"]}))
    forked = host.reply(host.act(pid, "proc.fork", text="x"))
    assert forked is not None
    child = forked["result"]["pid"]
    assert rig.call("proc.limits", pid=child)["limits"]["tokens"] == 50
    for one in (pid, child, pid, child, pid):
        host.act(one, "llm.generate", sampling={"max_tokens": 30})
    for start in list(driver.started):
        driver.report(start, " ".join(["x"] * 30), prompt=10, finish="length")
    assert spent(rig, pid, "tokens")[0] <= 100
    assert spent(rig, child, "tokens")[0] <= 50


def test_does_a_stopped_burst_that_was_not_counted_lose_nothing(rig: Rig) -> None:
    driver: FakeDriver = rig.driver()
    pid, session = program(rig, tokens=30)
    call = generate(rig, session)
    rig.call("proc.kill", pid=pid, signal="STOP")
    assert len(driver.heard("cancel")) == 1
    rig.call("proc.kill", pid=pid, signal="CONT")
    again = driver.started[-1]
    assert (again.hold, again.attempt) == (True, 2)
    driver.report(again, prompt=10)
    driver.report(again, "a", finish="stop")
    assert error(rig, call) is None
    assert spent(rig, pid, "tokens") == (11, 0)


def test_is_a_limit_that_was_lowered_below_what_is_reserved_kept_from_then_on(rig: Rig) -> None:
    rig.driver()
    pid, session = program(rig, tokens=100)
    generate(rig, session, most=50)
    rig.call("proc.limits", pid=pid, limits={"tokens": 20})
    with pytest.raises(EQUOTA, match="has 0 of its 20 tokens left"):
        rig.call("llm.generate", session=session, peer=b"prog", messages=SAID,
                 sampling={"max_tokens": 1})  # fmt: skip
