"""Is a search that finds much the same as ever, though others have their turn in between?"""

from __future__ import annotations

from typing import Any

import pytest

from kernel import sweep
from tests.kernel.meaning import Embedder
from tests.kernel.rig import Program, Rig

pytestmark = pytest.mark.usefixtures("booted")

ROWS = 40


@pytest.fixture
def filled(rig: Rig) -> Rig:
    """With more rows than are ranked in one go: each has a word, and every third another one, the
    more often the higher its number."""
    rig.store.memory.slice = 7
    for number in range(ROWS):
        more = " second" * number if number % 3 == 0 else " filler"
        rig.call("mem.put", space="notes", key=f"k{number:02}", value=f"first{more}")
    return rig


def _asked(rig: Rig, query: str, **args: Any) -> int:
    return rig.send("mem.search", space="notes", query=query, by="words", **args)


def _hits(rig: Rig, number: int) -> list[tuple[str, float]]:
    rig.wait(0.1)
    return [(hit["row"]["key"], hit["score"]) for hit in rig.result(number)["hits"]]


@pytest.mark.parametrize("query", ["first", "second", "first second", "nothing", "second third"])
def test_does_it_find_the_same_as_all_in_one_go(filled: Rig, query: str) -> None:
    parts = _hits(filled, _asked(filled, query, limit=10))
    filled.store.memory.slice = 1000
    assert parts == _hits(filled, _asked(filled, query, limit=10))
    assert bool(parts) == (query in ("first", "second", "first second"))


def test_does_a_search_by_both_find_the_same_as_all_in_one_go(filled: Rig) -> None:
    driver = Embedder(filled)
    driver.catches_up()

    def both() -> dict[str, Any]:
        number = filled.send("mem.search", space="notes", query="first second", limit=12)
        driver.answers()
        filled.wait(0.1)
        return filled.result(number)

    parts = both()
    assert parts["by"] == "both"
    filled.store.memory.slice = 1000
    assert parts == both()


def test_do_others_have_their_turn_in_between(filled: Rig) -> None:
    first, second = _asked(filled, "first"), _asked(filled, "second")
    assert filled.reply(first) is None
    assert filled.call("sys.ping")
    # It finds 14 rows where the other one finds 40, and need not wait for that.
    while filled.reply(second) is None:
        filled.wait(0.001)
    assert filled.reply(first) is None
    assert len(_hits(filled, first)) == 10


def test_is_a_row_told_as_it_is_at_the_end(filled: Rig) -> None:
    """One that is labelled meanwhile labels who reads it; one that is gone is not told."""
    reader = Program(filled, "reader", "mem:notes:r")
    number = reader.start("mem.search", space="notes", query="second", by="words", limit=3)
    assert reader.reply(number) is None
    filled.call("mem.put", space="notes", key="k39", value="secret second", labels=["private"])
    filled.call("mem.delete", space="notes", key="k36")
    filled.wait(0.1)
    told = [hit["row"]["key"] for hit in reader.result(number)["hits"]]
    assert "k36" not in told
    assert "k39" in told
    assert filled.labels(reader.pid) == ["private"]


def test_does_nothing_go_on_for_one_who_has_gone(filled: Rig) -> None:
    number = filled.send("mem.search", space="notes", query="first", by="words", peer=b"gone")
    waits = _asked(filled, "first")
    filled.drop_client(b"gone")
    assert [call.id for call in filled.machine.memory._sweeps] == [waits]
    assert len(_hits(filled, waits)) == 10
    assert filled.reply(number, b"gone") is None
    assert not filled.machine.memory.sweeps


@pytest.mark.parametrize(("kept", "some"), [(600, True), (5, False)])
def test_is_looked_for_some_of_the_words_only_where_too_few_have_all(
    filled: Rig, monkeypatch: pytest.MonkeyPatch, kept: int, *, some: bool
) -> None:
    monkeypatch.setattr(sweep, "_KEPT", kept)
    looks = filled.machine.memory.sweep("notes", "first second", True, False)
    assert looks is not None
    while looks.step():
        pass
    assert looks.found(True, filled.now, 3)[0].key == "k39"
    assert bool(looks.found(False, filled.now, 3)) is some


def test_are_equals_told_in_their_order(filled: Rig) -> None:
    found = _hits(filled, _asked(filled, "filler", limit=5))
    assert [key for key, _ in found] == ["k01", "k02", "k04", "k05", "k07"]


def test_is_but_one_look_made_in_a_turn(filled: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    ranked = filled.store.memory.ranked

    def noted(space: str, words: list[str], *rest: int, every: bool) -> Any:
        made.append(words[0])
        return ranked(space, words, *rest, every=every)

    monkeypatch.setattr(filled.store.memory, "ranked", noted)
    for query in ("first", "second"):
        _asked(filled, query)
    assert made == ["first"]
    for _ in range(4):
        filled.wait(0.001)
    assert made[:5] == ["first", "first", "second", "first", "second"]
