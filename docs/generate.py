"""Make the files that are copies of the contract: ``docs/syscalls.md``, ``manifests/schema.json``
and, with ``stubs.py``, ``llmagentos/families.pyi``.

``python docs/generate.py`` writes them; with ``--check`` it only names those that have drifted
and exits with 1. It knows nothing about what a call does: every word comes from
``llmagentos.abi``.
"""

from __future__ import annotations

import argparse
import inspect
import json
import sys
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]

from pydantic import TypeAdapter  # noqa: E402
from stubs import stubs  # noqa: E402

from llmagentos.abi import model as shared  # noqa: E402
from llmagentos.abi.driver import FROM_DRIVER, FROM_KERNEL  # noqa: E402
from llmagentos.abi.manifest import Manifest  # noqa: E402
from llmagentos.abi.model import Model  # noqa: E402
from llmagentos.abi.syscalls import TABLE, Syscall  # noqa: E402

HEADER: Final = """\
<!-- Made by docs/generate.py from llmagentos/abi. Do not edit. -->
# Syscalls

Every call there is, its arguments and its result, as maps of a message's body.
[wire.md](wire.md) says how a body travels. An argument with a default may be left out; an
argument that is not listed is refused with `EINVAL`. A result may get new fields in later
versions, so a client ignores those that it does not know.

**Needs** is what the caller must hold, all of it: *nothing* is open to every process, *tree* wants
the target to be the caller or a descendant of it, *below* a descendant, *holds* wants the caller
to have what it gives, *user* wants the user's key. The rest are capabilities, with the values of
arguments in place of `<names>`; a process's own space and mount, `self`, need none. **Draws on**
names the limits that the call uses up. A call that **writes** has its reply kept, so that a repeat
under the same id gets the first result. A call that **streams** may send parts of its answer
before the reply.
"""

FAMILIES: Final = {
    "proc": "processes and their tree",
    "llm": "calls of a language model",
    "ctx": "the context of a process",
    "mem": "long-term memory",
    "fs": "files",
    "ipc": "messages between processes",
    "tool": "tools",
    "cap": "capabilities and approvals",
    "drv": "drivers and agent hosts",
    "sys": "the system as a whole",
}

TYPES: Final = {
    "name": (shared.Name, "a letter or digit, then up to 62 letters, digits, `.`, `_` and `-`"),
    "model name": (shared.ModelName, "1 to 200 characters, none of them white space"),
    "text": (shared.Text, f"a string of at most {shared.MAX_TEXT:,} characters"),
    "duration": (
        shared.Duration,
        "seconds as a number, or a string such as `500ms`, `30s`, `5m`, `2h`, `1h30m`; "
        "above 0, at most 366 days",
    ),
}

SCHEMA_ID: Final = "urn:llmagentos:manifest:v1"


class Reference:
    """Collects the shapes that the tables mention, so that each is written down once."""

    def __init__(self) -> None:
        self.pending: dict[str, dict[str, Any]] = {}

    def table(self, schema: dict[str, Any]) -> Iterator[str]:
        """The fields of a shape, as a markdown table."""
        self.pending.update(schema.get("$defs", {}))
        fields = schema.get("properties")
        if not fields:
            yield "an empty map"
            return
        yield "| field | type | default | |"
        yield "|---|---|---|---|"
        required = schema.get("required", [])
        for name, field in fields.items():
            default = "*required*" if name in required else _default(field)
            about = field.get("description", "")
            if about == _schema_of("duration").get("description"):
                about = ""
            yield f"| `{name}` | {self.type(field)} | {default} | {about} |"

    def shape(self, shape: type[Model]) -> Iterator[str]:
        """A whole shape: in place if it belongs to one call, else by its name."""
        schema = shape.model_json_schema()
        if not shape.__name__.endswith(("Args", "Result")) and schema.get("properties"):
            yield self.named(shape)
            return
        yield from _about(inspect.cleandoc(shape.__doc__ or ""))
        yield from self.table(schema)

    def named(self, shape: type[Model]) -> str:
        """A shape by its name; it is written down among the others."""
        schema = shape.model_json_schema()
        self.pending.update({shape.__name__: schema, **schema.get("$defs", {})})
        return f"a map [{shape.__name__}](#{shape.__name__.lower()})"

    def type(self, field: dict[str, Any]) -> str:
        """A JSON schema in words."""
        if "$ref" in field:
            return _link(field["$ref"].rpartition("/")[2])
        for name in TYPES:
            if _bare(field) == _bare(_schema_of(name)):
                return f"[{name}](#types)"
        if "anyOf" in field:
            return " or ".join(self.type(choice) for choice in field["anyOf"])
        if "enum" in field:
            return " or ".join(f"`{json.dumps(value)}`" for value in field["enum"])
        if "const" in field:
            return f"`{json.dumps(field['const'])}`"
        kind = field.get("type", "any value")
        if kind == "array":
            return f"list of {self.type(field['items'])}{_bounds(field, 'Items')}"
        if kind == "object":
            values = field.get("additionalProperties")
            return f"map of {self.type(values)}" if isinstance(values, dict) and values else "map"
        return f"{kind}{_bounds(field, 'Length')}{_range(field)}"


