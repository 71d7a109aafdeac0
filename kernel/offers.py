"""Offers: which tools there are, and what is said of a name that none has.

It knows nothing about who may call them.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from kernel.builtin import BUILTIN
from kernel.globs import Glob
from kernel.registry import Driver
from llmagentos.abi.manifest import AgentSpec


def tools(drivers: Iterable[Driver]) -> set[str]:
    """The names of those that drivers offer, and of the built-in ones."""
    offered = {name for one in drivers if one.card.kind == "tool" for name in one.tools}
    return offered | BUILTIN.keys()


def meant(name: str, known: Iterable[str]) -> str:
    """The one that is written like it; "" if none is."""
    return next(iter(get_close_matches(name, sorted(known), 1)), "")


def missing(spec: AgentSpec, drivers: Iterable[Driver]) -> list[str]:
    """A sentence for each of a manifest's tools that nobody offers now: a driver may be on its
    way, or the name be wrong."""
    if not spec.tools:
        idle = spec.program is None and spec.tool_choice == "required"
        return ["tool_choice is required, and the manifest names no tools"] if idle else []
    known = tools(drivers)
    return [
        _sentence(ref.pattern, known)
        for ref in spec.tool_refs
        if ref.pattern not in known and not _any(ref.pattern, known)
    ]


def _any(pattern: str, known: Iterable[str]) -> bool:
    """Only ``*`` has a meaning in it."""
    if "*" not in pattern:
        return False
    glob = Glob(pattern.replace("[", "[[]").replace("?", "[?]"))
    return any(glob.matches(name) for name in known)


def _sentence(pattern: str, known: Iterable[str]) -> str:
    near = meant(pattern, known)
    return f"nobody offers the tool {pattern} now" + (f"; did you mean {near}?" if near else "")
