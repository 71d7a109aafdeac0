"""Linux: the system calls that Python has no function for, each raising ``OSError`` with its name.

It knows nothing about what they are used for.
"""

from __future__ import annotations

import ctypes
import os
from typing import Final

_libc: Final = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long

PAGE: Final = os.sysconf("SC_PAGE_SIZE")

_SET_PDEATHSIG: Final = 1
_SET_DUMPABLE: Final = 4
_CAPBSET_DROP: Final = 24
_SET_CHILD_SUBREAPER: Final = 36
_SET_NO_NEW_PRIVS: Final = 38

_MOUNT_SETATTR: Final = 442
_AT_FDCWD: Final = -100
_AT_RECURSIVE: Final = 0x8000
_CAPABILITY_VERSION_3: Final = 0x20080522
_LAST_CAPABILITY: Final = 63

MS_BIND: Final = 4096
MS_REC: Final = 16384
MS_PRIVATE: Final = 1 << 18
MS_NOSUID: Final = 2
MS_NODEV: Final = 4
MS_NOEXEC: Final = 8
MNT_DETACH: Final = 2
ATTR_RDONLY: Final = 1
ATTR_NOSUID: Final = 2
ATTR_NODEV: Final = 4


def syscall(name: str, number: int, *args: int | ctypes.Array[ctypes.c_char] | None) -> int:
    ctypes.set_errno(0)
    words = [ctypes.c_long(arg) if isinstance(arg, int) else arg for arg in args]
    return _checked(name, _libc.syscall(ctypes.c_long(number), *words))


def unshare(flags: int) -> None:
    _checked("unshare", _libc.unshare(ctypes.c_int(flags)))


def mount(source: str, target: str, kind: str, flags: int = 0, data: str = "") -> None:
    done = _libc.mount(
        os.fsencode(source),
        os.fsencode(target),
        kind.encode(),
        ctypes.c_ulong(flags),
        data.encode(),
    )
    _checked(f"mount {kind or source} on {target}", done)


def protect_mount(target: str, attributes: int, *, recursive: bool = True) -> None:
    """Sets them for the mount, and for those inside it. No more: none is taken away."""
    words = attributes.to_bytes(8, "little") + bytes(24)
    flags = _AT_RECURSIVE if recursive else 0
    path = ctypes.create_string_buffer(os.fsencode(target))
    attr = ctypes.create_string_buffer(words, 32)
    syscall(f"mount_setattr {target}", _MOUNT_SETATTR, _AT_FDCWD, path, flags, attr, 32)


def enter_root(folder: str) -> None:
    """Make this folder, a mount, the root; what was the root is gone."""
    os.chdir(folder)
    number = 41 if os.uname().machine == "aarch64" else 155
    here = ctypes.create_string_buffer(b".")
    syscall("pivot_root", number, here, here)
    _checked("umount2", _libc.umount2(b".", MNT_DETACH))
    os.chdir("/")


def die_with_parent(signal_number: int) -> None:
    _prctl("PR_SET_PDEATHSIG", _SET_PDEATHSIG, signal_number)


def adopt_orphans() -> None:
    """Descendants whose parents are gone become children of this process."""
    _prctl("PR_SET_CHILD_SUBREAPER", _SET_CHILD_SUBREAPER, 1)


def hide_memory() -> None:
    """Not even the same user may trace this process, or look into it."""
    _prctl("PR_SET_DUMPABLE", _SET_DUMPABLE, 0)


def forbid_privileges() -> None:
    """No program that is executed from now on can give this process more than it has."""
    _prctl("PR_SET_NO_NEW_PRIVS", _SET_NO_NEW_PRIVS, 1)


def drop_bounds() -> None:
    """No program can give it a capability any more. Takes a capability itself."""
    for capability in range(_LAST_CAPABILITY + 1):
        if _libc.prctl(_CAPBSET_DROP, ctypes.c_ulong(capability), 0, 0, 0) == -1:
            return  # past the last one that there is: the first is always there


def drop_capabilities() -> None:
    header = _CAPABILITY_VERSION_3.to_bytes(4, "little") + bytes(4)
    _checked("capset", _libc.capset(header, bytes(24)))


class _Piece(ctypes.Structure):
    _fields_ = (("address", ctypes.c_void_p), ("length", ctypes.c_size_t))


_memory: Final = ctypes.create_string_buffer(4096)
_here: Final = _Piece(ctypes.addressof(_memory), 0)
_there: Final = _Piece(0, 0)


def read_memory(pid: int, address: int, length: int) -> bytes:
    """Of another thread; 4,096 bytes at most, fewer where its memory ends."""
    _here.length = _there.length = min(length, len(_memory))
    _there.address = address
    read = _libc.process_vm_readv(pid, ctypes.byref(_here), 1, ctypes.byref(_there), 1, 0)
    return _memory.raw[: _checked("process_vm_readv", read)]


def read_text(pid: int, address: int, most: int) -> bytes:
    """Up to a NUL; "" if there is none so near."""
    text = b""
    while len(text) < most:
        # A page at a time: the next one may not be there.
        at = address + len(text)
        piece = read_memory(pid, at, min(256, PAGE - at % PAGE))
        words, end, _ = piece.partition(b"\0")
        text += words
        if end:
            return text
    return b""


def _prctl(name: str, option: int, value: int) -> None:
    _checked(name, _libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0))


def _checked(name: str, result: int) -> int:
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result
