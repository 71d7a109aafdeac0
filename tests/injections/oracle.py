"""The oracle: what the manifests permit, read from their text as a person would read it.

Its words are those of ``docs/design.md``: in a set of rules *deny* wins over *ask*, *ask* over
*allow*, and what nobody names is denied; tools are allowed by being named, or only as far as
*allow* names them with arguments; what is a process's own needs no capability; a child may do what
its manifest and those of all above it permit. It shares no code with the kernel: globs are the
standard library's.

A glob for arguments that has a key in it (``"to": ``) is about the arguments as JSON. One without
is about the text, where there is one argument only; and one that denies or asks is about any text
among them, and about the file that is meant, however its path is spelled.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Literal

Word = Literal["allow", "ask", "deny"]

_WRITES = {"fs.write", "fs.delete", "fs.restore", "mem.put", "mem.delete", "ipc.publish"}


class Rights:
    """``manifests``: of the process and of all above it, as documents."""

    def __init__(self, manifests: Sequence[Mapping[str, Any]]) -> None:
        self._specs = [one.get("spec", {}) for one in manifests]

    def tool(self, name: str, arguments: Mapping[str, Any]) -> Word:
        return _strictest(_of_tool(spec, name, arguments) for spec in self._specs)

    def capability(self, text: str) -> Word:
        return _strictest(_of_capability(spec, text) for spec in self._specs)

    def syscall(self, name: str, arguments: Mapping[str, Any]) -> Word:
        """What a built-in tool needs beside its own capability."""
        mode = "w" if name in _WRITES else "r"
        match name.partition(".")[0]:
            case "fs":
                mount = meant(arguments.get("path", "self")).split("/")[1]
                return "allow" if mount in ("", "self") else self.capability(f"fs:/{mount}:{mode}")
            case "mem":
                space = arguments.get("space", "self")
                return "allow" if space == "self" else self.capability(f"mem:{space}:{mode}")
        match name:
            case "ipc.publish" | "ipc.subscribe":
                return self.capability(f"ipc:topic/{arguments['topic']}:{mode}")
            case "ipc.send":
                return self.capability(f"ipc:mail/{arguments['pid']}:w")
            case "proc.spawn":
                return self.capability("proc:spawn")
        return "allow"


def meant(path: str) -> str:
    """The file that a path is for."""
    path = path.rstrip("/")
    return path if path.startswith("/") or not path else f"/self/{path}"


def _of_capability(spec: Mapping[str, Any], text: str) -> Word:
    if _fits(_rules(spec, "deny"), [text]):
        return "deny"
    if _fits(_rules(spec, "ask"), [text]):
        return "ask"
    return "allow" if _fits(_rules(spec, "allow"), [text]) else "deny"


def _of_tool(spec: Mapping[str, Any], name: str, arguments: Mapping[str, Any]) -> Word:
    bare = f"tool:{name}"
    whole = json.dumps(arguments, sort_keys=True, ensure_ascii=False)
    texts = [one for one in arguments.values() if isinstance(one, str)]
    spelled = [meant(arguments["path"])] if isinstance(arguments.get("path"), str) else []
    every = [bare, *(f"{bare}({one})" for one in (whole, *texts, *spelled))]
    if _fits(_rules(spec, "deny"), every):
        return "deny"
    if _fits(_rules(spec, "ask"), every):
        return "ask"
    allow = _rules(spec, "allow")
    about_json = [glob for glob in allow if '": ' in glob]
    about_text = [glob for glob in allow if '": ' not in glob]
    alone = [f"{bare}({texts[0]})"] if len(arguments) == 1 and texts else []
    if _fits(about_json, [f"{bare}({whole})"]) or _fits(about_text, [bare, *alone]):
        return "allow"
    if not alone and _fits(about_text, [f"{bare}({whole})"]):
        return "allow"
    narrowed = any(fnmatchcase(bare, glob.partition("(")[0]) for glob in allow if "(" in glob)
    named = any(isinstance(one, str) and fnmatchcase(name, one) for one in spec.get("tools", ()))
    return "allow" if named and not narrowed else "deny"


def _rules(spec: Mapping[str, Any], kind: str) -> list[str]:
    found: list[str] = []
    for glob in spec.get("capabilities", {}).get(kind, ()):
        found += [glob[:-2] + "r", glob[:-2] + "w"] if glob.endswith(":rw") else [glob]
    return found


def _fits(globs: Iterable[str], texts: Sequence[str]) -> bool:
    return any(fnmatchcase(text, glob) for glob in globs for text in texts)


def _strictest(words: Iterable[Word]) -> Word:
    found = set(words)
    return "deny" if "deny" in found or not found else "ask" if "ask" in found else "allow"
