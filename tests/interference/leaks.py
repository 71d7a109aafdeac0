"""Planted leaks: for each way that data takes, a kernel that forgets its labels exactly there.

Each is a context in which the kernel is so. They show that the property test can fail, and that it
looks at that way at all. Almost all of them are one of two kinds: whoever reads there is not
labelled (``unread``), or what is kept there is kept without labels. It knows nothing about how
they are found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

from kernel import births, boot, lifecycle, mail, placement, slots, vectors
from kernel.answers import Answers
from kernel.approvals import Approvals
from kernel.burst import Burst
from kernel.embed_job import EmbedJob
from kernel.job import Job
from kernel.machine import Machine
from kernel.port import Port
from kernel.process import Process
from kernel.query import QueryJob
from kernel.registry import Driver
from kernel.scheduler import Scheduler
from kernel.syscalls import HANDLERS, cap, ctx, fs, mem
from kernel.tool_job import ToolJob
from kernel.topics import Topics
from llmagentos.abi.driver import Beat

Plant = Callable[[pytest.MonkeyPatch], None]


@contextmanager
def planted(name: str) -> Iterator[None]:
    """In here, the kernel leaks there."""
    with pytest.MonkeyPatch.context() as patch:
        LEAKS[name](patch)
        yield


# -- whoever reads is not labelled -----------------------------------------------------------


def unread(*where: tuple[Any, str] | str) -> Plant:
    """While these run (calls, or functions), nobody is labelled."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        label, depth = lifecycle.label, [0]

        def deaf(*args: Any) -> None:
            if not depth[0]:
                label(*args)

        def within(function: Callable[..., Any]) -> Callable[..., Any]:
            def run(*args: Any, **more: Any) -> Any:
                depth[0] += 1
                try:
                    return function(*args, **more)
                finally:
                    depth[0] -= 1

            return run

        patch.setattr(lifecycle, "label", deaf)
        for one in where:
            if isinstance(one, str):
                patch.setitem(HANDLERS, one, within(HANDLERS[one]))
            else:
                patch.setattr(*one, within(getattr(*one)))

    return plant


# -- what is kept, or done, has no labels ------------------------------------------------------


def instead(owner: Any, name: str, make: Callable[[Any], Any]) -> Plant:
    """Something of the kernel is what is made of it."""
    return lambda patch: patch.setattr(owner, name, make(getattr(owner, name)))


def _mail_without(letter: type[mail.Letter]) -> Any:
    return lambda sender, body, labels: letter(sender, body, ())


def _topics_without(publish: Any) -> Any:
    def run(topics: Topics, process: Process, name: str, body: str) -> Any:
        labels, process.labels = process.labels, ()
        try:
            return publish(topics, process, name, body)
        finally:
            process.labels = labels

    return run


def _born_without(forked: bool) -> Callable[[Any], Any]:
    def make(begin: Any) -> Any:
        def run(*args: Any, **more: Any) -> Process:
            process: Process = begin(*args, **more)
            if (process.origin is not None) is forked:
                process.labels = tuple(process.spec.labels)
            return process

        return run

    return make


def _job_without(kind: type[Job]) -> Callable[[Any], Any]:
    def make(init: Any) -> Any:
        def run(one: Job, *args: Any, **more: Any) -> None:
            init(one, *args, **more)
            if isinstance(one, kind):
                one.labels = ()

        return run

    return make


def _moved_without(lost: Any) -> Any:
    def run(one: Scheduler, driver: Driver) -> None:
        for burst in one._bursts.values():
            if burst.driver == driver.name:
                burst.labels = ()
        lost(one, driver)

    return run


def _anywhere(unseen: Any) -> Any:
    return lambda labels, driver: "" if set(labels) <= set(driver.card.labels) else "not cleared"


def _once_decided(redirected: Any) -> Any:
    """When drivers change, what waits is not looked at again."""

    def run(one: Scheduler) -> None:
        for driver in one._kernel.registry.compute():
            one.freed(driver)

    return run


def _cleared(head: Any) -> Any:
    """As if labels were a matter of where the context is, and not of what was heard."""

    def run(kernel: Machine, process: Process, node: Any) -> Any:
        process.labels = tuple(process.spec.labels)
        return head(kernel, process, node)

    return run


def _start_without(order: Any) -> Any:
    return lambda burst: order(burst).model_copy(update={"labels": []})