def _bare(schema: dict[str, Any]) -> dict[str, Any]:
    return {key: schema[key] for key in schema if key not in ("title", "description", "default")}


def _schema_of(name: str) -> dict[str, Any]:
    return TypeAdapter(TYPES[name][0]).json_schema()


def _link(name: str) -> str:
    short = name.rpartition("__")[2]
    return f"[{short}](#{short.lower()})"


def _default(field: dict[str, Any]) -> str:
    # A list or map that is made anew each time has no default in the schema; it starts empty.
    empty: dict[str, object] = {"array": [], "object": {}}
    value = field.get("default", empty.get(field.get("type", "")))
    return "all its defaults" if isinstance(value, dict) and value else f"`{json.dumps(value)}`"


def _bounds(field: dict[str, Any], what: str) -> str:
    low, high = field.get(f"min{what}", 0), field.get(f"max{what}")
    unit = "characters" if what == "Length" else "items"
    if high is not None:
        return f", {low} to {high:,} {unit}"
    return f", at least {low} {unit}" if low else ""


def _range(field: dict[str, Any]) -> str:
    words = {
        "minimum": "from {}",
        "exclusiveMinimum": "above {}",
        "maximum": "to {}",
        "exclusiveMaximum": "below {}",
    }
    said = [text.format(field[key]) for key, text in words.items() if key in field]
    return " " + " ".join(said) if said else ""


def syscalls() -> str:
    """The text of ``docs/syscalls.md``."""
    reference = Reference()
    lines = [HEADER, *_contents()]
    for family, calls in groupby(TABLE.values(), key=lambda call: call.family):
        lines += ["", f"## {family}: {FAMILIES[family]}"]
        for call in calls:
            lines += ["", f"### {call.name}", "", *_call(call, reference)]
    lines += ["", "## Messages of the driver protocol", ""]
    lines += ["What a driver or an agent host and the kernel announce to each other; see"]
    lines += ["[wire.md](wire.md#the-driver-protocol). `who` has an empty body."]
    lines += ["", "| from | kind | body |", "|---|---|---|"]
    for sender, table in (("driver", FROM_DRIVER), ("kernel", FROM_KERNEL)):
        for kind, shape in table.items():
            lines.append(f"| {sender} | `{kind}` | {reference.named(shape)} |")
    lines += ["", "## Shapes", "", "Maps that stand inside the maps above.", ""]
    lines += _shapes(reference)
    lines += ["## Types", ""]
    lines += [f"- **{name}**: {about}." for name, (_, about) in TYPES.items()]
    return "\n".join(lines) + "\n"


def _contents() -> Iterator[str]:
    for family, calls in groupby(TABLE.values(), key=lambda call: call.family):
        names = ", ".join(f"[{call.name}](#{call.name.replace('.', '')})" for call in calls)
        yield f"- {FAMILIES[family]}: {names}"


def _call(call: Syscall, reference: Reference) -> Iterator[str]:
    yield call.doc
    needs = {"self": "nothing", "tree": "tree", "user": "user"}.get(
        call.capability, f"`{call.capability}`"
    )
    facts = [f"**Needs** {needs}."]
    if call.cost:
        facts.append(f"**Draws on** {call.cost}.")
    if call.writes:
        facts.append("**Writes.**")
    if call.buffers:
        facts.append(f"**Takes** up to {call.buffers} raw buffer{'s' * (call.buffers > 1)}.")
    if call.streams:
        facts.append("**Streams.**")
    yield from ("", " ".join(facts), "", "Arguments:", "")
    yield from reference.shape(call.args)
    yield from ("", "Result:", "")
    yield from reference.shape(call.result)


def _about(text: str) -> Iterator[str]:
    # A class without a docstring of its own shows that of its base.
    if text and text != inspect.cleandoc(Model.__doc__ or ""):
        yield from (text.replace("``", "`"), "")


def _shapes(reference: Reference) -> Iterator[str]:
    written: set[str] = set()
    while fresh := sorted(reference.pending.keys() - written):
        for name in fresh:
            written.add(name)
            schema = reference.pending[name]
            yield from (f"### {name.rpartition('__')[2]}", "")
            yield from _about(inspect.cleandoc(schema.get("description", "")))
            yield from reference.table(schema)
            yield ""


def manifest_schema() -> str:
    """The text of ``manifests/schema.json``."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        **Manifest.model_json_schema(),
        "title": "LLMAgentOS agent manifest",
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def drifted(files: Iterable[tuple[Path, str]]) -> list[Path]:
    """Those of the files that do not have the text that they should."""
    return [
        file
        for file, text in files
        if not file.exists() or file.read_text(encoding="utf-8") != text
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, name what drifted")
    check = parser.parse_args().check
    texts = {
        ROOT / "docs" / "syscalls.md": syscalls(),
        ROOT / "manifests" / "schema.json": manifest_schema(),
        ROOT / "llmagentos" / "families.pyi": stubs(),
    }
    stale = drifted(texts.items())
    for file in stale:
        print(f"{file.relative_to(ROOT)} {'has drifted' if check else 'written'}")
        if not check:
            file.write_text(texts[file], encoding="utf-8")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
