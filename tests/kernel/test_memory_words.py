"""Is found what has the words, and nothing else?"""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel.effects import Tick
from kernel.memory import _INDEXED_AT_ONCE, _TIDIED_AT_ONCE
from kernel.memory_table import _AT_ONCE
from llmagentos.abi.calls.mem import MAX_VALUE, MAX_WORDS
from llmagentos.abi.errors import EINVAL
from tests.kernel.keeping import OnDisk, books, do, found, spawned
from tests.kernel.rig import FakeHost, Rig

pytestmark = pytest.mark.usefixtures("booted")

NOTES = {
    "birthday": {"who": "Ann", "when": "the third of May"},
    "diet": "Ann eats no meat; she likes noodles, and noodles only",
    "trip": ["Vienna", {"hotel": "Zur Rose", "nights": 3}],
    "well-known": "line one\nline two, déjà vu, C++ and AT&T: a_b",
}


@pytest.fixture
def noted(rig: Rig) -> Rig:
    for key, value in NOTES.items():
        rig.call("mem.put", key=key, value=value)
    return rig


@pytest.mark.parametrize(
    ("query", "keys"),
    [
        ("Ann", ["birthday", "diet"]),
        ("ANN may", ["birthday"]),
        ("may ann", ["birthday"]),
        ("birthdays", ["birthday"]),
        ("liked noodle", ["diet"]),
        ("rose 3", ["trip"]),
        ("hotel", ["trip"]),
        ("line two", ["well-known"]),
        ("deja", ["well-known"]),
        ("known well", ["well-known"]),
        ("well-known", ["well-known"]),
        ("one/line", ["well-known"]),
        ("b a", ["well-known"]),
        ("nline", []),
        ("Ann Vienna", []),
        ("An", []),
    ],
)
def test_are_the_rows_found_that_have_all_the_words(
    noted: Rig, query: str, keys: list[str]
) -> None:
    assert sorted(found(noted, query)) == keys


@pytest.mark.parametrize(
    "query",
    ['Ann OR Vienna', 'Ann NOT May', 'NEAR(Ann May)', 'words:Ann', 'room : Ann', 'Ann*', '^Ann',
     '"Ann', '"', "Ann' OR '1", '{words} : Ann', 'Ann + May', '-Ann', 'a\0Ann', 'AND', '((('],
)  # fmt: skip
def test_is_no_word_of_a_query_an_order_to_the_search_engine(noted: Rig, query: str) -> None:
    noted.call("mem.put", key="orders", value="or not near words room and 1 a")
    try:
        keys = found(noted, query)
    except EINVAL:
        assert not any(map(str.isalnum, query))
        return
    words = "".join(c if c.isalnum() else " " for c in query).lower().split()
    texts = {key: f"{key} {value}".lower() for key, value in NOTES.items()}
    texts["orders"] = "or not near words room and 1 a"
    assert set(keys) == {
        key for key, text in texts.items()
        if set(words) <= set("".join(c if c.isalnum() else " " for c in text).split())
    }  # fmt: skip


@pytest.mark.parametrize("query", ["...", " ", "\n", "()", "\u0301", "\u200b", "—", "\0"])
def test_is_a_query_without_a_word_refused(noted: Rig, query: str) -> None:
    with pytest.raises(EINVAL, match="no word"):
        noted.call("mem.search", query=query)


@settings(max_examples=60, deadline=None)
@given(query=st.text(min_size=1, max_size=1000))
def test_does_no_query_hurt_the_kernel(query: str) -> None:
    rig = Rig()
    rig.call("mem.put", key="x", value=query)
    try:
        keys = found(rig, query)
    except EINVAL:
        return
    assert keys in ([], ["x"])


def test_may_a_query_have_many_words_but_not_any_number(noted: Rig) -> None:
    noted.call("mem.put", key="all", value=" ".join(f"w{n}" for n in range(MAX_WORDS)))
    words = [f"w{n}" for n in range(MAX_WORDS + 1)]
    assert found(noted, " ".join(words[1:-1])) == ["all"]
    assert found(noted, " ".join([*words[:-1], *words[:-1]])) == ["all"]
    with pytest.raises(EINVAL, match=f"{MAX_WORDS + 1} words; the most is {MAX_WORDS}"):
        noted.call("mem.search", query=" ".join(words))


