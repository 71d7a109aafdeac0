"""Topics: numbered messages that many may read, and those who wait for the next one.

A topic keeps its last messages. Who reads holds the number of the last one that he has seen, so
here is nothing to lose but what is too old, and that shows. It knows nothing about how messages
are kept, nor about who may read them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

from kernel import envelope, lifecycle
from kernel.calls import DEFERRED, Call, Deferred, Written
from kernel.ordered import Ordered
from kernel.process import Process
from llmagentos.abi.calls.ipc import Publication, SubscribeResult
from llmagentos.abi.errors import EINVAL, EQUOTA
from llmagentos.abi.wire import MAX_BODY

if TYPE_CHECKING:
    from kernel.machine import Machine

ENOUGH: Final = MAX_BODY // 8
"""Bytes of JSON in one reply, the last message not counted. Packed for the wire it can be more than
twice as long, and what was taken out of a mailbox must fit into its reply."""


class TopicStore(Protocol):
    """Raises ``StoreFailed``."""

    def publish(
        self, topic: str, seq: int, sender: int, body: str, labels: Sequence[str], time: float
    ) -> None: ...

    def published(self, topic: str, since: int, limit: int, enough: int) -> list[Publication]:
        """What came after ``since``, oldest first. No more once there are ``enough`` bytes."""

    def forget(self, topic: str, oldest: int) -> None:
        """All that came before ``oldest``."""


@dataclass(slots=True)
class Topic:
    """The first seq that is still kept, and the last one."""

    oldest: int = 1
    latest: int = 0


class Topics:
    def __init__(self, kernel: Machine) -> None:
        self._kernel = kernel
        self._topics: dict[str, Topic] = {}
        self._readers: dict[str, Ordered[Call]] = {}
        """Parked ``ipc.subscribe`` calls. All of them have seen the last message."""

    def restore(self, rows: list[dict[str, Any]]) -> None:
        """After a boot."""
        for row in rows:
            self._topics[row["topic"]] = Topic(row["oldest"], row["latest"])

    def publish(self, process: Process, name: str, body: str) -> int:
        """The seq of the new message. Raises ``EQUOTA`` where no further topic is allowed."""
        kernel = self._kernel
        topic = self._topics.get(name) or self._open(process, name)
        topic.latest += 1
        kernel.services.mail.publish(
            name, topic.latest, process.pid, body, process.labels, kernel.now
        )
        self._trim(name, topic)
        self._wake(name, topic)
        return topic.latest

    def subscribe(
        self, call: Call, name: str, since: int | None, limit: int, block: bool,
        timeout: float | None,
    ) -> SubscribeResult | Deferred:  # fmt: skip
        """What came after ``since``. If there is nothing, wait for it."""
        topic = self._topics.get(name) or Topic()
        since = topic.latest if since is None else since
        if since > topic.latest:
            raise EINVAL(
                f"the last message of {name} is {topic.latest}; there is no {since} to go on from",
                hint="ask with the next of the last answer, or with 0 for all that is kept",
                detail={"since": since, "latest": topic.latest},
            )
        if since < topic.latest:
            found = self._kernel.services.mail.published(name, since, limit, ENOUGH)
            return self._read(call.process, name, topic, found)
        nothing = _answer(topic, [], since)
        if not block:
            return nothing
        self._readers.setdefault(name, Ordered()).add(call)
        call.waits, call.on_close = "mail", partial(self._leave, name, call)
        if timeout is not None:
            calls = self._kernel.calls
            due = self._kernel.now + timeout
            self._kernel.timers.set(("call", call), due, lambda: calls.complete(call, nothing))
        return DEFERRED

    def _open(self, process: Process, name: str) -> Topic:
        most = self._kernel.config.topics_kept
        if len(self._topics) >= most:
            raise EQUOTA(
                f"there are {most} topics, as many as may be, and {name} would be a new one",
                hint="publish to one that there is: a topic is never forgotten",
                detail={"limit": most},
            )
        self._kernel.journal.event(self._kernel.now, "ipc.topic", process.pid, topic=name)
        topic = self._topics[name] = Topic()
        return topic

    def _trim(self, name: str, topic: Topic) -> None:
        """Forget the oldest messages of too many, in blocks: one delete for many inserts."""
        kept = self._kernel.config.publications_kept
        excess = topic.latest - topic.oldest + 1 - kept
        if excess > kept // 10:
            topic.oldest += excess
            self._kernel.services.mail.forget(name, topic.oldest)

    def _wake(self, name: str, topic: Topic) -> None:
        """Give the last message to all who wait for it."""
        readers = self._readers.get(name)
        if not readers:
            return
        fresh = self._kernel.services.mail.published(name, topic.latest - 1, 1, ENOUGH)
        answer = _answer(topic, fresh, topic.latest)
        written = Written(answer, envelope.ok(answer))  # thousands may wait for it
        for call in readers:
            self._label(call.process, name, fresh)
            self._kernel.calls.complete(call, written)

    def _read(
        self, process: Process, name: str, topic: Topic, found: list[Publication]
    ) -> SubscribeResult:
        self._label(process, name, found)
        return _answer(topic, found, found[-1].seq)

    def _label(self, process: Process, name: str, found: list[Publication]) -> None:
        for one in found:
            lifecycle.label(self._kernel, process, one.labels, f"topic {name}")

    def _leave(self, name: str, call: Call) -> None:
        readers = self._readers[name]
        readers.discard(call)
        if not readers:
            del self._readers[name]


def _answer(topic: Topic, messages: list[Publication], next: int) -> SubscribeResult:
    return SubscribeResult(messages=messages, next=next, oldest=topic.oldest, latest=topic.latest)
