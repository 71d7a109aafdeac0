"""The view: the file system that a command sees, made of a few pieces of the machine's.

What isn't put into it isn't there: it has no name, and can't be reached. It knows nothing about
rights.
"""

from __future__ import annotations

import os
from typing import Final

from drivers.sandbox import landlock, linux
from drivers.sandbox.limits import Limits

WORK: Final = "/work"

SYSTEM: Final = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store")
_SETTINGS: Final = ("/etc/alternatives", "/etc/ld.so.cache", "/etc/localtime")
DEVICES: Final = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
ROOMS: Final = ("/tmp", "/dev/shm")
_PLAIN: Final = linux.MS_NOSUID | linux.MS_NODEV
_READ_ONLY: Final = linux.ATTR_RDONLY | linux.ATTR_NOSUID | linux.ATTR_NODEV
_ACCOUNTS: Final = {
    "/etc/passwd": "root:x:0:0::/:/bin/false\nsandbox:x:1000:1000::/work:/bin/sh\n",
    "/etc/group": "root:x:0:\nsandbox:x:1000:\n",
    "/etc/hosts": "",
}


def build(stage: str, work: str, python: str | None, limits: Limits) -> None:
    """Make it the root of this mount namespace. ``stage``: any folder, to build it on. ``work``:
    the folder that is /work. ``python``: where Python is installed, if not in the system's
    folders."""
    linux.mount("none", "/", "", linux.MS_REC | linux.MS_PRIVATE)
    # The stage may hide it.
    opened = os.open(work, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    linux.mount("tmpfs", stage, "tmpfs", _PLAIN, "size=1m,nr_inodes=512,mode=755")
    for path in ("/etc", "/dev", "/proc", "/tmp", WORK):
        os.mkdir(stage + path)
    for path in (*SYSTEM, *_SETTINGS):
        _show(stage, path)
    if python:
        _show(stage, python)
    _bind(f"/proc/self/fd/{opened}", stage + WORK)
    os.close(opened)
    linux.protect_mount(stage + WORK, linux.ATTR_NOSUID | linux.ATTR_NODEV)
    for path in DEVICES:
        _touch(stage + path)
        _bind(path, stage + path)
        linux.protect_mount(stage + path, linux.ATTR_NOSUID)
    for name, target in (("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")):
        os.symlink(f"/proc/self/fd{target}", f"{stage}/dev/{name}")
    for path in ROOMS:
        os.makedirs(stage + path, exist_ok=True)
        linux.mount(
            "tmpfs", stage + path, "tmpfs", _PLAIN, f"size={limits.tmp},nr_inodes=4096,mode=1777"
        )
    for path, text in _ACCOUNTS.items():
        with open(stage + path, "w", encoding="ascii") as file:
            file.write(text)
    # While the old one is in sight: who doesn't see all of that may have no new one.
    hidden = "subset=pid,hidepid=invisible"
    linux.mount("proc", stage + "/proc", "proc", _PLAIN | linux.MS_NOEXEC, hidden)
    linux.enter_root(stage)
    linux.protect_mount("/", _READ_ONLY, recursive=False)


def rights(python: str | None) -> list[tuple[str, int]]:
    """What may be done in it, for Landlock."""
    there = [path for path in (*SYSTEM, "/etc", *filter(None, [python])) if os.path.exists(path)]
    return [
        ("/", landlock.LIST),
        ("/proc", landlock.READ),
        *((path, landlock.USE) for path in there),
        *((path, landlock.CHANGE) for path in (WORK, *ROOMS, *DEVICES)),
    ]


def shows(path: str) -> bool:
    """Whether it is there anyway."""
    return f"{os.path.realpath(path)}/".startswith(tuple(f"{folder}/" for folder in SYSTEM))


def _show(stage: str, source: str) -> None:
    """One of the machine's, read-only, if it has it."""
    target = stage + source
    if os.path.islink(source):
        os.symlink(os.readlink(source), target)
        return
    if os.path.isdir(source):
        os.makedirs(target)
    elif os.path.exists(source):
        _touch(target)
    else:
        return
    _bind(source, target)
    linux.protect_mount(target, _READ_ONLY)


def _bind(source: str, target: str) -> None:
    linux.mount(source, target, "", linux.MS_BIND | linux.MS_REC)


def _touch(path: str) -> None:
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))