def test_are_only_rows_of_the_space_found(rig: Rig, host: FakeHost) -> None:
    pid = spawned(rig)
    rig.call("mem.put", key="mine", value="a word")
    rig.call("mem.put", space="notes", key="shared", value="a word")
    do(host, pid, "mem.put", key="its", value="a word")
    assert found(rig, "word") == ["mine"]
    assert found(rig, "word", space="notes") == ["shared"]
    assert found(rig, "word", pid=pid) == ["its"]
    assert found(rig, "word", space="none") == []
    rooms = rig.store._connection.execute("SELECT room FROM memory_words").fetchall()
    assert [found(rig, room, space=space) for (room,) in rooms for space in ("self", "notes")] == [
        [] for _ in range(6)
    ]


def test_is_only_what_a_row_says_now_found(rig: Rig) -> None:
    rig.call("mem.put", key="x", value="first")
    rig.call("mem.put", key="y", value="first")
    assert sorted(found(rig, "first")) == ["x", "y"]
    rig.call("mem.put", key="x", value="second")
    assert (found(rig, "first"), found(rig, "second")) == (["y"], ["x"])
    rig.call("mem.delete", key="y")
    assert found(rig, "first") == []
    rig.wait(1)
    assert (found(rig, "first"), found(rig, "second")) == ([], ["x"])


def test_come_the_best_first_and_how_good_they_are(noted: Rig) -> None:
    noted.call("mem.put", key="soup", value=f"noodles {'and other things ' * 20}")
    hits = noted.call("mem.search", query="noodles")["hits"]
    assert [hit["row"]["key"] for hit in hits] == ["diet", "soup"]
    assert hits[0]["score"] > hits[1]["score"] > 0
    assert hits[0]["row"]["value"] == NOTES["diet"]
    assert found(noted, "noodles", limit=1) == ["diet"]


@pytest.mark.parametrize(
    ("query", "shown"),
    [("needle", "the needle here"), ("NEEDLES", "the needle here"), ("here the", "the needle here"),
     ("9", "9 lives"), ("live 9", "9 lives")],
)  # fmt: skip
def test_does_a_snippet_show_where_a_word_stands(rig: Rig, query: str, shown: str) -> None:
    rig.call("mem.put", key="x", value=f"{'before ' * 50}the needle here\n{' after' * 50} 9 lives")
    part = rig.call("mem.search", query=query)["hits"][0]["snippet"]
    assert shown in part
    assert part.startswith("…")
    assert part.endswith("…") == (shown != "9 lives")
    assert len(part) < 200


def test_does_a_snippet_show_the_very_word_rather_than_one_like_it(rig: Rig) -> None:
    rig.call("mem.put", key="x", value=f"{'needs ' * 50}the needle here")
    assert "the needle here" in rig.call("mem.search", query="needle")["hits"][0]["snippet"]


def test_does_a_snippet_show_how_a_row_begins_if_nothing_better_is_known(rig: Rig) -> None:
    rig.call("mem.put", key="x", value=f"it begins {'and goes on ' * 50} déjà vu")
    assert rig.call("mem.search", query="deja")["hits"][0]["snippet"].startswith("x: it begins")


