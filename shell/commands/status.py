"""``llmos status``: is it up, and how is it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import click

from llmagentos.home import Home
from shell.lock import supervisor_pid
from shell.session import open_system, process_rows
from shell.terminal import duration, print_json


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def status(as_json: bool) -> None:
    """How the system is; exit 3 if it is down.

    The kernel, the drivers and their progress, how many processes.

    \b
    llmos status
    llmos status --json | jq '.drivers[] | {name, state, progress}'
    """
    from shell.watch import services_of

    home = Home.default()
    with open_system(patience=3.0) as system:
        kernel = system.call("sys.info", within=5.0)
        listed = system.call("drv.list", within=5.0)
        rows = process_rows(system, within=5.0)
    supervisor = supervisor_pid(home)
    whole = {
        "home": str(home.root),
        "kernel": kernel,
        "supervisor": supervisor,
        "services": services_of(home) if supervisor is not None else [],
        "drivers": [row for row in listed["drivers"] if row["kind"] != "host"],
        "hosts": [row for row in listed["drivers"] if row["kind"] == "host"],
        "queued": listed["queued"],
        "processes": dict(Counter(str(row["state"]) for row in rows)),
    }
    if as_json:
        print_json(whole)
    else:
        _show(whole, listed)


def _show(whole: dict[str, Any], listed: dict[str, Any]) -> None:
    from llmagentos.abi.calls.drv import ListResult
    from shell.engines import driver_table
    from shell.processes import word_of

    kernel = whole["kernel"]
    click.echo(f"home       {whole['home']}")
    click.echo(
        f"kernel     {kernel['version']}, pid {kernel['os_pid']}, boot {kernel['boot']}, "
        f"up {duration(kernel['uptime'])}"
    )
    states = ", ".join(
        f"{count} {word_of(state)}" for state, count in sorted(whole["processes"].items())
    )
    click.echo(f"processes  {states or 'none'}")
    click.echo(f"bursts     {kernel['running']} running, {whole['queued']} queued")
    for service in whole["services"]:
        if service.get("given_up"):
            click.echo(f"given up   {service['name']}: {service['given_up']}; llmos up tries again")
    there = {row["name"] for row in listed["drivers"]} | {"kernel"}
    starting = [
        service["name"]
        for service in whole["services"]
        if service["pid"] and service["name"] not in there and not service.get("given_up")
    ]
    if starting:
        # It runs, and is still busy with what it has to load.
        click.echo(f"starting   {', '.join(starting)}")
    drivers = ListResult.model_validate(listed).drivers
    click.echo()
    click.echo(driver_table(drivers) if drivers else "no driver has registered yet")
