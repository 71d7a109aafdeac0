"""Is what means the same found, beside what has the words?"""

from __future__ import annotations

from typing import Any

import pytest

from kernel import memory
from kernel.effects import Tick
from kernel.memory import _INDEXED_AT_ONCE
from llmagentos.abi.errors import EINVAL, ENODRIVER, EQUOTA
from tests.kernel.meaning import DIRECTIONS, Embedder, ask, card, found, keys, lacking, put
from tests.kernel.rig import Program, Rig

pytestmark = pytest.mark.usefixtures("booted")

NOTES = {
    "rex": "a hound", "bella": "a puppy", "garage": "a car and a truck", "money": "a tax",
    "dog-food": "in the cellar",
}  # fmt: skip


@pytest.fixture
def driver(rig: Rig) -> Embedder:
    """Of a system in which some notes have their vectors."""
    driver = Embedder(rig)
    for key, value in NOTES.items():
        rig.call("mem.put", key=key, value=value)
    driver.catches_up()
    return driver


def test_are_rows_of_the_nearest_meaning_found_nearest_first(rig: Rig, driver: Embedder) -> None:
    result = found(rig, driver, "hound", by="meaning", limit=3)
    assert keys(result)[0] == "rex"
    assert set(keys(result)) == {"rex", "bella", "dog-food"}
    assert (result["by"], result["lacking"], result["note"]) == ("meaning", 0, "")
    scores = [hit["score"] for hit in result["hits"]]
    assert scores == sorted(scores, reverse=True)
    assert 0.9 < scores[0] <= 1.0
    assert result["hits"][0]["snippet"] == "rex: a hound"
    assert result["hits"][0]["row"]["value"] == "a hound"


def test_do_both_find_what_only_one_of_them_does(rig: Rig, driver: Embedder) -> None:
    by_words = found(rig, driver, "dog cellar", by="words")
    assert (keys(by_words), by_words["by"]) == (["dog-food"], "words")
    both = found(rig, driver, "dog", limit=3)
    assert keys(both)[0] == "dog-food", "it has all the words"
    assert set(keys(both)[1:]) == {"rex", "bella"}, "and those mean the same"
    assert both["by"] == "both"
    scores = [hit["score"] for hit in both["hits"]]
    assert scores[0] > 1 > scores[1]


def test_is_a_row_with_some_of_the_words_better_than_one_with_none(
    rig: Rig, driver: Embedder
) -> None:
    put(rig, a="xylophone", b="zither")
    driver.catches_up()
    assert keys(found(rig, driver, "zither and other things", limit=2))[0] == "b"


def test_are_words_enough_where_nothing_makes_vectors(rig: Rig) -> None:
    put(rig, pet="a dog")
    result = rig.call("mem.search", query="dog")
    assert (keys(result), result["by"], result["lacking"]) == (["pet"], "words", 1)
    assert result["note"].startswith("ENODRIVER: no driver on this device makes vectors")
    asked = rig.call("mem.search", query="dog", by="words")
    assert asked["note"] == ""
    with pytest.raises(ENODRIVER, match="no driver on this device"):
        rig.call("mem.search", query="dog", by="meaning")


def test_is_it_told_how_many_rows_have_no_vector_yet(rig: Rig, driver: Embedder) -> None:
    put(rig, late="a puppy")
    result = found(rig, driver, "puppy")
    assert (result["by"], result["lacking"]) == ("both", 1)
    assert "late" in keys(result), "by its words"
    assert "late" not in keys(found(rig, driver, "puppy", by="meaning"))
    other = rig.call("mem.put", space="notes", key="x", value="a dog")
    assert other["created"]
    with pytest.raises(ENODRIVER, match="no row of this space has a vector yet"):
        rig.call("mem.search", space="notes", query="dog", by="meaning")
    result = rig.call("mem.search", space="notes", query="dog")
    assert (keys(result), result["by"], result["lacking"]) == (["x"], "words", 1)


def test_is_a_driver_that_is_away_not_waited_for(rig: Rig, driver: Embedder) -> None:
    driver.die()
    assert rig.call("mem.search", query="hound")["note"].startswith("ENODRIVER")
    with pytest.raises(ENODRIVER, match="vec is up"):
        rig.call("mem.search", query="hound", by="meaning")


