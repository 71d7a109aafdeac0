"""Voices: what a process can do by syscalls, one small act at a time.

Programs and agents speak through them, and what they say is new each time. Each act ends early when
it is refused. It knows nothing about what must come of it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from llmagentos.abi.process import INIT
from tests.sim import kin
from tests.sim.callers import Call, Reply

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
    def agent(self) -> bool:
        known = self.world.witness.lives.known.get(self.pid)
        return known is not None and known.kind == "agent"

    def one(self, *choices: Any) -> Any:
        return self.chance.choice(choices)

    def odds(self, odds: float) -> bool:
        return self.chance.random() < odds

    def child(self) -> int | None:
        family = self.world.witness.lives.family(self.pid)
        return self.chance.choice(family) if family else None

    def anybody(self) -> int:
        return self.chance.choice(list(self.world.witness.lives.known))

    def _whose(self) -> dict[str, int]:
        """Mostly its own, sometimes a descendant's, rarely somebody's."""
        draw = self.chance.random()
        pid = self.child() if draw < 0.15 else self.anybody() if draw < 0.2 else None
        return {} if pid is None else {"pid": pid}

    # -- memory and files --------------------------------------------------------------------

    def remember(self) -> Act:
        space = self.one("self", "self", "notes", "diary")
        key = f"{self.number}.{self.chance.randrange(3)}"
        whose = self._whose() if space == "self" else {}
        place = {"space": space, **whose}
        act = self.chance.random() if space in self._put or self.odds(0.1) else 0.0
        if act < 0.45:
            args: dict[str, Any] = {"key": key, "value": {"text": self.words()}}
            if space == "self" and not whose and self.odds(0.2):
                label = self.one("private", "team")
                args["value"] = {"text": f"{args['value']['text'].split()[0]} "
                                 + self.world.markers.labelled(label)}  # fmt: skip
                args["labels"] = [label]
            if self.odds(0.15):
                args["ttl"] = self.one(1.0, 20.0)
            made = yield from self.call("mem.put", **place, **args)
            self._put[space] = args["value"]["text"].split()[0]
            if made.ok and self.odds(0.4):
                yield from self.call("mem.get", **place, key=key)
        elif act < 0.6:
            yield from self.call("mem.get", **place, key=key)
        elif act < 0.7:
            yield from self.call("mem.delete", **place, key=key)
        elif act < 0.85:
            query = self._put.get(space, "nothing")
            yield from self.call("mem.search", **place, query=query, limit=100)
        else:
            prefix = self.one("", f"{self.number}.")
            yield from self.call("mem.list", **place, prefix=prefix, limit=1000)

    def file(self) -> Act:
        mount = self.one("self", "self", "share")
        path = f"/{mount}/{self.number}/f{self.chance.randrange(2)}"
        place: dict[str, Any] = {"path": path, **(self._whose() if mount == "self" else {})}
        act = self.chance.random() if path in self._written or self.odds(0.1) else 0.0
        if act < 0.35:
            self._written.add(path)
            text = f"{self.words()} {'x' * self.one(0, 30, 300)}"
            if mount == "self" and self.odds(0.5):
                made = yield from self.call("fs.write", text.encode(), **place)
            else:
                made = yield from self.call("fs.write", **place, text=text)
            if made.ok and self.odds(0.5):
                name = self.one("fs.read", "fs.delete", "fs.history")
                yield from self.call(name, **place)
        elif act < 0.6:
            yield from self.call("fs.read", **place)
        elif act < 0.7:
            yield from self.call("fs.delete", **place)
        elif act < 0.8:
            yield from self.call("fs.restore", **place, version=self.one(1, 2, 3))
        elif act < 0.9:
            yield from self.call("fs.history", **place, limit=1000)
        else:
            yield from self.call("fs.list", path=f"/{mount}", recursive=self.odds(0.5))

    # -- letters and topics ------------------------------------------------------------------

    def write(self) -> Act:
        wait = {"wait": self.one(0.5, 5.0)} if self.odds(0.4) else {}
        pid = self.child() or self.anybody()
        if self.odds(0.3):
            pid = self.anybody()
        yield from self.call("ipc.send", pid=pid, body={"text": self.words()}, **wait)

    def read_mail(self) -> Act:
        block = self.one({"block": False}, {"timeout": 2.0}, {"timeout": 8.0})
        yield from self.call("ipc.recv", limit=self.one(1, 3, 100), **block)

    def publish(self) -> Act:
        topic = self.one("news", "gossip")
        yield from self.call("ipc.publish", topic=topic, body={"text": self.words()})

    def follow(self) -> Act:
        topic = self.one("news", "gossip")
        since = self._since.get(topic, 0)
        block = self.one({"block": False}, {"timeout": 3.0})
        reply = yield from self.call(
            "ipc.subscribe", topic=topic, since=since, limit=self.one(1, 50), **block
        )
        if reply.ok:
            self._since[topic] = reply.body["next"]

    # -- models and tools --------------------------------------------------------------------

    def think(self) -> Act:
        """Its context, with or without something new, or only what it says now."""
        said = [{"role": "user", "content": self.words()}]
        args: dict[str, Any] = {"messages": said}
        if self.odds(0.6):
            args = {} if self.agent and self.odds(0.5) else {"messages": said, "append": True}
        if self.odds(0.5):
            args["stream"] = True
        if self.odds(0.5):
            args["sampling"] = {"max_tokens": self.one(1, 5, 40)}
        if self.odds(0.1):
            args["model"] = self.one("small", ["big", "m"], "nothing")
        patience = self.one(3.0, 8.0) if self.odds(0.1) else None
        yield from self.call("llm.generate", patience=patience, **args)

    def embed(self) -> Act:
        texts = [self.words() for _ in range(self.one(1, 3))]
        model = {"model": "vec"} if self.odds(0.5) else {}
        yield from self.call("llm.embed", texts=texts, **model)

    def use(self) -> Act:
        text = self.one("", "", "ls ", "rm ") + self.words()
        args: dict[str, Any] = {"name": self.one("echo", "shell", "vault", "web")}
        if self.odds(0.3):
            args["timeout"] = self.one(0.5, 2.0)
        yield from self.call("tool.call", **args, arguments={"text": text})

    # -- its context -------------------------------------------------------------------------

    def note(self) -> Act:
        roles = self.chance.choices(("user", "tool"), k=self.one(1, 2))
        messages = [{"role": role, "content": self.words()} for role in roles]
        yield from self.call("ctx.append", **self._whose(), messages=messages)

    def recall(self) -> Act:
        """Back to where it was, or a summary of how it came there."""
        whose = self._whose() if self.odds(0.3) else {}
        reply = yield from self.call("ctx.read", **whose)
        ids = [one["id"] for one in reply.body["messages"]] if reply.ok else []
        act = self.chance.random()
        if len(ids) < 3 or act < 0.3:
            return
        if act < 0.5:
            mark = yield from self.call("ctx.checkpoint", **whose)
            yield from self.note()
            if mark.ok and self.odds(0.7):
                yield from self.call("ctx.restore", **whose, checkpoint=mark.body["checkpoint"])
        elif act < 0.7:
            yield from self.call("ctx.rewind", **whose, message=self.chance.choice(ids))
        else:
            yield from self.call("ctx.compact", **whose, keep=self.one(0, 1), summary=self.words())


ACTS: dict[Callable[[Voice], Act], int] = {
    Voice.remember: 6, Voice.file: 5, Voice.write: 5, Voice.read_mail: 5, Voice.publish: 3,
    Voice.follow: 3, Voice.think: 10, Voice.embed: 2, Voice.use: 5, Voice.note: 4, Voice.recall: 3,
    kin.breed: 4, kin.look: 4, kin.govern: 4, kin.ask: 1,
}  # fmt: skip
"""What there is to do, and how often it is done."""


def act(voice: Voice) -> Act:
    """Any of them."""
    acts, weights = zip(*ACTS.items(), strict=True)
    yield from voice.chance.choices(acts, weights)[0](voice)
