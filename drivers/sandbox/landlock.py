"""Landlock: which files a process and all its descendants may use, as the Linux kernel holds it.

Beside files it bars TCP, abstract Unix sockets and signals to outsiders, as far as the running
kernel can (``version``). It knows nothing about which files those are.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable
from typing import Final

from drivers.sandbox import linux

OLDEST: Final = 3
"""The first version that bars cutting files off (Linux 6.2)."""

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_VERSION_FLAG: Final = 1
_PATH_BENEATH: Final = 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 1 << 1, 1 << 2, 1 << 3
_MAKE_CHAR, _MAKE_BLOCK = 1 << 6, 1 << 11
_TRUNCATE, _IOCTL_DEV = 1 << 14, 1 << 15
_OF_FILES: Final = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV

LIST: Final = _READ_DIR
READ: Final = _READ_FILE | _READ_DIR
USE: Final = READ | _EXECUTE
CHANGE: Final = (1 << 16) - 1 & ~_MAKE_CHAR & ~_MAKE_BLOCK

_RIGHTS: Final = {1: 13, 2: 14, 3: 15, 4: 15}
"""How many rights for files a version knows; later ones know 16 or more."""


def version() -> int:
    """0 where there is no Landlock."""
    try:
        return linux.syscall("landlock", _CREATE, None, 0, _VERSION_FLAG)
    except OSError:
        return 0


def restrict(paths: Iterable[tuple[str, int]]) -> None:
    """This process may do this to what is beneath these paths, and nothing else to any file."""
    known = version()
    handled = (1 << _RIGHTS.get(known, 16)) - 1
    network = 3 if known >= 4 else 0  # bind and connect of TCP: no rule allows any
    scoped = 3 if known >= 6 else 0  # abstract Unix sockets, and signals
    attr = b"".join(word.to_bytes(8, "little") for word in (handled, network, scoped))
    rules = linux.syscall("landlock_create_ruleset", _CREATE, _buffer(attr), len(attr), 0)
    try:
        for path, rights in paths:
            _allow(rules, path, rights & handled)
        linux.syscall("landlock_restrict_self", _RESTRICT, rules, 0)
    finally:
        os.close(rules)


def _allow(rules: int, path: str, rights: int) -> None:
    opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not os.path.isdir(path):
            rights &= _OF_FILES
        rule = rights.to_bytes(8, "little") + opened.to_bytes(4, "little")
        linux.syscall(f"landlock_add_rule {path}", _ADD, rules, _PATH_BENEATH, _buffer(rule), 0)
    finally:
        os.close(opened)


def _buffer(words: bytes) -> ctypes.Array[ctypes.c_char]:
    return ctypes.create_string_buffer(words, len(words))
