"""The ``cap`` family: capabilities, and the approvals of what needs to be asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from kernel import decisions, lifecycle, reach
from kernel.calls import Call, Deferred
from kernel.process import Process
from kernel.question import REQUEST, Question
from kernel.rules import ANYTHING, Rules, bare
from llmagentos.abi.calls.cap import (
    Approval,
    DecideArgs,
    DecideResult,
    GrantArgs,
    ListArgs,
    ListResult,
    RequestArgs,
    RequestResult,
    RevokeArgs,
    RulesResult,
)
from llmagentos.abi.errors import EINVAL, ENOENT
from llmagentos.abi.process import INIT

if TYPE_CHECKING:
    from kernel.machine import Machine

_PAGE: Final = 100
_PAGE_BYTES: Final = 1024 * 1024
"""Approvals in one reply, which has a bound."""


def list_(kernel: Machine, call: Call, args: ListArgs) -> ListResult:
    target = reach.target(kernel, call.process, args.pid)
    # Its rules may be what a labelled process wrote for it.
    lifecycle.taint(kernel, call.process, target)
    found: list[Approval] = []
    more, taken = False, 0
    for question in _questions(kernel, target, args):
        taken += len(question.arguments)
        more = len(found) >= _PAGE or bool(found and taken > _PAGE_BYTES)
        if more:
            break
        found.append(_shown(kernel, call.process, question))
    rules = [one.shown() for one in reversed(target.rights)]
    return ListResult(rules=rules, labels=list(target.labels), approvals=found, more=more)


def _questions(kernel: Machine, target: Process, args: ListArgs) -> list[Question]:
    """Of the target and its descendants, oldest first. Those of processes that were collected are
    the user's alone."""
    approvals = kernel.approvals
    pids = {process.pid for process in kernel.table.tree(target)}
    if args.approval is not None:
        question = approvals.find(args.approval)
        if target.pid != INIT and question.pid not in pids:
            raise ENOENT(f"process {target.pid} has no approval {args.approval}")
        return [question]
    known = [*approvals.open(), *approvals.settled()]
    own = [one for one in known if target.pid == INIT or one.pid in pids]
    decided = sorted((one for one in own if one.status != "pending"), key=lambda one: -one.id)
    shown = [one for one in own if one.status == "pending"] + decided[: args.history]
    return sorted((one for one in shown if one.id > args.after), key=lambda one: one.id)


def _shown(kernel: Machine, reader: Process, question: Question) -> Approval:
    lifecycle.label(kernel, reader, question.labels, f"approval {question.id}")
    return question.shown()


def grant(kernel: Machine, call: Call, args: GrantArgs) -> RulesResult:
    target = _bound(kernel, call, args.pid)
    allow = tuple(args.allow)
    # What a process without rules may, it may already.
    fresh = tuple(rules.with_allowed(allow) for rules in target.rights)
    decisions.bind(kernel, call.process, [(target, fresh)])
    _tell(kernel, call, "granted", target, allow)
    lifecycle.taint(kernel, target, call.process)
    decisions.review(kernel, target, call.process)
    return _rules(kernel, call.process, target)


def revoke(kernel: Machine, call: Call, args: RevokeArgs) -> RulesResult:
    target = _bound(kernel, call, args.pid)
    deny = tuple(args.deny)
    if not deny and not args.labels:
        raise EINVAL("cap.revoke: nothing to revoke", hint="give deny or labels")
    missing = sorted(set(args.labels) - set(target.labels))
    if missing:
        raise EINVAL(f"process {target.pid} is not labelled {', '.join(missing)}")
    victims = [one for one in kernel.table.tree(target) if one.alive] if deny else []
    decisions.bind(kernel, call.process, [(one, _without(one, deny)) for one in victims])
    if args.labels:
        target.labels = tuple(label for label in target.labels if label not in args.labels)
        kernel.changed(target)
    _tell(kernel, call, "revoked", target, deny, labels=sorted(args.labels))
    for victim in victims:
        lifecycle.taint(kernel, victim, call.process)
        decisions.review(kernel, victim, call.process)
    return _rules(kernel, call.process, target)


def request(kernel: Machine, call: Call, args: RequestArgs) -> RequestResult | Deferred:
    asked = decisions.wanted(kernel, call.process, args)
    if not asked:
        return RequestResult(granted=True)
    patience = args.timeout or kernel.config.approval_patience
    return kernel.approvals.ask(call, asked, args, patience, args.reason)


def decide(kernel: Machine, call: Call, args: DecideArgs) -> DecideResult:
    question, decider = kernel.approvals.find(args.approval), call.process
    if args.always and not args.approve:
        raise EINVAL("cap.decide: always goes with approve", hint="cap.revoke denies for good")
    if args.hash is not None and args.hash != question.hash:
        raise EINVAL(
            f"approval {question.id} is about something else: its hash is {question.hash}",
            hint="look at it again before you decide",
        )
    asked = decisions.current(kernel, question)
    if args.approve:
        decisions.check_decider(kernel, decider, question, asked, always=args.always)
    asker = kernel.table.get(question.pid)
    if args.reason:
        lifecycle.taint(kernel, asker, decider)
    what = f"approval {question.id} of process {question.pid}: {question.capability}"
    said = ("always " if args.always else "") + ("approved" if args.approve else "rejected")
    kernel.journal.audit(kernel.now, decider.pid, "cap.decide", "ok", f"{what} {said}")
    if args.approve:
        decisions.approve(kernel, question, decider, always=args.always, note=args.reason)
    else:
        decisions.reject(kernel, question, decider, note=args.reason)
    if args.approve and (args.always or question.call == REQUEST):
        decisions.review(kernel, asker, decider)
    return DecideResult(approval=_shown(kernel, decider, question))


def _bound(kernel: Machine, call: Call, pid: int) -> Process:
    """A process whose rules can change."""
    target = reach.target(kernel, call.process, pid)
    if target.pid == INIT:
        raise EINVAL("nothing binds the user's own process")
    if not target.alive:
        raise EINVAL(f"process {pid} has ended")
    return target


def _without(process: Process, deny: tuple[str, ...]) -> tuple[Rules, ...]:
    """Its rules, with these denied in its own."""
    return (*process.rights[:-1], (process.rights or (ANYTHING,))[-1].with_denied(deny))


def _tell(
    kernel: Machine, call: Call, what: str, target: Process, globs: tuple[str, ...], **more: Any
) -> None:
    now, by = kernel.now, call.process.pid
    names = list(dict.fromkeys(map(bare, globs)))
    kernel.journal.event(now, f"cap.{what}", target.pid, by=by, names=names, **more)
    detail = f"pid {target.pid}: {', '.join((*globs, *more.get('labels', ())))}"
    shown = detail if len(detail) <= 2000 else f"{detail[:2000]}… ({len(globs)} in all)"
    kernel.journal.audit(now, by, call.spec.name, "ok", shown)


def _rules(kernel: Machine, reader: Process, process: Process) -> RulesResult:
    # Others may have written some of them.
    lifecycle.taint(kernel, reader, process)
    own = process.rights[-1] if process.rights else ANYTHING
    return RulesResult(rules=own.shown(), labels=list(process.labels))


HANDLERS: dict[str, Callable[..., Any]] = {
    "cap.list": list_,
    "cap.grant": grant,
    "cap.revoke": revoke,
    "cap.request": request,
    "cap.decide": decide,
}
