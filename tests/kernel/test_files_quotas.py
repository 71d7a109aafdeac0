"""Are files counted, and given back when their process is gone?"""

from __future__ import annotations

import pytest

from kernel.file_table import _AT_ONCE as FILES_AT_ONCE
from kernel.files import _TIDIED_AT_ONCE as FILES_TIDIED
from llmagentos.abi.errors import EQUOTA, ESRCH
from tests.kernel.keeping import books, contents, do, end, few, read, write
from tests.kernel.rig import FakeHost, Rig, agent

# -- quotas -----------------------------------------------------------------------------------


def test_counts_every_version_that_is_kept() -> None:
    rig = few(3)
    expected = [1, 1 + 10, 11 + 100, 110 + 1000, 1100, 1000 + 1000]
    for number, size in enumerate(expected):
        if number == 4:
            rig.call("fs.delete", path="x")
        elif number == 5:
            rig.call("fs.restore", path="x", version=4)
        else:
            write(rig, "x", b"x" * 10**number)
        assert books(rig)[1] == {"storage_bytes": size}


def test_is_one_byte_too_many_refused_and_nothing_changed(rig: Rig, host: FakeHost) -> None:
    pid = rig.spawn(agent(limits={"storage_bytes": 10}))
    do(host, pid, "fs.write", path="x", text="123456")
    before, kept = books(rig), contents(rig)
    for path, name, more in (("x", "fs.write", {"text": "12345"}),
                             ("y", "fs.write", {"text": "12345"}),
                             ("x", "fs.restore", {"version": 1})):  # fmt: skip
        with pytest.raises(EQUOTA, match="4 of its 10 storage bytes left"):
            do(host, pid, name, path=path, **more)
    assert (books(rig), contents(rig)) == (before, kept)
    assert len(rig.call("fs.history", pid=pid, path="x")["versions"]) == 1
    do(host, pid, "fs.write", path="y", text="1234")
    do(host, pid, "fs.delete", path="x")


def test_does_the_oldest_version_make_room_for_the_newest() -> None:
    rig = few(2)
    host = rig.host()
    pid = rig.spawn(agent(limits={"storage_bytes": 10}))
    for text in ("12345", "12345", "54321"):
        do(host, pid, "fs.write", path="x", text=text)
    with pytest.raises(EQUOTA):
        do(host, pid, "fs.write", path="x", text="123456")
    assert books(rig)[pid] == {"storage_bytes": 10}
    assert len(rig.call("fs.history", pid=pid, path="x")["versions"]) == 2


def test_can_children_together_not_keep_more_than_their_parent_may(
    rig: Rig, host: FakeHost
) -> None:
    allowed = {"allow": ["proc:spawn", "fs:/inbox:rw"]}
    parent = rig.spawn(agent("p", capabilities=allowed, limits={"storage_bytes": 1000}))
    kids = [
        do(host, parent, "proc.spawn", manifest=agent("c", capabilities=allowed), text="x")["pid"]
        for _ in range(4)
    ]
    refused = 0
    for number in range(200):
        path = f"/{'inbox' if number % 2 else 'self'}/f{number}"
        try:
            do(host, kids[number % 4], "fs.write", path=path, text=f"{number:010}")
        except EQUOTA:
            refused += 1
    assert refused == 100
    assert books(rig)[parent] == {"storage_bytes": 1000}


def test_counts_each_version_for_whoever_wrote_it(rig: Rig, host: FakeHost) -> None:
    allowed = {"allow": ["fs:/inbox:rw"]}
    one, two = (rig.spawn(agent(name, capabilities=allowed)) for name in ("one", "two"))
    do(host, one, "fs.write", path="/inbox/x", text="1")
    do(host, two, "fs.write", path="/inbox/x", text="22")
    do(host, one, "fs.restore", path="/inbox/x", version=2)
    held = books(rig)
    assert (held[one], held[two]) == ({"storage_bytes": 3}, {"storage_bytes": 2})


# -- the end of a process ---------------------------------------------------------------------


def test_do_its_own_files_go_when_a_process_is_collected(rig: Rig, host: FakeHost) -> None:
    pid, other = rig.spawn(), rig.spawn(agent("other"))
    for number in range(FILES_TIDIED + 3):
        do(host, pid, "fs.write", path=f"f{number}", text=f"{number}")
    do(host, other, "fs.write", path="f1", text="1")
    do(host, other, "fs.write", path="empty", text="")
    end(rig, pid)
    assert books(rig)[1] == {"storage_bytes": 1}
    with pytest.raises(ESRCH):
        rig.call("fs.list", pid=pid)
    rig.crash()
    assert books(rig)[1] == {"storage_bytes": 1}
    rig.wait(1)
    assert contents(rig) == 2
    assert read(rig, "f1", pid=other) == b"1"


def test_are_large_files_of_it_deleted_a_few_at_a_time(rig: Rig, host: FakeHost) -> None:
    pid = rig.spawn()
    for number in range(5):
        write(rig, f"f{number}", bytes([number]) * (FILES_AT_ONCE // 5 * 2), pid=pid)
    write(rig, "f5", bytes(FILES_AT_ONCE + 1), pid=pid)
    end(rig, pid)
    seen = []
    while rig.store.files.tidy(16):
        seen.append(contents(rig))
        assert len(seen) < 9
    assert seen == [4, 2, 1, 0, 0]


def test_do_shared_files_pass_to_whoever_answers_for_them(rig: Rig, host: FakeHost) -> None:
    allowed = {"allow": ["proc:spawn", "fs:/inbox:rw"]}
    top = rig.spawn(agent("top", capabilities=allowed))
    manifest = agent("c", capabilities=allowed)
    middle = do(host, top, "proc.spawn", manifest=manifest, text="x")["pid"]
    low, other = (
        do(host, middle, "proc.spawn", manifest=manifest, text="x")["pid"] for _ in range(2)
    )
    do(host, low, "fs.write", path="/inbox/x", text="1")
    do(host, low, "fs.write", path="/inbox/x", text="22")
    do(host, other, "fs.write", path="/inbox/x", text="333")
    end(rig, middle)
    end(rig, low)
    told = rig.call("fs.history", path="/inbox/x")["versions"]
    assert [v["owner"] for v in told] == [other, top, top]
    held = books(rig)
    assert held[top] == held[1] == {"storage_bytes": 6}
    assert held[other] == held[middle] == {"storage_bytes": 3}
    rig.crash()
    assert books(rig) == held
