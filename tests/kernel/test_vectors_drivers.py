"""Do rows get their vectors in the end, whatever drivers come, go and fail?"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from kernel.vectors import _OVERDUE, _PENALTY
from tests.kernel.meaning import Embedder, card, keys, lacking, put
from tests.kernel.rig import FakeHost, Program, Rig

pytestmark = pytest.mark.usefixtures("booted")


def test_does_the_death_of_the_driver_lose_nothing(rig: Rig) -> None:
    driver = Embedder(rig)
    put(rig, pet="a dog")
    rig.wait(0.3)
    driver.die()
    assert rig.machine.vectors._batch is None
    driver.register()
    driver.catches_up()
    assert lacking(rig) == 0


def test_is_a_driver_that_never_answers_given_up(rig: Rig) -> None:
    driver = Embedder(rig)
    put(rig, pet="a dog")
    rig.wait(_OVERDUE + 1)
    assert driver.aborted == [driver.orders[0].job]
    assert rig.data("vectors.failed")[0]["error"] == "ETIMEOUT"
    assert len(driver.orders) == 1
    rig.wait(_PENALTY)
    assert len(driver.orders) == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"vectors": []},
        {"vectors": [[1.0]]},
        {"vectors": [[1.0], [1.0, 2.0]]},
        {"vectors": [[], []]},
        {"error": {"code": "EIO", "message": "the secret text"}},
    ],
    ids=str,
)
def test_does_a_driver_that_fails_get_nothing_for_longer_and_longer(
    rig: Rig, wrong: dict[str, Any]
) -> None:
    driver = Embedder(rig)
    put(rig, pet="a dog", wheels="a car")
    times = []
    for _ in range(4):
        while not driver.open:
            rig.wait(0.5)
        times.append(rig.now)
        driver.answered += 1
        driver.result(driver.orders[-1], **wrong)
    pauses = [after - before for before, after in pairwise(times)]
    assert [round(pause / _PENALTY) for pause in pauses] == [1, 2, 4]
    assert "secret" not in str(rig.events)
    rig.wait(8 * _PENALTY + 1)
    driver.catches_up()
    assert lacking(rig) == 0


def test_does_one_text_that_can_not_be_read_cost_the_others_nothing(rig: Rig) -> None:
    driver = Embedder(rig)
    put(rig, a="dog", bad="?", c="car")
    for _ in range(30):
        rig.wait(0.3)
        for order in driver.open:
            driver.answered += 1
            if any("?" in text for text in order.texts):
                driver.result(order, error={"code": "ECONTEXT", "message": "too long"})
            else:
                driver.result(order, vectors=[[1.0, 0.0]] * len(order.texts))
    assert lacking(rig) == 1
    orders = len(driver.orders)
    rig.wait(600)
    assert len(driver.orders) == orders, "it is tried again when it changes"
    put(rig, bad="fine")
    rig.wait(0.3)
    assert driver.open[0].texts == ["bad: fine"]


def test_is_everything_done_anew_when_the_model_changes(rig: Rig) -> None:
    old = Embedder(rig, "old", models=[card("one")])
    put(rig, pet="a dog", wheels="a car")
    old.catches_up()
    new = Embedder(rig, "new", models=[card("two")])
    old.die()
    rig.wait(30)
    assert not new.orders, "the old one may come back"
    rig.crash()
    new.register()
    rig.wait(10)
    assert not new.orders, "its driver may still be on its way"
    rig.wait(rig.config.boot_patience)
    new.answers()
    new.catches_up()
    assert {order.model for order in new.orders} == {"two"}
    assert lacking(rig) == 0
    assert rig.store.memory.vectors.kind() == "two/3"


def test_is_nothing_left_in_memory_of_spaces_that_are_gone(rig: Rig) -> None:
    driver = Embedder(rig)
    searched = rig.store.memory.vectors.searched
    for number in range(3):
        program = Program(rig, f"p{number}")
        program.call("mem.put", key="pet", value="a dog")
        driver.catches_up()
        found = program.start("mem.search", query="puppy", by="meaning")
        driver.answers()
        assert keys(program.result(found)) == ["pet"]
        assert searched() == 1
        rig.call("proc.kill", pid=program.pid, signal="KILL")
        rig.call("proc.wait", pid=program.pid)
        rig.wait(1)
    assert searched() == 0


def test_does_nothing_happen_without_a_driver(rig: Rig, host: FakeHost) -> None:
    put(rig, pet="a dog")
    rig.wait(60)
    rows = rig.store._connection.execute("SELECT * FROM memory_vectors").fetchall()
    assert rows == []
