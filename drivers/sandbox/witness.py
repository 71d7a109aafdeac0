"""The witness: what a system call that is looked at asks for, and whether that will be refused.

It reads the arguments while the call waits, and knows what is in the jail. It holds nothing: a
program whose threads change the arguments at that moment can mislead it, and gains nothing by that.
What is said of a call is never guessed from what came of it, for that isn't seen. It knows nothing
about who is told.
"""

from __future__ import annotations

import os
import resource
import stat
from typing import Any, Final

from drivers.sandbox import linux
from drivers.sandbox.limits import Limits, address_space
from drivers.sandbox.names import NOT_THERE, Names
from drivers.sandbox.namespaces import USER
from drivers.sandbox.seccomp import Notice, looked_at

Sight = tuple[str, str]
"""What kind of thing was refused (``call``, ``file``, ``process``, ``right``, ``limit``), and
which."""

FILE_SIZE: Final = "file size: a file was to be longer than one may be"

_CWD: Final = -100
_HERE: Final = -1
_NAMED: Final[dict[str, tuple[tuple[int, int], ...]]] = {
    "open": ((_HERE, 0),), "creat": ((_HERE, 0),), "openat": ((0, 1),), "openat2": ((0, 1),),
    "readlink": ((_HERE, 0),), "readlinkat": ((0, 1),), "chdir": ((_HERE, 0),),
    "execve": ((_HERE, 0),), "execveat": ((0, 1),), "truncate": ((_HERE, 0),),
    "mkdir": ((_HERE, 0),), "mkdirat": ((0, 1),), "mknod": ((_HERE, 0),), "mknodat": ((0, 1),),
    "rmdir": ((_HERE, 0),), "unlink": ((_HERE, 0),), "unlinkat": ((0, 1),),
    "rename": ((_HERE, 0), (_HERE, 1)), "renameat": ((0, 1), (2, 3)),
    "renameat2": ((0, 1), (2, 3)), "link": ((_HERE, 0), (_HERE, 1)), "linkat": ((0, 1), (2, 3)),
    "symlink": ((_HERE, 1),), "symlinkat": ((1, 2),),
    "chmod": ((_HERE, 0),), "fchmodat": ((0, 1),), "fchmodat2": ((0, 1),),
    "chown": ((_HERE, 0),), "lchown": ((_HERE, 0),), "fchownat": ((0, 1),),
}  # fmt: skip
"""Which of the arguments are folders to begin at, and names."""

_FLAGS: Final = {"open": 1, "openat": 2}
_READS: Final = {"readlink", "readlinkat", "chdir", "execve", "execveat"}
_MAKES: Final = {"creat", "mkdir", "mkdirat", "mknod", "mknodat", "symlink", "symlinkat"}
_OF_ENTRIES: Final = (
    {"readlink", "readlinkat", "lchown", "symlink", "symlinkat", "link", "linkat"}
    | {"mkdir", "mkdirat", "mknod", "mknodat", "rmdir", "unlink", "unlinkat"}
    | {"rename", "renameat", "renameat2"}
)
"""These don't follow a link that stands last."""
_CHANGES: Final = os.O_ACCMODE | os.O_CREAT | os.O_TRUNC
_USERS: Final = {
    "setuid": 1, "setgid": 1, "setreuid": 2, "setregid": 2, "setresuid": 3, "setresgid": 3,
}  # fmt: skip
_SIGNALS: Final = {"kill", "tkill", "tgkill", "rt_sigqueueinfo", "pidfd_open"}
_REAL_TIME: Final = {1: "SCHED_FIFO", 2: "SCHED_RR", 6: "SCHED_DEADLINE"}
_RESET: Final = 0x40000000
_SAME: Final = 0xFFFFFFFF
_AF_UNIX: Final = 1
_LONGEST: Final = 4096


