"""Seccomp: the system calls that are barred, those that are looked at, and the ear for both.

Each of them waits for whoever holds the listener. To a barred one the answer is always no, so there
is nothing to decide there and nothing to be tricked about. One that is looked at always goes on:
whether it may be is held elsewhere, and a program that changes its arguments meanwhile gains
nothing but that its attempt isn't noted. It knows nothing about namespaces or files.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import struct
from typing import Final, NamedTuple

from drivers.sandbox import linux
from drivers.sandbox.limits import Limits

_ARCHITECTURES: Final = {"x86_64": (0xC000003E, 0, 317), "aarch64": (0xC00000B7, 1, 277)}
"""What the machine is called in a filter, the column in the tables below, the number of seccomp."""

_MACHINE: Final = os.uname().machine
_COLUMN: Final = _ARCHITECTURES.get(_MACHINE, (0, 0, 0))[1]

BARRED: Final[dict[str, tuple[int, int]]] = {
    # What is where, and who is apart from whom.
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51),
    "move_mount": (429, 429), "open_tree": (428, 428), "fsopen": (430, 430),
    "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433),
    "mount_setattr": (442, 442), "open_tree_attr": (467, 467),
    "unshare": (272, 97), "setns": (308, 268),
    "open_by_handle_at": (304, 265), "name_to_handle_at": (303, 264), "fanotify_init": (300, 262),
    "quotactl": (179, 60), "quotactl_fd": (443, 443),
    # Looking into other processes (who uses which of the system's files, too), and into the kernel.
    "inotify_add_watch": (254, 27),
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "kcmp": (312, 272), "pidfd_getfd": (438, 438), "process_madvise": (440, 440),
    "perf_event_open": (298, 241), "bpf": (321, 280), "userfaultfd": (323, 282),
    "syslog": (103, 116), "lookup_dcookie": (212, 18),
    "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218),
    # Calls that go past this filter.
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    # The machine itself.
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106),
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "reboot": (169, 142),
    "swapon": (167, 224), "swapoff": (168, 225), "acct": (163, 89), "vhangup": (153, 58),
    "iopl": (172, -1), "ioperm": (173, -1), "modify_ldt": (154, -1),
    "sethostname": (170, 161), "setdomainname": (171, 162), "settimeofday": (164, 170),
    "clock_settime": (227, 112), "clock_adjtime": (305, 266), "adjtimex": (159, 171),
    "mbind": (237, 235), "set_mempolicy": (238, 237), "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    # Memory that is in no process, so that no limit counts it.
    "memfd_create": (319, 279), "memfd_secret": (447, 447),
    "shmget": (29, 194), "msgget": (68, 186), "semget": (64, 190), "mq_open": (240, 180),
}  # fmt: skip

LOOKED_AT: Final[dict[str, tuple[int, int]]] = {
    # Names of files.
    "open": (2, -1), "openat": (257, 56), "openat2": (437, 437), "creat": (85, -1),
    "readlink": (89, -1), "readlinkat": (267, 78), "chdir": (80, 49),
    "execve": (59, 221), "execveat": (322, 281), "truncate": (76, 45),
    "mkdir": (83, -1), "mkdirat": (258, 34), "mknod": (133, -1), "mknodat": (259, 33),
    "rmdir": (84, -1), "unlink": (87, -1), "unlinkat": (263, 35),
    "rename": (82, -1), "renameat": (264, 38), "renameat2": (316, 276),
    "link": (86, -1), "linkat": (265, 37), "symlink": (88, -1), "symlinkat": (266, 36),
    "chmod": (90, -1), "fchmodat": (268, 53), "fchmodat2": (452, 452),
    "chown": (92, -1), "lchown": (94, -1), "fchownat": (260, 54),
    "connect": (42, 203),
    # Other processes.
    "kill": (62, 129), "tkill": (200, 130), "tgkill": (234, 131), "pidfd_open": (434, 434),
    "rt_sigqueueinfo": (129, 138), "setpriority": (141, 140),
    "sched_setscheduler": (144, 119), "sched_setattr": (314, 274),
    # More rights than it has.
    "setuid": (105, 146), "setgid": (106, 144), "setreuid": (113, 145), "setregid": (114, 143),
    "setresuid": (117, 147), "setresgid": (119, 149), "setgroups": (116, 159),
    "capset": (126, 91), "setrlimit": (160, 164),
    # What limits end. Not ``fork``: a signal that comes before it is heard ends it with EINTR.
    "fallocate": (285, 47),
}  # fmt: skip

_SOCKET, _SOCKETPAIR, _CLONE, _CLONE3 = (41, 198), (53, 199), (56, 220), (435, 435)
_IOCTL, _FCNTL, _SENDTO, _PRLIMIT = (16, 29), (72, 25), (44, 206), (302, 261)
_MMAP, _FTRUNCATE = (9, 222), (77, 46)

_WITH_SOME: Final = {
    "sendto": _SENDTO, "prlimit64": _PRLIMIT, "mmap": _MMAP, "ftruncate": _FTRUNCATE,
}  # fmt: skip
"""Looked at with some arguments only."""

_LOOKED_AT_BY_NUMBER: Final = {
    numbers[_COLUMN]: name for name, numbers in (LOOKED_AT | _WITH_SOME).items()
}

_NEW_NAMESPACES: Final = 0x7E020000
_AF_UNIX: Final = 1
_FAMILIES: Final = {2: "AF_INET", 10: "AF_INET6", 16: "AF_NETLINK", 17: "AF_PACKET", 40: "AF_VSOCK"}
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C  # put letters into a terminal
_F_NOTIFY: Final = 1026  # what inotify does, as it was done before

_LOAD, _EQUAL, _ABOVE, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x25, 0x35, 0x45, 0x06
_NUMBER, _ARCH, _ARG0, _ARG1, _ARG2, _ARG4 = 0, 4, 16, 24, 32, 48
_HIGH: Final = 4
"""Where the upper half of an argument is; both machines have the lower one first."""
_MUCH: Final = 1 << 20
"""Bytes of memory: who asks for so many takes longer to use them than to be looked at."""
_KILL, _NOTIFY, _ALLOW = 0x80000000, 0x7FC00000, 0x7FFF0000
_NOT_THERE: Final = 0x00050000 | errno.ENOSYS

_SET_MODE_FILTER, _NEW_LISTENER, _WAIT_KILLABLE = 1, 1 << 3, 1 << 5
_RECEIVE, _SEND, _SET_FLAGS = 0xC0502100, 0xC0182101, 0x40082104
_SAME_CPU: Final = 1
_CONTINUE: Final = 1
_NOTICE: Final = struct.Struct("=QIIiIQ6Q")
_ANSWER: Final = struct.Struct("=QqiI")


class Notice(NamedTuple):
    """A call that waits. ``pid``: of the thread that makes it. ``arguments``: six words, as they
    were given."""

    id: int
    pid: int
    number: int
    arguments: tuple[int, ...]


def supported() -> bool:
    return _MACHINE in _ARCHITECTURES


def install(limits: Limits) -> int:
    """Hold this process and all its descendants to it, for ever. The listener."""
    program = _program(limits)
    size = len(program) // 8
    code = ctypes.create_string_buffer(program, len(program))
    words = struct.pack("=H6xQ", size, ctypes.addressof(code))
    number = _ARCHITECTURES[_MACHINE][2]
    block = ctypes.create_string_buffer(words, len(words))
    # Once it is heard, a signal must not make the call begin anew, again and again.
    flags = _NEW_LISTENER | _WAIT_KILLABLE
    return linux.syscall("seccomp", number, _SET_MODE_FILTER, flags, block)


def hurry(listener: int) -> None:
    """Whoever waits and whoever answers take turns on one processor, where the kernel can."""
    with contextlib.suppress(OSError):
        fcntl.ioctl(listener, _SET_FLAGS, _SAME_CPU)


def receive(listener: int) -> Notice | None:
    """The next call that waits; None if it is gone meanwhile."""
    notice = bytearray(_NOTICE.size)
    try:
        fcntl.ioctl(listener, _RECEIVE, notice)
    except OSError:
        return None
    id, pid, _, number, _, _, *arguments = _NOTICE.unpack(notice)
    return Notice(id, pid, number, tuple(arguments))


def go_on(listener: int, notice: Notice) -> None:
    _answer(listener, _ANSWER.pack(notice.id, 0, 0, _CONTINUE))


def refuse(listener: int, notice: Notice, error: int = errno.EPERM) -> None:
    _answer(listener, _ANSWER.pack(notice.id, 0, -error, 0))


def _answer(listener: int, answer: bytes) -> None:
    with contextlib.suppress(OSError):  # it is gone
        fcntl.ioctl(listener, _SEND, answer)


def looked_at(notice: Notice) -> str:
    """What a call is called that is not barred; "" if it is."""
    return _LOOKED_AT_BY_NUMBER.get(notice.number, "")


def barred(notice: Notice) -> str:
    """What a barred call is called; "" if it isn't barred with these arguments."""
    number, first = notice.number, notice.arguments[0] & 0xFFFFFFFF
    if number in _LOOKED_AT_BY_NUMBER:
        return ""
    if number == _CLONE[_COLUMN]:
        return "clone(new namespaces)"
    if number in (_SOCKET[_COLUMN], _SOCKETPAIR[_COLUMN]):
        return f"socket({_FAMILIES.get(first, first)})"
    if number == _IOCTL[_COLUMN]:
        return "ioctl(TIOCSTI)"
    if number == _FCNTL[_COLUMN]:
        return "fcntl(F_NOTIFY)"
    return next(name for name, numbers in BARRED.items() if numbers[_COLUMN] == number)


