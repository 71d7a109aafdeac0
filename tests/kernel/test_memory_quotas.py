"""Is memory counted, and given back when it is forgotten?"""

from __future__ import annotations

import pytest

from kernel.memory import _EXPIRED_AT_ONCE, _TIDIED_AT_ONCE
from llmagentos.abi.errors import ENOENT, EQUOTA, ESRCH
from tests.kernel.keeping import books, child, do, end, spawned, unchanged
from tests.kernel.rig import FakeHost, Rig

pytestmark = pytest.mark.usefixtures("booted")

OVERHEAD = 64


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
