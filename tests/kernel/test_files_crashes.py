"""Are files what they were after a crash, and always what a dict would be?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from kernel.effects import FromClient
from llmagentos.abi.errors import LLMOSError
from llmagentos.abi.wire import Message
from tests.kernel.keeping import IDS, OnDisk, books, contents, few, names, read, write
from tests.kernel.rig import USER, Rig


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
