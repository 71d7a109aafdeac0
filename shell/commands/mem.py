"""``llmos mem``: long-term memory."""

from __future__ import annotations

import click

from shell.session import open_system
from shell.terminal import print_json


@click.group()
def mem() -> None:
    """Long-term memory.

    \b
    llmos mem search "the user's birthday"
    """


@mem.command()
@click.argument("words", nargs=-1, required=True)
def search(words: tuple[str, ...]) -> None:
    """Find rows by words and by meaning.

    \b
    llmos mem search invoices of May
    """
    with open_system() as system:
        print_json(system.call("mem.search", query=" ".join(words)))
