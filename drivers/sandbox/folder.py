"""A working folder: how much is in it, and how it is made to fit again.

Whatever is in there somebody made who may want to mislead: no link is followed, no tree is too
deep. It knows nothing about whose it is.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Final

_DEEPEST: Final = 64
"""Folders in folders. Also, no path may grow so long that it can't be named any more."""

_TOLD: Final = 20
"""So many of the names of what was removed."""


def excess(root: str, most_bytes: int, most_entries: int) -> str:
    """What of it is too much, "" if nothing is. Looks no further than it must."""
    taken = 0
    for entries, (entry, depth) in enumerate(_entries(root), start=1):
        taken += entry.stat(follow_symlinks=False).st_blocks * 512
        if depth > _DEEPEST:
            return f"folder: more than {_DEEPEST} folders in each other"
        if taken > most_bytes:
            return f"folder: more than {most_bytes:,} bytes"
        if entries > most_entries:
            return f"folder: more than {most_entries:,} files"
    return ""


def has_longest(root: str, length: int, since: int) -> bool:
    """Whether a file that was written since then (nanoseconds) is as long as one may be: what
    writes more finds it so."""
    found = (
        entry.stat(follow_symlinks=False)
        for entry, _ in _entries(root)
        if entry.is_file(follow_symlinks=False)
    )
    return any(one.st_size >= length and one.st_mtime_ns >= since for one in found)


def trim(root: str, most_bytes: int, most_entries: int) -> list[str]:
    """Remove what was changed last until the rest fits, with some room for what comes next; the
    names of it, some of them."""
    most_bytes, most_entries = most_bytes * 9 // 10, most_entries * 9 // 10
    removed = []
    for entry, depth in list(_entries(root)):
        if depth > _DEEPEST:
            with contextlib.suppress(OSError):  # another call of the process may be at it too
                remove_tree(entry.path)
            removed.append(entry.path)
    changed = [
        (
            status.st_ctime_ns,
            status.st_blocks * 512,
            entry.path,
            entry.is_dir(follow_symlinks=False),
        )
        for entry, _ in _entries(root)
        for status in [entry.stat(follow_symlinks=False)]
    ]
    taken, entries = sum(row[1] for row in changed), len(changed)
    waiting, before = sorted(changed, reverse=True), None
    while waiting != before:
        before, waiting = waiting, []
        for row in before:
            _, size, path, is_folder = row
            if taken <= most_bytes and entries <= most_entries:
                break
            try:
                (os.rmdir if is_folder else os.unlink)(path)
            except OSError:
                waiting.append(row)  # a folder's turn comes when all that is in it is gone
                continue
            removed.append(path)
            taken, entries = taken - size, entries - 1
    told = [_shown(os.path.relpath(path, root)) for path in removed[:_TOLD]]
    return told + ([f"and {len(removed) - _TOLD} more"] if len(removed) > _TOLD else [])


def remove_tree(root: str) -> None:
    """However deep it is: what is in a folder in it is moved up, again and again."""
    number = 0
    while folders := [entry for entry in _list(root) if entry.is_dir(follow_symlinks=False)]:
        for folder in folders:
            for entry in _list(folder.path):
                if entry.is_dir(follow_symlinks=False):
                    number += 1
                    os.rename(entry.path, _free(root, number))
                else:
                    os.unlink(entry.path)
            os.rmdir(folder.path)
    for entry in _list(root):
        os.unlink(entry.path)
    os.rmdir(root)


def _shown(path: str) -> str:
    """As text that can be sent: a name may be any bytes."""
    return os.fsencode(path).decode("utf-8", errors="replace")[:200]


def _free(root: str, number: int) -> str:
    """A name that nothing in it has."""
    path = f"{root}/{number}"
    while os.path.lexists(path):
        path += "_"
    return path


def _entries(root: str) -> Iterator[tuple[os.DirEntry[str], int]]:
    """All, with their depths; nothing of a folder that is too deep. What goes meanwhile is left
    out."""
    waiting = [(root, 1)]
    while waiting:
        path, depth = waiting.pop()
        try:
            found = _list(path)
        except OSError:
            continue
        for entry in found:
            try:
                is_folder = entry.is_dir(follow_symlinks=False)
                entry.stat(follow_symlinks=False)  # which it keeps
            except OSError:
                continue
            yield entry, depth
            if is_folder and depth <= _DEEPEST:
                waiting.append((entry.path, depth + 1))


def _list(path: str) -> list[os.DirEntry[str]]:
    with os.scandir(path) as entries:
        return list(entries)
