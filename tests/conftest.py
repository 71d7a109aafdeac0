"""What all tests need."""

from __future__ import annotations

import gc


def pytest_collection_finish() -> None:
    """The tests themselves, and what they import, stay until the end: not to be searched for
    garbage again and again."""
    gc.collect()
    gc.freeze()
