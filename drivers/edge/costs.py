"""Costs: what the engine's steps take, for each token that is read and for each that is made.

Measured, since it depends on the machine, the model and how much runs at once; the kernel
charges for tokens accordingly. It knows nothing about which sequences there are.
"""

from __future__ import annotations

from typing import Final

_FRESH: Final = 0.1
"""How much one step counts beside all before it."""


class Costs:
    """Seconds for a token of an answer (``made``) and of a prompt (``read``); 0: not known yet."""

    def __init__(self) -> None:
        self.made = 0.0
        self.read = 0.0

    @property
    def prefill_weight(self) -> float | None:
        """How many tokens could be made while one is read; None, if that is not known yet."""
        if not self.made or not self.read:
            return None
        return min(1.0, max(0.001, self.read / self.made))

    def note(self, made: int, read: int, seconds: float) -> None:
        """A step in which so many tokens were made and read."""
        if read:
            rest = max(0.0, seconds - made * self.made)
            self.read = _blend(self.read, rest / read)
        elif made:
            self.made = _blend(self.made, seconds / made)


def _blend(before: float, now: float) -> float:
    return before + _FRESH * (now - before) if before else now
