"""A call of a tool, as a job.

It knows nothing about what any tool does, nor about who may call it.
"""

from __future__ import annotations

from collections.abc import Iterable

from kernel import ledger, offers
from kernel.calls import Call
from kernel.job import NONE, Job, Offer
from kernel.placement import unseen
from kernel.registry import Driver
from kernel.table import digest
from llmagentos.abi.calls.tool import CallArgs, CallResult
from llmagentos.abi.cards import ToolCard
from llmagentos.abi.errors import ELABEL, ENOENT, LLMOSError
from llmagentos.abi.jobs import JobResult, ToolOrder
from llmagentos.abi.model import Model
from llmagentos.abi.process import Usage


class ToolJob(Job):
    noun = "tool"
    reason = "tool"

    def __init__(self, id: int, call: Call, args: CallArgs, key: str = "") -> None:
        """``key``: see ``ToolOrder``; default: that of the call."""
        super().__init__(id, call, args, args.name, args.timeout)
        self.arguments = args.arguments
        self._append = args.append
        self._key = key
        self._card: ToolCard | None = None
        self.demand = self.noun, self.name, self.labels

    @property
    def append(self) -> str | None:
        return self._append

    def offer(self, driver: Driver) -> Offer:
        if driver.card.kind != "tool" or driver.tool(self.name) is None:
            return NONE
        return Offer(self.name, unseen(self.labels, driver))

    def may_come(self, driver: Driver) -> bool:
        # What an MCP server offers is known when it is up.
        return _is_silent(driver) and driver.up and driver.state == "loading"

    def unknown(self, drivers: Iterable[Driver]) -> LLMOSError:
        drivers = list(drivers)
        near = offers.meant(self.name, offers.tools(drivers))
        hint = f"did you mean {near}?" if near else "tool.list says which there are"
        silent = ", ".join(driver.name for driver in drivers if _is_silent(driver))
        if silent:
            hint += f"; of these drivers no tool is known: {silent} (llmos drivers shows why)"
        return ENOENT(f"there is no tool {self.name}", hint=hint)

    def forbidden(self, objections: dict[str, str]) -> LLMOSError:
        reasons = "; ".join(f"driver {name} {why}" for name, why in objections.items())
        return ELABEL(
            f"tool {self.name} may not have this data: {reasons}",
            hint="only the user may declassify a process, or let a driver see more",
            detail={"labels": list(self.labels), "drivers": objections},
        )

    def reserve(self, now: float) -> None:
        ledger.reserve(self.process, "tool_calls", 1)

    def begin(self, driver: Driver, now: float) -> None:
        self.driver, self.started = driver, now
        self._card = driver.tool(self.name)

    def settle(self, result: JobResult | None, now: float) -> None:
        begun = int(self.driver is not None)
        ledger.settle(self.process, "tool_calls", 1, begun)
        self.process.usage += Usage(tool_calls=begun)

    def order(self) -> tuple[str, Model]:
        call = self.call
        # Where another client may get the same scope, its call must not be taken for a repeat.
        own = digest(f"{call.scope} {call.id}" + ("" if call.lasting else f" {self.id}"))
        key = self._key or own
        return "call", ToolOrder(
            job=self.id, key=key, pid=self.process.pid, tool=self.name, arguments=self.arguments
        )

    def answer(self, result: JobResult, now: float) -> Model:
        assert self.driver is not None
        return CallResult(
            content=result.content,
            driver=self.driver.name,
            seconds=round(now - self.started, 6),
            labels=sorted(self.made(result)),
        )

    def made(self, result: JobResult) -> set[str]:
        return {*result.labels, *(self._card.labels if self._card else ())}


def _is_silent(driver: Driver) -> bool:
    """Whether nobody knows of a tool of this driver of tools."""
    return driver.card.kind == "tool" and not driver.tools
