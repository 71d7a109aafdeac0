"""A violation: the kernel has broken one of its promises."""

from __future__ import annotations


class Violation(AssertionError):
    pass


def must(holds: object, promise: str) -> None:
    """Raises ``Violation`` unless it holds."""
    if not holds:
        raise Violation(promise)
