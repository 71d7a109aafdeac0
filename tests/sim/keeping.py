"""What was kept: does memory hold the rows, and do files have the versions, that were acknowledged?

Each key and each path is written by one lane only, one call after the other. So what is there is
what was acknowledged last, or what a call that is not answered yet would write. It knows nothing
about who may read it.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from kernel.machine import Machine
from tests.sim.callers import Sent
from tests.sim.disk import Disk
from tests.sim.markers import first
from tests.sim.violation import must

_UNKNOWN = "?"


@dataclass(slots=True)
class _Cell:
    """One key. Values by their markers, None: it is not there. ``open``: what calls that are not
    answered would make of it. ``fades``: what goes by itself; ``fading``: calls that may have
    put such."""

    value: str | None = None
    fades: bool = False
    open: dict[int, str | None] = field(default_factory=dict)
    fading: set[int] = field(default_factory=set)

    def may_be(self, value: str | None) -> bool:
        fades = self.fades or bool(self.fading)
        return value in (self.value, *self.open.values()) or (value is None and fades)

    def close(self, call: int) -> None:
        self.open.pop(call, None)
        self.fading.discard(call)


@dataclass(slots=True)
class _Path:
    """One file. ``versions``: the marker of each content, None for a deletion. ``restores``: so
    many calls may have brought an old content back."""

    versions: dict[int, str | None] = field(default_factory=dict)
    open: set[int] = field(default_factory=set)
    restores: int = 0

    @property
    def newest(self) -> int:
        return max(self.versions, default=0)


class Memory:
    def __init__(self) -> None:
        self._cells: dict[tuple[str, str], _Cell] = defaultdict(_Cell)

    def applied(self, sent: Sent) -> None:
        if sent.name in ("mem.put", "mem.delete"):
            cell = self._cell(sent)
            cell.open[sent.id] = _value(sent)
            if sent.args.get("ttl") is not None:
                cell.fading.add(sent.id)

    def answered(self, sent: Sent, result: dict[str, Any], *, late: bool) -> None:
        space = _space(sent)
        if sent.name in ("mem.put", "mem.delete") and not late:
            cell = self._cell(sent)
            cell.close(sent.id)
            cell.value, cell.fades = _value(sent), sent.args.get("ttl") is not None
        elif sent.name == "mem.get":
            self._check(sent, space, result["key"], first(result["value"]["text"]))
        elif sent.name == "mem.search":
            self._searched(sent, space, result)
        elif sent.name == "mem.list" and not result["more"]:
            found = {row["key"] for row in result["rows"]}
            for (other, key), cell in self._cells.items():
                if other == space and key.startswith(sent.args.get("prefix", "")):
                    there = key in found or cell.may_be(None)
                    must(there, "a list of {} has no {}", space, key)

    def refused(self, sent: Sent, code: str) -> None:
        if sent.name in ("mem.put", "mem.delete"):
            self._cell(sent).close(sent.id)
        elif sent.name == "mem.get" and code == "ENOENT":
            self._check(sent, _space(sent), sent.args["key"], None)

    def _searched(self, sent: Sent, space: str, result: dict[str, Any]) -> None:
        found = set()
        for hit in result["hits"]:
            found.add(hit["row"]["key"])
            self._check(sent, space, hit["row"]["key"], first(hit["row"]["value"]["text"]))
        for (other, key), cell in self._cells.items():
            if other == space and cell.value == sent.args["query"] and not cell.may_be(None):
                must(key in found, "a search for {} does not find {}", cell.value, key)

    def _check(self, sent: Sent, space: str, key: str, value: str | None) -> None:
        cell = self._cells[space, key]
        must(cell.may_be(value), "{} finds {} at {} {}, not {}", sent.name, value, space, key, cell)

    def check(self, machine: Machine, disk: Disk) -> None:
        """The whole table."""
        found = {}
        for space, key, value, expires in disk.rows(
            "SELECT space, key, value, expires FROM memory"
        ):
            if _there(machine, space, "proc/") and (expires is None or expires > machine.now):
                found[space, key] = first(json.loads(value)["text"])
        for place, cell in self._cells.items():
            if _there(machine, place[0], "proc/"):
                value = found.pop(place, None)
                must(cell.may_be(value), "memory has {} at {}, not {}", value, place, cell)
        must(not found, "memory has what nobody put there: {}", found)

    def _cell(self, sent: Sent) -> _Cell:
        return self._cells[_space(sent), sent.args["key"]]


class Files:
    def __init__(self) -> None:
        self._paths: dict[str, _Path] = defaultdict(_Path)

    def applied(self, sent: Sent) -> None:
        if sent.name in _WRITES:
            path = self._paths[_stored(sent)]
            path.open.add(sent.id)
            path.restores += sent.name == "fs.restore"

    def answered(
        self, sent: Sent, result: dict[str, Any], buffers: tuple[bytes, ...], *, late: bool
    ) -> None:
        path = self._paths[_stored(sent)]
        if sent.name in _WRITES and not late:
            path.open.discard(sent.id)
            version = result["version"]
            fresh = version > path.newest if path.open else version == path.newest + 1
            must(fresh, "{} made version {} of {}", sent.name, version, path)
            path.versions[version] = _content(sent, path)
        elif sent.name == "fs.read":
            marker, version = first(buffers[0].decode()), result["version"]
            expected = path.versions.get(version, _UNKNOWN)
            must(expected in (marker, _UNKNOWN), "version {} is {}: {}", version, marker, path)
            old = "version" not in sent.args and version < path.newest
            must(not old, "version {} was read of {}", version, path)
        elif sent.name == "fs.history":
            versions = [one["version"] for one in result["versions"]]
            must(versions[0] >= path.newest, "history ends with {}: {}", versions[0], path)
            whole = versions == list(range(versions[0], versions[-1] - 1, -1))
            must(whole, "history has gaps: {}", versions)

    def refused(self, sent: Sent) -> None:
        self._paths[_stored(sent)].open.discard(sent.id)

    def check(self, machine: Machine, disk: Disk) -> None:
        """The whole table."""
        rows = disk.rows(
            "SELECT path, version, deleted, data FROM files LEFT JOIN contents USING (hash)"
        )
        found: dict[str, dict[int, str | None]] = defaultdict(dict)
        for path, version, deleted, data in rows:
            found[path][version] = None if deleted else first((data or b"").decode())
        for name, path in self._paths.items():
            if not _there(machine, name.lstrip("/"), ":"):
                continue
            kept, newest = found[name], max(found[name], default=0)
            must(newest >= path.newest, "{} has {}, not {}", name, kept, path)
            for version, content in path.versions.items():
                if version > newest - machine.config.versions_kept:
                    same = content in (kept.get(version, _UNKNOWN), _UNKNOWN)
                    must(same, "version {} of {} is not {}: {}", version, name, content, kept)
            most = max(Counter(c for c in kept.values() if c).values(), default=0)
            must(most <= 1 + path.restores, "a content is there twice in {}: {}", name, kept)


_WRITES = ("fs.write", "fs.delete", "fs.restore")


def _value(sent: Sent) -> str | None:
    return first(sent.args["value"]["text"]) if sent.name == "mem.put" else None


def _content(sent: Sent, path: _Path) -> str | None:
    if sent.name == "fs.restore":
        return path.versions.get(sent.args["version"], _UNKNOWN)
    if sent.name == "fs.delete":
        return None
    return first(sent.args.get("text") or sent.message.buffers[0].decode())


def _space(sent: Sent) -> str:
    """Its name in the store."""
    space = str(sent.args.get("space", "self"))
    return f"proc/{sent.args.get('pid', sent.pid)}" if space == "self" else space


def _stored(sent: Sent) -> str:
    """A path in the store."""
    path = str(sent.args["path"])
    own = path.startswith("/self/")
    return f"/:{sent.args.get('pid', sent.pid)}{path[5:]}" if own else path


def _there(machine: Machine, place: str, own: str) -> bool:
    """Whether a space or a mount is shared, or its process was not collected yet."""
    if not place.startswith(own):
        return True
    return machine.table.find(int(place.removeprefix(own).partition("/")[0])) is not None