@pytest.mark.parametrize(
    "what", ["dies", "errs", "sends nonsense", "sends nothing", "never answers"]
)
def test_does_a_driver_that_fails_leave_a_search_by_words(
    rig: Rig, driver: Embedder, what: str
) -> None:
    both, meaning = ask(rig, "hound"), ask(rig, "hound", by="meaning")
    orders = driver.open
    assert [order.texts for order in orders] == [["hound"], ["hound"]]
    for order in orders:
        if what == "errs":
            driver.result(order, error={"code": "EIO", "message": "no"})
        elif what == "sends nonsense":
            driver.result(order, vectors=[[1.0], [2.0]])
        elif what == "sends nothing":
            driver.result(order, vectors=[[0.0, 0.0, 0.0]])
    if what == "dies":
        driver.die()
    rig.wait(11)
    result = rig.result(both)
    assert (keys(result), result["by"]) == (["rex"], "words")
    code = {"errs": "EIO", "never answers": "ETIMEOUT"}.get(what, "EDRIVER")
    assert result["note"].startswith(code)
    body = rig.reply(meaning)
    assert body is not None
    assert body["error"]["code"] == code


def test_is_a_search_that_nobody_waits_for_given_up(rig: Rig, driver: Embedder) -> None:
    ann = Program(rig, "ann", "mem:notes:rw")
    rig.call("mem.put", space="notes", key="x", value="a dog")
    driver.catches_up()
    ann.start("mem.search", space="notes", query="dog")
    assert rig.state(ann.pid) == "WAITING(llm)"
    rig.drop_client(ann.peer)
    assert driver.aborted == [driver.open[0].job]
    assert not list(rig.machine.jobs)


def test_does_it_go_on_when_all_is_indexed(rig: Rig, driver: Embedder) -> None:
    number = ask(rig, "puppy late")
    for row in range(_INDEXED_AT_ONCE + 1):
        rig.call("mem.put", key=f"{row:04}", value="late")
    driver.answers()
    assert rig.reply(number) is None
    assert rig.state(1) in ("READY", "RUNNING")
    for _ in range(5):
        rig.now += 0.01
        rig.put_in(Tick())
    assert rig.result(number)["by"] == "both"


# -- words and limits --------------------------------------------------------------------------


@pytest.mark.parametrize("query", ["...", " ".join(f"w{n}" for n in range(65))])
def test_is_a_query_that_words_can_not_find_refused_at_once(
    rig: Rig, driver: Embedder, query: str
) -> None:
    for by in ("words", "both"):
        with pytest.raises(EINVAL):
            rig.call("mem.search", query=query, by=by)
    assert not driver.open
    assert found(rig, driver, query, by="meaning")["hits"]


def test_is_any_other_way_refused(rig: Rig) -> None:
    with pytest.raises(EINVAL, match="by"):
        rig.call("mem.search", query="x", by="magic")


@pytest.mark.parametrize("by", ["words", "meaning", "both"])
def test_is_what_has_expired_not_found(rig: Rig, driver: Embedder, by: str) -> None:
    rig.call("mem.put", key="brief", value="a dog", ttl=60)
    driver.catches_up()
    assert "brief" in keys(found(rig, driver, "dog", by=by))
    rig.now += 61  # before anything was deleted
    assert "brief" not in keys(found(rig, driver, "dog", by=by))


def test_are_there_never_more_than_are_wanted(rig: Rig, driver: Embedder) -> None:
    for by in ("words", "meaning", "both"):
        assert len(keys(found(rig, driver, "a", by=by, limit=2))) == 2


