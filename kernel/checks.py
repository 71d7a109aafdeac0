"""Checks: the one that every call passes before its handler runs.

The ``capability`` column of the table of syscalls is compiled into checks once, so that no
handler needs to check anything and no call can be forgotten. It knows nothing about what the
call will do.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from kernel.builtin import BUILTIN
from kernel.process import Process
from kernel.reach import below, beyond, check_below, not_yours, related
from kernel.rights import Asked, check_model, denied, judge, verdict
from kernel.rules import Verdict, expanded, heavy, written
from llmagentos.abi.calls.fs import mount_of
from llmagentos.abi.calls.mem import OWN
from llmagentos.abi.errors import EPERM, LLMOSError
from llmagentos.abi.process import INIT
from llmagentos.abi.syscalls import TABLE, Syscall

if TYPE_CHECKING:
    from kernel.machine import Machine

Check = Callable[["Machine", Process, Any], Asked]
"""Raises ``EPERM``."""


def check(kernel: Machine, caller: Process, call: Syscall, args: Any) -> Asked:
    """Raises ``EPERM`` unless ``caller`` may make this call with these arguments, or may once
    somebody has approved it: then the capabilities to ask for are returned."""
    if caller.pid == INIT:
        return ()
    return tuple(word for one in _CHECKS[call.name] for word in one(kernel, caller, args))


# -- what the words of the column mean -------------------------------------------------------


def _user(spec: Syscall) -> Check:
    def check(kernel: Machine, caller: Process, args: Any) -> Asked:
        raise EPERM(f"{spec.name} is for the user only", hint="use the user's key, not a session")

    return check


def _tree(spec: Syscall) -> Check:
    field = "pid" if "pid" in spec.args.model_fields else "tree"

    def check(kernel: Machine, caller: Process, args: Any) -> Asked:
        pid = getattr(args, field)
        if pid is not None and pid != caller.pid:
            check_below(kernel, caller, spec.name, pid)
        return ()

    def check_list(kernel: Machine, caller: Process, args: Any) -> Asked:
        if args.approval is not None:
            _check_approval(kernel, caller, args.approval, own=True)
        return check(kernel, caller, args)

    def check_revoke(kernel: Machine, caller: Process, args: Any) -> Asked:
        if args.labels:
            raise EPERM("only the user may declassify", hint="use the user's key, not a session")
        return check(kernel, caller, args)

    special = {"cap.list": check_list, "cap.revoke": check_revoke}
    return special.get(spec.name, check)


def _below(spec: Syscall) -> Check:
    def check(kernel: Machine, caller: Process, args: Any) -> Asked:
        if args.pid == caller.pid:
            raise EPERM(
                f"process {caller.pid} may not use {spec.name} for itself",
                hint="the user or a process above it can",
            )
        check_below(kernel, caller, spec.name, args.pid)
        return ()

    def check_decide(kernel: Machine, caller: Process, args: Any) -> Asked:
        _check_approval(kernel, caller, args.approval, own=False)
        return ()

    return check_decide if spec.name == "cap.decide" else check


def _check_approval(kernel: Machine, caller: Process, id: int, *, own: bool) -> None:
    """The same answer whether there is such an approval or not."""
    asker = kernel.approvals.asker(id)
    if asker is not None and (own or asker != caller.pid) and below(kernel, caller, asker):
        return
    raise EPERM(
        f"approval {id} is not one that process {caller.pid} may {'see' if own else 'decide'}",
        hint="the user, or a process above the one that asks, can",
    )


def _holds(spec: Syscall) -> Check:
    """Nobody gives what he has not."""

    def check(kernel: Machine, caller: Process, args: Any) -> Asked:
        for glob in expanded(tuple(args.allow)):
            if not all(rules.covers(glob) for rules in caller.rights):
                raise denied(caller, glob)
        return ()

    return check


def _llm(spec: Syscall) -> Check:
    def check(kernel: Machine, caller: Process, args: Any) -> Asked:
        if args.model is None and spec.name == "llm.embed":
            return ()  # any model that makes vectors; the job looks at each
        named = args.model or (caller.spec.models if caller.manifest else ())
        models = [named] if isinstance(named, str) else named or [kernel.config.default_model]
        for model in models:
            check_model(caller, model)
        if not any(rules.ask for rules in caller.rights):
            return ()
        said = {model: _on_drivers(kernel, caller, model) for model in models}
        if not any("ask" in each and "allow" not in each for each in said.values()):
            return ()
        # The burst may then go to any driver that has to be asked for, with any of its models.
        return tuple(f"llm:{model}@*" for model, each in said.items() if "ask" in each)

    return check


def _on_drivers(kernel: Machine, process: Process, model: str) -> set[Verdict]:
    """What its rules say of all the drivers that offer the model."""
    offers = [driver.name for driver in kernel.registry if driver.model(model)]
    return {verdict(process, f"llm:{model}@{name}") for name in offers or ("*",)}


def _mem(mode: str) -> Callable[[Syscall], Check]:
    def check(kernel: Machine, caller: Process, args: Any) -> Asked:
        return () if args.space == OWN else judge(caller, f"mem:{args.space}:{mode}")

    return lambda spec: check


def _fs(mode: str) -> Callable[[Syscall], Check]:
    def check(kernel: Machine, caller: Process, args: Any) -> Asked:
        mount = mount_of(args.path)
        return () if mount in (OWN, "") else judge(caller, f"fs:/{mount}:{mode}")

    return lambda spec: check


def _mail(spec: Syscall) -> Check:
    def check(kernel: Machine, caller: Process, args: Any) -> Asked:
        capability = f"ipc:mail/{args.pid}:w"
        if related(kernel, caller, args.pid):
            return ()
        if not beyond(kernel, caller, args.pid, capability):
            raise not_yours(caller, spec.name, args.pid)
        return judge(caller, capability)

    return check


def _topic(mode: str) -> Callable[[Syscall], Check]:
    def check(kernel: Machine, caller: Process, args: Any) -> Asked:
        return judge(caller, f"ipc:topic/{args.topic}:{mode}")

    return lambda spec: check


def _tool(spec: Syscall) -> Check:
    def check(kernel: Machine, caller: Process, args: Any) -> Asked:
        if not caller.rights:
            return ()
        capability, also = _written(args.name, args.arguments)
        if (builtin := BUILTIN.get(args.name)) is not None:
            # What it is about may be spelled in many ways, and a no is about all of them.
            _check_light(caller, also)
            for meant in builtin.meant(args.arguments):
                if not _same(meant, args.arguments):
                    also += _written(args.name, meant)[1]
            also = tuple(dict.fromkeys(also))
        _check_light(caller, also)
        asked = judge(caller, capability, also)
        if asked and builtin is not None:
            with suppress(LLMOSError):  # what it is refused for, it hears when it is made
                asked += behind(kernel, caller, args)
        return asked

    return check


def behind(kernel: Machine, caller: Process, args: Any) -> Asked:
    """What the syscall behind a call of a built-in tool has to be asked for by itself: whoever is
    asked for the one is asked for both together. Raises ``EPERM``, and ``EINVAL`` for arguments
    that it can't take."""
    builtin = BUILTIN[args.name]
    return check(kernel, caller, builtin.call, builtin.arguments(args.arguments))


