"""Limits: how they are inherited and lowered. Pure functions.

It knows nothing about what is counted against them.
"""

from __future__ import annotations

from typing import Final

from llmagentos.abi.errors import EPERM
from llmagentos.abi.process import Limits

_NONE: Final = Limits()


def tighter(*several: Limits | None) -> Limits:
    """In each field the lowest of what is given; None is no limit."""
    distinct = {one for one in several if one is not None and one != _NONE}
    if len(distinct) < 2:
        # Most processes have the very limits of their parents: thousands share one record.
        return next(iter(distinct), _NONE)
    fields = {}
    for name in Limits.model_fields:
        given = [value for one in several if one if (value := getattr(one, name)) is not None]
        fields[name] = min(given) if given else None
    made = Limits(**fields)
    return next((one for one in distinct if one == made), made)


def lowered(old: Limits, new: Limits) -> Limits:
    """``old`` with the fields that ``new`` sets. Raises ``EPERM`` if one would be raised."""
    changes = new.model_dump(exclude_unset=True)
    for name, value in changes.items():
        before = getattr(old, name)
        if before is not None and (value is None or value > before):
            raise EPERM(
                f"{name} is limited to {before:.15g} and can't be raised to "
                f"{'no limit' if value is None else format(value, '.15g')}",
                hint="limits are only ever lowered; start it anew with a higher one",
            )
    return old.model_copy(update=changes)
