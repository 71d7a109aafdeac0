"""Seccomp: the system calls that are barred, and the ear that hears of each attempt at one.

A barred call waits for whoever holds the listener, who notes it and says no (``refuse_next``). Only
calls that are always barred go that way, so there is nothing to decide and nothing to be tricked
about. It knows nothing about namespaces or files.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct
from typing import Final

from drivers.sandbox import linux

_ARCHITECTURES: Final = {"x86_64": (0xC000003E, 0, 317), "aarch64": (0xC00000B7, 1, 277)}
"""What the machine is called in a filter, the column in the table below, the number of seccomp."""

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

_SOCKET, _SOCKETPAIR, _CLONE, _CLONE3 = (41, 198), (53, 199), (56, 220), (435, 435)
_IOCTL, _FCNTL = (16, 29), (72, 25)

_NEW_NAMESPACES: Final = 0x7E020000
_AF_UNIX: Final = 1
_FAMILIES: Final = {2: "AF_INET", 10: "AF_INET6", 16: "AF_NETLINK", 17: "AF_PACKET", 40: "AF_VSOCK"}
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C  # put letters into a terminal
_F_NOTIFY: Final = 1026  # what inotify does, as it was done before

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCH, _ARG0, _ARG1 = 0, 4, 16, 24
_KILL, _NOTIFY, _ALLOW = 0x80000000, 0x7FC00000, 0x7FFF0000
_NOT_THERE: Final = 0x00050000 | errno.ENOSYS

_SET_MODE_FILTER, _NEW_LISTENER = 1, 1 << 3
_RECEIVE, _SEND = 0xC0502100, 0xC0182101
_NOTICE: Final = struct.Struct("=QIIiIQ6Q")
_ANSWER: Final = struct.Struct("=QqiI")


def supported() -> bool:
    return os.uname().machine in _ARCHITECTURES


def install() -> int:
    """Bar them for this process and all its descendants, for ever. The listener."""
    program = _program()
    size = len(program) // 8
    code = ctypes.create_string_buffer(program, len(program))
    words = struct.pack("=H6xQ", size, ctypes.addressof(code))
    number = _ARCHITECTURES[os.uname().machine][2]
    block = ctypes.create_string_buffer(words, len(words))
    return linux.syscall("seccomp", number, _SET_MODE_FILTER, _NEW_LISTENER, block)


def refuse_next(listener: int) -> str:
    """Say no to an attempt that waits; what it was, "" if it is gone meanwhile."""
    notice = bytearray(_NOTICE.size)
    try:
        fcntl.ioctl(listener, _RECEIVE, notice)
        id, _, _, number, _, _, first, *_ = _NOTICE.unpack(notice)
        fcntl.ioctl(listener, _SEND, _ANSWER.pack(id, 0, -errno.EPERM, 0))
    except OSError:
        return ""
    return _title(number, first & 0xFFFFFFFF)


def _title(number: int, first: int) -> str:
    column = _ARCHITECTURES[os.uname().machine][1]
    if number in (_SOCKET[column], _SOCKETPAIR[column]):
        return f"socket({_FAMILIES.get(first, first)})"
    if number == _CLONE[column]:
        return "clone(new namespaces)"
    if number == _IOCTL[column]:
        return "ioctl(TIOCSTI)"
    if number == _FCNTL[column]:
        return "fcntl(F_NOTIFY)"
    return next(name for name, numbers in BARRED.items() if numbers[column] == number)


def _program() -> bytes:
    arch, column, _ = _ARCHITECTURES[os.uname().machine]
    steps = [
        _step(_LOAD, _ARCH), _step(_EQUAL, arch, 1, 0), _step(_RETURN, _KILL),
        # On x86-64 the numbers of a second table, x32, begin here.
        _step(_LOAD, _NUMBER), _step(_AT_LEAST, 0x40000000, 0, 1), _step(_RETURN, _KILL),
    ]  # fmt: skip
    for numbers in BARRED.values():
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
    return b"".join([*steps, _step(_RETURN, _ALLOW)])


def _sometimes(number: int, argument: int, tests: list[bytes]) -> list[bytes]:
    """Barred where the tests of one of its arguments go to the step that follows them."""
    inside = [_step(_LOAD, argument), *tests, _step(_RETURN, _NOTIFY), _step(_RETURN, _ALLOW)]
    return [_step(_EQUAL, number, 0, len(inside)), *inside]


def _step(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, value)
