"""Is what a process remembers kept, for it and for whom it may concern?"""

from __future__ import annotations

from typing import Any

import pytest

from kernel.effects import FromClient
from llmagentos.abi.calls.mem import MAX_VALUE
from llmagentos.abi.errors import EINVAL, ENOENT, EPERM, EQUOTA, ESRCH
from llmagentos.abi.wire import Message
from tests.kernel.keeping import books, child, do, spawned, unchanged
from tests.kernel.rig import FakeHost, Rig, agent

pytestmark = pytest.mark.usefixtures("booted")

# -- rows -------------------------------------------------------------------------------------


def test_is_what_was_put_there_again(rig: Rig) -> None:
    value = {"who": "Ann", "when": [1, 2.5, None, True], "é": "ü\n\0"}
    assert rig.call("mem.put", key="note", value=value)["created"] is True
    row = rig.call("mem.get", key="note")
    assert (row["value"], row["space"], row["owner"], row["labels"]) == (value, "self", 1, [])
    assert (row["created"], row["updated"], row["expires"]) == (rig.now, rig.now, None)


def test_does_a_new_value_take_the_place_of_the_old_one(rig: Rig) -> None:
    rig.call("mem.put", key="note", value="old")
    begun = rig.now
    rig.wait(5)
    assert rig.call("mem.put", key="note", value="new")["created"] is False
    row = rig.call("mem.get", key="note")
    assert (row["value"], row["created"], row["updated"]) == ("new", begun, begun + 5)
    assert len(rig.call("mem.list")["rows"]) == 1


def test_is_a_missing_row_said_to_be_missing(rig: Rig) -> None:
    with pytest.raises(ENOENT, match="no row 'x' in the space self"):
        rig.call("mem.get", key="x")
    assert rig.call("mem.delete", key="x")["deleted"] is False


def test_is_a_deleted_row_gone(rig: Rig) -> None:
    rig.call("mem.put", key="x", value=1)
    assert rig.call("mem.delete", key="x")["deleted"] is True
    with pytest.raises(ENOENT):
        rig.call("mem.get", key="x")
    assert books(rig)[1] == {}


@pytest.mark.parametrize("key", ["", "a\0b", "a\nb", "\x7f", "x" * 513])
def test_is_what_is_no_key_refused(rig: Rig, key: str) -> None:
    with pytest.raises(EINVAL):
        rig.call("mem.put", key=key, value=1)


@pytest.mark.parametrize("space", ["proc/1", "", "a b", "../x", "x" * 64])
def test_is_what_is_no_space_refused(rig: Rig, space: str) -> None:
    with pytest.raises(EINVAL):
        rig.call("mem.get", space=space, key="x")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**53 + 1, {"a": [2**60]}])
def test_is_a_value_that_json_can_not_say_refused(rig: Rig, value: Any) -> None:
    with pytest.raises(EINVAL):
        rig.call("mem.put", key="x", value=value)


