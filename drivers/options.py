"""The command line that all drivers share: who the driver is, and how its process behaves.

It knows nothing about engines.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import logging
import os
import sys
from collections.abc import Sequence

from pydantic import ValidationError

from drivers.engine import Loader
from drivers.faults import first_problem
from drivers.host import Host
from drivers.tool import Source, Tool
from llmagentos.abi.cards import ModelCard
from llmagentos.abi.driver import Feature, Kind, Registration
from llmagentos.abi.errors import LLMOSError
from llmagentos.home import Home


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
    load: Loader | None = None,
    tools: Sequence[Tool] = (),
    source: Source | None = None,
) -> int:
    """Run a driver from its parsed options; returns the exit status of the process."""
    parent = None if options.no_parent else os.getppid()
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.DEBUG if options.verbose else logging.INFO,
        format=f"%(asctime)s {options.name} %(levelname)s %(message)s",
    )
    log = logging.getLogger("driver")
    try:
        registration = Registration(
            name=options.name,
            kind=kind,
            models=list(models),
            slots=options.slots,
            features=list(features),
            zone=options.zone,
            labels=options.label,
            os_pid=os.getpid(),
            version=version(),
        )
    except ValidationError as error:
        log.critical("bad option: %s", first_problem(error))
        return 2
    try:
        host = Host(Home.default(), registration, load, tools=tools, source=source, parent=parent)
        return host.run()
    except LLMOSError as error:
        log.critical("%s; %s", error.message, error.hint)
        return error.exit_status


def version() -> str:
    """Of this system; "" if nobody knows."""
    try:
        return importlib.metadata.version("llmagentos")
    except importlib.metadata.PackageNotFoundError:
        return ""  # run from a checkout that is not installed
