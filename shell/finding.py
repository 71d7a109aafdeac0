"""A finding: the outcome of one check of ``llmos doctor``.

It knows nothing about what is checked.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """``remedy`` says what to do if it does not hold."""

    name: str
    ok: bool
    found: str
    remedy: str = ""
    grave: bool = True
    """Whether the system can't do with it as it is."""
