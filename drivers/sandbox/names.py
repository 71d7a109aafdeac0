"""Names of files in a jail: where one leads, and why nothing will be had there.

It looks from inside, as somebody who may see everything there. It knows nothing about calls.
"""

from __future__ import annotations

import os
from typing import Final

from drivers.sandbox import view

NOT_THERE: Final = "not there"
_READ_ONLY: Final = "not to be changed"
_WARDENS: Final = "the warden's"
_MOST_LINKS: Final = 40
_PLAIN: Final = ("/usr/", "/lib/", "/lib64/", "/bin/")
_USUAL: Final = {
    "/etc/nsswitch.conf", "/etc/host.conf", "/etc/resolv.conf", "/etc/gai.conf",
    "/etc/ld.so.preload", "/etc/inputrc", "/etc/timezone", "/etc/gitconfig",
    "/var/run/nscd/socket", "/run/nscd/socket",
    "/proc/filesystems", "/proc/mounts", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat",
    "/proc/sys/vm/overcommit_memory", "/proc/sys/kernel/ngroups_max",
    "/proc/sys/kernel/cap_last_cap", "/sys/devices/system/cpu/online",
}  # fmt: skip
"""What programs look for whenever they start, without anybody asking them to: it is no news that
this is not there."""


class Names:
    """``python``: as in ``view.build``."""

    def __init__(self, python: str | None) -> None:
        self._shown = (*view.SYSTEM, *filter(None, [python]))

    def is_plain(self, text: str) -> bool:
        """Whether it can only be one of the system's files."""
        return text.startswith(_PLAIN) and ".." not in text

    def objection(self, place: str, *, changes: bool = False, creates: bool = False) -> str:
        """Why it won't be had, "" if nothing stands against it. What is missing where all of the
        machine's is shown, or in its own folder, is missing: nobody keeps it away."""
        if not place.startswith("/") or place in view.DEVICES or _beneath(place, (view.WORK,)):
            return ""  # the first: a pipe, or no descriptor at all
        if _beneath(place, view.ROOMS):
            # Nobody was here before: who looks so deep means the machine's room.
            here = os.path.lexists(place) or os.path.isdir(os.path.dirname(place))
            return "" if here else NOT_THERE
        if not changes and place in _USUAL:
            return ""
        if _beneath(place, ("/proc",)):
            return _in_proc(place, changes)
        if _beneath(place, self._shown):
            return _READ_ONLY if changes else ""
        if os.path.lexists(place):
            return _READ_ONLY if changes else ""
        return _READ_ONLY if creates and os.path.isdir(os.path.dirname(place)) else NOT_THERE

    def resolve(self, begin: str, text: str, pid: int, *, last: bool) -> str:
        """Where ``text`` leads a thread. ``begin``: the folder to begin at, resolved. ``last``:
        whether a link at its end is followed."""
        done, left, links = begin.rstrip("/"), text.split("/")[::-1], 0
        while left:
            name = left.pop()
            if name in ("", "."):
                continue
            if name == "..":
                done = done.rpartition("/")[0]
                continue
            here = f"{done}/{name}"
            if here in ("/proc/self", "/proc/thread-self"):
                own = f"/proc/{_process(pid)}"
                done = own if here == "/proc/self" else f"{own}/task/{pid}"
                continue
            done = here
            if here.startswith("/proc/1/"):
                break
            if not (left or last):
                continue
            try:
                target = os.readlink(here)
            except OSError:
                continue
            links += 1
            if links > _MOST_LINKS:
                break
            if target.startswith("/"):
                done = ""
            elif here.startswith("/proc/") and ":" in target:
                continue  # a pipe or a socket
            else:
                done = done.rpartition("/")[0]
            left += target.split("/")[::-1]
        return "/".join([done, *left[::-1]]) or "/"


def _beneath(place: str, folders: tuple[str, ...]) -> bool:
    return any(place == folder or place.startswith(f"{folder}/") for folder in folders)


def _in_proc(place: str, changes: bool) -> str:
    head, _, rest = place.removeprefix("/proc").lstrip("/").partition("/")
    if head == "1":
        return _WARDENS
    if not os.path.lexists(f"/proc/{head}"):
        return NOT_THERE
    return _READ_ONLY if changes and not rest.startswith("fd/") else ""


def _process(thread: int) -> int:
    """Whose it is."""
    with open(f"/proc/{thread}/status", "rb") as lines:
        for line in lines:
            if line.startswith(b"Tgid:"):
                return int(line.split()[1])
    return thread
