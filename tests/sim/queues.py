"""Queues: is everything that is under way in exactly the places where it should be, and does
nothing wait that could go on?

It looks inside the scheduler, the jobs, the hosts and the calls, and compares them with each other
and with what follows from the drivers that there are. It knows nothing about what came before.
"""

from __future__ import annotations

from collections import Counter

from kernel.burst import Burst
from kernel.demand import demand_of
from kernel.machine import Machine
from kernel.placement import decide
from tests.sim.violation import must


def check(machine: Machine, gone: set[bytes]) -> None:
    """``gone``: connections that have ended."""
    bursts = [burst for process in machine.table for burst in process.bursts]
    _check_bursts(machine, bursts)
    _check_waits(machine, bursts)
    _check_drivers(machine, bursts)
    _check_jobs(machine)
    _check_hosts(machine)
    _check_calls(machine, gone)


def _check_bursts(machine: Machine, bursts: list[Burst]) -> None:
    scheduler = machine.scheduler
    known = set(scheduler._bursts)
    must(known == {burst.id for burst in bursts}, "the scheduler has other bursts than there are")
    queued = sum(burst.state == "queued" for burst in bursts)
    running = sum(burst.state == "running" for burst in bursts)
    must(scheduler.queued == queued, "{} bursts are queued, counted {}", queued, scheduler.queued)
    must(scheduler.running == running, "{} bursts run, counted {}", running, scheduler.running)
    for burst in bursts:
        call, process = burst.call, burst.process
        must(process.alive, "burst {} is of process {}, which has ended", burst.id, process.pid)
        owned = call.burst is burst and not call.done and call in process.calls
        must(owned, "burst {} has no open call", burst.id)
        if burst.kept or burst.state == "running":
            driver = machine.registry.named(burst.driver)
            up = driver is not None and driver.up
            must(up, "burst {} is on {}, which is away", burst.id, burst.driver)
        must(not burst.kept or burst.state != "running", "burst {} is kept and runs", burst.id)
        must(len(burst.tokens) <= burst.sampling.max_tokens, "burst {} has too much", burst.id)


def _check_waits(machine: Machine, bursts: list[Burst]) -> None:
    """Each queued burst waits for what it needs, in the queues of all that offer it."""
    waiting, drivers = machine.scheduler._waiting, machine.registry.compute()
    lengths: Counter[str] = Counter()
    for burst in bursts:
        wait = waiting.find(burst.demand)
        if burst.state != "queued":
            must(burst.demand is None, "burst {} is {} and waits", burst.id, burst.state)
            continue
        must(wait is not None and burst in wait.bursts, "burst {} waits nowhere", burst.id)
        assert wait is not None
        needs = demand_of(burst)
        must(burst.demand == needs, "burst {} waits for {}, not {}", burst.id, burst.demand, needs)
        lengths.update(driver.name for driver in wait.decision.drivers)
        for driver in wait.decision.drivers:
            must(not driver.room, "burst {} waits, and {} has room for it", burst.id, driver.name)
    queued = [burst for wait in waiting for burst in wait.bursts]
    must(all(burst.state == "queued" for burst in queued), "a burst waits that is not queued")
    must(len(queued) == len({burst.id for burst in queued}), "a burst waits in two places")
    for wait in waiting:
        must(len(wait.bursts), "nobody waits for {}", wait.demand)
        now = decide(wait.demand, drivers)
        must(
            (now.outlook, now.drivers) == (wait.decision.outlook, wait.decision.drivers),
            "who could run what waits has changed: {}, now {}",
            wait.decision,
            now,
        )
        if wait.decision.outlook in ("away", "none"):
            key = ("patience", wait.demand)
            must(key in machine.timers, "{} is {} for ever", wait.demand, wait.decision.outlook)
    for name, queue in waiting._queues.items():
        must(
            len(queue) == lengths[name],
            "{} bursts stand in the queue of {}, which {} wait for",
            len(queue),
            name,
            lengths[name],
        )


