"""A violation: the kernel has broken one of its promises."""

from __future__ import annotations

from typing import Any


class Violation(AssertionError):
    pass


def must(holds: object, promise: str, *about: Any) -> None:
    """Raises ``Violation`` unless it holds. What it is about is only written into the promise, for
    each ``{}``, when it was broken: most are checked a thousand times a second, and kept."""
    if not holds:
        raise Violation(promise.format(*about))
