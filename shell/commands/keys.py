"""``llmos keys``: the keys of nodes, which let engines on other machines in.

Each key is a file in a folder of the home, which the kernel looks at by itself. It knows nothing
about connections.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import click
from pydantic import TypeAdapter, ValidationError

from llmagentos import keys as files
from llmagentos.abi.errors import EBUSY, EINVAL, EIO, ENOENT, LLMOSError
from llmagentos.abi.keys import NodeFile, NodeKey
from llmagentos.abi.model import NAME_RULE, Name
from llmagentos.home import Home
from shell.ping import answers, listening
from shell.terminal import print_json

_PATIENCE = 5.0


@click.group()
def keys() -> None:
    """The keys that let nodes in: engines on other machines.

    \b
    llmos keys new gpu-box
    llmos keys list
    llmos keys revoke gpu-box
    """


@keys.command()
@click.argument("name")
@click.option("--zone", default="node", metavar="Z", help="Where the machine is. (node)")
@click.option("--label", "labels", multiple=True, metavar="L", help="A label it may see; repeat.")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="(NAME.key)")
@click.option("--json", "as_json", is_flag=True, help="One JSON document, without the secret.")
def new(name: str, zone: str, labels: tuple[str, ...], out: Path | None, as_json: bool) -> None:
    """Make a key for a node, and the file to carry to its machine.

    The file holds the node's secret; no copy of it is kept here. It counts at once.

    \b
    llmos keys new gpu-box
    llmos keys new gpu-box --zone office --label internal --out /media/stick/gpu-box.key
    """
    home = Home.default()
    public, secret = files.keypair()
    try:
        key = NodeKey(name=name, public=public, zone=zone, labels=sorted(set(labels)))
    except ValidationError as error:
        raise _wrong(error) from None
    _check_name(home, name)
    out = out or Path(f"{name}.key")
    home.create()
    server = files.server_keys(home).public
    node = NodeFile(**key.model_dump(), secret=secret, server=server)
    files.grant(home, key)
    try:
        files.hand_out(out, node)
    except LLMOSError:
        files.revoke(home, name)
        raise
    _wake(home)
    if as_json:
        return print_json({**key.model_dump(), "file": str(out)})
    click.echo(f"{out} is the key of {name}; carry it to its machine, and there:")
    return click.echo(f"llmos node --connect tcp://HOST:PORT --key {out.name}")


@keys.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def list_(as_json: bool) -> None:
    """The keys that are good now.

    \b
    llmos keys list
    llmos keys list --json
    """
    known, wrong = files.read_keys(Home.default())
    for problem in wrong:
        click.echo(problem, err=True)
    if as_json:
        return print_json({"keys": [key.model_dump() for key in known]})
    if not known:
        return click.echo("there is no key; llmos keys new NAME makes one")
    from shell.table import render

    columns = ["NAME", "ZONE", "LABELS", "KEY"]
    return click.echo(render([_row(key) for key in known], columns, omit=("KEY",)))


@keys.command()
@click.argument("name")
def revoke(name: str) -> None:
    """Take a key back. Its node is cut off at once, and its work goes elsewhere.

    \b
    llmos keys revoke gpu-box
    """
    home = Home.default()
    try:
        TypeAdapter(Name).validate_python(name, strict=True)
    except ValidationError:
        raise ENOENT(
            f"there is no key named {name!a:.100}", hint="llmos keys list shows them"
        ) from None
    files.revoke(home, name)
    _wake(home)
    click.echo(f"the key of {name} is good for nothing now")


def _wake(home: Home) -> None:
    """The kernel looks at the keys whenever it wakes: so this is when they count."""
    if listening(home):
        answers(home, _PATIENCE)


def _check_name(home: Home, name: str) -> None:
    """Drivers and nodes are known by their names alike. A configuration that is wrong is told of
    by whoever needs it."""
    from shell.config import RESERVED, load

    with contextlib.suppress(EINVAL, EIO):
        config = load(home)
        if name in {*RESERVED, *config.host_names, *(driver.name for driver in config.drivers)}:
            raise EBUSY(
                f"the name {name} is taken by a program of the system",
                hint="choose another name for the node",
            )


def _wrong(error: ValidationError) -> EINVAL:
    first = error.errors(include_url=False)[0]
    field, value = first["loc"][0], first["input"]
    if field == "zone":
        hint = "a zone is a name such as node or office, and never device: that is this machine"
    else:
        hint = NAME_RULE
    what = {"zone": "a node's zone", "labels": "a label"}.get(str(field), "a node's name")
    return EINVAL(f"{value!a:.100} can't be {what}", hint=hint)


def _row(key: NodeKey) -> dict[str, Any]:
    return {
        "NAME": key.name,
        "ZONE": key.zone,
        "LABELS": ", ".join(key.labels) or "-",
        "KEY": key.public,
    }
