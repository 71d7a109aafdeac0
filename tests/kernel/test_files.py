"""Are files, versions and contents kept as they should be, and does none leave its mount?"""

from __future__ import annotations

import hashlib
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel.config import Config
from kernel.effects import FromClient
from kernel.files import _TIDIED_AT_ONCE
from llmagentos.abi.errors import (
    EBUSY,
    EINVAL,
    ENOENT,
    EPERM,
    EQUOTA,
    ESRCH,
    LLMOSError,
    from_wire,
)
from llmagentos.abi.wire import Message
from tests.kernel.rig import MODEL, USER, FakeHost, Rig, agent
from tests.kernel.test_memory import OnDisk, books, do, end, labels

IDS = count(10**6)


@pytest.fixture
def rig() -> Rig:
    return Rig()


@pytest.fixture
def host(rig: Rig) -> FakeHost:
    return rig.host(slots=64)


def say(rig: Rig, name: str, buffers: tuple[bytes, ...] = (), **args: Any) -> Message:
    """A call with buffers beside it, and the whole reply."""
    session, peer = args.pop("session", USER), args.pop("peer", b"user")
    number = next(IDS)
    rig.put_in(FromClient(peer, Message("call", number, name, session, args, buffers)))
    reply = next(m for m in rig.inbox[peer] if m.id == number)
    if not reply.body["ok"]:
        raise from_wire(reply.body["error"])
    return reply


def write(rig: Rig, path: str, content: bytes | str = b"x", **args: Any) -> dict[str, Any]:
    data = content.encode() if isinstance(content, str) else content
    result: dict[str, Any] = say(rig, "fs.write", (data,), path=path, **args).body["result"]
    return result


def read(rig: Rig, path: str, **args: Any) -> bytes:
    reply = say(rig, "fs.read", path=path, **args)
    assert len(reply.buffers) == 1
    return reply.buffers[0]


def names(rig: Rig, path: str = "/self", **args: Any) -> list[str]:
    """What is in a folder, the folders with a slash."""
    told = rig.call("fs.list", path=path, **args)
    return sorted(
        [file["path"] for file in told["files"]] + [f"{folder}/" for folder in told["folders"]]
    )


def contents(rig: Rig) -> int:
    """How many contents are kept."""
    found: tuple[int] = rig.store._connection.execute("SELECT count(*) FROM contents").fetchone()
    return found[0]


def few(versions: int) -> Rig:
    return Rig(Config(default_model=MODEL, versions_kept=versions))


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
        with pytest.raises(EINVAL, match="one content"):
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
    "x" * 1025, "",
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
    assert told["path"].startswith(("/self/", "/inbox/", "/a/", "/a", "/self", "/proc", "/0"))
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
    write(rig, "a/b/cd")
    write(rig, "a!")
    assert names(rig, recursive=True) == ["/self/a!", "/self/a/b/c", "/self/a/b/cd"]


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
    with pytest.raises(EBUSY):
        write(rig, "none", b"", expect=1)


# -- whose they are ---------------------------------------------------------------------------


def test_has_each_process_files_of_its_own(rig: Rig, host: FakeHost) -> None:
    one, two = rig.spawn(), rig.spawn(agent("two"))
    for pid in (one, two):
        do(host, pid, "fs.write", path="/self/x", text=str(pid))
    assert [read(rig, "x", pid=pid) for pid in (one, two)] == [b"%d" % one, b"%d" % two]
    assert names(rig) == []
    assert rig.call("fs.stat", pid=one, path="x")["path"] == "/self/x"
    with pytest.raises(EPERM):
        do(host, one, "fs.read", pid=two, path="x")