def _program(limits: Limits) -> bytes:
    arch, column, _ = _ARCHITECTURES[_MACHINE]
    steps = [
        _step(_LOAD, _ARCH), _step(_EQUAL, arch, 1, 0), _step(_RETURN, _KILL),
        # On x86-64 the numbers of a second table, x32, begin here.
        _step(_LOAD, _NUMBER), _step(_AT_LEAST, 0x40000000, 0, 1), _step(_RETURN, _KILL),
    ]  # fmt: skip
    for numbers in (*BARRED.values(), *LOOKED_AT.values()):
        if numbers[column] >= 0:
            steps += [_step(_EQUAL, numbers[column], 0, 1), _step(_RETURN, _NOTIFY)]
    # Its flags are in memory, where no filter sees them: without it, clone is taken.
    steps += [_step(_EQUAL, _CLONE3[column], 0, 1), _step(_RETURN, _NOT_THERE)]
    steps += _sometimes(_CLONE[column], _ARG0, [_step(_ANY_BIT, _NEW_NAMESPACES, 0, 1)])
    for numbers in (_SOCKET, _SOCKETPAIR):
        steps += _sometimes(numbers[column], _ARG0, [_step(_EQUAL, _AF_UNIX, 1, 0)])
    letters = [_step(_EQUAL, _TIOCSTI, 1, 0), _step(_EQUAL, _TIOCLINUX, 0, 1)]
    steps += _sometimes(_IOCTL[column], _ARG1, letters)
    steps += _sometimes(_FCNTL[column], _ARG1, [_step(_EQUAL, _F_NOTIFY, 0, 1)])
    # With an address; with new limits; much memory; more than a file may have.
    steps += _from(_SENDTO[column], _ARG4, 1)
    steps += _from(_PRLIMIT[column], _ARG2, 1)
    steps += _from(_MMAP[column], _ARG1, _MUCH)
    steps += _from(_FTRUNCATE[column], _ARG1, limits.file + 1)
    return b"".join([*steps, _step(_RETURN, _ALLOW)])


def _sometimes(number: int, argument: int, tests: list[bytes]) -> list[bytes]:
    """To the listener where the tests of one of its arguments go to the step that follows them."""
    inside = [_step(_LOAD, argument), *tests, _step(_RETURN, _NOTIFY), _step(_RETURN, _ALLOW)]
    return [_step(_EQUAL, number, 0, len(inside)), *inside]


def _from(number: int, argument: int, least: int) -> list[bytes]:
    """To the listener where one of its arguments is at least so much."""
    high, low = least >> 32, least & 0xFFFFFFFF
    tests = [
        _step(_LOAD, argument + _HIGH), _step(_ABOVE, high, 3, 0), _step(_EQUAL, high, 0, 3),
        _step(_LOAD, argument), _step(_AT_LEAST, low, 0, 1),
    ]  # fmt: skip
    return _sometimes(number, argument, tests)


def _step(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, value)
