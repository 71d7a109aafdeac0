"""The command line that all drivers share: who the driver is, and how its process behaves.

It knows nothing about engines.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import logging
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from drivers.engine import Loader
from drivers.far import FarLink, checked_address
from drivers.faults import first_problem
from drivers.host import Host
from drivers.link import Link
from drivers.tool import Source, Tool
from llmagentos.abi.cards import ModelCard, Rate
from llmagentos.abi.driver import Feature, Kind, Registration
from llmagentos.abi.errors import EINVAL, LLMOSError
from llmagentos.home import Home
from llmagentos.keys import read_node_file


def common_options(
    program: str, description: str, *, name: str, slots: int, model: bool = True
) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=program, description=description)
    parser.add_argument("--name", default=name, help="the driver's identity (%(default)s)")
    if model:
        parser.add_argument("--model", required=True, help="the model that it offers")
    parser.add_argument("--slots", type=int, default=slots, help="work at once (%(default)s)")
    parser.add_argument("--zone", default="device", help="where it computes (%(default)s)")
    parser.add_argument(
        "--label", action="append", default=[], help="a label that it may see; may be repeated"
    )
    parser.add_argument(
        "--connect", metavar="ADDRESS", help="the kernel on another machine: tcp://HOST:PORT"
    )
    parser.add_argument(
        "--key", type=Path, metavar="FILE",
        help="with --connect: the node's key, which says its name and zone, and the labels if no "
        "--label does",
    )  # fmt: skip
    parser.add_argument(
        "--no-parent", action="store_true", help="stay when the process that started it ends"
    )
    parser.add_argument("--verbose", action="store_true", help="log more")
    return parser


def positive(text: str) -> int:
    """The type of an option that is a number above 0."""
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def run_driver(
    options: argparse.Namespace,
    *,
    kind: Kind,
    models: Sequence[ModelCard] = (),
    features: Sequence[Feature] = (),
    rates: Sequence[Rate] = (),
    load: Loader | None = None,
    tools: Sequence[Tool] = (),
    source: Source | None = None,
) -> int:
    """Run a driver from its parsed options; returns the exit status of the process."""
    parent = None if options.no_parent else os.getppid()
    log = logging.getLogger("driver")
    try:
        try:
            dial = _dialling(options)
        finally:
            # Only now: the name of a node is in its key.
            logging.basicConfig(
                stream=sys.stderr,
                level=logging.DEBUG if options.verbose else logging.INFO,
                format=f"%(asctime)s {options.name} %(levelname)s %(message)s",
            )
        registration = Registration(
            name=options.name,
            kind="node" if options.connect else kind,
            models=list(models),
            slots=options.slots,
            features=list(features),
            rates=list(rates),
            zone=options.zone,
            labels=options.label,
            os_pid=os.getpid(),
            version=version(),
        )
    except ValidationError as error:
        log.critical("bad option: %s", first_problem(error))
        return 2
    except LLMOSError as error:
        log.critical("%s; %s", error.message, error.hint)
        return error.exit_status
    try:
        return Host(dial, registration, load, tools=tools, source=source, parent=parent).run()
    except LLMOSError as error:
        log.critical("%s; %s", error.message, error.hint)
        return error.exit_status


def _dialling(options: argparse.Namespace) -> Callable[[], Link]:
    """How the kernel is reached. A node is who its key says, in ``options`` too."""
    if options.connect is None and options.key is None:
        return partial(Link.at, Home.default())
    if options.connect is None or options.key is None:
        raise EINVAL("a node needs both --connect and --key", hint="llmos node --help")
    key = read_node_file(options.key)
    options.name, options.zone = key.name, key.zone
    options.label = options.label or key.labels
    return partial(FarLink, checked_address(options.connect), key)


def version() -> str:
    """Of this system; "" if nobody knows."""
    try:
        return importlib.metadata.version("llmagentos")
    except importlib.metadata.PackageNotFoundError:
        return ""  # run from a checkout that is not installed
