"""The catalog: manifests as files, read and checked.

A manifest's name is its file's name in one of the folders, the user's before the shipped
ones. What is wrong in one is said with file, line, field and remedy. It knows nothing about
processes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError

from llmagentos.abi.errors import EINVAL, EIO, ENOENT
from llmagentos.abi.manifest import Manifest

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")

_MAX_BYTES: Final = 256 * 1024
_MAX_EVENTS: Final = 10_000
_MAX_DEPTH: Final = 16


class Catalog:
    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders

    def names(self) -> list[str]:
        found = {file.stem for folder in self._folders for file in folder.glob("*.yaml")}
        return sorted(found)

    def named(self, name: str) -> Manifest:
        """The manifest in ``<name>.yaml``. Raises ``ENOENT``, or ``EINVAL`` if it is wrong."""
        if _NAME.fullmatch(name):
            for folder in self._folders:
                file = folder / f"{name}.yaml"
                if file.is_file():
                    return self.parsed(_read(file), str(file), str(folder.absolute()))
        near = get_close_matches(name[:64], self.names(), 1)
        known = ", ".join(self.names()) or "none"
        raise ENOENT(
            f"there is no manifest named {name[:100]!r}",
            hint=f"did you mean {near[0]}?" if near else f"there are {known}",
        )

    def parsed(self, source: str, file: str, folder: str = "") -> Manifest:
        """The manifest in a YAML text. ``file`` is what messages call it, ``folder`` where it is:
        a program's workdir is written out."""
        file = file or "manifest"
        try:
            _check_events(source, file)
            root = yaml.compose(source, Loader=_LOADER)
            if root is None:
                raise EINVAL(f"{file}: it is empty", hint="README.md shows a manifest")
            _check_keys(root, file)
            document = yaml.load(source, Loader=_LOADER)
        except (yaml.YAMLError, ValueError) as error:
            raise _broken_yaml(file, error) from None
        return _placed(_validated(document, file, root), folder)

    def checked(self, document: dict[str, Any]) -> Manifest:
        """The manifest in a map."""
        return _validated(document, "manifest", None)


def _placed(manifest: Manifest, folder: str) -> Manifest:
    """With the whole path of the folder that its program is run in."""
    spec = manifest.spec
    if spec.program is None or not folder:
        return manifest
    workdir = str(Path(folder) / (spec.workdir or ""))
    return manifest.model_copy(update={"spec": spec.model_copy(update={"workdir": workdir})})


def _read(file: Path) -> str:
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise EINVAL(f"{file}: larger than {_MAX_BYTES} bytes, too large for a manifest")
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise EINVAL(
            f"{file}: not UTF-8 text (byte {error.start})", hint="save it as UTF-8"
        ) from None
    except OSError as error:
        raise EIO(f"{file} can't be read: {error.strerror}") from None


def _check_events(source: str, file: str) -> None:
    """Depth could exhaust the C stack of the next step, and anchors could make a small text a
    huge document; so both are refused while the text is still only a row of events."""
    depth = 0
    for number, event in enumerate(yaml.parse(source, Loader=_LOADER)):
        line = event.start_mark.line + 1 if event.start_mark else 0
        if getattr(event, "anchor", None):
            raise EINVAL(
                f"{file}, line {line}: anchors and aliases are not allowed",
                hint="write the value out where it is used",
            )
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if number > _MAX_EVENTS:
            raise EINVAL(f"{file}, line {line}: more than {_MAX_EVENTS} parts")
        if depth > _MAX_DEPTH:
            raise EINVAL(f"{file}, line {line}: nested more than {_MAX_DEPTH} deep")


def _check_keys(node: Any, file: str) -> None:
    """YAML lets the last of two equal keys win, without a word."""
    if isinstance(node, yaml.SequenceNode):
        for part in node.value:
            _check_keys(part, file)
    if not isinstance(node, yaml.MappingNode):
        return
    seen: set[str] = set()
    for key, value in node.value:
        if isinstance(key, yaml.ScalarNode) and key.value in seen:
            line = key.start_mark.line + 1
            raise EINVAL(
                f"{file}, line {line}: {key.value} is there twice", hint="remove one of them"
            )
        seen.add(str(key.value))
        _check_keys(value, file)


