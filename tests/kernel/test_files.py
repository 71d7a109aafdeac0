"""Are files, versions and contents kept as they should be, and does none leave its mount?"""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmagentos.abi.errors import EBUSY, EINVAL, ENOENT, EPERM
from tests.kernel.keeping import contents, few, names, read, say, write
from tests.kernel.rig import Rig

# -- contents ---------------------------------------------------------------------------------


def test_is_what_was_written_read_again(rig: Rig) -> None:
    data = bytes(range(256)) * 1000
    told = write(rig, "/self/a/b.bin", data)
    assert told == {
        "path": "/self/a/b.bin", "version": 1, "size": len(data), "labels": [], "owner": 1,
        "hash": hashlib.sha256(data).hexdigest(), "time": rig.now, "deleted": False,
    }  # fmt: skip
    reply = say(rig, "fs.read", path="/self/a/b.bin")
    assert (reply.buffers, reply.body["result"]) == ((data,), told)
    assert rig.call("fs.stat", path="/self/a/b.bin") == told


def test_is_a_text_written_as_utf_8(rig: Rig) -> None:
    rig.call("fs.write", path="notes.txt", text="Grüße")
    assert read(rig, "/self/notes.txt").decode() == "Grüße"
    rig.call("fs.write", path="notes.txt", text="")
    assert read(rig, "notes.txt") == b""


def test_takes_a_write_one_content_and_no_more(rig: Rig) -> None:
    for buffers, more in (((), {}), ((b"a", b"b"), {}), ((b"a",), {"text": "b"})):
        with pytest.raises(EINVAL, match=r"takes one (content|buffer)"):
            say(rig, "fs.write", buffers, path="x", **more)
    assert names(rig) == []


@pytest.mark.parametrize(
    ("offset", "length", "part"),
    [(0, 3, b"012"), (4, 2, b"45"), (8, None, b"89"), (8, 99, b"89"), (10, 5, b""), (99, None, b""),
     (3, 0, b"")],
)  # fmt: skip
def test_can_a_part_be_read(rig: Rig, offset: int, length: int | None, part: bytes) -> None:
    write(rig, "x", b"0123456789")
    more = {} if length is None else {"length": length}
    assert read(rig, "x", offset=offset, **more) == part


def test_is_the_same_content_kept_once_and_no_longer_than_needed() -> None:
    rig = few(2)
    for path in ("a", "b", "/inbox/c"):
        write(rig, path, b"same")
    assert contents(rig) == 1
    for number in range(2):
        for path in ("a", "b"):
            write(rig, path, b"%d" % number)
    assert (contents(rig), read(rig, "/inbox/c")) == (3, b"same")
    for number in range(2):
        write(rig, "/inbox/c", b"%d" % number)
    assert contents(rig) == 2


# -- paths ------------------------------------------------------------------------------------


BAD = [
    "..", "../x", "/self/../x", "/inbox/../self/x", "/..", "a/../../x", "./x", "a/./b", "/self/.",
    "a//b", "//x", "/self//x", "a\0b", "a\nb", "/self/a\x7f", "a\x85b", "a\x1b[31m", "é" * 128,
    "/a b/x", "/:1/x", "/.hidden/x", "/-x/y", "/é/x", "/in\u202ebox/x", "/" + "m" * 64 + "/x",
    "x" * 256, "/".join(["x" * 100] * 11), "",
]  # fmt: skip


@pytest.mark.parametrize("path", BAD, ids=ascii)
@pytest.mark.parametrize(
    "name", ["fs.write", "fs.read", "fs.stat", "fs.delete", "fs.history", "fs.list", "fs.restore"]
)
def test_is_what_is_no_path_refused(rig: Rig, name: str, path: str) -> None:
    more = {"fs.write": {"text": "x"}, "fs.restore": {"version": 1}}.get(name, {})
    with pytest.raises(EINVAL):
        rig.call(name, path=path, **more)


