"""Limits of one call: what it may take of the machine.

Those that the kernel holds for each process are set here; those over all of them are the warden's.
It knows nothing about what runs.
"""

from __future__ import annotations

import resource
from typing import Final, NamedTuple

MB: Final = 1 << 20


class Limits(NamedTuple):
    """Bytes, seconds and numbers. ``memory``: of all processes together, as they are resident.
    ``file``: the longest file. ``folder`` and ``entries``: of the working folder. ``tmp``: of each
    of /tmp and /dev/shm. ``output``: of both streams together, whatever is kept of them. ``spare``:
    what must stay free on the disk."""

    seconds: float = 30.0
    memory: int = 512 * MB
    processes: int = 64
    descriptors: int = 256
    file: int = 64 * MB
    folder: int = 256 * MB
    entries: int = 20_000
    tmp: int = 64 * MB
    output: int = 16 * MB
    spare: int = 512 * MB


def address_space(limits: Limits) -> int:
    """Bytes, of one process."""
    return 2 * limits.memory


def apply(limits: Limits) -> None:
    """To this process, and to each of its descendants by itself."""
    seconds = int(limits.seconds) + 1
    values = {
        # A soft and a hard one: the signal that tells comes before the one that kills.
        resource.RLIMIT_CPU: (seconds, seconds + 1),
        resource.RLIMIT_AS: (address_space(limits),) * 2,
        resource.RLIMIT_FSIZE: (limits.file, limits.file),
        resource.RLIMIT_NPROC: (limits.processes, limits.processes),
        resource.RLIMIT_NOFILE: (limits.descriptors, limits.descriptors),
        resource.RLIMIT_CORE: (0, 0),
        resource.RLIMIT_MEMLOCK: (0, 0),
        resource.RLIMIT_MSGQUEUE: (0, 0),
        resource.RLIMIT_RTPRIO: (0, 0),
    }
    for kind, pair in values.items():
        hard = resource.getrlimit(kind)[1]
        most = pair if hard == resource.RLIM_INFINITY else tuple(min(n, hard) for n in pair)
        resource.setrlimit(kind, (most[0], most[1]))
