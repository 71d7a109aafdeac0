"""What an endpoint's headers say of its limits: how much it lets through, and when again.

``x-ratelimit-…`` as OpenAI sends them and most others do too, ``anthropic-ratelimit-…``, and
``Retry-After``. It knows nothing about HTTP beside headers' names.
"""

from __future__ import annotations

import email.utils
import math
import re
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal

from llmagentos.abi.cards import Rate

_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|s|m|h|d)")
_UNITS: Final = {
    "ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0,
}  # fmt: skip
_PERIODS: Final = (60.0, 3600.0, 86400.0)
_SHORTEST: Final = 1.0
_LONGEST: Final = 1e7
_MOST: Final = 2**53


def duration(text: str) -> float | None:
    """``1s``, ``6m0s``, ``12ms`` or a plain number, in seconds; None: it is none of these."""
    text = text.strip()
    try:
        plain = float(text)
        return plain if math.isfinite(plain) and plain >= 0 else None
    except ValueError:
        parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds for which it wants to be left alone; None: it doesn't say."""
    for name, divisor in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        said = duration(headers.get(name, ""))
        if said is not None:
            return min(said / divisor, _LONGEST)
    try:
        date = email.utils.parsedate_to_datetime(headers.get("retry-after", ""))
    except ValueError:
        return None
    return min(max(0.0, date.timestamp() - time.time()), _LONGEST)


def rates(headers: Mapping[str, str]) -> list[Rate]:
    """The limits that it tells of; those that it doesn't tell whole are left out."""
    found = (_rate(headers, "requests"), _rate(headers, "tokens"))
    return [rate for rate in found if rate is not None]


def _rate(headers: Mapping[str, str], what: Literal["requests", "tokens"]) -> Rate | None:
    def said(of: str) -> str | None:
        theirs = f"x-ratelimit-{of}-{what}", f"anthropic-ratelimit-{what}-{of}"
        return headers.get(theirs[0], headers.get(theirs[1]))

    limit = _number(said("limit"))
    if not limit:
        return None
    left = _number(said("remaining"))
    reset = duration(said("reset") or "") or _until(said("reset"))
    # They don't say for how long the limit is, only when it is whole again. Some fill it evenly,
    # and some all at once: the shorter of the two guesses does no harm, since the next answer tells
    # what is left.
    taken = limit - min(left, limit) if left is not None else 0
    evenly = limit * reset / taken if taken else _LONGEST
    at_once = next((one for one in _PERIODS if reset <= one), _LONGEST)
    period = max(min(evenly, at_once), _SHORTEST)
    return Rate(
        what=what, limit=limit, period=period, left=None if left is None else min(left, limit)
    )


def _until(time_of_day: str | None) -> float:
    """Seconds until then, by ISO 8601; 0, if it is past or no such time."""
    try:
        then = datetime.fromisoformat(time_of_day or "")
    except ValueError:
        return 0.0
    return min(max(0.0, then.timestamp() - time.time()), _LONGEST)


def _number(text: str | None) -> int | None:
    try:
        number = int(float(text)) if text is not None else None
    except (ValueError, OverflowError):
        return None
    return number if number is not None and 0 <= number <= _MOST else None