@settings(max_examples=200, deadline=None)
@given(
    path=st.lists(
        st.sampled_from(["/", "..", ".", "self", "inbox", "a", ":1", "proc", "%", "_", " ", "0"]),
        min_size=1, max_size=8,
    ).map("".join)
)  # fmt: skip
def test_does_no_path_lead_out_of_its_mount(path: str) -> None:
    rig = Rig()
    pid, session = rig.program()
    options: dict[str, Any] = {"session": session, "peer": b"prog"}
    write(rig, "/self/kept", b"init's")
    write(rig, "/inbox/kept", b"shared")
    try:
        told = write(rig, path, b"new", **options)
    except (EINVAL, EPERM):
        return
    plain = path.removesuffix("/")
    assert told["path"] == (plain if path.startswith("/") else f"/self/{plain}")
    assert not {"", ".", ".."} & set(told["path"].split("/")[1:])
    if told["path"].startswith("/self/"):
        assert read(rig, told["path"], pid=pid) == b"new"
        assert names(rig) == ["/self/kept"]
    if told["path"] != "/inbox/kept":
        assert read(rig, "/inbox/kept") == b"shared"
    assert read(rig, "/self/kept") == b"init's"


def test_are_names_that_look_odd_only_names(rig: Rig) -> None:
    odd = ["a b", "%", "_", "*", "[x]", "'", "a'; DROP TABLE files; --", "é", "日本語", "...", "~",
           "-rf", "0", "/self/self/x"]  # fmt: skip
    for number, path in enumerate(odd):
        write(rig, path, b"%d" % number)
    assert [read(rig, path) for path in odd] == [b"%d" % n for n in range(len(odd))]
    assert len(names(rig, recursive=True)) == len(odd)


def test_can_a_mount_be_called_as_the_store_calls_its_own_folders(rig: Rig) -> None:
    for mount in ("proc", "1", "self.1", "0", "Z"):
        write(rig, f"/{mount}/x", mount)
    write(rig, "/self/x", "own")
    assert names(rig, "/") == ["0/", "1/", "Z/", "proc/", "self.1/", "self/"]
    assert read(rig, "/1/x") == b"1"
    assert read(rig, "/self/x") == b"own"


# -- files and folders ------------------------------------------------------------------------


def test_is_nothing_a_file_and_a_folder(rig: Rig) -> None:
    write(rig, "a/b/c")
    for path in ("a", "a/b", "/self/a/b/"):
        with pytest.raises(EINVAL, match="is a folder"):
            write(rig, path)
        for name in ("fs.read", "fs.stat", "fs.delete", "fs.history"):
            with pytest.raises(EINVAL, match="is a folder"):
                rig.call(name, path=path)
    for path in ("a/b/c/d", "a/b/c/d/e"):
        with pytest.raises(EINVAL, match="/self/a/b/c is a file"):
            write(rig, path)
    for path in ("a/b/cd", "a!", "b0", "b!", "b"):
        write(rig, path)
    assert names(rig, recursive=True) == [
        f"/self/{path}" for path in ("a!", "a/b/c", "a/b/cd", "b", "b!", "b0")
    ]


@pytest.mark.parametrize("path", ["/", "/self", "/self/", "/inbox", "/inbox/"])
def test_is_a_mount_no_file(rig: Rig, path: str) -> None:
    more = {"fs.write": {"text": "x"}, "fs.restore": {"version": 1}}
    for name in ("write", "read", "delete", "stat", "history", "restore"):
        with pytest.raises(EINVAL, match="is a folder"):
            rig.call(f"fs.{name}", path=path, **more.get(f"fs.{name}", {}))


def test_does_a_place_become_free_when_what_is_there_is_deleted(rig: Rig) -> None:
    write(rig, "a", b"file")
    rig.call("fs.delete", path="a")
    write(rig, "a/b", b"below")
    with pytest.raises(EINVAL, match="/self/a is a folder"):
        rig.call("fs.restore", path="a", version=1)
    rig.call("fs.delete", path="a/b")
    assert rig.call("fs.restore", path="a", version=1)["version"] == 3
    with pytest.raises(EINVAL, match="/self/a is a file"):
        rig.call("fs.restore", path="a/b", version=1)


# -- versions ---------------------------------------------------------------------------------


