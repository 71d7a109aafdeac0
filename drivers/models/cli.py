"""The command ``python -m drivers.models``, and its contract with programs.

::

    list                          the models that are here, and the known ones that are not
    pull WHAT [--name NAME]       WHAT: a known name, ./folder, file.gguf, or a hub id org/name
    path NAME                     the folder of a model that is here
    verify NAME                   compare all files with their checksums
    rm NAME

Exit status: 0 ok, 1 it failed, 2 usage (a bad name, an unknown model), 130 interrupted.
Without ``--json``: the result on stdout, progress at most once a second on stderr, an error
as one sentence and a hint on stderr.

With ``--json`` stdout is JSON lines, and nothing else is written to it. While ``pull`` and
``verify`` work, at most ten times a second and always at the ends of a stage::

    {"stage": "download", "done": 1048576, "total": 92871040, "unit": "bytes"}

``stage`` is wait, lookup, download, unpack, copy, convert or check, not all of them every
time; ``unit`` is bytes, files, steps or, for wait, seconds; ``total`` 0 means not known. The
last line is always one of::

    {"ok": true, "name": "smollm2-135m-instruct", "path": "/…/smollm2-135m-instruct"}
    {"ok": true, "models": [{"name", "installed", "path", "bytes", "source", "license",
                             "converted_from", "created", "description"}, …]}        (list)
    {"error": {"code": "EIO", "message": "…", "hint": "…"}}

An interrupted pull (a signal, a cut line) leaves a partial download that the next one takes
up. This module knows nothing about how any of it is done.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from typing import Any, Final

from drivers.models.known import KNOWN
from drivers.models.pulling import pull, unknown_model
from drivers.models.store import Store
from llmagentos.abi.errors import ECANCELED, LLMOSError, UsageError

INTERRUPTED: Final = 130


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    screen = _Screen(as_json=arguments.json)
    try:
        screen.result(_run(arguments, screen))
    except LLMOSError as error:
        screen.error(error)
        return 2 if isinstance(error, UsageError) else 1
    except KeyboardInterrupt:
        screen.error(ECANCELED("interrupted", hint="pull again: a download goes on where it was"))
        return INTERRUPTED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="llmos models", description="Models on this machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    texts = {
        "list": "the models that are here, and the known ones that are not",
        "pull": "bring a model to this machine",
        "path": "print the folder of a model",
        "verify": "compare a model's files with their checksums",
        "rm": "delete a model",
    }
    for name, text in texts.items():
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--json", action="store_true", help="JSON lines on stdout")
        if name == "pull":
            command.add_argument("what", help="a known name, ./folder, file.gguf or org/name")
            command.add_argument("--name", help="the name it gets here")
        elif name != "list":
            command.add_argument("name")
    return parser


def _run(arguments: argparse.Namespace, screen: _Screen) -> dict[str, Any]:
    store = Store.default()
    if arguments.command == "list":
        return {"ok": True, "models": _table(store)}
    if arguments.command == "pull":
        path = pull(arguments.what, name=arguments.name, progress=screen.progress, store=store)
        return {"ok": True, "name": arguments.name or arguments.what, "path": str(path)}
    name = arguments.name
    if not store.has(name) and name not in KNOWN:
        raise unknown_model(name)
    path = store.path(name)
    if arguments.command == "verify":
        store.verify(name, screen.progress)
    elif arguments.command == "rm":
        store.remove(name)
    return {"ok": True, "name": name, "path": str(path)}


def _table(store: Store) -> list[dict[str, Any]]:
    rows = []
    for name in sorted({*store.names(), *KNOWN}):
        known = KNOWN.get(name)
        row: dict[str, Any] = {"name": name, "installed": store.has(name)}
        if row["installed"]:
            record = store.record(name)
            row |= {"path": str(store.path(name)), "bytes": record.bytes}
            row |= record.model_dump(exclude={"files", "name"})
        elif known:
            row |= {"path": None, "bytes": None, "license": known.license, "created": None}
            row |= {"source": f"pypi:{known.package}=={known.version}", "converted_from": None}
        rows.append(row | {"description": known.description if known else ""})
    return rows


class _Screen:
    """Where results, progress and errors go."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._stage = ""
        self._next = 0.0

    def progress(self, stage: str, done: int, total: int, unit: str) -> None:
        now = time.monotonic()
        if stage == self._stage and now < self._next and done != total:
            return
        self._stage = stage
        self._next = now + (0.1 if self._as_json else 1.0)
        if self._as_json:
            self._line({"stage": stage, "done": done, "total": total, "unit": unit})
        else:
            print(_words(stage, done, total, unit), file=sys.stderr, flush=True)

    def result(self, result: dict[str, Any]) -> None:
        if self._as_json:
            self._line(result)
        elif "models" in result:
            for row in result["models"]:
                where = f"{row['bytes'] / 1e6:.0f} MB  {row['path']}" if row["installed"] else "-"
                print(f"{row['name']:<32} {row['license'] or '?':<12} {where}")
        else:
            print(result["path"])

    def error(self, error: LLMOSError) -> None:
        if self._as_json:
            fields = {"code": error.code, "message": error.message, "hint": error.hint}
            self._line({"error": fields})
        else:
            print(f"error: {error.message}", file=sys.stderr)
            if error.hint:
                print(f"hint: {error.hint}", file=sys.stderr)

    @staticmethod
    def _line(value: dict[str, Any]) -> None:
        print(json.dumps(value, ensure_ascii=False), flush=True)


def _words(stage: str, done: int, total: int, unit: str) -> str:
    if stage == "wait":
        return f"another process is pulling this model; waiting for it ({done} s)"
    if unit == "bytes":
        return f"{stage}: {done / 1e6:.1f} of {total / 1e6:.1f} MB"
    return f"{stage}: {done} of {total} {unit}" if total else f"{stage} …"
