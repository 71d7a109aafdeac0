"""Whatever happens to callers, drivers and the kernel: is each call given out at most once, in
turn, within the slots, and do the books balance?"""

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from hypothesis.strategies import booleans, integers

from kernel.config import Config
from tests.kernel.rig import MODEL, FakeTool, Program, Rig


class Calls(RuleBasedStateMachine):
    """Two programs call two tools that two drivers offer. A call is known by its number."""

    def __init__(self) -> None:
        super().__init__()
        self.rig = Rig(Config(default_model=MODEL))
        self.people = [Program(self.rig, name, "*") for name in ("ann", "bob")]
        self.drivers = [
            self.rig.tool(f"slots{slots}", "even", "odd", slots=slots) for slots in (1, 2)
        ]
        self.count = 0
        self.waiting: dict[int, int] = {}
        """Calls, oldest first, and who made them."""
        self.running: list[dict[int, Any]] = [{}, {}]
        """Of each driver: calls, and the orders for them."""
        self.heard = [0, 0]
        self.ended: dict[int, tuple[int, Any]] = {}
        """Calls, who made them, and what came of them: a content, or the code of an error."""
        self.spent = [0, 0]

    # -- what happens ------------------------------------------------------------------------

    @rule(who=integers(0, 1))
    def call(self, who: int) -> None:
        self.count += 1
        self.send(who, self.count)
        if any(self.is_up(driver) for driver in self.drivers):
            self.waiting[self.count] = who
        else:
            self.ended[self.count] = (who, "ENODRIVER")
        self.look()

    @precondition(lambda self: any(self.running))
    @rule(which=integers(0, 2), fails=booleans())
    def result(self, which: int, fails: bool) -> None:
        found = [(at, n) for at, there in enumerate(self.running) for n in there]
        at, number = found[which % len(found)]
        order = self.running[at][number]
        error = {"error": {"code": "EIO", "message": "it failed"}} if fails else {}
        self.drivers[at].result(order, number, **error)
        self.end(at, number, "EIO" if fails else number)
        self.look()

    @rule(at=integers(0, 1))
    def die(self, at: int) -> None:
        if not self.is_up(self.drivers[at]):
            return
        self.drivers[at].die()
        for number in list(self.running[at]):
            self.end(at, number, "EDRIVER")
        if not self.is_up(self.drivers[1 - at]):
            self.ended |= {n: (who, "ENODRIVER") for n, who in self.waiting.items()}
            self.waiting.clear()
        self.look()

    @rule(at=integers(0, 1))
    def come_back(self, at: int) -> None:
        if not self.is_up(self.drivers[at]):
            self.heard[at] = 0
            self.drivers[at].register()
            self.look()

    @rule(who=integers(0, 1))
    def interrupt(self, who: int) -> None:
        self.rig.call("proc.kill", pid=self.people[who].pid, signal="INT")
        self.waiting = {n: other for n, other in self.waiting.items() if other != who}
        for at, there in enumerate(self.running):
            for number, order in list(there.items()):
                if order.pid == self.people[who].pid:
                    self.end(at, number, None)
                    assert order.job in self.drivers[at].aborted
        self.look()

    @rule()
    def crash(self) -> None:
        """The clients repeat all that they ever called."""
        for there in self.running:
            for number, order in there.items():
                self.waiting[number] = self.who(order)
            there.clear()
        self.waiting = dict(sorted(self.waiting.items()))
        self.rig.beating.clear()
        self.rig.crash()
        for at, driver in enumerate(self.drivers):
            self.heard[at] = 0
            driver.register()
        for number, (who, outcome) in self.ended.items():
            if outcome not in (None, "ENODRIVER"):
                self.send(who, number)
        for number, who in self.waiting.items():
            self.send(who, number)
        self.look()

    # -- the model ---------------------------------------------------------------------------

    def send(self, who: int, number: int) -> None:
        name, arguments = ("even", "odd")[number % 2], {"number": number}
        self.people[who].start("tool.call", name=name, arguments=arguments, id=1000 + number)

    def is_up(self, driver: FakeTool) -> bool:
        return driver in self.rig.beating

    def who(self, order: Any) -> int:
        return [program.pid for program in self.people].index(order.pid)

    def end(self, at: int, number: int, outcome: Any) -> None:
        order = self.running[at].pop(number)
        self.spent[self.who(order)] += 1
        if outcome is not None:
            self.ended[number] = (self.who(order), outcome)

    def look(self) -> None:
        """Take in what the drivers were told since the last time."""
        started = []
        for at, driver in enumerate(self.drivers):
            for order in driver.orders[self.heard[at] :]:
                number = order.arguments["number"]
                assert self.waiting.pop(number, None) is not None, "that was not to be done"
                self.running[at][number] = order
                started.append(number)
            self.heard[at] = len(driver.orders)
        assert not self.waiting or max(started, default=0) < min(self.waiting), "out of turn"

    @invariant()
    def are_the_slots_used_and_not_more(self) -> None:
        for driver, running in zip(self.drivers, self.running, strict=True):
            slots = driver.card["slots"] if self.is_up(driver) else 0
            assert len(running) <= slots
            assert len(running) == slots or not self.waiting, "it has room, and a call waits"

    @invariant()
    def do_the_books_balance(self) -> None:
        jobs = list(self.rig.machine.jobs)
        for who, program in enumerate(self.people):
            account = self.rig.machine.table.get(program.pid).account("tool_calls")
            running = [o for there in self.running for o in there.values() if self.who(o) == who]
            reserved = len(running) + sum(other == who for other in self.waiting.values())
            assert (account.spent, account.reserved) == (self.spent[who], reserved)
            assert sum(job.process.pid == program.pid for job in jobs) == reserved
        assert sum(job.driver is None for job in jobs) == len(self.waiting)

    @invariant()
    def is_every_caller_told_the_end_and_no_other(self) -> None:
        for number, (who, outcome) in self.ended.items():
            body = self.people[who].reply(1000 + number)
            if body is None:
                assert outcome == "ENODRIVER", "before the crash"
            else:
                said = body["result"]["content"] if body["ok"] else body["error"]["code"]
                assert said == outcome
        for number, who in self.waiting.items():
            assert self.people[who].reply(1000 + number) is None


Calls.TestCase.settings = settings(
    max_examples=40,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestCalls = Calls.TestCase