def test_does_a_row_that_says_a_word_over_and_over_hold_up_nobody(rig: Rig) -> None:
    rig.call("mem.put", key="x", value="w " * (MAX_VALUE // 2 - 2))
    begun = time.process_time()
    assert found(rig, "w x") == ["x"]
    assert time.process_time() - begun < 2


def index(rig: Rig) -> list[int]:
    rows = rig.store._connection.execute("SELECT rowid FROM memory_words ORDER BY rowid")
    return [row[0] for row in rows]


def test_are_words_indexed_later_and_a_few_at_a_time(rig: Rig) -> None:
    rig.wait(1)
    many = 2 * _TIDIED_AT_ONCE + 3
    for number in range(many):
        rig.call("mem.put", key=f"k{number}", value="word")
    assert index(rig) == []
    seen = set()
    while len(index(rig)) < many:
        rig.wait(0.01)
        seen.add(len(index(rig)))
    assert seen == {0, _TIDIED_AT_ONCE, 2 * _TIDIED_AT_ONCE, many}
    for number in range(many):
        rig.call("mem.put" if number % 2 else "mem.delete", key=f"k{number}",
                 **({"value": "new"} if number % 2 else {}))  # fmt: skip
    rig.wait(5)
    live = rig.store._connection.execute("SELECT id FROM memory ORDER BY id").fetchall()
    assert index(rig) == [row[0] for row in live]
    assert rig.machine.timers.next_due() is None or rig.machine.timers.next_due() > rig.now + 1


def test_are_large_rows_indexed_and_deleted_a_few_at_a_time(rig: Rig, host: FakeHost) -> None:
    pid = spawned(rig)
    large = "word " * (_AT_ONCE // 5 // 5 * 2)
    for number in range(5):
        do(host, pid, "mem.put", key=f"k{number}", value=large, ttl=10.0 if number < 3 else 100.0)
    seen = []
    for _ in range(3):
        seen.append(len(index(rig)))
        rig.store.memory.tidy(64)
    assert [*seen, len(index(rig))] == [0, 2, 4, 5]
    rig.now += 10
    rig.machine.handle(Tick(), rig.now)
    assert books(rig)[pid]["memory_rows"] == 3
    rig.wait(0.2)
    assert books(rig)[pid]["memory_rows"] == 2
    rig.wait(5)
    assert len(index(rig)) == 2
    for key in ("k3", "k4"):
        rig.call("mem.put", pid=pid, key=key, value="small")
    rig.wait(5)
    for key in ("k3", "k4"):
        rig.call("mem.put", pid=pid, key=key, value=2 * large)
    assert rig.store.memory.index(64) is True, "one that was small is large now"
    rig.call("mem.put", key="huge", value="word " * (_AT_ONCE // 5 + 1))
    assert found(rig, "huge word") == ["huge"]


def test_does_a_search_that_must_wait_for_the_index_let_others_go_on(rig: Rig) -> None:
    many = 3 * _INDEXED_AT_ONCE + 10
    for number in range(many):
        rig.call("mem.put", key=f"k{number:04}", value="word")
    with pytest.raises(EINVAL):
        rig.call("mem.search", query="...")
    first, second = (rig.send("mem.search", query=f"k{n:04} word") for n in (0, many - 1))
    gone = rig.send("mem.search", peer=b"gone", query="word")
    assert rig.call("sys.ping")
    rig.drop_client(b"gone")
    assert [call.id for call in rig.machine.memory._searches] == [first, second]
    assert rig.reply(first) is None
    rig.wait(0.05)
    for number, key in ((first, "k0000"), (second, f"k{many - 1:04}")):
        body = rig.reply(number)
        assert body is not None
        assert [hit["row"]["key"] for hit in body["result"]["hits"]] == [key]
    assert rig.reply(gone, b"gone") is None
    assert rig.machine.memory._searches == {}
    assert found(rig, "k0001 word") == ["k0001"]


def test_does_a_search_that_waits_see_what_came_after_it(rig: Rig) -> None:
    for number in range(_INDEXED_AT_ONCE + 1):
        rig.call("mem.put", key=f"k{number}", value="word")
    number = rig.send("mem.search", query="word late")
    for more in range(2 * _INDEXED_AT_ONCE):
        rig.call("mem.put", key=f"m{more}", value="late word" if more == 7 else "word")
    assert rig.reply(number) is None
    rig.wait(0.1)
    body = rig.reply(number)
    assert body is not None
    assert [hit["row"]["key"] for hit in body["result"]["hits"]] == ["m7"]


def test_is_the_index_right_after_a_crash(tmp_path: Path) -> None:
    rig = OnDisk(tmp_path / "state.db")
    rig.call("mem.put", key="x", value="first")
    assert found(rig, "first") == ["x"]
    rig.call("mem.delete", key="x")
    rig.crash()
    rig.call("mem.put", key="y", value="second")  # not under the id that x had in the index
    assert (found(rig, "first"), found(rig, "second")) == ([], ["y"])
    rig.call("mem.put", key="z", value="third")
    rig.crash()
    assert found(rig, "third") == ["z"]
    for value in ("fourth", "fifth"):
        rig.call("mem.put", key="z", value=value)
    rig.crash()
    assert (found(rig, "third"), found(rig, "fourth"), found(rig, "fifth")) == ([], [], ["z"])
