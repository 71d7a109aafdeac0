"""``llmos approvals``: what waits for the user's decision."""

from __future__ import annotations

import click

from shell.session import open_system
from shell.terminal import print_json


@click.command()
def approvals() -> None:
    """What agents ask the user to allow.

    \b
    llmos approvals
    """
    with open_system() as system:
        print_json(system.call("cap.list"))
