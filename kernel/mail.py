"""Mail: what is in each process's mailbox, who waits for mail, and who waits for room.

The letters themselves are in the store; here is only how many there are, so ten thousand full
mailboxes cost next to nothing. It knows nothing about how letters are kept, nor about who may
write to whom.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from kernel import context, lifecycle
from kernel.calls import DEFERRED, Call, Deferred
from kernel.process import Process
from kernel.topics import ENOUGH, Topics, TopicStore
from llmagentos.abi.calls import ipc
from llmagentos.abi.errors import EBUSY, ECONTEXT, ESRCH, ETIMEOUT
from llmagentos.abi.process import INIT
from llmagentos.abi.talk import ChatMessage

if TYPE_CHECKING:
    from kernel.machine import Machine


class Letter(NamedTuple):
    """What is sent, as JSON, by whom, and the labels that he had when he sent it."""

    sender: int
    body: str
    labels: tuple[str, ...]


class MailStore(TopicStore, Protocol):
    """Raises ``StoreFailed``."""

    def put(self, pid: int, letter: Letter, time: float) -> int:
        """Into a mailbox. Its id, which no letter had before."""

    def take(self, pid: int, limit: int, enough: int) -> list[ipc.Mail]:
        """Out of a mailbox, oldest first. No more once there are ``enough`` bytes."""

    def drop(self, pid: int) -> None:
        """All that is in a mailbox."""


class Wish(NamedTuple):
    """So many letters at most; into the reader's context, with ``append``."""

    limit: int
    append: bool


@dataclass(slots=True)
class Box:
    """``readers``: parked ``ipc.recv`` calls, and what each wants. ``senders``: parked
    ``ipc.send`` calls, and what each brings. Both oldest first."""

    length: int = 0
    readers: OrderedDict[Call, Wish] = field(default_factory=OrderedDict)
    senders: OrderedDict[Call, Letter] = field(default_factory=OrderedDict)


class Mail:
    def __init__(self, kernel: Machine) -> None:
        self._kernel = kernel
        self._boxes: dict[int, Box] = {}
        self.topics = Topics(kernel)

    def restore(self, mail: list[dict[str, Any]], topics: list[dict[str, Any]]) -> None:
        """After a boot."""
        for row in mail:
            self._boxes[row["pid"]] = Box(row["length"])
        self.topics.restore(topics)

    def length(self, process: Process) -> int:
        """How many letters wait in its mailbox."""
        box = self._boxes.get(process.pid)
        return box.length if box else 0

    def limit(self, process: Process) -> int:
        """How many may wait there."""
        own = process.limits.mailbox
        return self._kernel.config.mailbox if own is None else own

    def send(
        self, call: Call, target: Process, body: str, wait: float | None
    ) -> ipc.SendResult | Deferred:
        """Into the target's mailbox. Where that is full, wait for room, or raise ``EBUSY``."""
        letter = Letter(call.process.pid, body, call.process.labels)
        box = self._box(target)
        if box.length < self.limit(target):
            id = self._put(target, box, letter)
            self._serve(target, box)
            return ipc.SendResult(id=id)
        if wait is None:
            raise EBUSY(
                f"the mailbox of process {target.pid} is full: {box.length} messages wait in it",
                hint="send it again later, or say how long to wait for room",
                detail={"length": box.length, "limit": self.limit(target)},
            )
        box.senders[call] = letter
        call.waits, call.on_close = "mail", partial(_forget, box.senders, call)
        message = f"the mailbox of process {target.pid} had no room within {wait:g} s"
        self._kernel.calls.expire(call, wait, lambda: ETIMEOUT(message))
        return DEFERRED

    def recv(
        self, call: Call, wish: Wish, block: bool, timeout: float | None
    ) -> ipc.RecvResult | Deferred:
        """Out of the caller's mailbox. If it is empty, wait for mail. Raises ``ECONTEXT`` if the
        context has no room for what is to be appended."""
        box = self._box(call.process)
        if box.length:
            return self._take(call.process, box, wish)
        nothing = ipc.RecvResult(mail=[], left=0)
        if not block:
            return nothing
        box.readers[call] = wish
        call.waits, call.on_close = "mail", partial(_forget, box.readers, call)
        if timeout is not None:
            calls = self._kernel.calls
            due = self._kernel.now + timeout
            self._kernel.timers.set(("call", call), due, lambda: calls.complete(call, nothing))
        return DEFERRED

    def close(self, process: Process) -> None:
        """It has ended: nobody reads its mail any more."""
        box = self._boxes.pop(process.pid, None)
        if box is None:
            return
        for call in list(box.senders):
            self._kernel.calls.refuse(call, ended(process.pid))
        if box.length:
            self._kernel.services.mail.drop(process.pid)
            self._kernel.journal.event(
                self._kernel.now, "ipc.dropped", process.pid, count=box.length
            )

    def _box(self, process: Process) -> Box:
        box = self._boxes.get(process.pid)
        if box is None:
            box = self._boxes[process.pid] = Box()
        return box

    def _put(self, target: Process, box: Box, letter: Letter) -> int:
        kernel = self._kernel
        id = kernel.services.mail.put(target.pid, letter, kernel.now)
        box.length += 1
        kernel.journal.event(kernel.now, "ipc.sent", letter.sender, to=target.pid, mail=id)
        return id

    def _serve(self, process: Process, box: Box) -> None:
        """Something has come: give it to whoever has waited longest."""
        if box.length and box.readers:
            call, wish = next(iter(box.readers.items()))
            try:
                taken = self._take(process, box, wish)
            except ECONTEXT as error:
                self._kernel.calls.refuse(call, error)
            else:
                self._kernel.calls.complete(call, taken)

    def _take(self, process: Process, box: Box, wish: Wish) -> ipc.RecvResult:
        if wish.append:
            # What comes is not known yet, so there must be room for the most there can be.
            most = min(wish.limit, box.length)
            context.check_room(process.head, most, most * ipc.MAX_MAIL)
        mail = self._kernel.services.mail.take(process.pid, wish.limit, ENOUGH)
        box.length -= len(mail)
        for one in mail:
            lifecycle.label(self._kernel, process, one.labels, f"mail of process {one.sender}")
            if wish.append:
                self._kernel.append(process, ChatMessage(role="user", content=_as_text(one)))
        self._admit(process, box)
        return ipc.RecvResult(mail=mail, left=box.length)

    def _admit(self, process: Process, box: Box) -> None:
        """There is room: let in those who wait for it."""
        while box.senders and box.length < self.limit(process):
            call, letter = next(iter(box.senders.items()))
            id = self._put(process, box, letter)
            self._kernel.calls.complete(call, ipc.SendResult(id=id))


def _as_text(mail: ipc.Mail) -> str:
    """As a message. What another process has written must not pass for the user's words."""
    text = mail.body if isinstance(mail.body, str) else json.dumps(mail.body, ensure_ascii=False)
    return text if mail.sender == INIT else f"(mail of process {mail.sender}) {text}"


def ended(pid: int) -> ESRCH:
    return ESRCH(f"process {pid} has ended, or never was", hint="llmos ps lists those there are")


def _forget(waiting: OrderedDict[Call, Any], call: Call) -> None:
    waiting.pop(call, None)
