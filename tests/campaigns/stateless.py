"""The stateless fuzzer: messages of every kind at a live kernel, over its real sockets.

Batch by batch: all messages of one are sent by a few connections, a healthy client asks at the
same time whether it is still served, and then each message must have had its answer. It knows
nothing about what the messages mean.
"""

from __future__ import annotations

import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from llmagentos.abi import wire
from llmagentos.abi.errors import LLMOSError
from llmagentos.abi.process import INIT
from tests.campaigns.findings import Findings, shown, wrong_reply
from tests.campaigns.frames import Case, case, driver_case
from tests.campaigns.system import Broken, System
from tests.system.machines import Raw

_BATCH = 100
_PEERS = 4
_QUICKLY = 20.0
_ANSWERED = 30.0
_TIDY = 5
"""Batches after which what was made is cleared away: a kernel may grow by what it holds."""


@dataclass(slots=True)
class Peer:
    """One connection, what was said on it, and what is to be answered."""

    raw: Raw
    cases: dict[int, Case] = field(default_factory=dict)
    sent: int = 0
    must: int = 0
    replies: Counter[int] = field(default_factory=Counter)


class Barrage:
    def __init__(self, seed: int, findings: Findings) -> None:
        self.seed, self.findings = seed, findings
        self.system = System()
        self.memory: list[float] = []
        self.slowest = 0.0
        self.codes: Counter[str] = Counter()
        self._numbers = 0
        self._events = 0
        self._pools: dict[str, list[Any]] = defaultdict(list)
        if not self.system.start_kernel():
            raise Broken(f"the kernel does not start: {self.system.logged()[-2000:]}")
        self._key = self.system.home.user_key()
        self._healthy = Raw(self.system.home.syscalls)
        self._host = Raw(self.system.home.drivers)
        self._agents: list[str] = []
        self._held = False
        """Replies may wait for a process that was stopped, or for a decision."""
        self._register()

    def run(self, count: int, say: Callable[[int], None]) -> None:
        for batch in range(0, count, _BATCH):
            size = min(_BATCH, count - batch)
            self._batch(f"{self.seed} {batch}", size)
            if self.system.kernel.poll() is not None:
                self._died(f"{self.seed} {batch}", size)
            if batch // _BATCH % _TIDY == 0:
                self._tidy()
                self.memory.append(self.system.resident())
            say(batch + size)
        self._check_boot()

    # -- a batch -----------------------------------------------------------------------------

    def _batch(self, seed: str, size: int) -> None:
        chance = random.Random(seed)
        with ExitStack() as stack:
            peers = [
                Peer(stack.enter_context(Raw(self.system.home.syscalls))) for _ in range(_PEERS)
            ]
            drivers = [stack.enter_context(Raw(self.system.home.drivers)) for _ in range(2)]
            sessions = self._sessions(peers)
            for number in range(size):
                if chance.random() < 0.1:
                    key = self.system.home.service_key()
                    chance.choice(drivers).send(*driver_case(f"{seed} {number}", key, self._pools))
                    continue
                self._numbers += 1
                made = case(f"{seed} {number}", self._numbers, sessions, self._pools)
                peer = chance.choice(peers)
                peer.cases[self._numbers] = made
                peer.sent += 1
                peer.must += not made.waits
                peer.raw.send(*made.frames)
            self._ask()
            # In the frames, since some are those of an earlier message. Who was stopped stays so.
            self._held = self._held or any(
                b"STOP" in frame or b"ask" in frame
                for p in peers
                for c in p.cases.values()
                for frame in c.frames
            )
            for peer in peers:
                self._collect(peer, strict=not self._held)
            self._look_for_bugs(peers)
            for peer in peers:
                self._check_count(peer)
        self._hear_host()

    def _sessions(self, peers: list[Peer]) -> list[str]:
        """The user's key, two programs, and some agents."""
        made = [self._key, self._key]
        for peer in peers[:2]:
            adopted = peer.raw.call("proc.adopt", session=self._key, seconds=30)
            made.append(adopted["session"])
            self._pools["pid"] = [*self._pools["pid"][-8:], adopted["pid"]]
        return [*made, *self._agents[-2:]]

    def _collect(self, peer: Peer, *, strict: bool) -> None:
        """Each message is answered, and once."""
        end = time.monotonic() + _ANSWERED
        while peer.replies.total() < peer.sent:
            # Those that may wait have had their time when all others are there.
            enough = not strict or peer.replies.total() >= peer.must
            if not peer.raw.socket.poll(20 if enough else 200):
                if enough or time.monotonic() > end or self.system.kernel.poll() is not None:
                    break
                continue
            self._hear(peer, wire.decode(peer.raw.socket.recv_multipart()))
        if strict and peer.replies.total() < peer.must and self.system.kernel.poll() is None:
            missing = [c for id, c in peer.cases.items() if not peer.replies[id] and not c.waits]
            told = "\n".join(f"  {c.told} {c.name} {shown(c.frames)}" for c in missing[:5])
            self.findings.add("a message was not answered", lambda: told)

    def _check_count(self, peer: Peer) -> None:
        """After a while: nothing is answered twice."""
        while peer.raw.socket.poll(0):
            self._hear(peer, wire.decode(peer.raw.socket.recv_multipart()))
        if peer.replies.total() > peer.sent:
            more = f"  {peer.sent} messages, {peer.replies.total()} replies"
            self.findings.add("more replies than messages", lambda: more)

    def _hear(self, peer: Peer, message: wire.Message) -> None:
        if message.kind != "reply":
            return
        peer.replies[message.id] += 1
        made = peer.cases.get(message.id)
        name = made.name if made and made.name else "a damaged message"
        wrong = wrong_reply(name, message.body)
        if wrong:
            story = f"  {made.told} {made.name} {shown(made.args or made.frames)}" if made else ""
            self.findings.add(wrong, lambda: story)
        if message.body.get("ok"):
            self.codes["ok"] += 1
            self._learn(message.body["result"])
        else:
            self.codes[str(message.body.get("error", {}).get("code"))] += 1

    def _learn(self, result: dict[str, Any]) -> None:
        for name in ("pid", "checkpoint", "version", "hash"):
            if isinstance(result.get(name), int | str):
                self._pools[name] = [*self._pools[name][-8:], result[name]]
        for one in result.get("approvals", ())[:3]:
            self._pools["approval"] = [one["id"]]

    # -- the others --------------------------------------------------------------------------

    def _ask(self) -> None:
        """A healthy client beside them."""
        begun = time.monotonic()
        try:
            self._healthy.call("sys.info", session=self._key, seconds=30)
        except AssertionError:
            if self.system.kernel.poll() is None:
                self.findings.add("a healthy client was not served for 30 s", lambda: "")
            return
        taken = time.monotonic() - begun
        self.slowest = max(self.slowest, taken)
        if taken > _QUICKLY:
            self.findings.add(
                f"a healthy client waited for more than {_QUICKLY:g} s", lambda: f"  {taken:.2f} s"
            )

    def _register(self) -> None:
        """A host, which runs nothing: what it is for are its agents' sessions."""
        card = {"name": "fuzz-host", "kind": "host", "slots": 200, "state": "ready"}
        self._announce("register", card)

    def _announce(self, kind: str, body: dict[str, Any]) -> None:
        key = self.system.home.service_key()
        self._host.send(*wire.encode(wire.Message(kind, session=key, body=body)))

    def _hear_host(self) -> None:
        self._announce("beat", {"state": "ready"})
        while self._host.socket.poll(0):
            message = wire.decode(self._host.socket.recv_multipart())
            if message.kind == "assign":
                self._agents = [*self._agents[-9:], message.body["session"]]
            elif message.kind == "who":
                self._register()

    def _look_for_bugs(self, peers: list[Peer]) -> None:
        if self.system.kernel.poll() is not None:
            return
        told = self._healthy.call(
            "sys.events", session=self._key, since=self._events, limit=10_000, seconds=30
        )
        self._events = told["latest"]
        for event in told["events"]:
            if event["type"] == "kernel.bug":
                name, error = event["data"]["call"], event["data"]["error"]
                calls = [c for p in peers for c in p.cases.values() if c.name == name]
                story = "\n".join(f"  {c.told} {c.name} {shown(c.args)}" for c in calls[:8])
                self.findings.add(f"kernel.bug in {name}: {error[:200]}", lambda story=story: story)

    def _tidy(self) -> None:
        """All processes end, and what the user's own has gathered goes."""
        self._agents.clear()
        self._held = False
        for process in self._healthy.call("proc.list", session=self._key, seconds=30)["processes"]:
            if process["pid"] != INIT and process["ppid"] == INIT:
                self._try("proc.kill", pid=process["pid"], signal="KILL", tree=True)
        for process in self._healthy.call("proc.list", session=self._key, seconds=30)["processes"]:
            if process["pid"] != INIT:
                self._try("proc.wait", pid=process["pid"], timeout=1.0)
        self._try("ctx.rewind", message=0)
        self._try("ipc.recv", limit=100, block=False)
        for name in ("edge", "fuzz-host", "a", "x", "m"):
            self._try("drv.drain", name=name, on=False)

    def _try(self, name: str, /, **args: Any) -> None:
        number = self._healthy.say(name, session=self._key, **args)
        while (heard := self._healthy.hear(30)).id != number or heard.kind != "reply":
            pass

    # -- the end -----------------------------------------------------------------------------

    def _check_boot(self) -> None:
        """What is left must be what another kernel can start from."""
        self.system.kill_kernel()
        if not self.system.start_kernel():
            self.findings.add("the state does not boot again", self.system.logged)

    def _died(self, seed: str, size: int) -> None:
        """Start another, and say all of the batch again, one by one, until it dies of it."""
        logged = self.system.logged()[-1500:]
        self._start_again()
        with Raw(self.system.home.syscalls) as raw:
            sessions = self._sessions([Peer(raw)])
            for number in range(size):
                made = case(f"{seed} {number}", number + 1000, sessions, self._pools)
                raw.send(*made.frames)
                if not self._lives():
                    logged = (
                        f"  {made.told} {made.name} {shown(made.args or made.frames)}\n{logged}"
                    )
                    self._start_again()
                    break
        self.findings.add("the kernel died", lambda: f"{logged}\n  in batch {seed!r}")

    def _start_again(self) -> None:
        self.system.kill_kernel()
        if not self.system.start_kernel():
            raise Broken(f"it does not start again: {self.system.logged()[-2000:]}")
        self._register()

    def _lives(self) -> bool:
        try:
            return bool(self._healthy.call("sys.ping", seconds=10))
        except (AssertionError, LLMOSError):  # no answer; or its last one
            return self.system.kernel.poll() is None

    def grown(self) -> str:
        """What is wrong with the memory that it takes, or ""."""
        third = self.memory[len(self.memory) // 3 :]
        if len(third) < 5 or min(third[-5:]) <= third[0] * 1.1 + 20:
            return ""
        return f"the kernel has grown from {third[0]:.0f} to {min(third[-5:]):.0f} MB"

    def close(self) -> None:
        self._healthy.socket.close()
        self._host.socket.close()
        self.system.remove()
