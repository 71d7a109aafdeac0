"""Decisions: who may answer a question, and what becomes of the call and of the process's rights.

It knows nothing about how questions are kept.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from kernel import checks, rights
from kernel.process import Process
from kernel.question import REQUEST, Question, fingerprint
from kernel.rules import Rules, bare, expanded, lasting
from llmagentos.abi.calls.cap import RequestArgs, RequestResult
from llmagentos.abi.errors import EBUSY, EPERM, EQUOTA, LLMOSError
from llmagentos.abi.process import INIT
from llmagentos.abi.syscalls import TABLE

if TYPE_CHECKING:
    from kernel.machine import Machine

TOOL: Final = "tool.call"
"""The one call that another one may be behind."""

_MOST_GLOBS: Final = 4096
"""That processes may bind each other with."""


def bind(kernel: Machine, by: Process, changes: list[tuple[Process, tuple[Rules, ...]]]) -> None:
    """These are their rules from now on: all of it or nothing. Raises ``EQUOTA`` for too many, but
    never to the user."""
    for process, fresh in changes:
        size = sum(rules.size for rules in fresh)
        if size > _MOST_GLOBS and by.pid != INIT:
            raise EQUOTA(
                f"the rules of process {process.pid} would have {size:,} globs; the most is "
                f"{_MOST_GLOBS:,}",
                hint="use globs with wildcards",
            )
    for process, fresh in changes:
        process.rights = fresh
        kernel.changed(process)
        kernel.scheduler.reorder(process)


def wanted(kernel: Machine, process: Process, args: RequestArgs) -> rights.Asked:
    """What a request for a capability needs an approval for: nothing, if it is held already, and
    never asked for. Raises ``EPERM`` for what is denied in so many words."""
    asked = expanded((args.capability,))
    if all(rights.may_give(kernel, process, one) for one in asked):
        return ()
    for one in asked:
        if not process.rights or any(rules.denies(one) for rules in process.rights):
            raise rights.denied(process, one)
    return asked


def current(kernel: Machine, question: Question) -> rights.Asked:
    """What it asks for, as things stand now; nothing, if that needs no approval any more. Raises
    ``EBUSY`` if there is nothing to decide."""
    if question.status != "pending":
        raise EBUSY(
            f"approval {question.id} is {question.status} already",
            hint="llmos approvals lists those that wait",
        )
    call = question.parked
    try:
        asked = _asked(kernel, question)
    except LLMOSError as error:
        kernel.approvals.close(question, "withdrawn")
        if call is not None:
            kernel.calls.refuse(call, error, keep=True)
        raise EBUSY(
            f"what approval {question.id} asked for is refused by now: {error.message}",
            hint="there is nothing left to decide",
        ) from None
    if asked and call is not None and fingerprint(call, asked, question.args) != question.hash:
        fresh = kernel.approvals.renew(question, asked)
        raise EBUSY(
            f"what approval {question.id} asked for has changed since, and is asked anew as "
            f"approval {fresh}",
            hint="look at that one",
            detail={"approval": fresh},
        )
    return asked


def check_decider(
    kernel: Machine, decider: Process, question: Question, asked: rights.Asked, *, always: bool
) -> None:
    """Raises ``EPERM`` unless the decider may do itself, without asking, what it lets another
    do."""
    lasts = always or question.call == REQUEST
    able = all(rights.may_give(kernel, decider, bare(one)) for one in asked) if lasts else True
    if able and (question.call == REQUEST or question.call.startswith("llm.")):
        # Which models are meant follows from whose call it is.
        able = all(rights.may(kernel, decider, one) == "allow" for one in asked)
    elif able:
        args = _args(question)
        try:
            able = not checks.check(kernel, decider, TABLE[question.call], args)
            if able and question.call == TOOL and len(asked) > 1:
                able = not checks.behind(kernel, decider, args)
        except LLMOSError:
            able = False
    if not able:
        raise EPERM(
            f"process {decider.pid} may not use {question.capability} itself, or would be asked",
            hint="nobody gives more than he has; the user can decide",
            detail={"approval": question.id},
        )


def approve(
    kernel: Machine, question: Question, by: Process, *, always: bool = False, note: str = ""
) -> None:
    """A call that waits goes on at once; else the yes waits for the call."""
    asker, asked = kernel.table.get(question.pid), _asked(kernel, question)
    if question.call == REQUEST:
        _give(kernel, by, asker, asked, asked)
    elif always:
        _give(kernel, by, asker, (), asked)
    question.always = always
    kernel.approvals.decide(question, "approved", by, note)
    call, args = question.parked, question.args
    if question.call == REQUEST:
        kernel.approvals.close(question, "used")
        if call is not None:
            result = RequestResult(granted=True, approval=question.id, note=note)
            kernel.calls.complete(call, result)
    elif call is not None:
        call.waits = None
        kernel.approvals.leave(question)
        kernel.approvals.use(question, call, asked)
        kernel.settle(asker, f"approval {question.id} was given")
        kernel.calls.proceed(call, args)


def reject(kernel: Machine, question: Question, by: Process, *, note: str = "") -> None:
    """A call that waits is refused at once; else the no waits for the call."""
    kernel.approvals.decide(question, "rejected", by, note)
    if question.parked is not None:
        kernel.approvals.turn_down(question, question.parked)


def review(kernel: Machine, process: Process, by: Process) -> None:
    """Its rights are not what they were: what need not be asked any more goes on, and what is
    denied is rejected."""
    for question in kernel.approvals.of(process.pid):
        if question.status != "pending":
            continue
        try:
            asked = _asked(kernel, question)
        except LLMOSError as error:
            reject(kernel, question, by, note=error.message)
            continue
        if not asked:
            approve(kernel, question, by)


def _give(
    kernel: Machine, by: Process, asker: Process, allow: rights.Asked, approved: rights.Asked
) -> None:
    globs = tuple(map(lasting, approved))
    fresh = (rules.with_allowed(allow).with_approved(globs) for rules in asker.rights)
    bind(kernel, by, [(asker, tuple(fresh))])


def _asked(kernel: Machine, question: Question) -> rights.Asked:
    asker, args = kernel.table.get(question.pid), _args(question)
    if question.call == REQUEST:
        return wanted(kernel, asker, args)
    return checks.check(kernel, asker, TABLE[question.call], args)


def _args(question: Question) -> Any:
    given = json.loads(question.arguments)
    return question.args or TABLE[question.call].args.model_validate(given)
