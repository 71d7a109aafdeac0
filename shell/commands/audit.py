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
    """Recompute the chain of hashes; exit 1 if an entry was changed.

    \b
    llmos audit verify
    """
    from llmagentos.abi.audit import first_break

    seen = 0

    def counted(entries: Iterator[AuditEntry]) -> Iterator[AuditEntry]:
        nonlocal seen
        for entry in entries:
            seen += 1
            yield entry

    with open_system() as system:
        broken = first_break(counted(_entries(system)))
    if as_json:
        print_json({"ok": broken is None, "entries": seen, "broken_at": broken})
        return 0 if broken is None else 1
    if broken is not None:
        raise EIO(
            f"the audit log was tampered with: entry {broken} does not follow from the one before",
            hint="restore state.db from a backup that verifies",
        )
    click.echo(f"the audit log holds: {seen} entries, none changed")
    return 0


def _entries(system: System) -> Iterator[AuditEntry]:
    from llmagentos.abi.calls.sys import AuditResult

    since = 0
    while True:
        page = AuditResult.model_validate(system.call("sys.audit", since=since, limit=_PAGE))
        yield from page.entries
        if not page.entries or page.entries[-1].seq >= page.latest:
            return
        since = page.entries[-1].seq
