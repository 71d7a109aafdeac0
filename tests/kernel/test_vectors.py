"""Do rows get vectors, only from drivers that may see them, and never before anybody's work?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kernel.vectors import _ROWS, MOST_TEXT
from tests.kernel.keeping import OnDisk, gauges
from tests.kernel.meaning import Embedder, ask, card, keys, lacking, put, vector
from tests.kernel.rig import Program, Rig, said

pytestmark = pytest.mark.usefixtures("booted")


def test_does_a_row_get_a_vector_in_leisure_time(rig: Rig) -> None:
    driver = Embedder(rig)
    put(rig, pet="a dog")
    assert not driver.orders, "nothing is done in the turn of the put"
    rig.wait(0.3)
    (order,) = driver.orders
    assert (order.model, order.texts) == ("vec", ["pet: a dog"])
    assert lacking(rig) == 1
    driver.answers()
    assert lacking(rig) == 0
    assert rig.data("vectors.made")[0]["rows"] == 1


def test_is_nothing_told_of_where_none_was_made(rig: Rig) -> None:
    driver = Embedder(rig)
    put(rig, pet="a dog")
    rig.wait(0.3)
    put(rig, pet="a hound")
    driver.answers()
    assert not rig.data("vectors.made"), "all of its rows have changed meanwhile"
    driver.catches_up()
    assert [told["rows"] for told in rig.data("vectors.made")] == [1]


def test_are_many_rows_taken_in_batches_oldest_first_one_at_a_time(rig: Rig) -> None:
    driver = Embedder(rig)
    for number in range(2 * _ROWS + 1):
        put(rig, **{f"row{number:03}": "x"})
    rig.wait(5)
    assert len(driver.orders) == 1, "the next batch is given when this one is done"
    driver.catches_up()
    texts = [text for order in driver.orders for text in order.texts]
    assert [len(order.texts) for order in driver.orders] == [_ROWS, _ROWS, 1]
    assert texts == sorted(texts)
    assert lacking(rig) == 0


def test_is_a_batch_not_too_large_and_a_row_that_is_set_aside(rig: Rig) -> None:
    driver = Embedder(rig)
    put(rig, a="x" * 20_000, b="y" * 20_000, c="z" * MOST_TEXT, d="dog")
    driver.catches_up()
    assert [len(order.texts) for order in driver.orders] == [1, 1, 1]
    assert lacking(rig) == 1
    put(rig, c="short now")
    driver.catches_up()
    assert lacking(rig) == 0


# -- whose work goes first ---------------------------------------------------------------------


def test_does_all_other_work_go_first(rig: Rig) -> None:
    driver = Embedder(rig, models=[card(), {"name": "m", "context_length": 512}], slots=2)
    ann = Program(rig, "ann", "*")
    for _ in range(3):
        ann.start("llm.embed", texts=["mine"])
    put(rig, pet="a dog")
    rig.wait(2)
    assert [order.texts for order in driver.orders] == [["mine"]] * 2, "both slots are taken"
    driver.result(driver.orders[0], vectors=[[1.0]])
    rig.wait(2)
    assert driver.orders[-1].texts == ["mine"]
    driver.result(driver.orders[1], vectors=[[1.0]])
    rig.wait(2)
    assert len(driver.orders) == 3, "one slot is free, and the other is at work for somebody"
    driver.result(driver.orders[2], vectors=[[1.0]])
    rig.wait(2)
    assert driver.orders[-1].texts == ["pet: a dog"]
    burst = ann.start("llm.generate", messages=said())
    assert driver.started, "the other slot is there for whoever comes"
    driver.answer()
    assert ann.result(burst)


@pytest.mark.parametrize("what", ["a query", "texts", "a burst"])
def test_does_whoever_comes_meanwhile_not_wait_for_a_batch(rig: Rig, what: str) -> None:
    models = [card(), {"name": "m", "context_length": 512}]
    driver = Embedder(rig, models=models, features=["embed", "preempt"], slots=1)
    ann = Program(rig, "ann", "*")
    put(rig, pet="a dog")
    driver.catches_up()
    put(rig, car="a car")
    rig.wait(0.3)
    assert [order.texts for order in driver.open] == [["car: a car"]]
    assert driver.open[0].background
    if what == "a query":
        number = ask(rig, "hound", by="meaning")
    elif what == "texts":
        number = ann.start("llm.embed", texts=["hound"])
    else:
        number = ann.start("llm.generate", messages=said("hound"))
        driver.answer()
        assert ann.result(number)
        return
    assert [order.texts for order in driver.open] == [["car: a car"], ["hound"]]
    assert not driver.open[1].background
    driver.result(driver.open[1], vectors=[vector("hound")])
    assert rig.result(number) if what == "a query" else ann.result(number)


def test_is_nobody_charged(rig: Rig) -> None:
    driver = Embedder(rig)
    ann = Program(rig, "ann", "mem:*:rw", tokens=5, money=0.01)
    before = rig.call("proc.info", pid=ann.pid)["process"]["usage"]
    ann.call("mem.put", key="pet", value="a dog " * 100)
    held = gauges(rig.machine.table.get(ann.pid))
    driver.catches_up()
    number = ann.start("mem.search", query="hound", by="meaning")
    driver.answers()
    assert keys(ann.result(number)) == ["pet"]
    assert gauges(rig.machine.table.get(ann.pid)) == held
    assert rig.call("proc.info", pid=ann.pid)["process"]["usage"] == before


# -- who may see it ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "cloud", "zone": "internet"},
        {"kind": "cloud"},
        {"kind": "node", "zone": "lab"},
        {"kind": "node"},
        {"zone": "lab"},
        {"models": [card(price=None)]},
        {"models": [card(price={"prompt": 1.0, "completion": 0.0})]},
        {"models": [card(embeds=False)]},
        {"features": []},
    ],
    ids=str,
)
def test_is_a_driver_elsewhere_or_with_a_price_given_nothing(
    rig: Rig, fields: dict[str, Any]
) -> None:
    driver = Embedder(rig, **fields)
    put(rig, pet="a dog")
    rig.wait(5)
    assert not driver.orders


def test_is_a_driver_that_drains_given_nothing(rig: Rig) -> None:
    driver = Embedder(rig)
    rig.call("drv.drain", name="embedding")
    put(rig, pet="a dog")
    rig.wait(5)
    assert not driver.orders
    rig.call("drv.drain", name="embedding", on=False)
    driver.catches_up()
    assert lacking(rig) == 0


def test_do_labelled_rows_go_only_to_who_may_see_them(rig: Rig) -> None:
    open_, cleared = Embedder(rig, "a"), Embedder(rig, "b", labels=["private"])
    rig.call("mem.put", key="secret", value="dog", labels=["private"])
    rig.call("mem.put", key="both", value="dog", labels=["private", "team"])
    put(rig, plain="car")
    for _ in range(20):
        rig.wait(0.3)
        open_.answers()
        cleared.answers()
    assert [text for order in open_.orders for text in order.texts] == ["plain: car"]
    assert [text for order in cleared.orders for text in order.texts] == ["secret: dog"]
    assert lacking(rig) == 1, "nobody may see that one"
    third = Embedder(rig, "c", labels=["team", "private"])
    third.catches_up()
    assert third.orders[0].texts == ["both: dog"]
    assert lacking(rig) == 0


def test_does_a_row_that_becomes_private_go_nowhere_else(rig: Rig) -> None:
    driver = Embedder(rig)
    put(rig, pet="a dog")
    driver.catches_up()
    rig.call("mem.put", key="pet", value="a secret dog", labels=["private"])
    assert lacking(rig) == 1, "its vector is gone with its text"
    rig.wait(5)
    assert len(driver.orders) == 1


def test_does_a_row_whose_labels_change_while_it_waits_go_to_who_may_see_it(rig: Rig) -> None:
    open_ = Embedder(rig, "a")
    put(rig, first="x", second="dog")
    rig.wait(0.3)
    assert len(open_.orders[0].texts) == 2
    rig.call("mem.put", key="second", value="dog", labels=["private"])
    cleared = Embedder(rig, "b", labels=["private"])
    open_.answers()
    cleared.catches_up()
    assert [order.texts for order in cleared.orders] == [["second: dog"]]
    assert (len(open_.orders), lacking(rig)) == (1, 0)


def test_are_vectors_with_labels_of_their_own_not_kept(rig: Rig) -> None:
    driver = Embedder(rig)
    put(rig, pet="a dog")
    rig.wait(0.3)
    driver.answers(labels=["team"])
    assert lacking(rig) == 1
    assert rig.data("vectors.failed")[0]["error"] == "EDRIVER"


# -- what changes meanwhile --------------------------------------------------------------------


def test_is_a_row_that_changed_meanwhile_done_again(rig: Rig) -> None:
    driver = Embedder(rig)
    put(rig, pet="a dog", wheels="a car")
    rig.wait(0.3)
    put(rig, pet="a tax")
    driver.answers()
    assert lacking(rig) == 1
    driver.catches_up()
    assert driver.orders[-1].texts == ["pet: a tax"]
    number = ask(rig, "tax", by="meaning", limit=1)
    driver.answers()
    assert keys(rig.result(number)) == ["pet"]


def test_is_a_row_that_was_deleted_meanwhile_left_alone(rig: Rig) -> None:
    driver = Embedder(rig)
    put(rig, pet="a dog", wheels="a car")
    rig.call("mem.put", key="brief", value="a tax", ttl=0.5)
    rig.wait(0.3)
    rig.call("mem.delete", key="pet")
    rig.wait(1)
    driver.answers()
    kept = rig.store._connection.execute("SELECT id FROM memory_vectors").fetchall()
    rows = rig.store._connection.execute("SELECT id FROM memory").fetchall()
    assert kept == rows
    assert len(rows) == 1
    assert lacking(rig) == 0


def test_are_vectors_still_there_after_a_crash(tmp_path: Path) -> None:
    rig = OnDisk(tmp_path / "state.db")
    driver = Embedder(rig)
    put(rig, pet="a dog", wheels="a car")
    driver.catches_up()
    put(rig, dues="a tax")
    rig.wait(0.3)
    rig.crash()
    driver.register()
    assert lacking(rig) == 1
    driver.catches_up()
    assert driver.orders[0].texts == ["dues: a tax"]
    assert lacking(rig) == 0
    number = ask(rig, "hound", by="meaning", limit=1)
    driver.answers()
    assert keys(rig.result(number)) == ["pet"]
