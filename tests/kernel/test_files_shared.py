"""Does everybody see the files that he may see, and take their labels on?"""

from __future__ import annotations

from typing import Any

import pytest

from llmagentos.abi.errors import EINVAL, ENOENT, EPERM, ESRCH
from tests.kernel.keeping import do, names, read, write
from tests.kernel.rig import FakeHost, Rig, agent

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
    allowed = {"allow": ["proc:spawn", "fs:/inbox:w"]}
    parent = rig.spawn(agent("p", capabilities=allowed))
    kid = do(host, parent, "proc.spawn", manifest=agent("c"), text="go")["pid"]
    told = do(host, parent, "fs.write", pid=kid, path="task", text="count")
    assert (told["owner"], told["path"]) == (kid, "/self/task")
    assert read(rig, "task", pid=kid) == b"count"
    assert do(host, parent, "fs.write", pid=kid, path="/inbox/x", text="1")["owner"] == parent
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
        assert page["last"] != after
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
            assert page["last"] != after
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
    assert rig.labels(1) == []


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
    assert rig.labels(pid) == ["private"]
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
    assert rig.labels(pid) == []


def test_has_a_restored_version_the_labels_of_both(rig: Rig, host: FakeHost) -> None:
    write(rig, "/inbox/x", b"1", labels=["old"])
    write(rig, "/inbox/x", b"2")
    assert rig.call("fs.restore", path="/inbox/x", version=1)["labels"] == ["old"]
    pid = rig.spawn(agent(labels=["private"], capabilities={"allow": ["fs:/inbox:rw"]}))
    told = do(host, pid, "fs.restore", path="/inbox/x", version=1)
    assert told["labels"] == ["old", "private"]
