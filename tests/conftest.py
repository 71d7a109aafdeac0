"""What all tests need."""

from __future__ import annotations

import gc
from typing import Final

import pytest

_LONGEST: Final = (
    "tests/tui/test_live.py", "tests/acceptance/", "tests/interference/", "tests/sim/",
    "tests/system/", "tests/packaging/", "tests/readme/", "tests/drivers/test_openvino",
)  # fmt: skip
"""Where tests take minutes. They come first, so that no worker is left with one of them alone."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _place(item.nodeid))


def _place(name: str) -> int:
    found = (place for place, start in enumerate(_LONGEST) if name.startswith(start))
    return next(found, len(_LONGEST))


def pytest_collection_finish() -> None:
    """The tests themselves, and what they import, stay until the end: not to be searched for
    garbage again and again. And the collector comes as rarely as it does to the kernel."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