def test_has_each_write_a_version_of_its_own(rig: Rig) -> None:
    for number in (1, 2, 3):
        assert write(rig, "x", b"%d" % number)["version"] == number
        rig.wait(1)
    assert [read(rig, "x", version=n) for n in (1, 2, 3)] == [b"1", b"2", b"3"]
    assert read(rig, "x") == b"3"
    told = rig.call("fs.history", path="x")["versions"]
    assert [(v["version"], v["time"]) for v in told] == [
        (3, rig.now - 1), (2, rig.now - 2), (1, rig.now - 3),
    ]  # fmt: skip
    assert [v["version"] for v in rig.call("fs.history", path="x", limit=2)["versions"]] == [3, 2]


def test_stays_the_history_of_a_deleted_file(rig: Rig) -> None:
    write(rig, "x", b"1")
    gone = rig.call("fs.delete", path="x")
    assert (gone["version"], gone["deleted"], gone["size"], gone["hash"]) == (2, True, 0, "")
    for name in ("fs.read", "fs.stat", "fs.delete"):
        with pytest.raises(ENOENT, match="was deleted") as caught:
            rig.call(name, path="x")
        assert "fs.restore" in caught.value.hint
    assert names(rig) == []
    assert read(rig, "x", version=1) == b"1"
    assert rig.call("fs.stat", path="x", version=2)["deleted"] is True
    with pytest.raises(ENOENT, match="version 2 of /self/x is its deletion"):
        read(rig, "x", version=2)
    with pytest.raises(ENOENT, match="is its deletion"):
        rig.call("fs.restore", path="x", version=2)
    assert rig.call("fs.restore", path="x", version=1)["version"] == 3
    assert read(rig, "x") == b"1"
    rig.call("fs.delete", path="x")
    assert write(rig, "x", b"2")["version"] == 5


def test_is_a_missing_file_or_version_said_to_be_missing(rig: Rig) -> None:
    for name, more in (("fs.read", {}), ("fs.stat", {}), ("fs.delete", {}), ("fs.history", {}),
                       ("fs.read", {"version": 1}), ("fs.restore", {"version": 1})):  # fmt: skip
        with pytest.raises(ENOENT, match="there is no file /self/none"):
            rig.call(name, path="none", **more)
    write(rig, "x")
    for name in ("fs.read", "fs.stat", "fs.restore"):
        with pytest.raises(ENOENT, match="no version 7; the newest is 1"):
            rig.call(name, path="x", version=7)


def test_are_only_so_many_versions_kept() -> None:
    rig = few(3)
    for number in range(1, 6):
        write(rig, "x", b"%d" % number)
    rig.call("fs.delete", path="x")
    told = rig.call("fs.history", path="x")["versions"]
    assert [v["version"] for v in told] == [6, 5, 4]
    with pytest.raises(ENOENT, match="no version 3"):
        read(rig, "x", version=3)
    assert rig.call("fs.restore", path="x", version=4)["version"] == 7
    assert (read(rig, "x"), contents(rig)) == (b"4", 2)


def test_can_the_oldest_version_be_brought_back_as_it_gives_way() -> None:
    rig = few(2)
    write(rig, "x", b"one")
    write(rig, "x", b"two")
    rig.call("fs.restore", path="x", version=1)
    assert read(rig, "x") == b"one"


def test_does_a_write_meet_the_version_that_it_expects(rig: Rig) -> None:
    write(rig, "x", b"1", expect=0)
    with pytest.raises(EBUSY, match="is there already, at version 1") as caught:
        write(rig, "x", b"2", expect=0)
    assert caught.value.detail == {"version": 1}
    with pytest.raises(EBUSY, match="is at version 1, and version 2 was expected"):
        write(rig, "x", b"2", expect=2)
    assert read(rig, "x") == b"1"
    assert write(rig, "x", b"2", expect=1)["version"] == 2
    rig.call("fs.delete", path="x")
    with pytest.raises(EBUSY, match="is not there") as gone:
        write(rig, "x", b"3", expect=2)
    assert gone.value.detail == {"version": 0}
    assert write(rig, "x", b"3", expect=0)["version"] == 4
    assert rig.call("fs.delete", path="x")["version"] == 5
    assert write(rig, "x", b"4", expect=5)["version"] == 6
    with pytest.raises(EBUSY):
        write(rig, "none", b"", expect=1)
