"""The ``tool`` family: tools, which tool drivers offer, and the kernel itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from kernel.builtin import BUILTIN, DRIVER, Builtin
from kernel.calls import Call, Deferred
from kernel.chore import Chore
from kernel.process import Process
from kernel.rules import Rules, Verdict
from kernel.tool_job import ToolJob
from llmagentos.abi import wire
from llmagentos.abi.calls.tool import CallArgs, CallResult, ListArgs, ListResult, ToolInfo
from llmagentos.abi.errors import EINVAL

if TYPE_CHECKING:
    from kernel.machine import Machine

_MOST: Final = wire.MAX_BODY - 4096
"""Bytes of arguments: they must fit into the order to the driver, with what goes beside them."""


def list_(kernel: Machine, call: Call, args: ListArgs) -> ListResult:
    cards = [
        (card, driver.name, driver.usable)
        for driver in kernel.registry
        if driver.card.kind == "tool"
        for card in driver.tools.values()
    ]
    cards += [(tool.card, DRIVER, True) for tool in BUILTIN.values()]
    found = [
        ToolInfo(
            name=card.name,
            description=card.description,
            parameters=card.parameters,
            driver=name,
            up=up,
            verdict=_verdict(call.process, card.name),
            parallel=card.parallel,
        )
        for card, name, up in cards
        if args.names is None or card.name in args.names
    ]
    return ListResult(tools=sorted(found, key=lambda tool: (tool.name, tool.driver)))


def call_(kernel: Machine, call: Call, args: CallArgs) -> Deferred | CallResult:
    size = len(wire.pack(args.arguments))
    if size > _MOST:
        raise EINVAL(
            f"the arguments take {size:,} bytes; the most is {_MOST:,}",
            hint="put what is large into a file, and say where it is",
        )
    builtin = BUILTIN.get(args.name)
    if builtin is not None:
        return _builtin(kernel, call, args, builtin)
    if args.append is None:
        return kernel.jobs.submit(ToolJob(kernel.new_burst(), call, args))
    return _wanted(kernel, call, args, args.append)


def _builtin(kernel: Machine, call: Call, args: CallArgs, tool: Builtin) -> Deferred | CallResult:
    if args.append is not None:
        kernel.wanted.key(call.process, args.append)
        answered = kernel.wanted.answered(call.process, args.append)
        if answered is not None:
            return answered
    return Chore(kernel, call, args, tool).begin(tool.arguments(args.arguments))


def _wanted(kernel: Machine, call: Call, args: CallArgs, id: str) -> Deferred | CallResult:
    """A call that the context's last answer wants made: once."""
    wanted, process = kernel.wanted, call.process
    key = wanted.key(process, id)
    answered = wanted.answered(process, id)
    if answered is not None:
        return answered
    job = wanted.job(process, id)
    if job is not None:
        return kernel.jobs.take_up(job, call)
    job = ToolJob(kernel.new_burst(), call, args, key)
    deferred = kernel.jobs.submit(job)
    wanted.begun(job, id)
    return deferred


def _verdict(process: Process, tool: str) -> Verdict:
    """The strictest of what its rules, and those above it, say."""
    said = {_said(rules, f"tool:{tool}") for rules in process.rights}
    return "deny" if "deny" in said else "ask" if "ask" in said else "allow"


def _said(rules: Rules, bare: str) -> Verdict:
    """Of a tool, whatever its arguments. Where that depends on them: the best there is."""
    if rules.denies_all(bare, "(*)"):
        return "deny"
    said = rules.says(f"{bare}(*)")
    if said != "deny":
        return said
    unasked = replace(rules, ask=())
    return "ask" if unasked.denies_all(bare, "(*)") else "allow"


HANDLERS: dict[str, Callable[..., Any]] = {
    "tool.list": list_,
    "tool.call": call_,
}
