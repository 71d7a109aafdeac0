"""``llmos fs``: the files of agents, and every version of them."""

from __future__ import annotations

import base64
import sys
from pathlib import Path
from typing import Any

import click

from llmagentos.abi.errors import EINVAL, ENOENT
from shell.commands.process import PID
from shell.failure import tell
from shell.input import nothing_piped_in, piped_in
from shell.session import open_system
from shell.terminal import clock, is_screen, print_json, printable, size

_pid = click.option("--pid", type=PID, help="/self is this process's; default: the user's own.")
_as_json = click.option("--json", "as_json", is_flag=True, help="One JSON document.")
_VERSIONS = 1000
"""Of one file: the kernel gives no more at once."""

_VERSION = click.IntRange(1, 2**53)


@click.group()
def fs() -> None:
    """The files of agents, and every version of them.

    Paths are /self/… for a process's own files and /MOUNT/… for shared ones.

    \b
    llmos fs ls /
    llmos fs write /inbox/letter.txt letter.txt
    llmos fs cat /self/answer.txt --pid 12
    llmos fs history /inbox/letter.txt
    """


@fs.command()
@click.argument("path", default="/")
@click.option("-r", "--recursive", is_flag=True, help="All that is below, too.")
@_pid
@_as_json
def ls(path: str, recursive: bool, pid: int | None, as_json: bool) -> None:
    """The files and folders in a folder.

    \b
    llmos fs ls /
    llmos fs ls /self --recursive --pid 12
    """
    files: list[dict[str, Any]] = []
    folders: list[str] = []
    after, more = "", True
    with open_system() as system:
        while more:
            page = system.call("fs.list", path=path, recursive=recursive, pid=pid, after=after)
            files += page["files"]
            folders += page["folders"]
            after, more = page["last"], page["more"]
    if as_json:
        return print_json({"files": files, "folders": folders})
    if not files and not folders:
        return click.echo("nothing is here")
    # What the kernel calls it is longer where it was called by less.
    cut = 0 if recursive or not files else files[0]["path"].rindex("/") + 1
    rows = [{"NAME": f"{folder}/"} for folder in folders]
    rows += [{"NAME": file["path"][cut:], **_columns(file)} for file in files]
    return click.echo(_table(rows, ["NAME", "SIZE", "VERSION", "OWNER", "LABELS", "TIME"]))


@fs.command()
@click.argument("path")
@click.option("--version", type=_VERSION, help="Default: the newest.")
@_pid
@_as_json
def cat(path: str, version: int | None, pid: int | None, as_json: bool) -> None:
    """A file's content, byte for byte.

    \b
    llmos fs cat /inbox/letter.txt
    llmos fs cat /inbox/scan.png --version 2 > scan.png
    """
    with open_system() as system:
        read = system.open("fs.read", path=path, version=version, pid=pid)
        told = read.result()
        content = b"".join(read.buffers)
    if as_json:
        return print_json({**told, **_as_text(content)})
    if is_screen(sys.stdout):
        return click.echo(printable(content.decode("utf-8", "replace")), nl=False)
    sys.stdout.flush()
    sys.stdout.buffer.write(content)
    return None


@fs.command()
@click.argument("path")
@_pid
@_as_json
def history(path: str, pid: int | None, as_json: bool) -> None:
    """A file's versions, newest first, as far as they are kept.

    \b
    llmos fs history /inbox/letter.txt
    """
    with open_system() as system:
        told = system.call("fs.history", path=path, pid=pid, limit=_VERSIONS)
    oldest = told["versions"][-1]["version"]
    if oldest > 1:
        cut = len(told["versions"]) == _VERSIONS
        gone = "are not shown: these are the newest" if cut else "are no longer kept"
        tell(f"versions before {oldest} {gone}")
    if as_json:
        return print_json(told)
    rows = [_columns(version) for version in told["versions"]]
    return click.echo(_table(rows, ["VERSION", "TIME", "SIZE", "OWNER", "LABELS", "SHA-256"]))


@fs.command()
@click.argument("path")
@click.argument("file", type=click.Path(dir_okay=False), required=False)
@click.option("--label", "labels", multiple=True, help="A label on it; may be given again.")
@click.option(
    "--expect", type=click.IntRange(0, 2**53), metavar="VERSION",
    help="Only if this is the newest version; 0: only if there is none.",
)  # fmt: skip
@_pid
@_as_json
def write(
    path: str,
    file: str | None,
    labels: tuple[str, ...],
    expect: int | None,
    pid: int | None,
    as_json: bool,
) -> None:
    """Write a new version of a file, from FILE or from what is piped in.

    \b
    llmos fs write /inbox/letter.txt letter.txt
    date | llmos fs write /self/now.txt --pid 12
    """
    content = _content(file)
    with open_system() as system:
        told = system.write_file(path, content, pid=pid, labels=labels or None, expect=expect)
    if as_json:
        return print_json(told.model_dump(mode="json"))
    return click.echo(f"{told.path} is at version {told.version}: {size(told.size)}")


@fs.command()
@click.argument("path")
@_pid
@_as_json
def rm(path: str, pid: int | None, as_json: bool) -> None:
    """Delete a file; its versions stay, and can be restored.

    \b
    llmos fs rm /inbox/letter.txt
    """
    with open_system() as system:
        told = system.call("fs.delete", path=path, pid=pid)
    if as_json:
        return print_json(told)
    before = told["version"] - 1
    return click.echo(f"{told['path']} is deleted; llmos fs restore {path} {before} undoes it")


@fs.command()
@click.argument("path")
@click.argument("version", type=_VERSION)
@_pid
@_as_json
def restore(path: str, version: int, pid: int | None, as_json: bool) -> None:
    """Bring a version of a file back, as a new one.

    \b
    llmos fs restore /inbox/letter.txt 2
    """
    with open_system() as system:
        told = system.call("fs.restore", path=path, version=version, pid=pid)
    if as_json:
        return print_json(told)
    return click.echo(f"{told['path']} is at version {told['version']}, as it was at {version}")


def _content(file: str | None) -> bytes:
    if file is None and nothing_piped_in():
        raise EINVAL("there is no content", hint="llmos fs write PATH FILE, or pipe it in")
    # Imported here: a usage error need not wait for it.
    from llmagentos.abi.wire import MAX_BUFFER

    # One byte more than there may be: no need to read an endless pipe to its end.
    if file is None or file == "-":
        return piped_in(MAX_BUFFER + 1)
    try:
        with Path(file).open("rb") as source:
            return source.read(MAX_BUFFER + 1)
    except FileNotFoundError:
        raise ENOENT(f"there is no file {file} here", hint="give a path on this machine") from None


def _as_text(content: bytes) -> dict[str, str]:
    try:
        return {"text": content.decode("utf-8")}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(content).decode("ascii")}


def _columns(version: dict[str, Any]) -> dict[str, str]:
    return {
        "VERSION": str(version["version"]),
        "TIME": clock(version["time"]),
        "SIZE": "deleted" if version["deleted"] else size(version["size"]),
        "OWNER": str(version["owner"]),
        "LABELS": ",".join(version["labels"]),
        "SHA-256": version["hash"][:12],
    }


def _table(rows: list[dict[str, str]], columns: list[str]) -> str:
    from shell.table import render

    return render(
        rows,
        columns,
        shorten=("NAME",),
        omit=("SHA-256", "OWNER", "TIME"),
        right=("SIZE", "VERSION", "OWNER"),
    )