class Witness:
    """``python``: as in ``view.build``. ``others``: how many processes outside of it count for the
    limit of processes."""

    def __init__(self, limits: Limits, python: str | None, others: int) -> None:
        self._limits = limits
        self._names = Names(python)
        self._others = others

    def judge(self, notice: Notice) -> Sight | None:
        """What of a call that is looked at will be refused, None: nothing, or nobody can tell.
        Raises ``OSError`` where its memory can't be read."""
        name, given = looked_at(notice), notice.arguments
        if named := _NAMED.get(name):
            return self._of_files(notice, name, named) or self._of_a_length(name, given)
        if name in _SIGNALS:
            return self._of_a_process(name, given)
        if name in ("connect", "sendto"):
            at, length = (1, 2) if name == "connect" else (4, 5)
            return self._of_an_address(notice, name, given[at], min(given[length], 128))
        if name == "mmap":
            return self._of_memory(notice.pid, given[1])
        if name in ("fallocate", "ftruncate"):
            return self._of_a_length(name, given)
        return self._of_rights(notice, name)

    # -- files -------------------------------------------------------------------------------

    def _of_files(
        self, notice: Notice, name: str, named: tuple[tuple[int, int], ...]
    ) -> Sight | None:
        pid, given = notice.pid, notice.arguments
        flags = self._flags(notice, name)
        changes, creates = bool(flags & _CHANGES), bool(flags & os.O_CREAT)
        for begin, at in named:
            text = os.fsdecode(linux.read_text(pid, given[at], _LONGEST))
            if not text:
                continue
            if not changes and self._names.is_plain(text) and name != "execve":
                continue
            place = self._place(pid, given[begin] if begin >= 0 else _CWD, text, name)
            why = self._names.objection(place, changes=changes, creates=creates)
            if why:
                return "file", f"{name} {text}{f' ({place})' * (place != text)}: {why}"
            if name in ("execve", "execveat") and _takes_rights(place):
                return "right", f"{name} {text}: it runs without the rights of its owner"
        if name in ("mknod", "mknodat"):
            mode = given[1 if name == "mknod" else 2]
            if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
                return "file", f"{name}: a device"
        if name in ("open", "openat", "openat2") and self._is_full(pid):
            return "limit", f"descriptors: all {self._limits.descriptors} are in use"
        return None

    def _flags(self, notice: Notice, name: str) -> int:
        """Those of ``open`` that would do the same to a file."""
        if name in _FLAGS:
            return notice.arguments[_FLAGS[name]]
        if name == "openat2":
            return _word(linux.read_memory(notice.pid, notice.arguments[2], 8))
        return 0 if name in _READS else os.O_WRONLY | (os.O_CREAT if name in _MAKES else 0)

    def _place(self, pid: int, folder: int, text: str, name: str) -> str:
        """Where it leads."""
        if text.startswith("/"):
            begin = ""
        else:
            number = folder & _SAME
            which = "cwd" if number == _CWD & _SAME else f"fd/{number}"
            try:
                begin = os.readlink(f"/proc/{pid}/{which}")
            except OSError:
                return text  # there is no such descriptor, or it is gone
        return self._names.resolve(begin, text, pid, last=name not in _OF_ENTRIES)

    def _is_full(self, pid: int) -> bool:
        """They are given out from the lowest on."""
        return os.path.lexists(f"/proc/{pid}/fd/{self._limits.descriptors - 1}")

    def _of_a_length(self, name: str, given: tuple[int, ...]) -> Sight | None:
        lengths = {"truncate": given[1], "ftruncate": given[1], "fallocate": given[2] + given[3]}
        longer = lengths.get(name, 0) > self._limits.file
        return ("limit", FILE_SIZE) if longer else None

    def _of_memory(self, pid: int, length: int) -> Sight | None:
        with open(f"/proc/{pid}/statm", "rb") as file:
            taken = int(file.read().split()[0]) * linux.PAGE
        most = address_space(self._limits)
        words = f"memory: more than {most:,} bytes of one process"
        return ("limit", words) if taken + length > most else None

    def _of_an_address(self, notice: Notice, name: str, at: int, length: int) -> Sight | None:
        address = linux.read_memory(notice.pid, at, length)
        if len(address) < 4 or _word(address[:2]) != _AF_UNIX:
            return None
        if address[2] == 0:
            text = "@" + os.fsdecode(address[3:])
            with open("/proc/1/net/unix", encoding="utf-8", errors="surrogateescape") as known:
                there = any(line.rstrip("\n").endswith(f" {text}") for line in known)
            return None if there else ("file", f"{name} {text}: {NOT_THERE}")
        text = os.fsdecode(address[2:].split(b"\0")[0])
        place = self._place(notice.pid, _CWD, text, name)
        why = self._names.objection(place)
        return ("file", f"{name} {text}{f' ({place})' * (place != text)}: {why}") if why else None

    # -- processes ---------------------------------------------------------------------------

    def _of_a_process(self, name: str, given: tuple[int, ...]) -> Sight | None:
        pid = _signed(given[1] if name == "tgkill" else given[0])
        if pid == -1 and name == "kill":
            return "process", f"{name} -1: only those in the sandbox can be meant"
        why = _absence(pid)
        return ("process", f"{name} {pid}: {why}") if why else None

    def crowd(self, ended: int = 0) -> Sight | None:
        """Whether there are as many processes as there may be, now. ``ended``: these were there a
        moment ago."""
        most = self._limits.processes
        full = self._others + _tasks() + ended >= most
        return ("limit", f"processes: as many as there may be, {most}") if full else None

    # -- rights ------------------------------------------------------------------------------

    def _of_rights(self, notice: Notice, name: str) -> Sight | None:
        why, pid, given = "", notice.pid, notice.arguments
        if count := _USERS.get(name):
            others = [word & _SAME for word in given[:count]]
            wanted = [number for number in others if number not in (USER, _SAME)]
            why = f"to be {wanted[0]}" if wanted else ""
        elif name == "setgroups":
            why = "other groups"
        elif name == "capset":
            why = "capabilities" if any(linux.read_memory(pid, given[1], 8)) else ""
        elif name in ("setrlimit", "prlimit64"):
            whom, what, where = (0, *given[:2]) if name == "setrlimit" else given[:3]
            why = _raised(_signed(whom) or pid, what, linux.read_memory(pid, where, 16))
        elif name == "setpriority":
            who = _signed(given[1])
            if given[0] == os.PRIO_PROCESS and who and (absence := _absence(who)):
                return "process", f"{name} {who}: {absence}"
            now = os.getpriority(os.PRIO_PROCESS, who or pid)
            why = "to go before others" if _signed(given[2]) < now else ""
        elif name in ("sched_setscheduler", "sched_setattr"):
            memory = linux.read_memory(pid, given[1], 8) if name == "sched_setattr" else b""
            policy = _word(memory[4:8]) if memory else given[1] & _SAME
            why = _REAL_TIME.get(policy & ~_RESET, "")
        return ("right", f"{name}: {why}") if why else None