def test_is_a_mount_shared_by_capability(rig: Rig, host: FakeHost) -> None:
    writer = rig.spawn(agent("w", capabilities={"allow": ["fs:/inbox:rw"]}))
    reader = rig.spawn(agent("r", capabilities={"allow": ["fs:/inbox:r"]}))
    told = do(host, writer, "fs.write", path="/inbox/a/x", text="1")
    assert told["owner"] == writer
    assert do(host, reader, "fs.list", path="/inbox", recursive=True)["files"] == [told]
    for pid, name, path, more in (
        (reader, "fs.write", "/inbox/y", {"text": "2"}), (reader, "fs.delete", "/inbox/a/x", {}),
        (reader, "fs.restore", "/inbox/a/x", {"version": 1}), (reader, "fs.list", "/other", {}),
        (writer, "fs.read", "/other/x", {}), (writer, "fs.history", "/other/x", {}),
        (writer, "fs.stat", "/inboxes/x", {}),
    ):  # fmt: skip
        with pytest.raises(EPERM):
            do(host, pid, name, path=path, **more)


def test_may_a_parent_write_into_the_files_of_its_child(rig: Rig, host: FakeHost) -> None:
    parent = rig.spawn(agent("p", capabilities={"allow": ["proc:spawn"]}))
    kid = do(host, parent, "proc.spawn", manifest=agent("c"), text="go")["pid"]
    told = do(host, parent, "fs.write", pid=kid, path="task", text="count")
    assert (told["owner"], told["path"]) == (kid, "/self/task")
    assert read(rig, "task", pid=kid) == b"count"
    with pytest.raises(EPERM):
        do(host, kid, "fs.read", pid=parent, path="x")


def test_can_the_files_of_one_that_ended_be_read_and_not_written(rig: Rig, host: FakeHost) -> None:
    pid = rig.spawn()
    do(host, pid, "fs.write", path="x", text="1")
    rig.call("proc.kill", pid=pid, signal="KILL")
    assert read(rig, "x", pid=pid) == b"1"
    for name, more in (("fs.write", {"text": "2"}), ("fs.delete", {}),
                       ("fs.restore", {"version": 1})):  # fmt: skip
        with pytest.raises(EINVAL, match="has ended"):
            rig.call(name, pid=pid, path="x", **more)
    rig.call("proc.wait", pid=pid)
    for path in ("/self/x", "/inbox/x"):
        with pytest.raises(ESRCH):
            rig.call("fs.read", pid=pid, path=path)


# -- lists ------------------------------------------------------------------------------------

TREE = ["a", "b!", "b/1", "b/2/x", "b/2/y", "b0", "c/d/e/f", "é"]


@pytest.fixture
def tree(rig: Rig) -> Rig:
    for path in TREE:
        for root in ("/self", "/inbox"):
            write(rig, f"{root}/{path}")
    write(rig, "/self/gone/x")
    rig.call("fs.delete", path="/self/gone/x")
    return rig


@pytest.mark.parametrize("root", ["/self", "/inbox"])
def test_shows_a_list_what_is_right_in_a_folder(tree: Rig, root: str) -> None:
    told = tree.call("fs.list", path=root)
    assert [file["path"] for file in told["files"]] == [
        f"{root}/{n}" for n in ("a", "b!", "b0", "é")
    ]
    assert (told["folders"], told["more"]) == (["b", "c"], False)
    assert names(tree, f"{root}/b") == [f"{root}/b/1", "2/"]
    assert names(tree, f"{root}/c/d/") == ["e/"]
    assert names(tree, root, recursive=True) == sorted(f"{root}/{path}" for path in TREE)
    assert names(tree, f"{root}/b", recursive=True) == [
        f"{root}/b/{p}" for p in ("1", "2/x", "2/y")
    ]


