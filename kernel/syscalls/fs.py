"""The ``fs`` family: small versioned files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any

from kernel import lifecycle, reach, rights
from kernel.calls import Buffered, Call
from kernel.files import Entry, Version, shown, stored
from kernel.process import Process
from llmagentos.abi.calls.fs import (
    DeleteArgs,
    FileInfo,
    HistoryArgs,
    HistoryResult,
    ListArgs,
    ListResult,
    ReadArgs,
    RestoreArgs,
    StatArgs,
    WriteArgs,
    mount_of,
)
from llmagentos.abi.calls.mem import OWN
from llmagentos.abi.errors import EINVAL, ENOENT, LLMOSError

if TYPE_CHECKING:
    from kernel.machine import Machine


def write(kernel: Machine, call: Call, args: WriteArgs) -> FileInfo:
    if len(call.buffers) + (args.text is not None) != 1:
        raise EINVAL(
            f"fs.write takes one content, and this has {'two' if call.buffers else 'none'}",
            hint="give the text, or one buffer beside the message",
        )
    content = call.buffers[0] if args.text is None else args.text.encode()
    path, owner = _written(kernel, call, args.pid, args.path)
    labels = _labels(call.process.labels, args.labels)
    return _info(kernel.files.write(path, owner, content, labels, args.expect))


def read(kernel: Machine, call: Call, args: ReadArgs) -> Buffered:
    found = kernel.files.find(_path(kernel, call, args.pid, args.path), args.version)
    if found.deleted:
        raise _deletion(found)
    _taint(kernel, call, found)
    content = kernel.files.content(found, args.offset, args.length)
    return Buffered(_info(found), (content,))


def stat(kernel: Machine, call: Call, args: StatArgs) -> FileInfo:
    found = kernel.files.find(_path(kernel, call, args.pid, args.path), args.version)
    _taint(kernel, call, found)
    return _info(found)


def delete(kernel: Machine, call: Call, args: DeleteArgs) -> FileInfo:
    path, owner = _written(kernel, call, args.pid, args.path)
    return _info(kernel.files.delete(path, owner, _labels(call.process.labels)))


def history(kernel: Machine, call: Call, args: HistoryArgs) -> HistoryResult:
    found = kernel.files.history(_path(kernel, call, args.pid, args.path), args.limit)
    for one in found:
        _taint(kernel, call, one)
    return HistoryResult(versions=[_info(one) for one in found])


def restore(kernel: Machine, call: Call, args: RestoreArgs) -> FileInfo:
    path, owner = _written(kernel, call, args.pid, args.path)
    old = kernel.files.find(path, args.version)
    if old.deleted:
        raise _deletion(old)
    # Its size and hash are shown in the reply.
    _taint(kernel, call, old)
    labels = _labels(call.process.labels, json.loads(old.labels))
    return _info(kernel.files.restore(path, owner, old, labels))


def list_(kernel: Machine, call: Call, args: ListArgs) -> ListResult:
    if args.after and not args.after.startswith(args.path.rstrip("/") + "/"):
        raise EINVAL(f"after: {args.after!r} is not in {args.path}", hint="give a page's last")
    if not mount_of(args.path):
        return _mounts(kernel, call, args)
    folder = _path(kernel, call, args.pid, args.path)
    after = folder + args.after[len(args.path) :] if args.after else ""
    look = kernel.files.below if args.recursive else kernel.files.entries
    found = look(folder, after, args.limit + 1)
    if not found and folder.count("/") > 1 and not kernel.files.is_folder(folder):
        raise _no_folder(kernel, folder)
    return _page(kernel, call, found, args.limit)


def _mounts(kernel: Machine, call: Call, args: ListArgs) -> ListResult:
    """Its own mount comes first, then those that it may read."""
    if args.recursive:
        raise EINVAL("/ can't be listed recursively", hint="list one mount at a time")
    own = f"/{OWN}/"
    mounts = kernel.files.mounts("" if args.after == own else args.after)
    readable = (
        one for one in mounts if rights.verdict(call.process, f"fs:{one.path[:-1]}:r") != "deny"
    )
    if args.after:
        return _page(kernel, call, list(islice(readable, args.limit + 1)), args.limit)
    rest = _page(kernel, call, list(islice(readable, args.limit)), args.limit - 1)
    return rest.model_copy(update={"folders": [OWN, *rest.folders], "last": rest.last or own})


def _page(kernel: Machine, call: Call, found: list[Entry], limit: int) -> ListResult:
    page = found[:limit]
    for one in page:
        _taint(kernel, call, one.first)
    return ListResult(
        files=[_info(one.first) for one in page if not one.path.endswith("/")],
        folders=[one.path.split("/")[-2] for one in page if one.path.endswith("/")],
        more=len(found) > len(page),
        last=shown(page[-1].path) if page else "",
    )


# -- whose files, and who reads them ---------------------------------------------------------


def _target(kernel: Machine, call: Call, pid: int | None) -> Process:
    return reach.target(kernel, call.process, pid)


def _path(kernel: Machine, call: Call, pid: int | None, path: str) -> str:
    """As it is in the store."""
    return stored(path, _target(kernel, call, pid))


def _written(kernel: Machine, call: Call, pid: int | None, path: str) -> tuple[str, Process]:
    """A path in the store, and on whose quota a version of it is."""
    target = _target(kernel, call, pid)
    if mount_of(path) != OWN:
        return path, call.process
    if not target.alive:
        raise EINVAL(f"process {target.pid} has ended; its files can only be read")
    return stored(path, target), target


def _labels(writer: Iterable[str], given: Iterable[str] = ()) -> str:
    return json.dumps(sorted({*writer, *given}))


def _taint(kernel: Machine, call: Call, version: Version) -> None:
    """Labels follow the data: paths are content, too."""
    if version.labels != "[]":
        source = f"a file in /{mount_of(shown(version.path))}"
        lifecycle.label(kernel, call.process, json.loads(version.labels), source)


def _info(version: Version) -> FileInfo:
    return FileInfo(
        path=shown(version.path),
        version=version.version,
        size=version.size,
        hash=version.hash,
        labels=json.loads(version.labels),
        owner=version.owner,
        time=version.time,
        deleted=version.deleted,
    )


def _deletion(version: Version) -> ENOENT:
    return ENOENT(
        f"version {version.version} of {shown(version.path)} is its deletion",
        hint="fs.history lists the versions that have a content",
    )


def _no_folder(kernel: Machine, folder: str) -> LLMOSError:
    if kernel.files.is_file(folder):
        return EINVAL(f"{shown(folder)} is a file", hint="fs.stat tells about it")
    return ENOENT(f"there is no folder {shown(folder)}", hint="writing a file in it makes one")


HANDLERS: dict[str, Callable[..., Any]] = {
    "fs.write": write,
    "fs.read": read,
    "fs.list": list_,
    "fs.stat": stat,
    "fs.delete": delete,
    "fs.history": history,
    "fs.restore": restore,
}
