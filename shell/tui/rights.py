"""What this session may do, as far as that can be told beforehand.

The kernel decides, always; this is for showing in grey what it would refuse. It knows the table of
syscalls and the rules of one session, and nothing about screens.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from llmagentos.abi.calls.cap import RuleSet
from llmagentos.abi.process import INIT
from llmagentos.abi.syscalls import TABLE


@dataclass(frozen=True, slots=True)
class Rights:
    """``pid``: the process that this session acts for. ``rules``: its own, then those of its
    ancestors. ``read_only``: nothing is to be changed, whatever it may."""

    pid: int = INIT
    rules: tuple[RuleSet, ...] = ()
    read_only: bool = False

    @property
    def is_user(self) -> bool:
        return self.pid == INIT

    def refusal(self, calls: Iterable[str], family: Collection[int] | None = None) -> str:
        """Why these syscalls can't be made; "" if they may. ``family``: the target and those above
        it, as far as there is a target."""
        for call in calls:
            if self.read_only:
                return "this screen only reads: it was started with --read-only"
            for needed in TABLE[call].capability.split():
                if why := self._lacks(needed, family):
                    return f"{call} is not for this session: {why}"
        return ""

    def _lacks(self, needed: str, family: Collection[int] | None) -> str:
        if self.is_user or needed in ("self", "holds"):
            return ""
        if needed == "user":
            return "only the user may"
        if needed in ("tree", "below"):
            outside = family is not None and self.pid not in family
            return f"it is no descendant of process {self.pid}" if outside else ""
        # What stands for arguments is not known here, so any value of theirs will do.
        name = needed.partition("<")[0].partition("(")[0]
        return "" if self._may(name) else f"it may not {needed}"

    def _may(self, capability: str) -> bool:
        for rules in self.rules:
            if any(fnmatchcase(capability, glob) for glob in rules.deny):
                return False
            given = (*rules.allow, *rules.ask, *rules.approved)
            if not any(_could_match(capability, glob) for glob in given):
                return False
        return True


def _could_match(start: str, glob: str) -> bool:
    """Whether something that begins so can match."""
    literal = glob.partition("*")[0].partition("?")[0].partition("[")[0]
    return literal.startswith(start) or start.startswith(literal)