def _absence(pid: int) -> str:
    """Why it can't be reached; "" if it can, or is a group."""
    if pid == 1:
        return "the warden"
    return NOT_THERE if pid > 1 and not os.path.exists(f"/proc/{pid}") else ""


def _takes_rights(place: str) -> bool:
    try:
        return bool(os.stat(place).st_mode & (stat.S_ISUID | stat.S_ISGID))
    except OSError:
        return False


def _raised(pid: int, which: int, words: bytes) -> str:
    wanted = _word(words[8:16])
    try:
        hard: Any = resource.prlimit(pid, which)[1]
    except (OSError, ValueError):
        return ""
    above = hard != resource.RLIM_INFINITY and wanted > hard
    return f"limit {which} above {hard:,}" if above else ""


def _tasks() -> int:
    """Threads of all but the warden."""
    count = 0
    for name in os.listdir("/proc"):
        if name.isdigit() and name != "1":
            try:
                count += len(os.listdir(f"/proc/{name}/task"))
            except OSError:
                continue
    return count


def _word(words: bytes) -> int:
    return int.from_bytes(words, "little")


def _signed(word: int) -> int:
    return (word & _SAME) - ((word & 0x80000000) << 1)


def shown(text: str) -> str:
    """As text that can be sent: a name may be any bytes."""
    return os.fsencode(text).decode("utf-8", errors="replace")
