"""Namespaces: a process leaves all that it shares with others, and who it is in there.

Started by root, the jail has two users inside: root, who builds it, and the one that commands run
as, who is a user of the machine that owns nothing but its folder. Started by somebody else there is
only that one, and he is whoever started it; what he could do to the rest of his files he can't,
since they are not there. It knows nothing about what they are used for.
"""

from __future__ import annotations

import os
from typing import Final

from drivers.sandbox import linux

USER: Final = 1000
"""Who commands are, as they see it."""

_NEW_MOUNTS, _NEW_CGROUPS, _NEW_UTS, _NEW_IPC = 0x20000, 0x2000000, 0x4000000, 0x8000000
_NEW_USERS, _NEW_PIDS, _NEW_NET = 0x10000000, 0x20000000, 0x40000000
_ALL: Final = _NEW_MOUNTS | _NEW_CGROUPS | _NEW_UTS | _NEW_IPC | _NEW_USERS | _NEW_PIDS | _NEW_NET

_FIRST_SPARE, _SPARES = 1_900_000_000, 100_000_000


def spare_user(pid: int) -> int | None:
    """A user of the machine that nobody is, for this process of ours. None where we can't become
    another user: we are not root, or root of a container with few users."""
    if os.geteuid() != 0:
        return None
    with open("/proc/self/uid_map", encoding="ascii") as maps:
        first, _, count = map(int, maps.readline().split())
    return _FIRST_SPARE + pid % _SPARES if (first, count) == (0, 0xFFFFFFFF) else None


def leave(spare: int | None) -> None:
    """Into new ones, all of them. The next child is the first process in there."""
    uid, gid = os.geteuid(), os.getegid()
    if spare is not None:
        _leave_with_help(f"0 0 1\n{USER} {spare} 1\n")
        return
    linux.unshare(_ALL)
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{USER} {uid} 1\n")
    _write("/proc/self/gid_map", f"{USER} {gid} 1\n")


def become_user() -> None:
    """Without a capability, and without a way back. (A lone user is this one already.)"""
    linux.drop_bounds()
    if os.getuid() != USER:
        os.setgroups([])
        os.setresgid(USER, USER, USER)
        os.setresuid(USER, USER, USER)
    linux.drop_capabilities()
    linux.forbid_privileges()


def _leave_with_help(users: str) -> None:
    """Only somebody outside may say that there are two users inside."""
    here, (hears, says) = os.getpid(), os.pipe()
    helper = os.fork()
    if helper == 0:
        status = 1
        try:
            os.close(says)
            if os.read(hears, 1):
                for kind in ("gid", "uid"):
                    _write(f"/proc/{here}/{kind}_map", users)
                status = 0
        finally:
            os._exit(status)
    os.close(hears)
    try:
        linux.unshare(_ALL)
        os.write(says, b"!")
    finally:
        os.close(says)
        _, status = os.waitpid(helper, 0)
    if status:
        raise PermissionError(f"the users of a namespace can't be set ({users.split()})")


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
