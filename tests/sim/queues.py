"""Queues: is everything that is under way in exactly the places where it should be, and does
nothing wait that could go on?

It looks inside the scheduler, the jobs, the hosts and the calls, and compares them with each other
and with what follows from the drivers that there are. It knows nothing about what came before.
"""

from __future__ import annotations

from collections import Counter

from kernel.burst import Burst
from kernel.calls import Call
from kernel.demand import demand_of
from kernel.machine import Machine
from kernel.placement import decide
from tests.sim.violation import must


def check(machine: Machine) -> None:
    bursts = [burst for process in machine.table for burst in process.bursts]
    _check_bursts(machine, bursts)
    _check_waits(machine, bursts)
    _check_drivers(machine, bursts)
    _check_jobs(machine)
    _check_hosts(machine)
    _check_calls(machine)


def _check_bursts(machine: Machine, bursts: list[Burst]) -> None:
    scheduler = machine.scheduler
    known = set(scheduler._bursts)
    must(known == {burst.id for burst in bursts}, "the scheduler has other bursts than there are")
    queued = sum(burst.state == "queued" for burst in bursts)
    running = sum(burst.state == "running" for burst in bursts)
    must(scheduler.queued == queued, f"{queued} bursts are queued, counted {scheduler.queued}")
    must(scheduler.running == running, f"{running} bursts run, counted {scheduler.running}")
    for burst in bursts:
        call, process = burst.call, burst.process
        must(process.alive, f"burst {burst.id} is of process {process.pid}, which has ended")
        owned = call.burst is burst and not call.done and call in process.calls
        must(owned, f"burst {burst.id} has no open call")
        if burst.kept or burst.state == "running":
            driver = machine.registry.named(burst.driver)
            up = driver is not None and driver.up
            must(up, f"burst {burst.id} is on {burst.driver}, which is away")
        must(not burst.kept or burst.state != "running", f"burst {burst.id} is kept and runs")
        must(len(burst.tokens) <= burst.sampling.max_tokens, f"burst {burst.id} has too much")


def _check_waits(machine: Machine, bursts: list[Burst]) -> None:
    """Each queued burst waits for what it needs, in the queues of all that offer it."""
    waiting, drivers = machine.scheduler._waiting, machine.registry.compute()
    lengths: Counter[str] = Counter()
    for burst in bursts:
        wait = waiting.find(burst.demand)
        if burst.state != "queued":
            must(burst.demand is None, f"burst {burst.id} is {burst.state} and waits")
            continue
        must(wait is not None and burst in wait.bursts, f"burst {burst.id} waits nowhere")
        assert wait is not None
        needs = demand_of(burst)
        must(burst.demand == needs, "burst {} waits for {}, not {}", burst.id, burst.demand, needs)
        lengths.update(driver.name for driver in wait.decision.drivers)
        for driver in wait.decision.drivers:
            must(not driver.room, f"burst {burst.id} waits, and {driver.name} has room for it")
    queued = [burst for wait in waiting for burst in wait.bursts]
    must(all(burst.state == "queued" for burst in queued), "a burst waits that is not queued")
    must(len(queued) == len({burst.id for burst in queued}), "a burst waits in two places")
    for wait in waiting:
        must(len(wait.bursts), f"nobody waits for {wait.demand}")
        now = decide(wait.demand, drivers)
        must(
            (now.outlook, now.drivers) == (wait.decision.outlook, wait.decision.drivers),
            f"who could run what waits has changed: {wait.decision}, now {now}",
        )
        if wait.decision.outlook in ("away", "none"):
            key = ("patience", wait.demand)
            must(key in machine.timers, f"{wait.demand} is {wait.decision.outlook} for ever")
    for name, queue in waiting._queues.items():
        must(
            len(queue) == lengths[name],
            f"{len(queue)} bursts stand in the queue of {name}, which {lengths[name]} wait for",
        )


