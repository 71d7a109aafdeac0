"""Levels: what a process may do, worked out anew from the rules that bind it.

Written apart from ``kernel/rules.py`` and without its shortcuts, so that the two can be compared.
It knows nothing about who gave which rules.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

NO, ASK, YES = 0, 1, 2
"""Levels, least first."""

SAMPLES = (
    "proc:spawn", "cap:decide", "net:example.org",
    "llm:m@edge", "llm:m@cloud", "llm:small@edge", "llm:big@lab", "llm:vec@edge",
    "tool:echo(hello)", "tool:shell(ls x)", "tool:shell(rm x)", "tool:vault(x)", "tool:web(x)",
    "mem:notes:r", "mem:notes:w", "mem:diary:r", "mem:diary:w",
    "fs:/share:r", "fs:/share:w", "ipc:topic/news:r", "ipc:topic/news:w", "ipc:topic/gossip:w",
    "ipc:mail/3:w",
)  # fmt: skip
"""Capabilities by which rights are compared."""


def level(rights: Iterable[Any], capability: str) -> int:
    """The strictest of what all these rules say."""
    return min((_says(rules, capability) for rules in rights), default=YES)


def matches(glob: str, capability: str) -> bool:
    return _any((glob,), _names(capability))


def _says(rules: Any, capability: str) -> int:
    names = _names(capability)
    # What a tool is told can be written as JSON, too.
    head, found, rest = capability.partition("(")
    every = names
    if found:
        told = json.dumps({"text": rest.removesuffix(")")}, sort_keys=True, ensure_ascii=False)
        every = (*names, f"{head}({told})")
    if _any(rules.deny, every):
        return NO
    if _any(rules.ask, every):
        return YES if _any(rules.approved, names) else ASK
    return YES if _any(rules.allow, names) else NO


def _any(globs: Iterable[str], names: Iterable[str]) -> bool:
    return any(_fits(name, glob) for glob in globs for name in names)


_fits = lru_cache(maxsize=1 << 16)(fnmatchcase)


def _names(capability: str) -> tuple[str, ...]:
    if capability.startswith("tool:"):
        return capability, capability.partition("(")[0]
    if capability.startswith("llm:"):
        return capability, capability.partition("@")[0]
    return (capability,)


def needed(name: str, args: dict[str, Any]) -> str:
    """The capability that a call needs, beside its place in the tree; "" if none."""
    family, _, verb = name.partition(".")
    if name in ("proc.spawn", "proc.fork"):
        return "proc:spawn"
    if name == "tool.call":
        return f"tool:{args['name']}({args['arguments']['text']})"
    if family == "mem" and args.get("space", "self") != "self":
        return f"mem:{args['space']}:{'w' if verb in ('put', 'delete') else 'r'}"
    if family == "fs" and (mount := str(args["path"]).split("/")[1]) not in ("self", ""):
        return f"fs:/{mount}:{'w' if verb in ('write', 'delete', 'restore') else 'r'}"
    if name in ("ipc.publish", "ipc.subscribe"):
        return f"ipc:topic/{args['topic']}:{'w' if verb == 'publish' else 'r'}"
    return ""
