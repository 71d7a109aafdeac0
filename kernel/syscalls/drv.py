"""The ``drv`` family: drivers and agent hosts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kernel.calls import Call
from kernel.effects import Put
from kernel.registry import Driver
from llmagentos.abi.calls.drv import DrainArgs, DriverInfo, InfoArgs, ListArgs, ListResult
from llmagentos.abi.calls.proc import Empty
from llmagentos.abi.errors import ENOENT
from llmagentos.abi.process import INIT

if TYPE_CHECKING:
    from kernel.machine import Machine


def _named(kernel: Machine, name: str) -> Driver:
    driver = kernel.registry.named(name)
    if driver is None:
        known = ", ".join(driver.name for driver in kernel.registry) or "none yet"
        raise ENOENT(f"there is no driver {name}", hint=f"there are {known}")
    return driver


def _is_user(call: Call) -> bool:
    """A driver's note is for nobody else: it may tell of anybody's work."""
    return call.process.pid == INIT


def list_(kernel: Machine, call: Call, args: ListArgs) -> ListResult:
    candid = _is_user(call)
    drivers = [driver.info(kernel.now, candid=candid) for driver in kernel.registry]
    return ListResult(drivers=drivers, queued=kernel.scheduler.queued)


def info(kernel: Machine, call: Call, args: InfoArgs) -> DriverInfo:
    return _named(kernel, args.name).info(kernel.now, candid=_is_user(call))


def drain(kernel: Machine, call: Call, args: DrainArgs) -> Empty:
    driver = _named(kernel, args.name)
    driver.drained = args.on
    kernel.registry.drained.discard(args.name)
    if args.on:
        kernel.registry.drained.add(args.name)
    row = {"key": f"drained:{args.name}", "value": int(args.on)}
    kernel.effects.rows.append(Put("meta", row))
    what = "drained" if args.on else "opened again"
    kernel.journal.audit(kernel.now, call.process.pid, "drv.drain", "ok", f"{args.name} {what}")
    kernel.journal.event(kernel.now, "drv.drained", name=args.name, on=args.on)
    kernel.scheduler.driver_changed()
    kernel.jobs.driver_changed()
    kernel.vectors.driver_changed()
    return Empty()


HANDLERS: dict[str, Callable[..., Any]] = {
    "drv.list": list_,
    "drv.info": info,
    "drv.drain": drain,
}