def test_is_a_value_that_is_too_large_refused(rig: Rig) -> None:
    with unchanged(rig), pytest.raises(EQUOTA, match="the most is") as caught:
        rig.call("mem.put", key="x", value="é" * (MAX_VALUE // 2))
    assert "fs.write" in caught.value.hint
    rig.call("mem.put", key="x", value="é" * (MAX_VALUE // 2 - 1))
    assert len(rig.call("mem.get", key="x")["value"]) == MAX_VALUE // 2 - 1


def test_does_an_ordinary_put_write_nothing_of_the_process(rig: Rig) -> None:
    _, session = rig.program()
    message = Message("call", 1, "mem.put", session, {"key": "x", "value": 1})
    effects = rig.machine.handle(FromClient(b"prog", message), rig.now)
    assert {row.table for row in effects.rows} == {"replays"}


# -- whose it is ------------------------------------------------------------------------------


def test_has_each_process_a_space_of_its_own(rig: Rig, host: FakeHost) -> None:
    one, two = spawned(rig), spawned(rig)
    do(host, one, "mem.put", key="x", value="one's")
    do(host, two, "mem.put", key="x", value="two's")
    assert do(host, one, "mem.get", key="x")["value"] == "one's"
    assert rig.call("mem.get", pid=two, key="x")["value"] == "two's"
    with pytest.raises(EPERM):
        do(host, one, "mem.get", pid=two, key="x")
    with pytest.raises(ENOENT):
        rig.call("mem.get", key="x")


def test_may_a_parent_see_and_write_the_memory_of_its_child(rig: Rig, host: FakeHost) -> None:
    parent = spawned(rig)
    kid = child(host, parent)
    do(host, parent, "mem.put", pid=kid, key="task", value="count")
    assert do(host, kid, "mem.get", key="task")["owner"] == kid
    do(host, parent, "mem.put", pid=kid, space="notes", key="x", value=1)
    assert do(host, kid, "mem.get", space="notes", key="x")["owner"] == parent
    do(host, kid, "mem.put", key="result", value=3)
    assert do(host, parent, "mem.get", pid=kid, key="result")["value"] == 3
    with pytest.raises(EPERM):
        do(host, kid, "mem.get", pid=parent, key="x")


def test_is_a_shared_space_shared_by_capability(rig: Rig, host: FakeHost) -> None:
    writer = rig.spawn(agent("w", capabilities={"allow": ["mem:notes:rw"]}))
    reader = rig.spawn(agent("r", capabilities={"allow": ["mem:notes:r"]}))
    other = rig.spawn(agent("o"))
    do(host, writer, "mem.put", space="notes", key="x", value=1)
    row = do(host, reader, "mem.get", space="notes", key="x")
    assert (row["value"], row["owner"], row["space"]) == (1, writer, "notes")
    for pid, name in ((reader, "mem.put"), (other, "mem.put"), (writer, "mem.put")):
        space = "else" if pid == writer else "notes"
        with pytest.raises(EPERM):
            do(host, pid, name, space=space, key="y", value=2)
    with pytest.raises(EPERM):
        do(host, other, "mem.search", space="notes", query="x")


@pytest.mark.parametrize(
    ("name", "args"),
    [("mem.put", {"key": "x", "value": 1}), ("mem.get", {"key": "x"}), ("mem.list", {}),
     ("mem.delete", {"key": "x"}), ("mem.search", {"query": "x"})],
)  # fmt: skip
@pytest.mark.parametrize("space", ["self", "notes"])
def test_is_there_no_memory_of_a_process_that_never_was(
    rig: Rig, name: str, args: dict[str, Any], space: str
) -> None:
    with pytest.raises(ESRCH):
        rig.call(name, pid=99, space=space, **args)


def test_can_the_memory_of_one_that_ended_be_read_and_not_written(rig: Rig, host: FakeHost) -> None:
    pid = spawned(rig)
    do(host, pid, "mem.put", key="x", value=1)
    rig.call("proc.kill", pid=pid, signal="KILL")
    assert rig.call("mem.get", pid=pid, key="x")["value"] == 1
    with pytest.raises(EINVAL, match="has ended"):
        rig.call("mem.put", pid=pid, key="x", value=2)
    with pytest.raises(EINVAL, match="has ended"):
        rig.call("mem.delete", pid=pid, key="x")
    rig.call("mem.put", pid=pid, space="notes", key="x", value=2)


# -- labels -----------------------------------------------------------------------------------


def test_do_labels_go_with_the_row(rig: Rig, host: FakeHost) -> None:
    writer = spawned(rig, labels=["private"])
    do(host, writer, "mem.put", space="notes", key="x", value=1, labels=["draft"])
    assert rig.call("mem.get", space="notes", key="x")["labels"] == ["draft", "private"]
    assert rig.labels(1) == []
    assert rig.labels(writer) == ["private"]


@pytest.mark.parametrize(
    ("name", "args"),
    [("mem.get", {"key": "secret"}), ("mem.search", {"query": "hush"}), ("mem.list", {})],
)
def test_is_whoever_reads_labelled(
    rig: Rig, host: FakeHost, name: str, args: dict[str, Any]
) -> None:
    rig.call("mem.put", space="notes", key="secret", value="hush", labels=["private"])
    reader = spawned(rig, labels=["mine"])
    do(host, reader, name, space="notes", **args)
    assert rig.labels(reader) == ["mine", "private"]
    told = [event for event in rig.events if event["type"] == "proc.labelled"]
    assert told[-1]["data"] == {"labels": ["private"], "source": "memory, space notes"}


def test_is_nobody_labelled_by_what_was_not_shown(rig: Rig, host: FakeHost) -> None:
    rig.call("mem.put", space="notes", key="a", value="plain")
    rig.call("mem.put", space="notes", key="b", value="hush", labels=["private"])
    rig.call("mem.put", space="other", key="a", value="plain", labels=["private"])
    reader = spawned(rig)
    do(host, reader, "mem.list", space="notes", limit=1)
    do(host, reader, "mem.search", space="notes", query="plain")
    do(host, reader, "mem.get", space="notes", key="a")
    with pytest.raises(ENOENT):
        do(host, reader, "mem.get", space="notes", key="c")
    assert rig.labels(reader) == []


def test_do_labels_pass_from_process_to_process_through_memory(rig: Rig, host: FakeHost) -> None:
    parent = spawned(rig)
    kid = child(host, parent, labels=["private"])
    do(host, kid, "mem.put", key="x", value=1)
    do(host, parent, "mem.get", pid=kid, key="x")
    do(host, parent, "mem.put", space="notes", key="y", value=2)
    assert rig.call("mem.get", space="notes", key="y")["labels"] == ["private"]


def test_does_an_own_space_carry_the_labels_of_whoever_writes_into_it(
    rig: Rig, host: FakeHost
) -> None:
    parent = spawned(rig)
    kid = child(host, parent)
    rig.call("proc.info", pid=kid)
    rig.call("mem.put", space="notes", key="s", value=1, labels=["private"])
    do(host, parent, "mem.get", space="notes", key="s")
    do(host, parent, "mem.put", pid=kid, key="x", value=1)
    assert rig.labels(kid) == []
    do(host, kid, "mem.get", key="x")
    assert rig.labels(kid) == ["private"]


# -- lists ------------------------------------------------------------------------------------


def test_are_the_rows_listed_by_key_and_page_by_page(rig: Rig) -> None:
    keys = ["a", "b/1", "b/2", "b/2 ", "b/é", "b/\U0001f600", "b0", "c"]
    for key in reversed(keys):
        rig.call("mem.put", key=key, value=key)
    rig.call("mem.put", space="notes", key="b/other", value=1)
    assert [row["key"] for row in rig.call("mem.list")["rows"]] == keys
    found: list[str] = []
    after, more = "", True
    while more:
        page = rig.call("mem.list", prefix="b/", after=after, limit=2)
        found += [row["key"] for row in page["rows"]]
        after, more = found[-1], page["more"]
    assert found == keys[1:6]
    assert rig.call("mem.list", prefix="b/", after="c")["rows"] == []
    assert rig.call("mem.list", prefix="b/", after="a", limit=1)["rows"][0]["key"] == "b/1"


def test_does_a_list_tell_all_but_the_values(rig: Rig) -> None:
    took = rig.call("mem.put", key="x", value="v", labels=["private"], ttl=10.0)["bytes"]
    assert rig.call("mem.list")["rows"] == [
        {
            "key": "x", "bytes": took, "labels": ["private"], "owner": 1,
            "updated": rig.now, "expires": rig.now + 10,
        }
    ]  # fmt: skip
