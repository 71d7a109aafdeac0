"""Approvals: what must be asked for, waiting durably for somebody who may decide it.

A question outlives the call that asked it: when the kernel, the host or the client comes back and
makes the call again, it finds its question, or the decision. A decision lets one call through: of
two that are the same, each has a question of its own. A call that was let through and then died
with the kernel has used its decision up, and asks again. Without anybody to ask, it is a no.

It knows nothing about what a decision leads to.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from kernel.calls import DEFERRED, Call, Deferred
from kernel.effects import Delete, Put
from kernel.process import Process
from kernel.question import REQUEST, Question, canonical, contents, fingerprint, named, restored
from llmagentos.abi.calls.cap import MAX_ASKED, ApprovalStatus, RequestResult
from llmagentos.abi.errors import EBUSY, EINVAL, ENOENT, EPERM

if TYPE_CHECKING:
    from kernel.machine import Machine

_NEXT: Final = "next_approval"

_KEPT: Final = 1000
_KEPT_BYTES: Final = 16 * 1024 * 1024
"""Of questions that are settled."""

_MOST: Final = 100
_MOST_BYTES: Final = 64 * 1024 * 1024
"""Open questions of one process, and what they may take."""

_MOST_BYTES_ALL: Final = 256 * 1024 * 1024
"""What those of all processes may take."""


class Approvals:
    def __init__(self, kernel: Machine) -> None:
        self._kernel = kernel
        self._next = 1
        self._open: dict[int, Question] = {}
        self._of: dict[int, dict[int, Question]] = {}
        """The open ones by pid, then by id."""
        self._open_bytes = 0
        self._settled: OrderedDict[int, Question] = OrderedDict()
        self._settled_bytes = 0

    def restore(self, rows: list[dict[str, Any]], following: int) -> None:
        """After a boot. ``following``: the number of the next one; none is used twice."""
        for row in sorted(rows, key=lambda row: row["id"]):
            question = restored(row)
            self._next = question.id + 1
            if question.open:
                self._add(question)
            else:
                self._retain(question)
        self._next = max(self._next, following)

    # -- looking -----------------------------------------------------------------------------

    def find(self, id: int) -> Question:
        """Raises ``ENOENT``."""
        question = self._get(id)
        if question is None:
            raise ENOENT(f"there is no approval {id}", hint="llmos approvals lists them")
        return question

    def asker(self, id: int) -> int | None:
        """The pid of the process that asked; None: there is no such question."""
        question = self._get(id)
        return question.pid if question else None

    def _get(self, id: int) -> Question | None:
        return self._open.get(id) or self._settled.get(id)

    def open(self) -> Iterator[Question]:
        """Those that wait for a decision, or for the call to come and fetch it."""
        return iter(self._open.values())

    def of(self, pid: int) -> list[Question]:
        """The open ones of one process."""
        return list(self._of.get(pid, {}).values())

    def settled(self) -> Iterator[Question]:
        """The last ones, newest first."""
        return reversed(self._settled.values())

    # -- asking ------------------------------------------------------------------------------

    def allows(self, call: Call, asked: tuple[str, ...], args: Any) -> bool:
        """Whether somebody has said yes to exactly this, and it was not used yet. Uses it."""
        decided = _decided(self._like(call, asked, args))
        if decided is None or decided.status != "approved":
            return False
        self.use(decided, call, asked)
        return True

    def park(self, kernel: Machine, call: Call, asked: tuple[str, ...], args: Any) -> Deferred:
        """The call waits until it is decided."""
        return self.ask(call, asked, args, kernel.config.approval_patience)

    def ask(
        self, call: Call, asked: tuple[str, ...], args: Any, patience: float, reason: str = ""
    ) -> Deferred:
        """The same, with a patience of its own. Raises ``EINVAL`` for what nobody could read, and
        ``EBUSY`` for too many questions."""
        alike = self._like(call, asked, args)
        decided = _decided(alike)
        if decided is not None:
            self.turn_down(decided, call)
            return DEFERRED
        question = next((one for one in alike if one.parked is None), None)
        if question is None:
            question = self._new(call, asked, args, patience, reason)
        self._attach(question, call, args)
        return DEFERRED

    def renew(self, question: Question, asked: tuple[str, ...]) -> int:
        """The call that waits for it asks for something else by now; the new question's id."""
        call, args = question.parked, question.args
        assert call is not None
        self.close(question, "withdrawn")
        self.leave(question)
        patience = question.expires - self._kernel.now
        fresh = self._new(call, asked, args, patience, question.reason)
        self._attach(fresh, call, args)
        return fresh.id

    def _new(
        self, call: Call, asked: tuple[str, ...], args: Any, patience: float, reason: str
    ) -> Question:
        process, text = call.process, canonical(args)
        _check_length(call, text)
        question = Question(
            id=self._next,
            pid=process.pid,
            name=process.name,
            call=call.spec.name,
            capability=named(asked),
            arguments=text,
            buffers=contents(call.buffers),
            labels=process.labels,
            hash=fingerprint(call, asked, args, text),
            reason=reason,
            status="pending",
            created=self._kernel.now,
            expires=self._kernel.now + patience,
        )
        self._check_room(question)
        self._next += 1
        self._kernel.effects.rows.append(Put("meta", {"key": _NEXT, "value": self._next}))
        self._add(question)
        self._kernel.journal.event(
            self._kernel.now, "approval.asked", process.pid, approval=question.id,
            call=question.call, capability=question.capability,
        )  # fmt: skip
        return question

    def _attach(self, question: Question, call: Call, args: Any) -> None:
        """The call waits for this."""
        question.labels = tuple(sorted({*question.labels, *call.process.labels}))
        question.parked, question.args = call, args
        call.waits, call.on_close = "approval", partial(self.leave, question)
        self._write(question)

    def _like(self, call: Call, asked: tuple[str, ...], args: Any) -> list[Question]:
        """The open questions about exactly this, oldest first."""
        known = self.of(call.process.pid)
        mark = fingerprint(call, asked, args) if known else ""
        return [question for question in known if question.hash == mark]

    def _check_room(self, question: Question) -> None:
        own = self.of(question.pid)
        taken = question.size + sum(one.size for one in own)
        if len(own) >= _MOST or taken > _MOST_BYTES:
            raise EBUSY(
                f"process {question.pid} waits for {len(own)} approvals, as many as it may",
                hint="llmos approvals lists them",
            )
        if question.size + self._open_bytes > _MOST_BYTES_ALL:
            raise EBUSY("too many approvals wait", hint="llmos approvals lists them")

    # -- what becomes of a question ----------------------------------------------------------

    def use(self, question: Question, call: Call, asked: tuple[str, ...]) -> None:
        """The call is let through. ``asked``: what for."""
        call.approved, call.granted = True, asked
        self.close(question, "used")

    def turn_down(self, question: Question, call: Call) -> None:
        """The call hears of the no."""
        self.close(question)
        calls, id = self._kernel.calls, question.id
        if question.call == REQUEST:
            calls.complete(call, RequestResult(granted=False, approval=id, note=question.note))
            return
        why = f": {question.note}" if question.note else ""
        error = EPERM(f"{question.capability} was refused, as approval {id}{why}")
        self._refuse(question, call, error)

    def _refuse(self, question: Question, call: Call, error: EPERM) -> None:
        detail = f"approval {question.id} of {question.capability}: {question.status}"
        self._kernel.journal.audit(
            self._kernel.now, question.pid, question.call, error.code, detail
        )
        self._kernel.calls.refuse(call, error, keep=True)

    def leave(self, question: Question) -> None:
        """The call is over; whoever made it may make it again."""
        question.parked = question.args = None

    def withdraw(self, process: Process) -> None:
        """It has ended: nothing it asked for is wanted any more."""
        for question in self.of(process.pid):
            # A no stays a no.
            self.close(question, None if question.status == "rejected" else "withdrawn")

    def _expire(self, question: Question) -> None:
        if question.status == "rejected":
            self.close(question)
            return
        call, waited = question.parked, question.expires - question.created
        self.close(question, "expired")
        if call is not None:
            error = EPERM(
                f"nobody decided within {waited:g} s whether {question.name} may use "
                f"{question.capability}",
                hint="llmos approvals lists what waits for a decision",
                detail={"approval": question.id},
            )
            self._refuse(question, call, error)

    def decide(self, question: Question, status: ApprovalStatus, by: Process, note: str) -> None:
        """Take a decision down. It waits for the call, unless that is there."""
        question.status, question.by, question.note = status, by.pid, note
        if note:
            question.labels = tuple(sorted({*question.labels, *by.labels}))
        question.decided = self._kernel.now
        self._write(question)
        self._kernel.journal.event(
            self._kernel.now, "approval.decided", question.pid, approval=question.id,
            capability=question.capability, status=status, by=by.pid,
        )  # fmt: skip

    def close(self, question: Question, status: ApprovalStatus | None = None) -> None:
        """No call will come for it any more. None: its status says all."""
        question.status, question.heard = status or question.status, True
        self._kernel.timers.cancel(("approval", question.id))
        own = self._of[question.pid]
        del self._open[question.id], own[question.id]
        if not own:
            del self._of[question.pid]
        self._open_bytes -= question.size
        self._write(question)
        self._retain(question)

    # -- the lists ---------------------------------------------------------------------------

    def _add(self, question: Question) -> None:
        self._open[question.id] = question
        self._of.setdefault(question.pid, {})[question.id] = question
        self._open_bytes += question.size
        key, due = ("approval", question.id), question.expires
        self._kernel.timers.set(key, due, partial(self._expire, question))

    def _retain(self, question: Question) -> None:
        """It is history, which has an end."""
        self._settled[question.id] = question
        self._settled_bytes += len(question.arguments)
        while len(self._settled) > _KEPT or self._settled_bytes > _KEPT_BYTES:
            id, oldest = self._settled.popitem(last=False)
            self._settled_bytes -= len(oldest.arguments)
            self._kernel.effects.rows.append(Delete("approvals", {"id": id}))

    def _write(self, question: Question) -> None:
        self._kernel.effects.rows.append(Put("approvals", question.row()))


def _decided(alike: list[Question]) -> Question | None:
    """A decision that waits for a call like these."""
    return next((question for question in alike if question.status != "pending"), None)


def _check_length(call: Call, arguments: str) -> None:
    if len(arguments) > MAX_ASKED or len(arguments.encode()) > MAX_ASKED:
        raise EINVAL(
            f"{call.spec.name} needs an approval, and its arguments are too long for anybody "
            f"to read: more than {MAX_ASKED:,} bytes",
            hint="shorten them",
        )
