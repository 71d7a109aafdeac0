"""``llmos up | down``: the system as a whole.

``up`` forks the supervisor before it imports anything heavy: see ``shell.boot``.
"""

from __future__ import annotations

import os
import signal
import sys
import time

import click

from llmagentos.abi.errors import LLMOSError
from llmagentos.home import Home
from shell import boot
from shell.boot import Started
from shell.lock import supervisor_pid
from shell.plan import kernel_program, programs_of
from shell.session import terminable


@click.command()
@click.option("--detach", is_flag=True, help="Return as soon as the kernel answers.")
def up(detach: bool) -> int:
    """Start the system.

    The kernel, and the drivers and agent hosts of LLMOS_HOME/config.yaml.

    \b
    llmos up               stay here, and show what comes up; Ctrl-C takes it down
    llmos up --detach      start it in the background
    """
    home = Home.default()
    if boot.stays_up(home, lambda: _tell_going_down(home)):
        return _up_already(home)
    started = boot.launch(home, kernel_program(home), programs_of(home), detach=detach)
    if detach:
        wait_for_kernel(home, started)
        click.echo(f"the system in {home.root} is up; llmos status shows what is ready")
        return 0
    with terminable():
        return _stay(home, started)


@click.command()
def down() -> None:
    """Take the system down.

    Drivers and agent hosts first, the kernel last.

    \b
    llmos down
    """
    home = Home.default()
    if boot.take_down(home):
        click.echo(f"the system in {home.root} is down")
    else:
        click.echo(f"the system in {home.root} was not up")


def take_down_started(home: Home, started: Started) -> None:
    """End the supervisor that we have forked, and with it all that it runs."""
    while (pid := supervisor_pid(home)) is None and started.alive:
        # It has only just been forked, and is about to take its lock.
        time.sleep(0.01)
    if pid is not None and started.alive:
        os.kill(pid, signal.SIGTERM)
        if not started.wait(boot.DOWN_WITHIN):
            boot.take_down(home)


def wait_for_kernel(home: Home, started: Started | None) -> None:
    """Until it answers. A configuration that can't be used is told of here."""
    from shell.config import load

    try:
        if home.config.exists():
            load(home)
        boot.wait_until_up(home, started)
    except (LLMOSError, KeyboardInterrupt):
        if started is not None:
            take_down_started(home, started)
        raise


def _stay(home: Home, started: Started) -> int:
    from shell.watch import watch

    try:
        wait_for_kernel(home, started)
        click.echo(f"the system in {home.root} is up; Ctrl-C takes it down", err=True)
        watch(home, lambda: started.alive, lambda drivers: False)
    except BaseException:
        click.echo("going down", err=True)
        take_down_started(home, started)
        raise
    if started.status() != 0:
        raise boot.broken(home, "ended")
    click.echo(f"the system in {home.root} is down", err=True)
    return 0


def _tell_going_down(home: Home) -> None:
    click.echo(f"the system in {home.root} is going down; it is started when it is down", err=True)


def _up_already(home: Home) -> int:
    supervisor = supervisor_pid(home)
    if supervisor is not None:
        # It tries the drivers that it had given up again.
        os.kill(supervisor, signal.SIGHUP)
    click.echo(f"the system in {home.root} is up already")
    sys.stdout.flush()
    return 0