def test_is_a_folder_there_as_long_as_a_file_is_in_it(tree: Rig) -> None:
    for path in ("/self/gone", "/self/none", "/inbox/gone", "/self/b/2/z"):
        for recursive in (False, True):
            with pytest.raises(ENOENT, match=f"there is no folder {path}"):
                tree.call("fs.list", path=path, recursive=recursive)
    with pytest.raises(EINVAL, match="/self/a is a file"):
        tree.call("fs.list", path="/self/a")
    assert names(tree, "/none") == names(Rig(), "/self") == []


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
@pytest.mark.parametrize("recursive", [False, True])
@pytest.mark.parametrize("root", ["/self", "/inbox", "/self/b"])
def test_are_the_pages_of_a_list_together_all_of_it(
    tree: Rig, root: str, recursive: bool, limit: int
) -> None:
    whole = names(tree, root, recursive=recursive)
    seen: list[str] = []
    after, more = "", True
    while more:
        page = tree.call("fs.list", path=root, recursive=recursive, limit=limit, after=after)
        fresh = [f["path"] for f in page["files"]] + [f"{name}/" for name in page["folders"]]
        assert len(fresh) <= limit
        seen += fresh
        after, more = page["last"], page["more"]
    assert sorted(seen) == whole


def test_must_a_page_begin_in_its_folder(tree: Rig) -> None:
    for path, after in (("/self", "/inbox/a"), ("/self/b", "/self/a"), ("/self/b", "/self/b0"),
                        ("/", "x")):  # fmt: skip
        with pytest.raises(EINVAL, match="after"):
            tree.call("fs.list", path=path, after=after)


def test_are_the_mounts_listed_that_one_may_read(rig: Rig, host: FakeHost) -> None:
    for mount in ("a", "b", "c", "z"):
        write(rig, f"/{mount}/x")
    write(rig, "/gone/x")
    rig.call("fs.delete", path="/gone/x")
    write(rig, "/self/x")
    allowed = {"allow": ["fs:/a:r", "fs:/c:w", "fs:/z:rw", "fs:/none:r"], "ask": ["fs:/b:r"]}
    pid = rig.spawn(agent(capabilities=allowed))
    do(host, pid, "fs.write", path="/self/x", text="")
    assert rig.call("fs.list", path="/")["folders"] == ["self", "a", "b", "c", "z"]
    for limit in (1, 2, 3, 10):
        seen: list[str] = []
        after, more = "", True
        while more:
            page = do(host, pid, "fs.list", path="/", limit=limit, after=after)
            assert len(page["folders"]) <= limit
            seen += page["folders"]
            after, more = page["last"], page["more"]
        assert seen == ["self", "a", "b", "z"]
    with pytest.raises(EINVAL, match="recursively"):
        rig.call("fs.list", path="/", recursive=True)


# -- labels -----------------------------------------------------------------------------------


def test_do_labels_go_with_each_version(rig: Rig, host: FakeHost) -> None:
    pid = rig.spawn(agent(labels=["private"], capabilities={"allow": ["fs:/inbox:rw"]}))
    write(rig, "/inbox/x", b"1")
    do(host, pid, "fs.write", path="/inbox/x", text="2", labels=["draft"])
    rig.call("fs.write", path="/inbox/x", text="3", labels=["mine"])
    do(host, pid, "fs.delete", path="/inbox/x")
    told = rig.call("fs.history", path="/inbox/x")["versions"]
    assert [v["labels"] for v in told] == [["private"], ["mine"], ["draft", "private"], []]
    assert labels(rig, 1) == []


@pytest.mark.parametrize(
    ("name", "args"),
    [("fs.read", {}), ("fs.stat", {}), ("fs.history", {}), ("fs.read", {"version": 1}),
     ("fs.list", {"path": "/inbox/a"}), ("fs.list", {"path": "/inbox"}), ("fs.list", {"path": "/"}),
     ("fs.list", {"path": "/inbox", "recursive": True}), ("fs.restore", {"version": 1})],
)  # fmt: skip
def test_is_whoever_sees_something_of_it_labelled(
    rig: Rig, host: FakeHost, name: str, args: dict[str, Any]
) -> None:
    write(rig, "/inbox/a/secret", b"1", labels=["private"])
    pid = rig.spawn(agent(capabilities={"allow": ["fs:/inbox:rw"]}))
    do(host, pid, name, **{"path": "/inbox/a/secret", **args})
    assert labels(rig, pid) == ["private"]
    told = [event for event in rig.events if event["type"] == "proc.labelled"]
    assert told[-1]["data"]["source"] == "a file in /inbox"


