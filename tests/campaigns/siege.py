"""A siege: one home under load, whose kernel is killed again and again.

It brings callers, lanes and the system together, and says when all must agree. It knows nothing
about which kills there are to be.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator
from typing import Any

import msgpack
import zmq

from tests.campaigns import books, family, lanes
from tests.campaigns.belief import Belief, Spent, same
from tests.campaigns.caller import Call, Caller, Reply
from tests.campaigns.system import Broken, System

LIMITS: dict[str, Any] = {
    "tokens": 900_000, "memory_rows": 400, "memory_bytes": 400_000, "storage_bytes": 50_000_000,
    "mailbox": 60,
}  # fmt: skip
_PROGRAMS = 3
_TOPICS = ["news", "talk"]
_ENDING = 120.0


class Siege:
    def __init__(self, seed: str) -> None:
        self.seed = seed
        self.chance = random.Random(seed)
        self.belief = Belief()
        self.system = System()
        self.kills = 0
        self.callers: list[Caller] = []
        self.programs: dict[int, Caller] = {}
        self._heard: dict[int, tuple[Any, ...]] = {}
        self._latest = 0
        if not self.system.start_kernel():
            raise Broken(f"the kernel did not start: {self.system.logged()[-2000:]}")
        self.system.start_driver()
        self._events = self._subscribe()
        self.user = self._caller("user", self.system.home.user_key())
        self._open_programs()
        self._open_lanes()

    # -- who there is ------------------------------------------------------------------------

    def _subscribe(self) -> zmq.Socket[bytes]:
        socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.SUB)
        socket.setsockopt(zmq.RCVHWM, 0)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.RECONNECT_IVL, 10)
        socket.subscribe(b"")
        socket.connect(self.system.home.events)
        return socket

    def _caller(self, name: str, session: str) -> Caller:
        chance = random.Random(f"{self.seed} {name}")
        caller = Caller(name, self.system.home.syscalls, session, chance)
        self.callers.append(caller)
        return caller

    def _open_programs(self) -> None:
        for number in range(_PROGRAMS):
            name = f"p{number}"
            terms = {"limits": LIMITS, "capabilities": {"allow": ["*", "ipc:*"]}}
            made = self.ask(self.user, self.belief.ok("proc.adopt", name=name, **terms))
            self.programs[made["pid"]] = self._caller(name, made["session"])

    def _open_lanes(self) -> None:
        belief, chance = self.belief, self.chance
        pids = list(self.programs)
        for pid, caller in self.programs.items():
            name, spent = caller.name, belief.spent.setdefault(pid, Spent())
            for space in ("self", "common"):
                caller.add(f"mem {space}", lanes.memory(belief, chance, f"{name}-{space}", space))
                caller.add(f"fs {space}", lanes.files(belief, chance, f"/{space}/{name}"))
            caller.add("ctx", lanes.context(belief, chance, spent, name))
            for n in range(2):
                caller.add(f"llm {n}", lanes.generate(belief, chance, spent, f"{name}.{n}"))
                caller.add(f"send {n}", lanes.sender(belief, chance, f"{name}.{n}", pids))
                caller.add(f"publish {n}", lanes.publisher(belief, chance, f"{name}.{n}", _TOPICS))
            caller.add("recv", lanes.receiver(belief, chance, pid))
        for topic, caller in zip(_TOPICS, self.programs.values(), strict=False):
            caller.add(f"subscribe {topic}", lanes.subscriber(belief, chance, topic))
        for n in range(2):
            self.user.add(f"parent {n}", family.parent(belief, chance, f"child{n}"))
            self.user.add(f"cap {n}", family.granter(belief, chance, f"ward{n}"))
        self.user.add("limits", family.limits(belief, chance, pids[0]))

    # -- what happens ------------------------------------------------------------------------

    def fall(self, seconds: float) -> bool:
        """Let the work go on until the kernel dies by itself, or for so long; then look at what it
        left. Whether it died by itself."""
        self._run(lambda: self.system.died, seconds)
        fell = self.system.died
        self.system.kill_kernel()
        self.kills += 1
        self._listen()
        books.check(self.system.home.database, self._heard)
        self._heard.clear()
        return fell

    def rise(self, crash_at: str = "") -> None:
        """Start another kernel, which is to die at that point, perhaps before it is ever heard."""
        self.system.kill_kernel()
        if self.system.start_kernel(crash_at):
            for caller in self.callers:
                caller.came_back()
        elif not crash_at:
            raise Broken(f"the kernel does not start again: {self.system.logged()[-2000:]}")

    def _run(self, enough: Callable[[], Any], seconds: float) -> None:
        end = time.monotonic() + seconds
        while not enough() and time.monotonic() < end:
            zmq.select([caller.socket for caller in self.callers], [], [], 0.01)
            for caller in self.callers:
                caller.pump()
            self._listen()
        for caller in self.callers:
            caller.check_patience()

    def _listen(self) -> None:
        """To the event stream: no seq comes twice, whatever dies."""
        while self._events.poll(0):
            event = msgpack.unpackb(self._events.recv_multipart()[1])
            if event["seq"] <= self._latest:
                raise Broken(f"after event {self._latest} came {event}")
            self._latest = event["seq"]
            self._heard[event["seq"]] = (event["type"], event["pid"], event["data"])

    def ask(self, caller: Caller, steps: Generator[Call, Reply, Any]) -> Any:
        """Do this and nothing new beside it; what it gives back."""
        result: list[Any] = []

        def lane() -> lanes.Lane:
            result.append((yield from steps))

        caller.add("ask", lane())
        self._run(lambda: result, 20)
        if not result:
            raise Broken("a call of the campaign itself was not answered")
        return result[0]

    # -- the end -----------------------------------------------------------------------------

    def finish(self) -> None:
        """All lanes make their last checks; then the books are looked at, before and after one
        more death."""
        self.belief.ending = True
        self._run(lambda: not any(caller.lanes for caller in self.callers), _ENDING)
        for lane in (lane for caller in self.callers for lane in caller.lanes):
            raise Broken("\n  ".join([f"{lane.name} does not end", *lane.story]))
        info = self.ask(self.user, self.belief.ok("sys.info"))
        same("bursts queued and running", (0, 0), (info["queued"], info["running"]))
        before = self._left()
        self.system.kill_kernel()
        books.check(self.system.home.database, self._heard)
        books.check_end(self.system.home.database, self.belief)
        self.rise()
        same("what is left after a boot", before, self._left())
        events = self.ask(self.user, self.belief.ok("sys.events", limit=10_000))["events"]
        bugs = [event["data"] for event in events if event["type"] == "kernel.bug"]
        same("bugs of the kernel", [], bugs)

    def _left(self) -> list[tuple[int, ...]]:
        """What each program may still use, as refusals tell it: so nothing is reserved any more."""
        found = []
        for pid, caller in self.programs.items():
            tokens = self.ask(caller, self._refusals())
            spent = self.belief.spent[pid].tokens
            same(f"tokens left to process {pid}", LIMITS["tokens"] - spent, tokens[0])
            found.append(tokens)
        return found

    def _refusals(self) -> Generator[Call, Reply, tuple[int, ...]]:
        said = [{"role": "user", "content": "x"}]
        much = {"messages": said, "sampling": {"max_tokens": 1_000_000}}
        tokens = yield from self.belief.refused("EQUOTA", "llm.generate", **much)
        row = {"key": "probe", "value": "x" * LIMITS["memory_bytes"]}
        memory = yield from self.belief.refused("EQUOTA", "mem.put", **row)
        content = bytes(LIMITS["storage_bytes"])
        storage = yield from self.belief.refused("EQUOTA", "fs.write", content, path="probe")
        return tuple(error["detail"]["left"] for error in (tokens, memory, storage))

    def story(self) -> str:
        """What every lane did last."""
        lanes = [lane for caller in self.callers for lane in caller.lanes]
        return "\n\n".join("\n  ".join([lane.name, *lane.story]) for lane in lanes)

    def close(self, *, keep: bool) -> None:
        for caller in self.callers:
            caller.close()
        self._events.close(0)
        if keep:
            (self.system.home.logs / "story.txt").write_text(self.story(), encoding="utf-8")
            self.system.close()
        else:
            self.system.remove()
