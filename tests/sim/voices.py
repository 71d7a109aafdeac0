"""Voices: what a process can do by syscalls, one small act at a time.

Programs and agents speak through them, and what they say is new each time. Each act ends early when
it is refused. It knows nothing about what must come of it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from llmagentos.abi.process import INIT
from tests.sim.callers import Call, Reply
from tests.sim.manifests import manifest

if TYPE_CHECKING:
    from tests.sim.world import World

Act = Generator[Call, Reply, None]


class Voice:
    """One lane of one process. ``last``: the last reply. ``number``: of the lane: what it writes,
    no other lane writes."""

    def __init__(self, world: World, pid: int) -> None:
        self.world, self.pid, self.chance = world, pid, world.chance
        self.number = world.number()
        self.last = Reply(True, {})
        self._since: dict[str, int] = {}
        self._put: dict[str, str] = {}
        self._written: set[str] = set()

    def words(self) -> str:
        known = self.world.witness.lives.known.get(self.pid)
        labels = known.labels if known is not None and self.pid != INIT else ()
        return self.world.markers.words(self.pid, labels)

    def call(
        self, name: str, /, *buffers: bytes, patience: float | None = None, **args: Any
    ) -> Generator[Call, Reply, Reply]:
        self.last = yield Call(name, args, buffers, patience)
        return self.last

    @property
    def _agent(self) -> bool:
        known = self.world.witness.lives.known.get(self.pid)
        return known is not None and known.kind == "agent"

    def _one(self, *choices: Any) -> Any:
        return self.chance.choice(choices)

    def _odds(self, odds: float) -> bool:
        return self.chance.random() < odds

    def _child(self) -> int | None:
        family = self.world.witness.lives.family(self.pid)
        return self.chance.choice(family) if family else None

    def _anybody(self) -> int:
        return self.chance.choice(list(self.world.witness.lives.known))

    def _whose(self) -> dict[str, int]:
        """Mostly its own, sometimes a descendant's, rarely somebody's."""
        draw = self.chance.random()
        pid = self._child() if draw < 0.15 else self._anybody() if draw < 0.2 else None
        return {} if pid is None else {"pid": pid}

    # -- memory and files --------------------------------------------------------------------

    def remember(self) -> Act:
        space = self._one("self", "self", "notes", "diary")
        key = f"{self.number}.{self.chance.randrange(3)}"
        whose = self._whose() if space == "self" else {}
        place = {"space": space, **whose}
        act = self.chance.random() if space in self._put or self._odds(0.1) else 0.0
        if act < 0.45:
            args: dict[str, Any] = {"key": key, "value": {"text": self.words()}}
            if space == "self" and not whose and self._odds(0.2):
                label = self._one("private", "team")
                args["value"] = {"text": f"{args['value']['text'].split()[0]} "
                                 + self.world.markers.labelled(label)}  # fmt: skip
                args["labels"] = [label]
            if self._odds(0.15):
                args["ttl"] = self._one(1.0, 20.0)
            made = yield from self.call("mem.put", **place, **args)
            self._put[space] = args["value"]["text"].split()[0]
            if made.ok and self._odds(0.4):
                yield from self.call("mem.get", **place, key=key)
        elif act < 0.6:
            yield from self.call("mem.get", **place, key=key)
        elif act < 0.7:
            yield from self.call("mem.delete", **place, key=key)
        elif act < 0.85:
            query = self._put.get(space, "nothing")
            yield from self.call("mem.search", **place, query=query, limit=100)
        else:
            prefix = self._one("", f"{self.number}.")
            yield from self.call("mem.list", **place, prefix=prefix, limit=1000)

    def file(self) -> Act:
        mount = self._one("self", "self", "share")
        path = f"/{mount}/{self.number}/f{self.chance.randrange(2)}"
        place: dict[str, Any] = {"path": path, **(self._whose() if mount == "self" else {})}
        act = self.chance.random() if path in self._written or self._odds(0.1) else 0.0
        if act < 0.35:
            self._written.add(path)
            text = f"{self.words()} {'x' * self._one(0, 30, 300)}"
            if mount == "self" and self._odds(0.5):
                made = yield from self.call("fs.write", text.encode(), **place)
            else:
                made = yield from self.call("fs.write", **place, text=text)
            if made.ok and self._odds(0.5):
                name = self._one("fs.read", "fs.delete", "fs.history")
                yield from self.call(name, **place)
        elif act < 0.6:
            yield from self.call("fs.read", **place)
        elif act < 0.7:
            yield from self.call("fs.delete", **place)
        elif act < 0.8:
            yield from self.call("fs.restore", **place, version=self._one(1, 2, 3))
        elif act < 0.9:
            yield from self.call("fs.history", **place, limit=1000)
        else:
            yield from self.call("fs.list", path=f"/{mount}", recursive=self._odds(0.5))

    # -- letters and topics ------------------------------------------------------------------

    def write(self) -> Act:
        wait = {"wait": self._one(0.5, 5.0)} if self._odds(0.4) else {}
        pid = self._child() or self._anybody()
        if self._odds(0.3):
            pid = self._anybody()
        yield from self.call("ipc.send", pid=pid, body={"text": self.words()}, **wait)

    def read_mail(self) -> Act:
        block = self._one({"block": False}, {"timeout": 2.0}, {"timeout": 8.0})
        yield from self.call("ipc.recv", limit=self._one(1, 3, 100), **block)

    def publish(self) -> Act:
        topic = self._one("news", "gossip")
        yield from self.call("ipc.publish", topic=topic, body={"text": self.words()})

    def follow(self) -> Act:
        topic = self._one("news", "gossip")
        since = self._since.get(topic, 0)
        block = self._one({"block": False}, {"timeout": 3.0})
        reply = yield from self.call(
            "ipc.subscribe", topic=topic, since=since, limit=self._one(1, 50), **block
        )
        if reply.ok:
            self._since[topic] = reply.body["next"]

    # -- models and tools --------------------------------------------------------------------

    def think(self) -> Act:
        """Its context, with or without something new, or only what it says now."""
        said = [{"role": "user", "content": self.words()}]
        args: dict[str, Any] = {"messages": said}
        if self._odds(0.6):
            args = {} if self._agent and self._odds(0.5) else {"messages": said, "append": True}
        if self._odds(0.5):
            args["stream"] = True
        if self._odds(0.5):
            args["sampling"] = {"max_tokens": self._one(1, 5, 40)}
        if self._odds(0.1):
            args["model"] = self._one("small", ["big", "m"], "nothing")
        patience = self._one(3.0, 8.0) if self._odds(0.1) else None
        yield from self.call("llm.generate", patience=patience, **args)

    def embed(self) -> Act:
        texts = [self.words() for _ in range(self._one(1, 3))]
        model = {"model": "vec"} if self._odds(0.5) else {}
        yield from self.call("llm.embed", texts=texts, **model)

    def use(self) -> Act:
        text = self._one("", "", "ls ", "rm ") + self.words()
        args: dict[str, Any] = {"name": self._one("echo", "shell", "vault", "web")}
        if self._odds(0.3):
            args["timeout"] = self._one(0.5, 2.0)
        yield from self.call("tool.call", **args, arguments={"text": text})

    # -- its context -------------------------------------------------------------------------

    def note(self) -> Act:
        roles = self.chance.choices(("user", "tool"), k=self._one(1, 2))
        messages = [{"role": role, "content": self.words()} for role in roles]
        yield from self.call("ctx.append", **self._whose(), messages=messages)

    def recall(self) -> Act:
        """Back to where it was, or a summary of how it came there."""
        whose = self._whose() if self._odds(0.3) else {}
        reply = yield from self.call("ctx.read", **whose)
        ids = [one["id"] for one in reply.body["messages"]] if reply.ok else []
        act = self.chance.random()
        if len(ids) < 3 or act < 0.3:
            return
        if act < 0.5:
            mark = yield from self.call("ctx.checkpoint", **whose)
            yield from self.note()
            if mark.ok and self._odds(0.7):
                yield from self.call("ctx.restore", **whose, checkpoint=mark.body["checkpoint"])
        elif act < 0.7:
            yield from self.call("ctx.rewind", **whose, message=self.chance.choice(ids))
        else:
            yield from self.call("ctx.compact", **whose, keep=self._one(0, 1), summary=self.words())

    # -- others ------------------------------------------------------------------------------

    def breed(self) -> Act:
        name, known = f"n{self.world.number()}", self.world.witness.lives.known
        if sum(one.alive for one in known.values()) > 22:
            return
        whose = {}
        if not self._agent or self._odds(0.3):
            whose = {"pid": child} if (child := self._child()) else {}
        if self._odds(0.3) and (self._agent or whose):
            text = {"text": self.words()} if self._odds(0.7) else {}
            made = yield from self.call("proc.fork", **whose, **text, name=name)
        else:
            made = yield from self.call(
                "proc.spawn", manifest=manifest(self.world, self.words()), name=name,
                text=self.words(),
            )  # fmt: skip
        if made.ok and self._odds(0.5):
            patience = self._one(5.0, 60.0)
            stream, reap = self._odds(0.5), self._odds(0.7)
            yield from self.call(
                "proc.wait", pid=made.body["pid"], stream=stream, reap=reap, patience=patience
            )

    def look(self) -> Act:
        pid = self._child() or self._anybody()
        collected = self.world.witness.lives.collected[self.pid]
        if collected and self._odds(0.4):
            pid = collected[-1]
        name = self._one(*["proc.info"] * 4, "ctx.read", "cap.list", "proc.wait", "proc.list")
        if name == "proc.list":
            yield from self.call("proc.list", tree=self.pid)
        elif name == "proc.wait":
            yield from self.call("proc.wait", pid=pid, timeout=1.0, reap=self._odds(0.5))
        else:
            yield from self.call(name, pid=self._one(pid, self.pid))
        if self._odds(0.2):
            yield from self.call(self._one("tool.list", "drv.list", "sys.info"))

    def govern(self) -> Act:
        """Its children: their limits, their rights, and whether they live."""
        pid = self._child() if self._odds(0.9) else self._anybody()
        if pid is None:
            return
        act = self.chance.random()
        if act < 0.35:
            signal = self._one("TERM", "KILL", "STOP", "STOP", "CONT", "CONT", "INT")
            yield from self.call("proc.kill", pid=pid, signal=signal, tree=self._odds(0.3))
            if signal == "STOP" and self._odds(0.5):
                yield from self.call("proc.kill", pid=pid, signal="CONT")
        elif act < 0.5:
            limits = self._one({"tokens": 200}, {"turns": 3}, {"children": 1}, {"money": 0.001})
            yield from self.call("proc.limits", pid=pid, limits=limits)
        elif act < 0.6:
            yield from self.call("proc.nice", pid=pid, priority=self.chance.randint(-5, 10))
        elif act < 0.75:
            yield from self.call("cap.grant", pid=pid, allow=[self.chance.choice(GLOBS)])
        elif act < 0.85:
            yield from self.call("cap.revoke", pid=pid, deny=[self.chance.choice(GLOBS)])
        else:
            yield from self.decide()

    def decide(self) -> Act:
        """What its descendants ask for."""
        found = yield from self.call("cap.list")
        for one in found.body["approvals"][:3] if found.ok else ():
            approve = self._odds(0.7)
            args = {"always": approve and self._odds(0.3)}
            if self._odds(0.3):
                args["reason"] = self.words()
            if self._odds(0.5):
                args["hash"] = one["hash"]
            yield from self.call("cap.decide", approval=one["id"], approve=approve, **args)

    def ask(self) -> Act:
        yield from self.call(
            "cap.request", capability=self._one("tool:shell", "mem:diary:w", "proc:spawn"),
            reason=self.words(), timeout=self._one(3.0, 30.0),
        )  # fmt: skip


GLOBS = (
    "tool:shell", "tool:shell(rm *", "tool:*", "mem:notes:rw", "mem:*", "fs:/share:rw",
    "proc:spawn", "ipc:topic/news:r", "ipc:*", "llm:m@cloud", "llm:small", "cap:decide",
)  # fmt: skip

ACTS: dict[Callable[[Voice], Act], int] = {
    Voice.remember: 6, Voice.file: 5, Voice.write: 5, Voice.read_mail: 5, Voice.publish: 3,
    Voice.follow: 3, Voice.think: 10, Voice.embed: 2, Voice.use: 5, Voice.note: 4, Voice.recall: 3,
    Voice.breed: 4, Voice.look: 4, Voice.govern: 4, Voice.ask: 1,
}  # fmt: skip
"""What there is to do, and how often it is done."""


def act(voice: Voice) -> Act:
    """Any of them."""
    acts, weights = zip(*ACTS.items(), strict=True)
    yield from voice.chance.choices(acts, weights)[0](voice)
