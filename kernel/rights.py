"""Rights: what a process may do, by its rules and by those of all above it at its birth.

It knows nothing about calls, nor about which of them needs which capability.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from kernel.process import Process
from kernel.reach import beyond, related
from kernel.rules import Verdict, bare
from llmagentos.abi.errors import EPERM
from llmagentos.abi.process import INIT

if TYPE_CHECKING:
    from kernel.machine import Machine

PROGRAM: Final = "proc:program"
"""To spawn what runs as an OS process, with the rights of the user."""

_MAIL: Final = re.compile(r"ipc:mail/([0-9]{1,16}):w")

Asked = tuple[str, ...]
"""Capabilities that somebody must say yes to first; mostly none."""


def verdict(process: Process, capability: str, also: tuple[str, ...] = ()) -> Verdict:
    """What its rules, and those of every ancestor at its birth, say: the strictest of them.
    ``also``: other ways to write the same."""
    found: Verdict = "allow"
    if process.pid == INIT:
        return found
    for rules in process.rights:
        said = rules.says(capability, also)
        if said == "deny":
            return said
        if said == "ask":
            found = said
    return found


def judge(process: Process, capability: str, also: tuple[str, ...] = ()) -> Asked:
    """What has to be asked for first. Raises ``EPERM``. ``also``: as for ``verdict``."""
    said = verdict(process, capability, also)
    if said == "deny":
        raise denied(process, capability, also)
    return (capability,) if said == "ask" else ()


def may(kernel: Machine, process: Process, capability: str) -> Verdict:
    """As ``verdict``, and with what follows from where it stands in the tree."""
    mail = _MAIL.fullmatch(capability)
    if mail and process.pid != INIT:
        pid = int(mail[1])
        if related(kernel, process, pid):
            return "allow"
        if not beyond(kernel, process, pid, capability):
            return "deny"
    return verdict(process, capability)


def may_give(kernel: Machine, giver: Process, capability: str) -> bool:
    """Whether it may let somebody have this and not be asked any more: it has that itself."""
    free = not any(rules.may_ask(capability) for rules in giver.rights)
    return giver.pid == INIT or (free and may(kernel, giver, capability) == "allow")


def check_model(process: Process, model: str) -> None:
    """Raises ``EPERM`` unless the process may use this model on some driver. On which ones,
    placement looks at."""
    _check_some(process, f"llm:{model}", "@*")


def check_tool(process: Process, tool: str) -> None:
    """Raises ``EPERM`` unless the process may call this tool with some arguments."""
    _check_some(process, f"tool:{tool}", "(*)")


def check_program(process: Process) -> None:
    """Raises ``EPERM`` unless the process may start programs, which have all the rights of the
    user on this machine. What a manifest names is known only now, when the call is carried out: so
    there is no asking in between, but ``cap.request`` asks for it beforehand."""
    if judge(process, PROGRAM):
        raise EPERM(
            f"{process.name} has to be allowed to start programs before it does",
            hint=f"cap.request with the capability {PROGRAM} asks for it",
            detail={"capability": PROGRAM},
        )


def _check_some(process: Process, name: str, rest: str) -> None:
    if process.pid == INIT:
        return
    if any(rules.denies_all(name, rest) for rules in process.rights):
        raise denied(process, name)


def denied(process: Process, capability: str, also: tuple[str, ...] = ()) -> EPERM:
    # Never the arguments: the message goes into the audit log.
    name = bare(capability)
    shown = name if name == capability or name[:5] != "tool:" else f"{name}(…)"
    shown = shown if len(shown) <= 200 else shown[:200] + "…"
    hint = f"allow it in the manifest: capabilities: {{allow: ['{name[:100]}']}}"
    message = f"{process.name} has no capability {shown}"
    for rules in reversed(process.rights):
        own = rules is process.rights[-1]
        if rules.denies(capability, also):
            whose = process.name if own else f"a process above {process.name}"
            message = f"{shown} is denied to {whose}"
            hint = "its manifest denies it, or it was revoked; deny wins over allow"
        elif rules.says(capability, also) != "deny":
            continue
        elif not own:
            message = f"a process above {process.name} has no capability {shown}"
        break
    return EPERM(message, hint=hint, detail={"capability": name[:200]})
