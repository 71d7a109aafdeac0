"""``llmos models``: the models on this machine.

The model store belongs to the drivers; it is run as a program (``python -m drivers.models``,
whose contract is JSON lines), because the shell never imports a driver's code.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import click

from llmagentos.abi.errors import BY_CODE, EIO, LLMOSError
from llmagentos.home import Home
from shell import image
from shell.session import terminable
from shell.terminal import StatusLine, print_json, size


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_context
def models(ctx: click.Context, as_json: bool) -> None:
    """The models on this machine.

    \b
    llmos models
    llmos models pull smollm2-135m-instruct
    llmos models pull ./my-model --name mine
    llmos models rm mine
    """
    if ctx.invoked_subcommand is None:
        _list(as_json)
    elif as_json:
        raise click.UsageError(f"--json goes after {ctx.invoked_subcommand}")


@models.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def list_(as_json: bool) -> None:
    """The models that are here, and the known ones that are not.

    \b
    llmos models list --json
    """
    _list(as_json)


@models.command()
@click.argument("what")
@click.option("--name", help="The name it gets here.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def pull(what: str, name: str | None, as_json: bool) -> None:
    """Bring a model here: a known name, a hub id, ./folder or file.gguf.

    \b
    llmos models pull smollm2-135m-instruct
    llmos models pull ./weights.gguf --name mine
    """
    words = ["pull", what, *(["--name", name] if name else [])]
    line = StatusLine(sys.stderr)
    try:
        result = store(*words, on_progress=lambda step: line.show(progress(step)))
    finally:
        line.clear()
    if as_json:
        return print_json(result)
    return click.echo(f"{result['name']} is here: {result['path']}")


@models.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def rm(name: str, as_json: bool) -> None:
    """Delete a model from this machine.

    \b
    llmos models rm mine
    """
    result = store("rm", name)
    if as_json:
        return print_json(result)
    return click.echo(f"{name} is deleted")


def store(
    *words: str, on_progress: Callable[[dict[str, Any]], None] | None = None
) -> dict[str, Any]:
    """Run the store's command; its result. Raises the error that it tells."""
    last: dict[str, Any] = {}
    with (
        terminable(),
        # A file, not a pipe: nobody reads it before the end, and it must not fill up.
        tempfile.TemporaryFile("w+", encoding="utf-8") as complaints,
        subprocess.Popen(
            image.command("drivers.models", *words, "--json"),
            env=image.environment(Home.default()),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
            encoding="utf-8",
        ) as process,
        _ended_with_us(process),
    ):
        assert process.stdout is not None
        for line in process.stdout:
            with contextlib.suppress(ValueError):
                last = json.loads(line)
            if "stage" in last and on_progress is not None:
                on_progress(last)
        process.wait()
        complaints.seek(0)
        complaint = complaints.read().strip()
    if last.get("ok") is True:
        return last
    raise failure(last.get("error"), complaint)


def failure(error: Any, complaint: str) -> LLMOSError:
    if isinstance(error, dict):
        kind = BY_CODE.get(str(error.get("code")), EIO)
        return kind(str(error.get("message", "")), hint=str(error.get("hint", "")))
    why = complaint.splitlines()[-1] if complaint else "it ended without a word"
    return EIO(f"the model store failed: {why}", hint="llmos doctor checks the installation")


@contextlib.contextmanager
def _ended_with_us(process: subprocess.Popen[str]) -> Iterator[None]:
    try:
        yield
    except BaseException:
        # Ctrl-C has reached it too; SIGTERM has not. A partial download is kept.
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5.0)
        process.kill()
        raise


def _list(as_json: bool) -> None:
    result = store("list")
    if as_json:
        return print_json({"models": result["models"]})
    from shell.table import render

    rows = [
        {
            "NAME": str(row["name"]),
            "HERE": "yes" if row["installed"] else "no",
            "SIZE": size(row["bytes"]) if row.get("bytes") else "-",
            "LICENSE": str(row.get("license") or "?"),
            "SOURCE": str(row.get("source") or "-"),
            "DESCRIPTION": str(row.get("description") or ""),
        }
        for row in result["models"]
    ]
    columns = ["NAME", "HERE", "SIZE", "LICENSE", "SOURCE", "DESCRIPTION"]
    return click.echo(
        render(
            rows,
            columns,
            shorten=("DESCRIPTION", "SOURCE"),
            omit=("DESCRIPTION", "SOURCE", "LICENSE"),
            right=("SIZE",),
        )
    )


def progress(step: dict[str, Any]) -> str:
    stage, done, total, unit = (step.get(key) for key in ("stage", "done", "total", "unit"))
    if not isinstance(done, int) or not isinstance(total, int) or not total:
        return f"{stage} …"
    share = done / total
    bar = "█" * round(20 * share) + "░" * (20 - round(20 * share))
    if unit == "bytes":
        return f"{stage} {bar} {share:4.0%} {size(done)} of {size(total)}"
    return f"{stage} {bar} {share:4.0%} {done} of {total} {unit}"
