"""``llmos drivers``: what computes."""

from __future__ import annotations

import click

from shell.session import open_system
from shell.terminal import print_json


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document, as drv.list gives it.")
def drivers(as_json: bool) -> None:
    """Drivers, agent hosts and their load.

    \b
    llmos drivers
    llmos drivers --json | jq '.drivers[] | {name, state}'
    """
    with open_system() as system:
        result = system.call("drv.list")
    if as_json:
        return print_json(result)
    from llmagentos.abi.calls.drv import ListResult
    from shell.engines import driver_table

    listed = ListResult.model_validate(result)
    if not listed.drivers:
        return click.echo("no driver has registered yet")
    click.echo(driver_table(listed.drivers))
    return click.echo(f"{listed.queued} bursts wait for a slot")