@pytest.mark.parametrize("by", ["words", "meaning", "both"])
def test_are_only_the_rows_read_that_are_given(
    rig: Rig, driver: Embedder, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    store, read = rig.store.memory, []
    row = store.row

    def spy(space: str, key: str, now: float) -> Any:
        read.append(key)
        return row(space, key, now)

    monkeypatch.setattr(store, "row", spy)
    assert keys(found(rig, driver, "a", by=by, limit=2)) == read
    assert len(read) == 2


@pytest.mark.parametrize("by", ["words", "meaning", "both"])
def test_is_more_than_fits_into_a_reply_refused_before_it_is_read(
    rig: Rig, driver: Embedder, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    for number in range(6):
        rig.call("mem.put", space="big", key=f"k{number}", value="dog " + "x" * 30_000)
    driver.catches_up()
    store = rig.store.memory
    monkeypatch.setattr(memory, "MAX_BODY", 100_000)
    assert len(keys(found(rig, driver, "dog", by=by, space="big", limit=3))) == 3
    monkeypatch.setattr(store, "row", None)
    with pytest.raises(EQUOTA, match="the 4 rows that were found take") as caught:
        found(rig, driver, "dog", by=by, space="big", limit=4)
    assert "smaller limit" in caught.value.hint


def test_are_rows_of_too_many_values_not_given_together(rig: Rig) -> None:
    for number in range(3):
        rig.call("mem.put", space="wide", key=f"k {number}", value=[1] * 60_000)
    rig.wait(2)  # it is indexed
    assert len(rig.call("mem.search", space="wide", query="k", limit=2)["hits"]) == 2
    with pytest.raises(EQUOTA, match="more than 131,072 values"):
        rig.call("mem.search", space="wide", query="k", limit=3)


def test_is_a_text_one_value_whatever_is_in_it(rig: Rig) -> None:
    for number in range(3):
        rig.call("mem.put", space="wide", key=f"k {number}", value="1," * 60_000)
    rig.wait(2)  # it is indexed
    assert len(rig.call("mem.search", space="wide", query="k", limit=3)["hits"]) == 3


def test_is_each_space_searched_by_itself(rig: Rig, driver: Embedder) -> None:
    rig.call("mem.put", space="notes", key="shared", value="a dog")
    driver.catches_up()
    assert keys(found(rig, driver, "hound", by="meaning", space="notes")) == ["shared"]
    assert "shared" not in keys(found(rig, driver, "hound", by="meaning", limit=100))
    assert keys(found(rig, driver, "hound", by="both", space="empty")) == []


def test_do_vectors_of_two_lengths_not_mix(rig: Rig, driver: Embedder) -> None:
    """Those of another length are of another kind, though the model has the same name."""
    put(rig, late="a dog")
    rig.wait(0.3)
    driver.answered += 1
    driver.result(driver.orders[-1], vectors=[[1.0, 0.0]])
    result = found(rig, driver, "dog", by="meaning")
    assert (keys(result), result["lacking"]) == ([], 6)
    driver.catches_up()
    assert lacking(rig) == 0
    assert set(keys(found(rig, driver, "dog", by="meaning", limit=2))) == {"late", "dog-food"}


# -- vectors and numbers -----------------------------------------------------------------------


def test_is_every_row_found_among_many_that_come_and_go(rig: Rig) -> None:
    driver = Embedder(rig, models=[card()])
    kinds = list(DIRECTIONS)
    for number in range(100):
        rig.call("mem.put", key=f"{number:03}", value=kinds[number % len(kinds)])
    driver.catches_up()
    found(rig, driver, "dog", by="meaning")  # the matrix is in RAM from here on
    for number in range(0, 100, 3):
        rig.call("mem.delete", key=f"{number:03}")
    for number in range(1, 100, 3):
        rig.call("mem.put", key=f"{number:03}", value="tax")
    for number in range(100, 160):
        rig.call("mem.put", key=f"{number:03}", value="car")
    driver.catches_up()
    assert lacking(rig) == 0
    taxes = set(keys(found(rig, driver, "tax", by="meaning", limit=33)))
    rest = {f"{n:03}" for n in range(2, 100, 3) if kinds[n % len(kinds)] == "tax"}
    assert taxes <= {f"{n:03}" for n in range(1, 100, 3)} | rest
    before = keys(found(rig, driver, "truck", by="meaning", limit=100))
    rig.crash()
    driver.register()
    assert keys(found(rig, driver, "truck", by="meaning", limit=100)) == before
