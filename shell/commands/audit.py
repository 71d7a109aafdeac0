"""``llmos audit``: the log of refusals and acts of power."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from llmagentos.abi.errors import EIO
from shell.session import open_system
from shell.terminal import print_json

if TYPE_CHECKING:
    from llmagentos.abi.calls.sys import AuditEntry
    from llmagentos.client import System

_PAGE = 1000


@click.group()
def audit() -> None:
    """The log of refusals and acts of power.

    \b
    llmos audit verify
    """


@audit.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def verify(as_json: bool) -> int:
    """Recompute the chain of hashes; exit 1 if an entry was changed or is missing.

    \b
    llmos audit verify
    """
    from llmagentos.abi.audit import first_break

    with open_system() as system:
        log = _Log(system)
        broken = first_break(log.entries())
    if broken is None:
        # A chain whose end was cut off holds in itself.
        broken = log.cut_at()
    why = "does not follow from the one before" if log.has(broken) else "is missing"
    if as_json:
        print_json({"ok": broken is None, "entries": log.seen, "broken_at": broken})
        return 0 if broken is None else 1
    if broken is not None:
        raise EIO(
            f"the audit log was tampered with: entry {broken} {why}",
            hint="restore state.db from a backup that verifies",
        )
    click.echo(f"the audit log holds: {log.seen} entries, none changed")
    return 0


class _Log:
    """The log as the kernel gives it, page by page, and where it begins and ends."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._first = 0
        self._last = 0
        self._latest = 0
        self.seen = 0

    def entries(self) -> Iterator[AuditEntry]:
        from llmagentos.abi.calls.sys import AuditResult

        while True:
            page = AuditResult.model_validate(
                self._system.call("sys.audit", since=self._last, limit=_PAGE)
            )
            self._latest = page.latest
            for entry in page.entries:
                self._first = self._first or entry.seq
                self._last = entry.seq
                self.seen += 1
                yield entry
            if not page.entries or self._last >= page.latest:
                return

    def has(self, seq: int | None) -> bool:
        return seq is not None and self._first <= seq <= self._last

    def cut_at(self) -> int | None:
        """The first entry that should be there and is not; None if none is missing."""
        if self._last != self._latest:
            return min(self._last, self._latest) + 1
        return None
