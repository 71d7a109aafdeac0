"""Is the driver of an answer paid what it says, and never more than its payer has?"""

from __future__ import annotations

from typing import Any

import pytest

from tests.kernel.rig import MODEL, FakeDriver, Program, Rig, said

PRICE = {"prompt": 1.0, "completion": 2.0}


def _payer(rig: Rig, money: float = 1.0) -> Program:
    return Program(rig, "payer", "llm:*", money=money)


def _spent(rig: Rig, payer: Program) -> tuple[float, float]:
    """Spent, and set aside."""
    account = rig.call("proc.info", pid=payer.pid)["ledger"]["money"]
    return account["spent"], account["reserved"]


def _paid_cloud(rig: Rig, price: dict[str, float] = PRICE, **card: Any) -> FakeDriver:
    models = [{"name": MODEL, "context_length": 2048, "price": price}]
    return rig.driver("cloud", kind="cloud", features=["resume_text"], models=models, **card)


def _pay(payer: Program, most: int = 10) -> int:
    return payer.start("llm.generate", messages=said(), sampling={"max_tokens": most})


def test_is_the_most_set_aside_and_the_bill_paid(rig: Rig) -> None:
    cloud, payer = _paid_cloud(rig), _payer(rig)
    _pay(payer)
    spent, reserved = _spent(rig, payer)
    assert spent == 0
    assert reserved >= 10 * 2e-6 + 2 * 1e-6
    cloud.end("a b", 1, prompt_tokens=7, completion_tokens=2)
    assert _spent(rig, payer) == (pytest.approx(7e-6 + 2 * 2e-6), 0)


def test_is_nothing_paid_for_what_was_refused(rig: Rig) -> None:
    cloud, payer = _paid_cloud(rig), _payer(rig)
    number = _pay(payer)
    down = {"code": "EDRIVER", "message": "503"}
    cloud.end("", 0, finish="error", error=down, prompt_tokens=0)
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
    cloud.end("three", 1, prompt_tokens=9, completion_tokens=1)
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
    cloud.end("a", 1, prompt_tokens=100_000, completion_tokens=1)
    assert _spent(rig, payer)[0] == pytest.approx(0.1 + 2e-6)
    assert [event["driver"] for event in rig.data("budget.exceeded")] == ["cloud"]
