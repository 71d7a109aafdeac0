"""What all tests need."""

from __future__ import annotations

import gc
import os
import signal
from typing import Final

import pytest
from hypothesis import HealthCheck, settings

# How loaded the machine is proves nothing.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

_LONGEST: Final = (
    "tests/tui/test_live", "tests/acceptance/", "tests/interference/", "tests/sim/",
    "tests/system/", "tests/packaging/", "tests/readme/", "tests/drivers/test_openvino",
)  # fmt: skip
"""Where tests take minutes. They come first, so that no worker is left with one of them alone."""


def pytest_configure() -> None:
    """A shell's job in the background ignores Ctrl-C, and so would all that the tests start. And
    another test has the other processor: a model's threads would spin for it in vain."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    gc.set_threshold(20_000, 20, 50)  # as in the kernel


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _place(item.nodeid))


def _place(name: str) -> int:
    found = (place for place, start in enumerate(_LONGEST) if name.startswith(start))
    return next(found, len(_LONGEST))


def pytest_collection_finish() -> None:
    """The tests themselves, and what they import, stay until the end: not to be searched for
    garbage again and again."""
    gc.collect()
    gc.freeze()
