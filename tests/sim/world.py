"""A world of programs, agents, drivers and hosts that do random things to one kernel, under a
virtual clock and from a seed, and the invariants that must hold after each of them.

The agents run the loop that the real host runs: generate, then exit with the answer.
"""

from __future__ import annotations

import random
from typing import Any

from kernel.config import Config
from kernel.effects import FromClient
from kernel.ledger import chain
from llmagentos.abi.wire import Message
from tests.kernel.rig import MODEL, FakeDriver, FakeHost, Rig, agent

WORDS = ["a", "few", "words", "of", "an", "answer", "that", "goes", "on", "for", "a", "while"]


class World:
    """``step`` does one random thing; ``finish`` lets all that is left come to its end."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = random.Random(seed)
        config = Config(
            default_model=MODEL, driver_patience=20, boot_patience=8, silence=6, queue_limit=40
        )
        self.rig = Rig(config)
        self.drivers: dict[str, FakeDriver] = {}
        self.hosts: dict[str, FakeHost] = {}
        self.progress: dict[tuple[bytes, int, int], int] = {}
        self.open: dict[tuple[bytes, int], str] = {}
        self.acted: dict[bytes, set[str]] = {}
        self.spawned: set[int] = set()
        self.trace: list[str] = []
        self.crashes = 0

    # -- what may happen ---------------------------------------------------------------------

    def step(self) -> None:
        choices = [
            (self.spawn, 6),
            (self.generate, 6),
            (self.agents_act, 14),
            (self.drivers_act, 24),
            (self.signal, 5),
            (self.cancel, 2),
            (self.client_goes, 2),
            (self.driver_comes, 3),
            (self.driver_dies, 1),
            (self.host_comes, 3),
            (self.host_dies, 1),
            (self.time_passes, 6),
            (self.repeat, 3),
            (self.nonsense, 1),
            (self.crash, 1),
        ]
        actions, weights = zip(*choices, strict=True)
        action = self.random.choices(actions, weights)[0]
        self.trace.append(f"{self.rig.now:.2f} {action.__name__}")
        action()
        self.check()

    def spawn(self) -> None:
        limits = self.random.choice([{}, {"tokens": 60}, {"wall": "30s"}, {"turns": 1}])
        manifest = agent(
            limits=limits,
            sampling={"max_tokens": self.random.choice([5, 20])},
            capabilities={"allow": ["proc:spawn"]},
        )
        peer = self._peer()
        number = self.rig.send(
            "proc.spawn", peer=peer, manifest=manifest, text="hi", attach=self._chance(0.3)
        )
        body = self.rig.reply(number, peer)
        assert body is not None
        if body["ok"]:
            self.spawned.add(body["result"]["pid"])
            if self._chance(0.5):
                pid = body["result"]["pid"]
                wait = self.rig.send("proc.wait", peer=peer, pid=pid, stream=True)
                self.open[peer, wait] = "proc.wait"

    def generate(self) -> None:
        peer = self._peer()
        self.open[peer, self._generate(peer, None)] = "llm.generate"

    def _generate(self, peer: bytes, id: int | None) -> int:
        said = [{"role": "user", "content": "hi"}]
        args: dict[str, Any] = {"messages": said, "sampling": {"max_tokens": 10}}
        return self.rig.send("llm.generate", peer=peer, id=id, **args)

    def agents_act(self) -> None:
        """Each agent makes the next step of its loop."""
        for host in list(self.hosts.values()):
            for assignment in list(host.assigned):
                self._loop(host, assignment)

    def _loop(self, host: FakeHost, assignment: Any) -> None:
        if self._chance(0.1) and len(self.spawned) < 25:
            self._spawn_child(host, assignment)
        done = self.acted.setdefault(assignment.session.encode(), set())
        peer = host.peer
        options = {"session": assignment.session, "peer": peer}
        number = 10**9 + int(assignment.session[-12:], 16) * 10  # apart from the rig's own ids
        if "generate" not in done:
            done.add("generate")
            self.rig.send("llm.generate", id=number + 1, **options)
            return
        body = self.rig.reply(number + 1, peer)
        if body is not None and "exit" not in done:
            done.add("exit")
            answer = body["result"]["text"] if body["ok"] else ""
            code = 0 if body["ok"] else 1
            self.rig.send("proc.exit", id=number + 2, code=code, answer=answer, **options)

    def _spawn_child(self, host: FakeHost, assignment: Any) -> None:
        """Trees grow, and their roots may end before their leaves."""
        manifest = agent(sampling={"max_tokens": 5}, capabilities={"allow": ["proc:spawn"]})
        options = {"session": assignment.session, "peer": host.peer}
        number = self.rig.send("proc.spawn", manifest=manifest, text="hi", **options)
        body = self.rig.reply(number, host.peer)
        if body is not None and body["ok"]:
            self.spawned.add(body["result"]["pid"])

    def drivers_act(self) -> None:
        """Some drivers make a step for some of their bursts."""
        for driver in list(self.drivers.values()):
            gone = {ref.burst for ref in driver.heard("cancel")}
            for start in list(driver.started):
                if start.burst not in gone and self._chance(0.6):
                    self._advance(driver, start)

    def _advance(self, driver: FakeDriver, start: Any) -> None:
        key = (driver.peer, start.burst, start.attempt)
        index = self.progress.get(key, len(start.accepted))
        if index < 0:
            return
        last = index + 1 >= min(len(WORDS), start.sampling.max_tokens)
        finish = "stop" if last else None
        prompt = 3 if key not in self.progress else None
        self.progress[key] = -1 if last else index + 1
        for _ in range(2 if self._chance(0.1) else 1):  # a message may come twice
            driver.report(start, WORDS[index], index=index, finish=finish, prompt=prompt)

    def signal(self) -> None:
        if not self.spawned:
            return
        pid = self.random.choice(sorted(self.spawned))
        name = self.random.choice(["TERM", "KILL", "STOP", "CONT", "CONT", "INT"])
        self.rig.send("proc.kill", pid=pid, signal=name, tree=self._chance(0.3))

    def cancel(self) -> None:
        self.rig.send("llm.cancel", peer=self._peer())

    def client_goes(self) -> None:
        peer = self._peer()
        self.rig.drop_client(peer)
        self.open = {key: name for key, name in self.open.items() if key[0] != peer}

    def driver_comes(self) -> None:
        name = self.random.choice(["edge", "second"])
        if name not in self.drivers:
            self.drivers[name] = self.rig.driver(name, slots=self.random.choice([1, 2, 8]))

    def driver_dies(self) -> None:
        if self.drivers:
            name = self.random.choice(sorted(self.drivers))
            driver = self.drivers.pop(name)
            if self._chance(0.5):
                driver.die()
            else:
                driver.hang()

    def host_comes(self) -> None:
        name = self.random.choice(["host", "other"])
        if name not in self.hosts:
            self.hosts[name] = self.rig.host(name, slots=self.random.choice([2, 50]))

    def host_dies(self) -> None:
        if self.hosts:
            host = self.hosts.pop(self.random.choice(sorted(self.hosts)))
            host.die()
            self.rig.drop_client(host.peer)

    def time_passes(self) -> None:
        self.rig.wait(self.random.choice([0.1, 1.0, 7.0]))

    def repeat(self) -> None:
        """A client's connection stuttered: a call comes a second time."""
        if self.open:
            (peer, number), name = self.random.choice(sorted(self.open.items()))
            if name == "llm.generate":
                self._generate(peer, number)

    def nonsense(self) -> None:
        message = Message("call", 5, self.random.choice(["x", "proc.kill", ""]), "guess", {"y": 1})
        self.rig.put_in(FromClient(self._peer(), message))
        if self.drivers and self._chance(0.3):
            name = self.random.choice(sorted(self.drivers))
            self.drivers.pop(name).say("report", {"steps": 5})

    def crash(self) -> None:
        """The kernel dies; drivers and hosts come back, clients repeat what they wait for."""
        self.crashes += 1
        before = {
            p.pid: (p.usage, p.account("tokens").spent, bool(p.exit))
            for p in self.rig.machine.table
        }
        self.rig.beating.clear()
        self.rig.crash()
        after = {
            p.pid: (p.usage, p.account("tokens").spent, bool(p.exit))
            for p in self.rig.machine.table
        }
        assert after.keys() == before.keys(), "a process was lost, or came from nowhere"
        for pid, (usage, spent, ended) in before.items():
            assert after[pid] == (usage, spent, ended), f"process {pid} is not what it was"
        self.drivers.clear()
        hosts = list(self.hosts)
        self.hosts.clear()
        self.acted.clear()
        for name in hosts:
            self.hosts[name] = self.rig.host(name, slots=50)
        for (peer, number), name in sorted(self.open.items()):
            if name == "llm.generate":
                self._generate(peer, number)
            else:
                del self.open[peer, number]

    # -- what must hold ----------------------------------------------------------------------

    def check(self) -> None:
        machine = self.rig.machine
        processes = list(machine.table)
        live = [burst for process in processes for burst in process.bursts]
        for process in processes:
            assert process.account("tokens").reserved >= 0, (
                f"{process.pid} released what it never reserved"
            )
            if process.limits.tokens is not None:
                most = process.limits.tokens
                assert (
                    process.account("tokens").reserved + process.account("tokens").spent <= most + 3
                ), "spent more than one uncounted prompt beyond the limit"
            own = sum(b.reserved.get("tokens", 0) for b in live if process in chain(b.process))
            assert process.account("tokens").reserved == own, (
                f"the books of {process.pid} don't balance"
            )
            if not process.alive:
                assert process.state == "ZOMBIE"
                assert not process.bursts
                assert not process.calls
            elif process.stopped:
                assert process.state == "STOPPED"
                assert all(burst.state == "held" for burst in process.bursts)
            elif any(burst.state == "running" for burst in process.bursts):
                assert process.state == "RUNNING"
            else:
                assert process.state != "RUNNING"
        assert machine.scheduler.queued == sum(b.state == "queued" for b in live)
        assert machine.scheduler.running == sum(b.state == "running" for b in live)
        for driver in machine.registry.compute():
            assert len(driver.running) <= driver.card.slots, f"{driver.name} is overbooked"
            assert all(b.state == "running" and b.driver == driver.name for b in driver.running)
        for host in machine.registry.hosts():
            assert len(host.pids) <= host.card.slots
        seqs = [event["seq"] for event in self.rig.events]
        assert seqs == list(range(seqs[0], seqs[0] + len(seqs))) if seqs else True

    def finish(self) -> None:
        """With drivers and hosts that work, everything that was begun comes to its end."""
        for pid in sorted(self.spawned):
            self.rig.send("proc.kill", pid=pid, signal="CONT")
        for _ in range(400):
            self.driver_comes()
            self.host_comes()
            self.agents_act()
            self.drivers_act()
            self.rig.wait(1.0)
            self.check()
            if self._quiet():
                self._check_answers()
                return
        left = [
            f"{p.pid} {p.state}({p.reason}) host {p.host} bursts {[b.state for b in p.bursts]}"
            for p in self.rig.machine.table
            if p.kind == "agent" and p.alive
        ]
        unanswered = [key for key in self.open if self.rig.reply(key[1], key[0]) is None]
        raise AssertionError(f"never ended: {left}; unanswered: {unanswered}")

    def _quiet(self) -> bool:
        agents = [p for p in self.rig.machine.table if p.kind == "agent"]
        answered = all(self.rig.reply(number, peer) for peer, number in self.open)
        return answered and all(not p.alive for p in agents)

    def _check_answers(self) -> None:
        """No token was lost or came twice, whichever drivers it took."""
        for (peer, number), name in self.open.items():
            body = self.rig.reply(number, peer)
            if name == "llm.generate" and body is not None and body["ok"]:
                count = body["result"]["usage"]["completion_tokens"]
                assert body["result"]["text"] == "".join(WORDS[:count])
                assert count == 10

    def _peer(self) -> bytes:
        return self.random.choice([b"one", b"two", b"three"])

    def _chance(self, odds: float) -> bool:
        return self.random.random() < odds
