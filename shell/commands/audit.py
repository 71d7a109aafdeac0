"""``llmos audit``: the log of refusals, acts of power and calls of tools."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import click

from llmagentos.abi.errors import EIO
from shell.commands.approvals import visible
from shell.failure import tell
from shell.session import open_system
from shell.terminal import clock, print_json

if TYPE_CHECKING:
    from llmagentos.abi.calls.sys import AuditEntry
    from llmagentos.client import System

_PAGE = 1000
_ONE_LINE: Final = {ord("\n"): "\\n"}


@click.group()
def audit() -> None:
    """The log of refusals, acts of power and calls of tools.

    \b
    llmos audit list
    llmos audit verify
    """


@audit.command(name="list")
@click.option("--pid", type=click.IntRange(0, 2**53), help="Only what this process did or wanted.")
@click.option("--verdict", help="Only entries with it, such as denied or EPERM.")
@click.option(
    "--last", type=click.IntRange(1, 2**53), default=1000, help="So many entries are looked at."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def list_(pid: int | None, verdict: str | None, last: int, as_json: bool) -> None:
    """Entries, oldest first: of the newest 1,000, if --last doesn't say otherwise.

    \b
    llmos audit list
    llmos audit list --pid 7 --verdict denied
    llmos audit list --last 100000 --json | jq '.entries[] | select(.action == "tool.call")'

    Characters that can't be seen are written as \\uXXXX.
    """
    with open_system() as system:
        page = system.call("sys.audit", since=0, limit=1)
        since = max(0, page["latest"] - last)
        older = since - page["entries"][0]["seq"] + 1 if page["entries"] else 0
        log = _Log(system, since=since)
        found = [
            entry
            for entry in log.entries()
            if pid in (None, entry.pid) and verdict in (None, entry.verdict)
        ]
    if older > 0:
        tell(
            f"{older:,} older entries were not looked at", f"llmos audit list --last {last + older}"
        )
    if as_json:
        return print_json({"entries": [entry.model_dump() for entry in found]})
    for entry in found:
        when = clock(entry.time)
        words = f"{entry.pid:>5} {entry.action:<14} {entry.verdict:<8} {entry.detail}"
        click.echo(f"{entry.seq:>6}  {when}  {visible(words).translate(_ONE_LINE)}")
    return None


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

    def __init__(self, system: System, since: int = 0) -> None:
        self._system = system
        self._first = 0
        self._last = since
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
