"""Is memory what it was after a crash, and always what a dict would be?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from kernel.effects import FromClient
from llmagentos.abi.wire import Message
from tests.kernel.keeping import OnDisk, books, found
from tests.kernel.rig import Rig


def test_is_a_turn_that_was_not_committed_lost_altogether(tmp_path: Path) -> None:
    rig = OnDisk(tmp_path / "state.db")
    pid, session = rig.program("kept")
    options = {"session": session, "peer": b"prog"}
    rig.call("mem.put", key="x", value="old word", **options)
    rig.call("mem.search", query="word", **options)
    before = books(rig)

    def apply(number: int, name: str, **args: Any) -> None:
        message = Message("call", 10**6 + number, name, session, args)
        rig.machine.apply(FromClient(b"prog", message), rig.now)

    apply(1, "mem.put", key="x", value="a new and longer word")
    apply(2, "mem.put", space="notes", key="y", value="word")
    apply(3, "mem.search", query="word")
    apply(4, "mem.delete", key="x")
    rig.crash()
    assert books(rig) == before
    assert rig.call("mem.get", key="x", **options)["value"] == "old word"
    assert found(rig, "word", pid=pid) == ["x"]
    assert rig.call("mem.list", space="notes")["rows"] == []


def test_does_a_repeated_put_take_effect_once(tmp_path: Path) -> None:
    rig = OnDisk(tmp_path / "state.db")
    _, session = rig.program("kept")
    options: dict[str, Any] = {"session": session, "peer": b"prog", "key": "x"}
    first = rig.call("mem.put", id=77, value=1, **options)
    rig.call("mem.put", id=78, value=2, **options)
    rig.crash()
    assert rig.call("mem.put", id=77, value=1, **options) == first
    assert rig.call("mem.get", **options)["value"] == 2


KEYS = st.sampled_from(["a", "b", "c/1", "c/2"])
SPACES = st.sampled_from(["self", "notes"])
VALUES = st.sampled_from(["red fox", "red hen", {"hen": ["grey", 7]}, 7])
STEPS = st.one_of(
    st.tuples(st.just("put"), SPACES, KEYS, VALUES, st.sampled_from([None, None, 5.0, 50.0])),
    st.tuples(st.just("delete"), SPACES, KEYS),
    st.tuples(st.just("search"), SPACES, st.sampled_from(["red", "hen", "7", "fox red"])),
    st.tuples(st.just("wait"), st.sampled_from([0.01, 4.0, 6.0, 60.0])),
    st.tuples(st.just("crash")),
)
WORDS = {"red fox": {"red", "fox"}, "red hen": {"red", "hen"}, "7": {"7"}}


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(STEPS, max_size=30))
def test_is_memory_what_a_dict_would_be(steps: list[tuple[Any, ...]]) -> None:
    rig = Rig()
    _, session = rig.program("one")
    options: dict[str, Any] = {"session": session, "peer": b"prog"}
    model: dict[tuple[str, str], tuple[Any, float | None]] = {}

    def words(key: str, value: Any) -> set[str]:
        said = {"hen", "grey", "7"} if isinstance(value, dict) else WORDS[str(value)]
        return said | set(key.split("/"))

    for step, *args in steps:
        model = {k: v for k, v in model.items() if v[1] is None or v[1] > rig.now}
        if step == "put":
            space, key, value, ttl = args
            made = rig.call("mem.put", space=space, key=key, value=value,
                            **({"ttl": ttl} if ttl else {}), **options)  # fmt: skip
            assert made["created"] == ((space, key) not in model)
            model[space, key] = value, rig.now + ttl if ttl else None
        elif step == "delete":
            space, key = args
            gone = rig.call("mem.delete", space=space, key=key, **options)["deleted"]
            assert gone == (model.pop((space, key), None) is not None)
        elif step == "search":
            space, query = args
            assert set(found(rig, query, space=space, **options)) == {
                key for (where, key), (value, _) in model.items()
                if where == space and set(query.split()) <= words(key, value)
            }  # fmt: skip
        elif step == "wait":
            rig.wait(args[0])
        else:
            held = books(rig)
            rig.crash()
            assert books(rig) == held
        model = {k: v for k, v in model.items() if v[1] is None or v[1] > rig.now}
        for space in ("self", "notes"):
            rows = rig.call("mem.list", space=space, **options)["rows"]
            there = {key: value for (where, key), value in model.items() if where == space}
            assert [row["key"] for row in rows] == sorted(there)
            for key, (value, expires) in there.items():
                row = rig.call("mem.get", space=space, key=key, **options)
                assert (row["value"], row["expires"]) == (value, expires)
    rig.wait(0.1)
    assert sum(held.get("memory_rows", 0) for held in [books(rig)[1]]) == len(model)