def test_is_nobody_labelled_by_what_was_not_shown(rig: Rig, host: FakeHost) -> None:
    write(rig, "/inbox/a", b"1", labels=["private"])
    write(rig, "/inbox/a", b"2")
    write(rig, "/inbox/b", b"1", labels=["private"])
    write(rig, "/other/b", b"1", labels=["private"])
    write(rig, "/inbox/d/1", b"1")
    write(rig, "/inbox/d/2", b"1", labels=["private"])
    pid = rig.spawn(agent(capabilities={"allow": ["fs:/inbox:r"]}))
    for name, path, more in (
        ("fs.read", "/inbox/a", {}), ("fs.stat", "/inbox/a", {}),
        ("fs.history", "/inbox/a", {"limit": 1}), ("fs.list", "/inbox", {"limit": 1}),
        ("fs.list", "/inbox", {"after": "/inbox/b"}), ("fs.list", "/", {}),
    ):  # fmt: skip
        do(host, pid, name, path=path, **more)
    with pytest.raises(ENOENT):
        do(host, pid, "fs.read", path="/inbox/none")
    assert labels(rig, pid) == []


def test_has_a_restored_version_the_labels_of_both(rig: Rig, host: FakeHost) -> None:
    write(rig, "/inbox/x", b"1", labels=["old"])
    write(rig, "/inbox/x", b"2")
    assert rig.call("fs.restore", path="/inbox/x", version=1)["labels"] == ["old"]
    pid = rig.spawn(agent(labels=["private"], capabilities={"allow": ["fs:/inbox:rw"]}))
    told = do(host, pid, "fs.restore", path="/inbox/x", version=1)
    assert told["labels"] == ["old", "private"]


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
    for number in range(_TIDIED_AT_ONCE + 3):
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


def test_do_shared_files_pass_to_whoever_answers_for_them(rig: Rig, host: FakeHost) -> None:
    allowed = {"allow": ["proc:spawn", "fs:/inbox:rw"]}
    top = rig.spawn(agent("top", capabilities=allowed))
    manifest = agent("c", capabilities=allowed)
    middle = do(host, top, "proc.spawn", manifest=manifest, text="x")["pid"]
    low = do(host, middle, "proc.spawn", manifest=manifest, text="x")["pid"]
    do(host, low, "fs.write", path="/inbox/x", text="1")
    do(host, low, "fs.write", path="/inbox/x", text="22")
    end(rig, middle)
    end(rig, low)
    told = rig.call("fs.history", path="/inbox/x")["versions"]
    assert [v["owner"] for v in told] == [top, top]
    held = books(rig)
    assert held[top] == held[1] == {"storage_bytes": 3}
    rig.crash()
    assert books(rig) == held


# -- crashes ----------------------------------------------------------------------------------


def test_is_a_turn_that_was_not_committed_lost_altogether(tmp_path: Path) -> None:
    rig = OnDisk(tmp_path / "state.db")
    write(rig, "/inbox/x", b"kept")
    write(rig, "/inbox/y", b"kept, too")
    before = books(rig)
    for name, buffers, args in (
        ("fs.write", (b"new",), {"path": "/inbox/x"}), ("fs.write", (b"z",), {"path": "/inbox/z"}),
        ("fs.delete", (), {"path": "/inbox/y"}),
    ):  # fmt: skip
        message = Message("call", next(IDS), name, USER, args, buffers)
        rig.machine.apply(FromClient(b"user", message), rig.now)
    rig.crash()
    assert (books(rig), contents(rig)) == (before, 2)
    assert (read(rig, "/inbox/x"), read(rig, "/inbox/y")) == (b"kept", b"kept, too")
    assert names(rig, "/inbox") == ["/inbox/x", "/inbox/y"]
    write(rig, "/inbox/x", b"again")
    rig.crash()
    assert read(rig, "/inbox/x") == b"again"


