"""Is what a process remembers kept, found, counted and forgotten as it should be?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel.effects import FromClient
from kernel.ledger import HELD, chain
from kernel.memory import _EXPIRED_AT_ONCE, _TIDIED_AT_ONCE
from kernel.process import Process
from kernel.store import Store
from llmagentos.abi.calls.mem import MAX_VALUE, MAX_WORDS
from llmagentos.abi.errors import EINVAL, ENOENT, EPERM, EQUOTA, ESRCH, from_wire
from llmagentos.abi.wire import Message
from tests.kernel.rig import FakeHost, Rig, agent

OVERHEAD = 64


class OnDisk(Rig):
    """A rig whose crash loses what was not committed, as a real one does."""

    def __init__(self, path: Path, **options: Any) -> None:
        super().__init__(**options)
        self._path = path
        self.store = Store(path)
        self.boot()

    def crash(self) -> None:
        self.store.close()
        self.store = Store(self._path)
        self.boot()


@pytest.fixture
def rig() -> Rig:
    rig = Rig()
    rig.wait(1)  # what a boot leaves to be done is done
    return rig


@pytest.fixture
def host(rig: Rig) -> FakeHost:
    return rig.host(slots=64)


def do(host: FakeHost, pid: int, name: str, /, **args: Any) -> dict[str, Any]:
    """A call of an agent; raises the error that it is answered with."""
    body = host.reply(host.act(pid, name, **args))
    assert body is not None
    if not body["ok"]:
        raise from_wire(body["error"])
    result: dict[str, Any] = body["result"]
    return result


def spawned(rig: Rig, name: str = "agent", allow: tuple[str, ...] = (), **spec: Any) -> int:
    allowed = {"allow": ["mem:*:rw", "proc:spawn", *allow]}
    return rig.spawn(agent(name, capabilities=allowed, **spec))


def child(host: FakeHost, parent: int, name: str = "child", **spec: Any) -> int:
    allowed = {"allow": ["mem:*:rw", "proc:spawn"]}
    manifest = agent(name, capabilities=allowed, **spec)
    pid: int = do(host, parent, "proc.spawn", manifest=manifest, text="go")["pid"]
    return pid


def gauges(process: Process) -> dict[str, int]:
    """What is counted on it of what can be given back, but for nothing."""
    held = {what: process.accounts[what] for what in HELD if what in process.accounts}
    return {what: account.spent for what, account in held.items() if account.spent}


def books(rig: Rig) -> dict[int, dict[str, int]]:
    """The gauges of everybody in the table and of all on whose budgets they draw; checked
    against what is really there."""
    everybody = {one.pid: one for process in rig.machine.table for one in chain(process)}
    there: dict[int, dict[str, int]] = {pid: {} for pid in everybody}
    for owner, what, amount in [*rig.store.memory.held(), *rig.store.files.held()]:
        process = rig.machine.table.find(owner)
        for one in chain(process) if process else ():
            there[one.pid][what] = there[one.pid].get(what, 0) + amount
    there = {pid: {w: n for w, n in held.items() if n} for pid, held in there.items()}
    assert {pid: gauges(one) for pid, one in everybody.items()} == there
    return there


def end(rig: Rig, pid: int) -> None:
    """Ended and collected."""
    rig.call("proc.kill", pid=pid, signal="KILL")
    rig.call("proc.wait", pid=pid)


@contextmanager
def unchanged(rig: Rig) -> Iterator[None]:
    def rows() -> list[Any]:
        return rig.store._connection.execute("SELECT * FROM memory ORDER BY id").fetchall()

    before, held = rows(), books(rig)
    yield
    assert (rows(), books(rig)) == (before, held)


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


def labels(rig: Rig, pid: int) -> list[str]:
    found: list[str] = rig.call("proc.info", pid=pid)["process"]["labels"]
    return found


def test_do_labels_go_with_the_row(rig: Rig, host: FakeHost) -> None:
    writer = spawned(rig, labels=["private"])
    do(host, writer, "mem.put", space="notes", key="x", value=1, labels=["draft"])
    assert rig.call("mem.get", space="notes", key="x")["labels"] == ["draft", "private"]
    assert labels(rig, 1) == []
    assert labels(rig, writer) == ["private"]


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
    assert labels(rig, reader) == ["mine", "private"]
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
    assert labels(rig, reader) == []


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
    assert labels(rig, kid) == []
    do(host, kid, "mem.get", key="x")
    assert labels(rig, kid) == ["private"]


# -- quotas -----------------------------------------------------------------------------------


def test_does_a_row_count_as_long_as_it_is_there(rig: Rig) -> None:
    took = rig.call("mem.put", key="é", value="ü")["bytes"]
    assert took == len("é".encode()) + len('"ü"'.encode()) + OVERHEAD
    assert books(rig)[1] == {"memory_rows": 1, "memory_bytes": took}
    longer = rig.call("mem.put", key="é", value="a longer one")["bytes"]
    assert books(rig)[1] == {"memory_rows": 1, "memory_bytes": longer}
    rig.call("mem.put", key="é", value="")
    rig.call("mem.delete", key="é")
    assert books(rig)[1] == {}


def test_is_one_row_too_many_refused_and_nothing_changed(rig: Rig, host: FakeHost) -> None:
    pid = spawned(rig, limits={"memory_rows": 2})
    for key in ("a", "b"):
        do(host, pid, "mem.put", key=key, value=1)
    with unchanged(rig), pytest.raises(EQUOTA, match="0 of its 2 memory rows left"):
        do(host, pid, "mem.put", key="c", value=1)
    do(host, pid, "mem.put", key="b", value=2)
    do(host, pid, "mem.delete", key="a")
    do(host, pid, "mem.put", key="c", value=1)


def test_is_one_byte_too_many_refused_and_nothing_changed(rig: Rig, host: FakeHost) -> None:
    pid = spawned(rig, limits={"memory_bytes": OVERHEAD + 1 + 12})
    with unchanged(rig), pytest.raises(EQUOTA, match="memory bytes"):
        do(host, pid, "mem.put", key="a", value="x" * 11)
    do(host, pid, "mem.put", key="a", value="x" * 9)
    with unchanged(rig), pytest.raises(EQUOTA, match="memory bytes"):
        do(host, pid, "mem.put", key="a", value="x" * 11)
    do(host, pid, "mem.put", key="a", value="x" * 10)


def test_can_children_together_not_remember_more_than_their_parent_may(
    rig: Rig, host: FakeHost
) -> None:
    parent = spawned(rig, limits={"memory_rows": 100})
    kids = [child(host, parent, f"c{n}") for n in range(4)]
    refused = 0
    for number in range(200):
        try:
            do(host, kids[number % 4], "mem.put", space="notes", key=f"k{number}", value=number)
        except EQUOTA:
            refused += 1
    assert refused == 100
    assert books(rig)[parent]["memory_rows"] == 100
    assert [books(rig)[kid]["memory_rows"] for kid in kids] == [25] * 4


def test_is_the_own_space_of_a_child_on_its_own_quota(rig: Rig, host: FakeHost) -> None:
    parent = spawned(rig)
    kid = child(host, parent, limits={"memory_rows": 1})
    do(host, parent, "mem.put", pid=kid, key="x", value=1)
    with pytest.raises(EQUOTA, match=f"process {kid} "):
        do(host, parent, "mem.put", pid=kid, key="y", value=1)
    assert books(rig)[kid]["memory_rows"] == 1


def test_does_a_shared_row_count_for_whoever_wrote_it_last(rig: Rig, host: FakeHost) -> None:
    one, two = spawned(rig, "one"), spawned(rig, "two")
    do(host, one, "mem.put", space="notes", key="x", value="a")
    do(host, two, "mem.put", space="notes", key="x", value="bb")
    held = books(rig)
    assert held[one] == {}
    assert held[two] == held[1] == {"memory_rows": 1, "memory_bytes": OVERHEAD + 1 + 4}


def test_needs_a_relative_no_room_above_for_a_row_that_it_takes_over(
    rig: Rig, host: FakeHost
) -> None:
    parent = spawned(rig, limits={"memory_rows": 1})
    one, two = child(host, parent, "one"), child(host, parent, "two")
    do(host, one, "mem.put", space="notes", key="x", value=1)
    do(host, two, "mem.put", space="notes", key="x", value=2)
    assert (books(rig)[one], books(rig)[two]["memory_rows"]) == ({}, 1)


def test_stays_a_row_where_it_is_when_another_can_not_take_it_over(
    rig: Rig, host: FakeHost
) -> None:
    one, two = spawned(rig, "one"), spawned(rig, "two", limits={"memory_bytes": 70})
    do(host, one, "mem.put", space="notes", key="x", value="short")
    with unchanged(rig), pytest.raises(EQUOTA):
        do(host, two, "mem.put", space="notes", key="x", value="much longer")


# -- time -------------------------------------------------------------------------------------


def test_is_a_row_forgotten_when_its_time_is_over(rig: Rig) -> None:
    rig.call("mem.put", key="short", value="word", ttl=10.0)
    rig.call("mem.put", key="long", value="word", ttl="1m")
    rig.wait(9.9)
    assert rig.call("mem.get", key="short")["expires"] == pytest.approx(rig.now + 0.1)
    rig.now += 0.1  # the timer has not come yet
    for name, args in (("mem.get", {"key": "short"}), ("mem.get", {"key": "none"})):
        with pytest.raises(ENOENT):
            rig.call(name, **args)
    assert [row["key"] for row in rig.call("mem.list")["rows"]] == ["long"]
    assert [hit["row"]["key"] for hit in rig.call("mem.search", query="word")["hits"]] == ["long"]
    assert rig.call("mem.delete", key="short")["deleted"] is False
    rig.wait(60)
    assert books(rig)[1] == {}


def test_does_it_give_back_what_has_expired_by_itself(rig: Rig) -> None:
    for number, ttl in enumerate((30.0, 10.0, 20.0)):
        rig.call("mem.put", key=f"k{number}", value=1, ttl=ttl)
    seen = []
    for _ in range(4):
        seen.append(books(rig)[1].get("memory_rows", 0))
        rig.wait(10.1)
    assert seen == [3, 2, 1, 0]


def test_does_a_new_value_have_a_time_of_its_own(rig: Rig) -> None:
    rig.call("mem.put", key="x", value=1, ttl=10.0)
    rig.call("mem.put", key="x", value=2)
    rig.call("mem.put", key="y", value=1, ttl=10.0)
    rig.call("mem.put", key="y", value=2, ttl=20.0)
    rig.wait(11)
    assert [row["key"] for row in rig.call("mem.list")["rows"]] == ["x", "y"]
    rig.wait(10)
    assert [row["key"] for row in rig.call("mem.list")["rows"]] == ["x"]


def test_is_an_expired_row_a_new_one_when_it_is_put_again(rig: Rig) -> None:
    rig.call("mem.put", key="x", value=1, ttl=10.0)
    rig.now += 10
    assert rig.call("mem.put", key="x", value=2)["created"] is True
    assert rig.call("mem.get", key="x")["created"] == rig.now


def test_takes_what_has_expired_nobody_s_room(rig: Rig, host: FakeHost) -> None:
    pid = spawned(rig, limits={"memory_rows": 1})
    do(host, pid, "mem.put", key="x", value=1, ttl=10.0)
    rig.now += 10
    do(host, pid, "mem.put", key="y", value=1)


def test_is_much_that_expires_at_once_deleted_bit_by_bit(rig: Rig) -> None:
    many = _EXPIRED_AT_ONCE + 10
    for number in range(many):
        rig.call("mem.put", key=f"k{number}", value=1, ttl=10.0)
    rig.wait(10)
    assert books(rig)[1]["memory_rows"] == 10
    assert rig.call("mem.list")["rows"] == []
    rig.wait(0.2)
    assert books(rig)[1] == {}


def test_is_a_row_that_expired_among_many_a_new_one_too(rig: Rig) -> None:
    for number in range(_EXPIRED_AT_ONCE + 10):
        rig.call("mem.put", key=f"k{number}", value=1, ttl=10.0)
    rig.now += 10
    assert rig.call("mem.put", key=f"k{_EXPIRED_AT_ONCE + 5}", value=2)["created"] is True
    assert rig.call("mem.delete", key=f"k{_EXPIRED_AT_ONCE + 6}")["deleted"] is False
    rig.wait(1)
    assert books(rig)[1]["memory_rows"] == 1


def test_is_what_expires_while_the_kernel_is_down_forgotten_too(rig: Rig) -> None:
    rig.call("mem.put", key="x", value=1, ttl=10.0)
    rig.call("mem.put", key="y", value=1, ttl=30.0)
    rig.now += 20
    rig.crash()
    rig.wait(1)
    assert books(rig)[1]["memory_rows"] == 1
    rig.wait(10)
    assert books(rig)[1] == {}


# -- the end of a process ---------------------------------------------------------------------


def test_does_its_own_memory_go_when_a_process_is_collected(rig: Rig, host: FakeHost) -> None:
    many = _TIDIED_AT_ONCE + 5
    parent = spawned(rig)
    kid = child(host, parent)
    for number in range(many):
        do(host, kid, "mem.put", key=f"k{number}", value=number)
    do(host, parent, "mem.put", key="mine", value=1)
    rig.call("proc.kill", pid=kid, signal="KILL")
    assert books(rig)[parent]["memory_rows"] == many + 1
    rig.call("proc.wait", pid=kid)
    assert books(rig)[parent]["memory_rows"] == 1
    with pytest.raises(ESRCH):
        rig.call("mem.list", pid=kid)
    rig.crash()
    assert books(rig)[parent]["memory_rows"] == 1
    rig.wait(1)
    left = rig.store._connection.execute("SELECT space, key FROM memory").fetchall()
    assert left == [(f"proc/{parent}", "mine")]
    assert rig.store.memory.tidy(1) is False


def test_do_shared_rows_pass_to_whoever_answers_for_them(rig: Rig, host: FakeHost) -> None:
    parent = spawned(rig)
    kid = child(host, parent)
    do(host, kid, "mem.put", space="notes", key="x", value=1)
    before = books(rig)[parent]
    end(rig, kid)
    assert rig.call("mem.get", space="notes", key="x")["owner"] == parent
    assert books(rig)[parent] == before
    rig.crash()
    assert books(rig)[parent] == before
    rig.call("mem.delete", space="notes", key="x")
    assert books(rig)[parent] == books(rig)[1] == {}


def test_do_rows_pass_over_those_who_were_collected_before(rig: Rig, host: FakeHost) -> None:
    top = spawned(rig)
    middle = child(host, top, "middle")
    low, other = child(host, middle, "low"), child(host, middle, "other")
    for number, pid in enumerate((low, other)):
        do(host, pid, "mem.put", space="notes", key=f"k{number}", value=1)
    end(rig, middle)
    assert books(rig)[middle]["memory_rows"] == 2, "it pays for its orphans still"
    end(rig, low)
    assert rig.call("mem.get", space="notes", key="k0")["owner"] == top
    held = books(rig)
    assert [held[pid]["memory_rows"] for pid in (other, middle, top, 1)] == [1, 1, 2, 2]
    rig.crash()
    assert books(rig) == held
    end(rig, other)
    end(rig, top)
    assert rig.call("mem.get", space="notes", key="k1")["owner"] == 1
    assert books(rig) == {1: held[1]}


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


# -- words ------------------------------------------------------------------------------------


def found(rig: Rig, query: str, **args: Any) -> list[str]:
    return [hit["row"]["key"] for hit in rig.call("mem.search", query=query, **args)["hits"]]


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


def test_does_a_snippet_show_where_the_words_stand(rig: Rig) -> None:
    rig.call("mem.put", key="x", value=f"{'before ' * 50}the needle here{' after' * 50}")
    snippet = rig.call("mem.search", query="needle")["hits"][0]["snippet"]
    assert "the needle here" in snippet
    assert len(snippet) < 200


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


# -- crashes ----------------------------------------------------------------------------------


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