def _check_drivers(machine: Machine, bursts: list[Burst]) -> None:
    for driver in machine.registry:
        load, slots = driver.load, driver.card.slots
        must(load <= slots, f"{driver.name} has {load} things in {slots} slots")
        must(driver.up or not load, f"{driver.name} is away and has work")
        on_it = {b.id for b in bursts if b.state == "running" and b.driver == driver.name}
        must({b.id for b in driver.running} == on_it, f"{driver.name} runs other bursts than it has")
        must(
            not driver.up or ("silence", driver.name) in machine.timers,
            f"nobody would notice if {driver.name} fell silent",
        )


def _check_jobs(machine: Machine) -> None:
    jobs = list(machine.jobs)
    for job in jobs:
        must(not job.call.done and job.call in job.process.calls, f"job {job.id} has no open call")
        queue = machine.jobs._queues.get(job.demand)
        if job.driver is not None:
            must(job.id in job.driver.jobs, f"job {job.id} is on {job.driver.name}, untold")
            continue
        must(queue is not None and job.id in queue.jobs, f"job {job.id} waits nowhere")
        assert queue is not None
        for driver in queue.takers:
            must(not driver.free, f"job {job.id} waits, and {driver.name} has room for it")
        waits = queue.takers or ("jobs", "late") in machine.timers
        must(waits, f"job {job.id} waits for ever")
    on_drivers = {number for driver in machine.registry for number in driver.jobs}
    begun = {job.id for job in jobs if job.driver is not None}
    must(on_drivers == begun, f"jobs {on_drivers ^ begun} are lost, or have ended")


def _check_hosts(machine: Machine) -> None:
    hosts = machine.hosts
    free = [host.name for host in machine.registry.hosts() if host.free]
    for process in machine.table:
        if process.kind != "agent":
            continue
        pid, host = process.pid, machine.registry.named(process.host)
        homeless = pid in hosts._homeless
        if not process.alive:
            must(not homeless and process.host is None, f"process {pid} has ended and has a host")
        elif process.host is None:
            must(homeless, f"process {pid} has no host, and waits for none")
            claimed = pid in hosts._claimable
            must(claimed or pid in hosts._order, f"process {pid} waits for a host for ever")
            must(claimed or not free, f"process {pid} waits for a host, and {free} have room")
        else:
            on_it = host is not None and host.up and pid in host.pids
            must(on_it and not homeless, f"process {pid} is not on its host {process.host}")
            must(process.session, f"process {pid} is on a host, without a session")
    for host in machine.registry.hosts():
        for pid in host.pids:
            process = machine.table.find(pid)
            there = process is not None and process.alive and process.host == host.name
            must(there, f"host {host.name} runs process {pid}, which is not there")


def _check_calls(machine: Machine) -> None:
    """Each call that is open waits for one thing, which knows of it."""
    mail = machine.mail
    answerers: Counter[Call] = Counter()
    for process in machine.table:
        answerers.update(burst.call for burst in process.bursts)
        answerers.update(process.watchers)
        must(process.alive or not len(process.watchers), f"nobody tells of {process.pid}'s end")
    answerers.update(job.call for job in machine.jobs)
    for box in mail._boxes.values():
        answerers.update([*box.readers, *box.senders])
    for readers in mail.topics._readers.values():
        answerers.update(readers)
    answerers.update(q.parked for q in machine.approvals.open() if q.parked is not None)
    open_calls = list(machine.calls._calls.values())
    for call in open_calls:
        times = answerers.pop(call, 0)
        must(times == 1, f"call {call.id} of {call.spec.name} waits for {times} things")
        must(not call.done and call.process.alive, f"call {call.id} is over, and still open")
        must(call in call.process.calls, f"call {call.id} is not on its process's list")
    must(not answerers, f"calls that are over are waited for: {[c.id for c in answerers]}")
    listed = sum(len(process.calls) for process in machine.table)
    must(listed == len(open_calls), f"{len(open_calls)} calls are open, and {listed} are listed")
    hung = sum(map(len, machine.connections._calls.values()))
    must(hung == len(open_calls), f"{len(open_calls)} calls are open, {hung} hang on connections")
