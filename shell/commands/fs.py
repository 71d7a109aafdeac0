"""``llmos fs``: the agents' files."""

from __future__ import annotations

import click

from shell.session import open_system
from shell.terminal import print_json


@click.group()
def fs() -> None:
    """Files of agents, every version of them.

    \b
    llmos fs ls /
    llmos fs cat /notes.txt
    llmos fs history /notes.txt
    """


@fs.command()
@click.argument("path", default="/")
def ls(path: str) -> None:
    """The files in a folder.

    \b
    llmos fs ls /inbox
    """
    _call("fs.list", path)


@fs.command()
@click.argument("path")
def cat(path: str) -> None:
    """A file's content.

    \b
    llmos fs cat /notes.txt
    """
    _call("fs.read", path)


@fs.command()
@click.argument("path")
def history(path: str) -> None:
    """A file's versions.

    \b
    llmos fs history /notes.txt
    """
    _call("fs.history", path)


def _call(name: str, path: str) -> None:
    with open_system() as system:
        print_json(system.call(name, path=path))
