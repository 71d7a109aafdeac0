"""``llmos doctor``: is everything there that the system needs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Final

import click

from llmagentos.home import Home
from shell.terminal import paint, print_json

_MARKS: Final = {
    (True, True): ("ok  ", "green"),
    (True, False): ("ok  ", "green"),
    (False, True): ("fail", "red"),
    (False, False): ("warn", "yellow"),
}
"""How a finding is marked, by whether it is well and whether it is grave."""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def doctor(as_json: bool) -> int:
    """Check the installation and the system.

    \b
    llmos doctor
    llmos doctor --json | jq '.checks[] | select(.ok | not)'

    Exits with 1 if a check fails, not for a warning; each says how to mend it.
    """
    from shell.checkup import findings
    from shell.commands.models import store

    checks = []
    for finding in findings(Home.default(), lambda: store("list")):
        checks.append(finding)
        if not as_json:
            mark = paint(*_MARKS[finding.ok, finding.grave])
            click.echo(f"{mark}  {finding.name:<14} {finding.found}")
            if not finding.ok:
                click.echo(f"      {'':<14} mend it: {finding.remedy}")
    failed = [finding for finding in checks if finding.grave and not finding.ok]
    if as_json:
        told = [asdict(f) | {"remedy": "" if f.ok else f.remedy} for f in checks]
        print_json({"ok": not failed, "checks": told})
    return 1 if failed else 0
