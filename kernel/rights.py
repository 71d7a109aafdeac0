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


def check(table: Table, caller: Process, call: Syscall, args: Any, default: str) -> None:
    """Raises ``EPERM`` unless ``caller`` may make this call with these arguments. ``default``:
    the model that is meant where none is named."""
    for capability in call.capability.split():
        if capability == "user" and caller.pid != INIT:
            raise EPERM(
                f"{call.name} is for the user only", hint="use the user's key, not a session"
            )
        if capability == "tree":
            _check_target(table, caller, call, args)
        elif capability == "proc:spawn":
            _check_capability(caller, "proc:spawn", granted=caller.manifest is None)
        elif capability.startswith("llm:"):
            named = getattr(args, "model", None) or (
                caller.spec.models if caller.manifest else default
            )
            for model in [named] if isinstance(named, str) else named:
                check_model(caller, model)


def check_model(process: Process, model: str) -> None:
    """Raises ``EPERM`` unless the process may use this model on some driver."""
    own = process.manifest is None or model in process.spec.models
    _check_capability(process, f"llm:{model}@*", granted=own)


def may_use(process: Process, model: str, driver: str) -> bool:
    """Whether its rules let it use this model on this driver."""
    capability = f"llm:{model}@{driver}"
    own = process.manifest is None or model in process.spec.models
    for rules in process.rights:
        if _matches(rules.deny, capability) or _matches(rules.ask, capability):
            return False
    return own or all(_matches(rules.allow, capability) for rules in process.rights)


def _matches(globs: list[str], capability: str) -> bool:
    return any(fnmatchcase(capability, glob) for glob in globs)


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
    """Deny wins over ask, ask over allow; and the rules of every ancestor bind as its own do."""
    remedy = f"allow it in the manifest: capabilities: {{allow: ['{capability}']}}"
    for rules in caller.rights:
        if _matches(rules.deny, capability):
            raise EPERM(f"{capability} is denied to {caller.name}, or to one above it")
        if _matches(rules.ask, capability):
            raise EPERM(f"{capability} needs an approval, and there is nobody to ask", hint=remedy)
    if granted:
        return
    # Of a rule that names a driver, any driver will do here; placement looks at which.
    if not all(_allows(rules.allow, capability) for rules in caller.rights):
        raise EPERM(f"{caller.name} has no capability {capability}", hint=remedy)


def _allows(globs: list[str], capability: str) -> bool:
    wanted, _, _ = capability.partition("@")
    return any(
        fnmatchcase(capability, glob) or ("@" in capability and _model_part(glob, wanted))
        for glob in globs
    )


def _model_part(glob: str, wanted: str) -> bool:
    model, at, _ = glob.partition("@")
    return bool(at) and fnmatchcase(wanted, model)