def _revived_without(revived: Any) -> Any:
    def run(row: dict[str, Any], *more: Any) -> Process:
        return revived({**row, "labels": "[]"}, *more)

    return run


def _asked_without(attach: Any) -> Any:
    def run(one: Approvals, question: Any, *args: Any) -> None:
        attach(one, question, *args)
        question.labels = ()

    return run


def _decided_without(decide: Any) -> Any:
    def run(one: Approvals, question: Any, *args: Any) -> None:
        labels = question.labels
        decide(one, question, *args)
        question.labels = labels

    return run


def _told_to_all(done: Any) -> Any:
    def run(one: Answers, burst: Burst) -> None:
        kernel = one._kernel
        kernel.journal.event(kernel.now, "burst.said", burst.process.pid, text=burst.text)
        done(one, burst)

    return run


def _with_notes(beat: Any) -> Any:
    def run(one: Port, driver: Driver, said: Beat) -> None:
        beat(one, driver, said)
        one._kernel.journal.event(0.0, "drv.note", name=driver.name, note=said.note)

    return run


def _candid(info: Any) -> Any:
    return lambda driver, now, candid: info(driver, now, candid=True)


def _in_its_words(condition: Any) -> Any:
    return property(lambda driver: f"{condition.fget(driver)}: {driver.note}")


LEAKS: Final[dict[str, Plant]] = {
    "context: read": unread("ctx.read"),
    "context: append": unread("ctx.append"),
    "context: compaction": unread("ctx.compact"),
    "context: checkpoint": unread("ctx.checkpoint"),
    "context: names of checkpoints": unread("ctx.restore"),
    "context: rewind and restore": instead(ctx, "_set_head", _cleared),
    "memory: put": instead(mem, "_json", lambda _: lambda labels: "[]"),
    "memory: get": unread("mem.get"),
    "memory: search": unread("mem.search"),
    "memory: keys": unread("mem.list"),
    "memory: vectors": instead(vectors, "unseen", lambda _: lambda labels, driver: ""),
    "memory: what is looked for": instead(Job, "__init__", _job_without(QueryJob)),
    "memory: found by meaning": unread((mem, "_by_meaning")),
    "files: write": instead(fs, "_labels", lambda _: lambda *labels: "[]"),
    "files: read": unread("fs.read"),
    "files: list": unread("fs.list"),
    "mail: send": instead(mail, "Letter", _mail_without),
    "mail: receive": unread((mail.Mail, "_take")),
    "topics: publish": instead(Topics, "publish", _topics_without),
    "topics: subscribe": unread((Topics, "_read")),
    "fork: context": instead(births, "begin", _born_without(forked=True)),
    "fork: text": unread("proc.fork"),
    "spawn: arguments": instead(births, "begin", _born_without(forked=False)),
    "wait: who waits": unread((Machine, "exited")),
    "wait: who comes late": unread("proc.wait"),
    "wait: stream": unread((Answers, "_stream")),
    "info": unread("proc.info"),
    "tools: arguments": instead(Job, "__init__", _job_without(ToolJob)),
    "tools: results": instead(ToolJob, "made", lambda _: lambda one, result: set()),
    "embed": instead(Job, "__init__", _job_without(EmbedJob)),
    "placement: labels": instead(placement, "unseen", lambda _: lambda labels, driver: ""),
    "placement: zone": instead(placement, "unseen", _anywhere),
    "placement: failover": instead(Scheduler, "driver_lost", _moved_without),
    "placement: other card": instead(Scheduler, "driver_changed", _once_decided),
    "KV: labels": instead(slots, "_order", _start_without),
    "restart of the kernel": instead(boot, "process_from", _revived_without),
    "approvals: list": unread("cap.list"),
    "approvals: questions": instead(Approvals, "_attach", _asked_without),
    "approvals: decisions": unread("cap.decide"),
    "approvals: notes": instead(Approvals, "decide", _decided_without),
    "rights: who gives": unread((cap, "_rules")),
    "rights: who is given": unread("cap.grant", "cap.revoke"),
    "drivers: what they say of themselves": instead(Driver, "info", _candid),
    "drivers: why they are not taken": instead(Driver, "condition", _in_its_words),
    "events: of drivers": instead(Port, "_beat", _with_notes),
    "events": instead(Answers, "done", _told_to_all),
}
"""By the way that the data takes."""