def _check_drivers(machine: Machine, bursts: list[Burst]) -> None:
    for driver in machine.registry:
        load, slots = driver.load, driver.card.slots
        must(load <= slots, "{} has {} things in {} slots", driver.name, load, slots)
        must(driver.up or not load, "{} is away and has work", driver.name)
        on_it = {b.id for b in bursts if b.state == "running" and b.driver == driver.name}
        must(
            {b.id for b in driver.running} == on_it, "{} runs other bursts than it has", driver.name
        )
        must(
            not driver.up or ("silence", driver.name) in machine.timers,
            "nobody would notice if {} fell silent",
            driver.name,
        )


def _check_jobs(machine: Machine) -> None:
    jobs = list(machine.jobs)
    for job in jobs:
        must(not job.call.done and job.call in job.process.calls, "job {} has no open call", job.id)
        queue = machine.jobs._queues.find(job)
        if job.driver is not None:
            must(job.id in job.driver.jobs, "job {} is on {}, untold", job.id, job.driver.name)
            continue
        must(queue is not None and job.id in queue.jobs, "job {} waits nowhere", job.id)
        assert queue is not None
        for driver in queue.takers:
            must(not driver.free, "job {} waits, and {} has room for it", job.id, driver.name)
        waits = queue.takers or ("jobs", "late") in machine.timers
        must(waits, "job {} waits for ever", job.id)
    on_drivers = {number for driver in machine.registry for number in driver.jobs}
    begun = {job.id for job in jobs if job.driver is not None}
    batch = machine.vectors._batch
    if batch is not None:
        must(batch.driver.up, "vectors are waited for from {}, which is away", batch.driver.name)
        must(("vectors", "overdue") in machine.timers, "vectors are waited for for ever")
    must(on_drivers == begun, "jobs {} are lost, or have ended", on_drivers ^ begun)


def _check_hosts(machine: Machine) -> None:
    hosts = machine.hosts
    free = [host.name for host in machine.registry.hosts() if host.free]
    for process in machine.table:
        if process.kind != "agent":
            continue
        pid, host = process.pid, machine.registry.named(process.host)
        homeless = pid in hosts._homeless
        if not process.alive:
            must(not homeless and process.host is None, "process {} has ended and has a host", pid)
        elif process.host is None:
            must(homeless, "process {} has no host, and waits for none", pid)
            claimed = pid in hosts._claimable
            must(claimed or pid in hosts._order, "process {} waits for a host for ever", pid)
            must(claimed or not free, "process {} waits for a host, and {} have room", pid, free)
        else:
            on_it = host is not None and host.up and pid in host.pids
            must(on_it and not homeless, "process {} is not on its host {}", pid, process.host)
            must(process.session, "process {} is on a host, without a session", pid)
    for host in machine.registry.hosts():
        for pid in host.pids:
            process = machine.table.find(pid)
            there = process is not None and process.alive and process.host == host.name
            must(there, "host {} runs process {}, which is not there", host.name, pid)


def _check_calls(machine: Machine, gone: set[bytes]) -> None:
    """Each call that is open waits for one thing, which knows of it."""
    mail, found = machine.mail, [job.call for job in machine.jobs]
    for process in machine.table:
        found += [burst.call for burst in process.bursts]
        found += process.watchers
        must(process.alive or not len(process.watchers), "nobody tells of {}'s end", process.pid)
    for box in mail._boxes.values():
        found += [*box.readers, *box.senders]
    for readers in mail.topics._readers.values():
        found += readers
    found += [one.parked for one in machine.approvals.open() if one.parked is not None]
    answerers = Counter(found)
    open_calls = list(machine.calls._calls.values())
    for call in open_calls:
        must(call.peer not in gone, "call {} of {} waits for nobody", call.id, call.peer)
        times = answerers.pop(call, 0)
        must(times == 1, "call {} of {} waits for {} things", call.id, call.spec.name, times)
        must(not call.done and call.process.alive, "call {} is over, and still open", call.id)
        must(call in call.process.calls, "call {} is not on its process's list", call.id)
    for process in machine.table:
        ends = process.alive and process.attached in gone
        must(not ends, "process {} outlives its connection", process.pid)
    must(not answerers, "calls that are over are waited for: {}", [c.id for c in answerers])
    listed = sum(len(process.calls) for process in machine.table)
    must(listed == len(open_calls), "{} calls are open, and {} are listed", len(open_calls), listed)
    hung = sum(map(len, machine.connections._calls.values()))
    must(
        hung == len(open_calls), "{} calls are open, {} hang on connections", len(open_calls), hung
    )
