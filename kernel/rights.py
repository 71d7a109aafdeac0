"""Rights: the one check that every call passes before its handler runs.

It reads the ``capability`` column of the table of syscalls. It knows nothing about what the
call will do.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

from kernel.process import Process
from kernel.table import Table
from llmagentos.abi.errors import EPERM
from llmagentos.abi.process import INIT
from llmagentos.abi.syscalls import Syscall


def check(table: Table, caller: Process, call: Syscall, args: Any) -> None:
    """Raises ``EPERM`` unless ``caller`` may make this call with these arguments."""
    if call.capability == "user":
        if caller.pid != INIT:
            raise EPERM(
                f"{call.name} is for the user only", hint="use the user's key, not a session"
            )
    elif call.capability == "tree":
        _check_target(table, caller, call, args)
    elif call.capability == "proc:spawn":
        _check_capability(caller, "proc:spawn", granted=caller.manifest is None)
    elif call.capability.startswith("llm:"):
        wanted = getattr(args, "model", None)
        for model in [wanted] if isinstance(wanted, str) else wanted or []:
            own = caller.manifest is None or model in caller.spec.models
            _check_capability(caller, f"llm:{model}@*", granted=own)


def _check_target(table: Table, caller: Process, call: Syscall, args: Any) -> None:
    pid = getattr(args, "pid", None) or getattr(args, "tree", None)
    if pid is None or caller.pid == INIT:
        return
    target = table.get(pid)
    if not table.within(target, caller):
        raise EPERM(
            f"process {caller.pid} may not use {call.name} on process {pid}",
            hint="a process acts on itself and its descendants only",
            detail={"caller": caller.pid, "target": pid},
        )


def _check_capability(caller: Process, capability: str, *, granted: bool) -> None:
    """Deny wins over ask, ask over allow."""
    rules = caller.spec.capabilities
    if any(fnmatchcase(capability, glob) for glob in rules.deny):
        raise EPERM(f"the manifest of {caller.name} denies {capability}")
    if any(fnmatchcase(capability, glob) for glob in rules.ask):
        raise EPERM(
            f"{capability} needs an approval, and there is nobody to ask",
            hint=f"allow it in the manifest: capabilities: {{allow: ['{capability}']}}",
        )
    if not granted and not any(fnmatchcase(capability, glob) for glob in rules.allow):
        raise EPERM(
            f"{caller.name} has no capability {capability}",
            hint=f"allow it in the manifest: capabilities: {{allow: ['{capability}']}}",
        )