def _check_light(process: Process, texts: tuple[str, ...]) -> None:
    if heavy(process.rights, texts):
        raise EPERM(
            f"the arguments are too long to be checked against the rules of {process.name}",
            hint="shorten them, or use fewer globs with wildcards",
        )


def _same(meant: dict[str, Any], said: dict[str, Any]) -> bool:
    """Whether to write both down would give the same twice. 1 is no 1.0 here, nor a True."""
    return meant.keys() == said.keys() and all(meant[name] is said[name] for name in said)


def _written(tool: str, arguments: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
    return written(tool, arguments, json.dumps(arguments, sort_keys=True, ensure_ascii=False))


def _plain(capability: str) -> Callable[[Syscall], Check]:
    def check(kernel: Machine, caller: Process, args: Any) -> Asked:
        return judge(caller, capability)

    return lambda spec: check


_KINDS: Final[dict[str, Callable[[Syscall], Check]]] = {
    "user": _user,
    "tree": _tree,
    "below": _below,
    "holds": _holds,
    "llm:<model>@<driver>": _llm,
    "mem:<space>:r": _mem("r"),
    "mem:<space>:w": _mem("w"),
    "fs:<mount>:r": _fs("r"),
    "fs:<mount>:w": _fs("w"),
    "ipc:mail/<pid>:w": _mail,
    "ipc:topic/<topic>:r": _topic("r"),
    "ipc:topic/<topic>:w": _topic("w"),
    "tool:<name>(<arguments>)": _tool,
    "proc:spawn": _plain("proc:spawn"),
    "cap:decide": _plain("cap:decide"),
}

_CHECKS: Final[dict[str, tuple[Check, ...]]] = {
    spec.name: tuple(_KINDS[word](spec) for word in spec.capability.split() if word != "self")
    for spec in TABLE.values()
}
