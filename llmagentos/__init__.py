"""LLMAgentOS: an operating system for LLM agents. This package is what programs import.

::

    from llmagentos import connect

    with connect() as system:
        agent = system.spawn("summarise", text="…")
        for chunk in agent.stream():
            print(chunk, end="")

Its names are loaded when they are first used, so that importing a part of it (the kernel
imports ``llmagentos.abi``) costs no more than that part.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llmagentos.abi.errors import LLMOSError
    from llmagentos.abi.process import ExitRecord, Limits, Usage
    from llmagentos.agent import Agent, AsyncAgent
    from llmagentos.aio import AsyncSystem, connect_async
    from llmagentos.client import System, connect

__version__ = "0.1.0"

__all__ = [
    "connect",
    "connect_async",
    "System",
    "AsyncSystem",
    "Agent",
    "AsyncAgent",
    "ExitRecord",
    "Limits",
    "Usage",
    "LLMOSError",
    "__version__",
]

_HOMES = {
    "connect": "llmagentos.client",
    "System": "llmagentos.client",
    "Agent": "llmagentos.agent",
    "connect_async": "llmagentos.aio",
    "AsyncSystem": "llmagentos.aio",
    "AsyncAgent": "llmagentos.agent",
    "ExitRecord": "llmagentos.abi.process",
    "Limits": "llmagentos.abi.process",
    "Usage": "llmagentos.abi.process",
    "LLMOSError": "llmagentos.abi.errors",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
