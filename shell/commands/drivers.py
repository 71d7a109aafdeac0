"""``llmos drivers``: what computes."""

from __future__ import annotations

import click

from shell.session import open_system
from shell.terminal import print_json


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON document, as drv.list gives it.")
@click.pass_context
def drivers(ctx: click.Context, as_json: bool) -> None:
    """Drivers, agent hosts and their load.

    \b
    llmos drivers
    llmos drivers --json | jq '.drivers[] | {name, state}'
    llmos drivers drain edge
    """
    if ctx.invoked_subcommand is None:
        _list(as_json)
    elif as_json:
        raise click.UsageError(f"{ctx.invoked_subcommand} has no --json")


@drivers.command()
@click.argument("name")
def drain(name: str) -> None:
    """Let a driver finish what it runs, and give it nothing new.

    \b
    llmos drivers drain edge
    """
    with open_system() as system:
        system.call("drv.drain", name=name, on=True)


@drivers.command()
@click.argument("name")
def undrain(name: str) -> None:
    """Give a driver work again.

    \b
    llmos drivers undrain edge
    """
    with open_system() as system:
        system.call("drv.drain", name=name, on=False)


def _list(as_json: bool) -> None:
    with open_system() as system:
        result = system.call("drv.list")
    if as_json:
        return print_json(result)
    from llmagentos.abi.calls.drv import ListResult
    from llmagentos.home import Home
    from shell.engines import driver_table
    from shell.vitals import ill, log

    listed = ListResult.model_validate(result)
    if not listed.drivers:
        return click.echo("no driver has registered yet")
    click.echo(driver_table(listed.drivers))
    for driver in ill(listed.drivers):
        if file := log(driver, Home.default()):
            click.echo(f"what {driver.name} wrote is in {file}")
    return click.echo(f"{listed.queued} bursts wait for a slot")