def _broken_yaml(file: str, error: Exception) -> EINVAL:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    return EINVAL(
        f"{file}{where}: not YAML: {problem}",
        hint="mind the indentation, and quote texts that hold ': ' or '#'",
    )


def _validated(document: Any, file: str, root: Any) -> Manifest:
    if not isinstance(document, dict):
        raise EINVAL(
            f"{file}: a manifest is a map, this is a {type(document).__name__}",
            hint="it starts with apiVersion, kind, metadata and spec",
        )
    try:
        return Manifest.model_validate(document)
    except ValidationError as error:
        raise _broken_manifest(error, file, root) from None


def _broken_manifest(error: ValidationError, file: str, root: Any) -> EINVAL:
    problems = error.errors(include_url=False, include_input=False)
    several = _union(problems)

    def place(problem: Any) -> tuple[int, int, bool]:
        # The first in the file; and of a field that was tried as several types, the deepest, or
        # that of the type that it is of.
        fields = [part for part in problem["loc"] if _is_field(part)]
        line = 0 if several else _line(root, fields) or 0
        return (line, -len(problem["loc"]), problem["type"] in _KINDS)

    first = min(problems, key=place)
    path = [part for part in first["loc"] if _is_field(part)]
    field = ".".join(map(str, path)) or "manifest"
    line = _line(root, path)
    where = f"{file}, line {line}" if line else file
    problem = _words(first)
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 and not several else ""
    return EINVAL(
        f"{where}: {field}: {problem}{more}",
        hint=_remedy(first, field),
        detail={"file": file, "line": line, "field": field},
    )


_SCHEMA: Final = "manifests/schema.json says what fits"
_KINDS: Final = {
    "missing": "it is required",
    "extra_forbidden": "there is no such field",
    "string_type": "it must be a text",
    "int_type": "it must be a whole number",
    "float_type": "it must be a number",
    "bool_type": "it must be true or false",
    "list_type": "it must be a list",
    "dict_type": "it must be a map",
    "model_type": "it must be a map",
}
"""What pydantic says in the words of a Python programmer."""

_MUST_BE: Final = {"a valid integer": "a whole number", "a valid number": "a number"}


def _words(problem: Any) -> str:
    """What is wrong with a field."""
    said: str = problem["msg"].removeprefix("Value error, ")
    said = _KINDS.get(problem["type"], said).replace("Input should be", "it must be")
    for theirs, ours in _MUST_BE.items():
        said = said.replace(theirs, ours)
    return said


def _union(problems: Sequence[Any]) -> bool:
    """Whether all the problems are of one field, tried as one type after another."""
    return len({problem["loc"][:2] for problem in problems}) == 1 and len(problems) > 1


def _is_field(part: int | str) -> bool:
    # pydantic puts the names of the types that it tried into the location, in brackets or
    # lower case; they are no fields of ours.
    return isinstance(part, int) or not (
        part in {"str", "constrained-str"} or part.startswith(("list[", "dict[", "function-"))
    )


def _remedy(problem: Any, field: str) -> str:
    kind = problem["type"]
    if kind == "extra_forbidden":
        names = _siblings(field)
        near = get_close_matches(field.rpartition(".")[2][:64], names, 1)
        if near:
            return f"did you mean {near[0]}?"
        return f"known here: {', '.join(names)}" if names else _SCHEMA
    if kind == "missing":
        return f"add {field}"
    expected = problem.get("ctx", {}).get("expected")
    return f"write {expected}" if expected else _SCHEMA


def _siblings(field: str) -> list[str]:
    model: Any = Manifest
    for part in field.split(".")[:-1]:
        if part in getattr(model, "model_fields", {}):
            model = model.model_fields[part].annotation
    return list(getattr(model, "model_fields", {}))


def _line(root: Any, path: Sequence[int | str]) -> int | None:
    """The line of a field, or of the nearest part of the document around it."""
    if root is None:
        return None
    node, line = root, root.start_mark.line + 1
    for part in path:
        found = None
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == part:
                    found, line = value, key.start_mark.line + 1
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            found = node.value[part] if part < len(node.value) else None
            line = found.start_mark.line + 1 if found is not None else line
        if found is None:
            break
        node = found
    return int(line)
