"""``llmos node``: an engine on this machine, for a system on another one.

It becomes the driver, so that Ctrl-C and a service manager reach it directly. It knows nothing
about how an engine computes.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click
from pydantic import TypeAdapter, ValidationError

from llmagentos.abi.errors import EINVAL
from llmagentos.abi.keys import TcpAddress
from llmagentos.abi.manifest import DEFAULT_MODEL
from llmagentos.home import Home
from llmagentos.keys import read_node_file
from shell import image


@click.command()
@click.option("--connect", required=True, metavar="ADDRESS", help="tcp://HOST:PORT of the kernel.")
@click.option(
    "--key", required=True, type=click.Path(path_type=Path), metavar="FILE",
    help="The key that llmos keys new made for this node.",
)  # fmt: skip
@click.option(
    "--engine", type=click.Choice(["edge", "openvino", "scripted"]), default="edge",
    show_default=True, help="What computes.",
)  # fmt: skip
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help="What it offers.")
@click.option("--slots", type=click.IntRange(1, 4096), metavar="N", help="Answers at once.")
@click.argument("further", nargs=-1, metavar="[-- OPTION…]")
def node(
    connect: str, key: Path, engine: str, model: str, slots: int | None, further: tuple[str, ...]
) -> None:
    """Let this machine compute for a system on another one.

    No system is needed here, only the model, which is pulled if it isn't there. It stays until
    Ctrl-C, and dials again whenever the connection is lost. Options after -- are the engine's.

    \b
    llmos node --connect tcp://10.0.0.1:7667 --key gpu-box.key
    llmos node --connect tcp://10.0.0.1:7667 --key gpu-box.key --slots 32 -- --device cuda
    """
    try:
        TypeAdapter(TcpAddress).validate_python(connect)
    except ValidationError:
        raise EINVAL(
            f"{connect!a:.100} is no address of a kernel", hint="write it as tcp://HOST:7667"
        ) from None
    read_node_file(key)
    words = [
        *("--connect", connect, "--key", str(key), "--model", model, "--no-parent"),
        *(["--slots", str(slots)] if slots else []),
        *further,
    ]
    command = image.command(f"drivers.{engine}", *words)
    sys.stdout.flush()
    os.execve(command[0], command, image.environment(Home.default()))