PATHS = st.sampled_from(["/self/a", "/self/b", "/self/b/c", "/self/b/d", "/m/a", "/m/b/c", "/m/b"])
DATA = st.sampled_from([b"", b"one", b"two", b"longer"])
STEPS = st.one_of(
    st.tuples(st.just("write"), PATHS, DATA),
    st.tuples(st.just("write"), PATHS, DATA),
    st.tuples(st.just("delete"), PATHS),
    st.tuples(st.just("restore"), PATHS, st.integers(1, 6)),
    st.tuples(st.just("crash")),
)
KEPT = 3


class Model:
    """What files should be: for each path its versions, oldest first, and their contents."""

    def __init__(self) -> None:
        self.files: dict[str, dict[int, bytes | None]] = {}

    def live(self) -> dict[str, bytes]:
        newest = {path: versions[max(versions)] for path, versions in self.files.items()}
        return {path: data for path, data in newest.items() if data is not None}

    def kept(self) -> list[bytes]:
        versions = [data for one in self.files.values() for data in one.values()]
        return [data for data in versions if data is not None]

    def step(self, name: str, path: str, what: Any = None) -> int | str:
        """The new version, or the error."""
        data = what if name == "write" else None
        if name == "delete" and path not in self.live():
            return "EINVAL" if self._is_folder(path) and path not in self.files else "ENOENT"
        if name == "restore":
            data = self.files.get(path, {}).get(what)
            if data is None:
                return "EINVAL" if self._is_folder(path) and path not in self.files else "ENOENT"
        if name != "delete" and (self._is_folder(path) or self._in_a_file(path)):
            return "EINVAL"
        versions = self.files.setdefault(path, {})
        number = max(versions, default=0) + 1
        versions[number] = data
        self.files[path] = {n: d for n, d in versions.items() if n > number - KEPT}
        return number

    def _is_folder(self, path: str) -> bool:
        return any(one.startswith(f"{path}/") for one in self.live())

    def _in_a_file(self, path: str) -> bool:
        return any(path.startswith(f"{one}/") for one in self.live())


def taken(rig: Rig, step: str, path: str, what: Any = None, **options: Any) -> int | str:
    """What the kernel makes of a step, as the model says it."""
    try:
        if step == "write":
            told = write(rig, path, what, **options)
        elif step == "delete":
            told = rig.call("fs.delete", path=path, **options)
        else:
            told = rig.call("fs.restore", path=path, version=what, **options)
    except LLMOSError as refused:
        return refused.code
    version: int = told["version"]
    return version


def check(rig: Rig, model: Model, **options: Any) -> None:
    live = model.live()
    for mount in ("/self", "/m"):
        below = sorted(path for path in live if path.startswith(mount))
        assert names(rig, mount, recursive=True, **options) == below
        inner = {path.removeprefix(f"{mount}/") for path in below}
        shallow = {f"{p.partition('/')[0]}/" if "/" in p else f"{mount}/{p}" for p in inner}
        assert set(names(rig, mount, **options)) == shallow
    for path, versions in model.files.items():
        told = rig.call("fs.history", path=path, **options)["versions"]
        assert [(v["version"], v["deleted"]) for v in told] == [
            (number, data is None) for number, data in sorted(versions.items(), reverse=True)
        ]
        for number, data in versions.items():
            if data is not None:
                assert read(rig, path, version=number, **options) == data


@settings(max_examples=80, deadline=None)
@given(steps=st.lists(STEPS, max_size=30))
def test_are_files_what_a_dict_would_be(steps: list[tuple[Any, ...]]) -> None:
    rig, model = few(KEPT), Model()
    pid, session = rig.program("one")
    options: dict[str, Any] = {"session": session, "peer": b"prog"}
    for step in steps:
        if step == ("crash",):
            held = books(rig)
            rig.crash()
            assert books(rig) == held
        else:
            assert taken(rig, *step, **options) == model.step(*step)
    check(rig, model, **options)
    assert contents(rig) == len(set(model.kept()))
    assert books(rig)[pid].get("storage_bytes", 0) == sum(map(len, model.kept()))
