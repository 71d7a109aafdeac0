"""The ``llmos`` command: which subcommands there are, and where each one lives.

A subcommand's module is imported when it is called. It knows nothing about what they do.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from io import TextIOWrapper
from typing import Any, Final

import click

from llmagentos import __version__
from llmagentos.abi.errors import EINVAL
from shell.failure import ReaderGone, Terminated, status_of

COMMANDS: Final = {
    "up": "system",
    "down": "system",
    "status": "status",
    "doctor": "doctor",
    "run": "run",
    "ps": "process",
    "top": "top",
    "info": "info",
    "logs": "logs",
    "kill": "process",
    "nice": "process",
    "wait": "process",
    "send": "process",
    "limits": "process",
    "fork": "process",
    "ctx": "ctx",
    "drivers": "drivers",
    "keys": "keys",
    "node": "node",
    "models": "models",
    "events": "events",
    "approvals": "approvals",
    "audit": "audit",
    "mem": "mem",
    "fs": "fs",
    "web": "web",
    "completion": "completion",
}
"""Each subcommand, and the module under ``shell.commands`` that has it."""


class _Commands(click.Group):
    """Subcommands that are imported when they are needed: every start costs only its own."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise ReaderGone from error

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = COMMANDS.get(cmd_name)
        if module is None:
            return None
        command: click.Command = getattr(import_module(f"shell.commands.{module}"), cmd_name)
        return command


@click.command(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=False,
    invoke_without_command=True,
)
@click.option("--read-only", is_flag=True, help="A screen that shows, and changes nothing.")
@click.option("--theme", default="", metavar="NAME", help="The screen's colours.")
@click.option("--screenshot", default="", metavar="FILE", help="The screen as an SVG file.")
@click.version_option(__version__, prog_name="llmos", message="%(prog)s %(version)s")
@click.pass_context
def cli(ctx: click.Context, read_only: bool, theme: str, screenshot: str) -> int:
    """LLMAgentOS: an operating system for LLM agents.

    \b
    llmos                              everything on one screen; starts the system
    llmos up --detach                  start the system
    llmos run summarise < letter.txt   run an agent on a text
    llmos ps                           what runs
    llmos down                         take it down

    LLMOS_HOME (default ~/.llmos) names the system.

    Exit codes: 0 ok, 1 the agent failed, 2 usage, 3 the system is not up, 4 denied or over a
    limit.
    """
    if ctx.invoked_subcommand is not None:
        if read_only or theme or screenshot:
            raise click.UsageError("--read-only, --theme and --screenshot are for the screen alone")
        return 0
    from shell.screen import can_open, open_screen

    if not (can_open() or read_only or theme or screenshot):
        # Into a pipe: there is nothing to show a screen on.
        click.echo(ctx.get_help())
        return 0
    return open_screen(read_only=read_only, theme=theme, screenshot=screenshot)


def main(argv: list[str] | None = None) -> int:
    """Run the command line; the exit status."""
    _replace_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # What models write is UTF-8, whatever the locale says.
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    try:
        status: Any = cli.main(
            _checked(sys.argv[1:] if argv is None else argv),
            prog_name="llmos",
            standalone_mode=False,
        )
        sys.stdout.flush()
    except (Exception, KeyboardInterrupt, Terminated) as error:
        return status_of(error)
    return status if isinstance(status, int) else 0


def _checked(argv: list[str]) -> list[str]:
    """The words as UTF-8 text, whatever the locale has made of them. Raises ``EINVAL``."""
    words = []
    for number, word in enumerate(argv, 1):
        try:
            # A byte that the locale does not know is a surrogate, which no call can carry.
            known = not any("\ud800" <= letter <= "\udfff" for letter in word)
            words.append(word if known else os.fsencode(word).decode("utf-8"))
        except UnicodeDecodeError as error:
            raise EINVAL(
                f"word {number} of the command line is not UTF-8: "
                f"byte {error.start} is 0x{error.object[error.start]:02x}",
                hint="convert it, for example with iconv -t utf-8",
            ) from None
    return words


def _replace_closed_streams() -> None:
    """What was closed from the start, as by ``>&-``, swallows all that is written to it.

    It gets its own number again, too: else the next socket would be taken for it.
    """
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)
            if name != "stdin":
                setattr(sys, name, os.fdopen(descriptor, "w", encoding="utf-8"))
