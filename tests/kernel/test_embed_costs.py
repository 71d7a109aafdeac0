"""Are vectors paid for by what they took, and never in the way of bursts?"""

import pytest

from kernel.ledger import MONEY, Account
from llmagentos.abi.errors import EBUDGET, EQUOTA, ERATE
from tests.kernel.calling import ann, rig
from tests.kernel.embedding import answer, card, embed, embedder, orders
from tests.kernel.rig import MODEL, FakeDriver, Program, Rig, said

__all__ = ["ann", "rig"]  # fixtures


def test_is_it_paid_for_by_what_it_took(rig: Rig, ann: Program) -> None:
    driver = embedder(rig)
    embed(ann, "seven", "bytes")
    assert ann.account("tokens") == Account(reserved=10 + 2 * 16 + 64)
    answer(driver, orders(driver)[0], tokens=5)
    assert ann.account("tokens") == Account(spent=5)
    assert ann.account("money") == Account(spent=5 * MONEY // 1000)
    assert ann.account("turns") == Account()
    usage = rig.call("proc.info", pid=ann.pid)["process"]["usage"]
    assert (usage["prompt_tokens"], usage["money"], usage["turns"]) == (5, 0.005, 0)
    rig.crash()
    assert ann.account("tokens") == Account(spent=5)
    assert rig.call("proc.info", pid=ann.pid)["process"]["usage"] == usage


def test_is_it_refused_if_it_could_pass_a_limit(rig: Rig) -> None:
    driver = embedder(rig)
    bob = Program(rig, "bob", "*", tokens=100)
    with pytest.raises(EQUOTA, match="tokens left"):
        bob.call("llm.embed", texts=["x" * 21])
    embed(bob, "x" * 20)
    answer(driver, orders(driver)[0])
    with pytest.raises(EQUOTA):
        bob.call("llm.embed", texts=["x" * 20])
    assert bob.account("tokens") == Account(spent=3)


def test_does_a_minute_have_no_more_tokens_than_it_may(rig: Rig) -> None:
    driver = embedder(rig)
    bob = Program(rig, "bob", "*", tokens_per_minute=100)
    embed(bob, "x" * 20)
    answer(driver, orders(driver)[0], tokens=50)
    with pytest.raises(ERATE):
        bob.call("llm.embed", texts=["x"])
    rig.wait(70)
    embed(bob, "x")
    assert len(orders(driver)) == 2


def test_is_money_never_overspent(rig: Rig) -> None:
    driver = embedder(rig)
    bob = Program(rig, "bob", "*", money=0.1)
    with pytest.raises(EBUDGET, match=r"0.1 of its 0.1 money left"):
        bob.result(embed(bob, "x" * 21))
    assert (bob.account("tokens"), bob.account("money")) == (Account(), Account())
    embed(bob, "x" * 20)
    assert bob.account("money") == Account(reserved=MONEY // 10)
    answer(driver, orders(driver)[0], tokens=20)
    assert bob.account("money") == Account(spent=MONEY // 50)


def test_is_a_model_without_a_price_refused_where_money_is_limited(rig: Rig, ann: Program) -> None:
    driver = embedder(rig, "free", card("vec"))
    bob = Program(rig, "bob", "*", money=0.1)
    with pytest.raises(EBUDGET, match="no driver may run vec") as caught:
        bob.call("llm.embed", texts=["x"], model="vec")
    assert "has no price" in caught.value.hint
    embed(ann)
    assert len(orders(driver)) == 1


@pytest.mark.parametrize("begun", [True, False])
def test_is_one_that_was_cancelled_paid_for_if_it_had_begun(
    rig: Rig, ann: Program, begun: bool
) -> None:
    """The driver may have done all of it by then."""
    embedder(rig, slots=1)
    bob = Program(rig, "bob", "*")
    if not begun:
        embed(ann)
    embed(bob, "x" * 20)
    rig.call("proc.kill", pid=bob.pid, signal="INT")
    most = 100 if begun else 0
    assert bob.account("tokens") == Account(spent=most)
    assert bob.account("money") == Account(spent=most * MONEY // 1000)


# -- beside bursts -----------------------------------------------------------------------------


def mixed(rig: Rig) -> FakeDriver:
    """One slot, for bursts and for vectors."""
    models = [{"name": MODEL, "context_length": 512}, card("vec")]
    return rig.driver("both", models=models, features=["embed", "preempt"], slots=1)


def generate(program: Program) -> int:
    return program.start("llm.generate", messages=said())


def test_do_bursts_and_vectors_share_the_slots(rig: Rig, ann: Program) -> None:
    driver = mixed(rig)
    embed(ann)
    burst = generate(ann)
    assert not driver.started, "its only slot is taken"
    waiting = embed(ann)
    answer(driver, orders(driver)[0])
    driver.answer()
    assert ann.result(burst)
    answer(driver, orders(driver)[1])
    assert ann.result(waiting)


@pytest.mark.parametrize("first", ["burst", "vectors"])
def test_does_neither_starve_the_other(rig: Rig, ann: Program, first: str) -> None:
    driver = mixed(rig)
    makers = [generate, embed] if first == "burst" else [embed, generate]
    for make in makers * 10:
        make(ann)
    ran = []
    for _ in range(10):
        there = rig.machine.registry.named("both")
        assert there is not None
        ran.append("vectors" if there.jobs else "burst")
        if there.jobs:
            answer(driver, orders(driver)[-1])
        else:
            driver.answer()
    other = "vectors" if first == "burst" else "burst"
    assert ran == [first, other] * 5
