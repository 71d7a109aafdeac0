"""The ``sys`` family: the system as a whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

from kernel.calls import Call
from llmagentos.abi.calls.proc import Empty
from llmagentos.abi.calls.sys import (
    AuditArgs,
    AuditEntry,
    AuditResult,
    Event,
    EventsArgs,
    EventsResult,
    InfoResult,
    MetricsResult,
    PingResult,
    ShutdownArgs,
)
from llmagentos.abi.wire import VERSION

if TYPE_CHECKING:
    from kernel.machine import Machine


def ping(kernel: Machine, call: Call, args: Empty) -> PingResult:
    return PingResult(time=kernel.now, uptime=kernel.now - kernel.booted)


def info(kernel: Machine, call: Call, args: Empty) -> InfoResult:
    services = kernel.services
    return InfoResult(
        version=services.version,
        wire=VERSION,
        boot=kernel.boot,
        os_pid=services.os_pid,
        uptime=kernel.now - kernel.booted,
        default_model=kernel.config.default_model,
        processes=len(kernel.table),
        queued=kernel.scheduler.queued,
        running=kernel.scheduler.running,
        calls=kernel.calls.served,
        events_socket=services.events_socket,
    )


_PAGE_BYTES: Final = 2 * 1024 * 1024
"""Of events in one reply, which has a bound."""


def events(kernel: Machine, call: Call, args: EventsArgs) -> EventsResult:
    rows = kernel.services.history.events(args.since, args.limit, args.pid)
    sizes = accumulate(len(str(row)) for row in rows)
    fit = rows[: max(1, sum(size <= _PAGE_BYTES for size in sizes))]
    return EventsResult(
        events=[Event.model_validate(row) for row in fit],
        more=len(fit) < len(rows) or len(rows) == args.limit,
        oldest=kernel.journal.oldest,
        latest=kernel.journal.written,
    )


def audit(kernel: Machine, call: Call, args: AuditArgs) -> AuditResult:
    rows = kernel.services.history.audit(args.since, args.limit)
    return AuditResult(
        entries=[AuditEntry.model_validate(row) for row in rows],
        latest=kernel.journal.audit_written,
    )


def metrics(kernel: Machine, call: Call, args: Empty) -> MetricsResult:
    drivers = kernel.registry.compute()
    jobs = list(kernel.jobs)
    states = Counter(process.state for process in kernel.table)
    return MetricsResult(
        metrics={
            "calls_total": kernel.calls.served,
            "uptime_seconds": kernel.now - kernel.booted,
            "bursts_queued": kernel.scheduler.queued,
            "bursts_running": kernel.scheduler.running,
            "bursts_done_total": sum(driver.bursts for driver in drivers),
            "jobs_queued": sum(job.driver is None for job in jobs),
            "jobs_running": sum(job.driver is not None for job in jobs),
            "approvals_pending": sum(one.status == "pending" for one in kernel.approvals.open()),
            "completion_tokens_total": sum(driver.tokens for driver in drivers),
            "drivers_up": sum(driver.up for driver in drivers),
            "hosts_up": sum(driver.up for driver in kernel.registry.hosts()),
            "events_total": kernel.journal.seq,
            **{f"processes_{state.lower()}": count for state, count in states.items()},
        }
    )


def shutdown(kernel: Machine, call: Call, args: ShutdownArgs) -> Empty:
    kernel.journal.audit(kernel.now, call.process.pid, "sys.shutdown", "ok", args.reason)
    kernel.journal.event(kernel.now, "sys.shutdown", reason=args.reason)
    kernel.effects.stop = True
    return Empty()


HANDLERS: dict[str, Callable[..., Any]] = {
    "sys.ping": ping,
    "sys.info": info,
    "sys.events": events,
    "sys.audit": audit,
    "sys.metrics": metrics,
    "sys.shutdown": shutdown,
}
