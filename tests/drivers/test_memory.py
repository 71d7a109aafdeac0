"""Does a step find the memory again that the one before it has freed?"""

from __future__ import annotations

import ctypes
import subprocess
import sys
from types import SimpleNamespace

import pytest

from drivers.edge.memory import keep_freed

FAULTS = """
import resource, torch
from drivers.edge.memory import keep_freed
if {kept}:
    keep_freed()
large = torch.ones(6 << 20, dtype=torch.uint8)
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
# Three at once: glibc by itself keeps twice the largest that was freed. The first rounds lay out
# the heap.
for _ in range(10):
    (large + 1, large + 2, large + 3)
before = faults()
for _ in range(20):
    (large + 1, large + 2, large + 3)
print(faults() - before)
"""


def faults(*, kept: bool) -> int:
    program = [sys.executable, "-c", FAULTS.format(kept=kept)]
    return int(subprocess.run(program, capture_output=True, check=True, timeout=60).stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it is glibc's")
def test_is_memory_that_was_freed_used_again() -> None:
    if not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"):
        pytest.skip("it is glibc's")
    assert 4 * faults(kept=True) < faults(kept=False)


def test_does_another_c_library_do_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drivers.edge.memory.ctypes.CDLL", lambda name: SimpleNamespace())
    assert not keep_freed()
