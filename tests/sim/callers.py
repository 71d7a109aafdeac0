"""Callers: connections of clients, and the calls that are made on them, one after the other in
each of many lanes.

As a real client does, a caller repeats what was not answered when its connection is back; beside
that it now and then asks again for what it was told before. It knows nothing about what the calls
mean.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from llmagentos.abi.syscalls import TABLE
from llmagentos.abi.wire import Message
from tests.sim.violation import must

if TYPE_CHECKING:
    from tests.sim.world import World


class Call(NamedTuple):
    """``patience``: seconds after which its caller doesn't want it any more."""

    name: str
    args: dict[str, Any] = {}  # noqa: RUF012 - nobody writes into it
    buffers: tuple[bytes, ...] = ()
    patience: float | None = None


class Pause(NamedTuple):
    seconds: float


class Reply(NamedTuple):
    """``body``: the result, or the error."""

    ok: bool
    body: dict[str, Any]
    buffers: tuple[bytes, ...] = ()

    @property
    def code(self) -> str:
        return "" if self.ok else str(self.body["code"])


Script = Generator[Call | Pause, Reply | None, None]

ABANDONED = Reply(False, {"code": "ABANDONED", "message": "nobody waits for it any more"})


@dataclass(slots=True, eq=False)
class Sent:
    """A call that was made, in the name of ``pid``; and what the witness notes of it."""

    id: int
    pid: int
    name: str
    args: dict[str, Any]
    message: Message
    peer: bytes
    applied: int = 0
    """In which turn the kernel first heard of it."""
    forbidden: str = ""
    """Why it must be refused, as things were then."""
    asks: str = ""
    """For what it needs an approval."""
    answered: int = 0
    """In which turn it was first answered."""
    told: Message | None = None
    """The first answer."""

    @property
    def ok(self) -> bool:
        return self.told is not None and bool(self.told.body["ok"])


@dataclass(slots=True, eq=False)
class Lane:
    """``ended`` is called when the script is over."""

    script: Script
    pid: int
    session: str
    ended: Callable[[], None] | None = None
    over: bool = False


@dataclass(slots=True, eq=False)
class _Open:
    sent: Sent
    lane: Lane
    breaks: int
    heard: dict[int, str] = field(default_factory=dict)
    """What was streamed, by burst."""
    restarts: dict[int, int] = field(default_factory=dict)
    """How often each was begun anew."""


class Caller:
    def __init__(self, world: World, peer: bytes) -> None:
        self.world, self.peer = world, peer
        self.lanes: list[Lane] = []
        self._open: dict[int, _Open] = {}
        self._told: list[Sent] = []
        self._made: set[int] = set()
        self._breaks = 0
        self.link = world.network.link("clients", peer, self)

    @property
    def waiting(self) -> list[Sent]:
        """The calls that are not answered yet."""
        return [one.sent for one in self._open.values()]

    # -- lanes -------------------------------------------------------------------------------

    def run(self, script: Script, pid: int, session: str) -> Lane:
        lane = Lane(script, pid, session)
        self.begin(lane)
        return lane

    def begin(self, lane: Lane) -> None:
        self.lanes.append(lane)
        self._go_on(lane, None)

    def stop(self, lane: Lane) -> None:
        """Whatever it was about."""
        lane.over = True
        if lane in self.lanes:
            self.lanes.remove(lane)
        self._open = {id: one for id, one in self._open.items() if one.lane is not lane}

    def _go_on(self, lane: Lane, reply: Reply | None) -> None:
        if lane.over:
            return
        try:
            step = next(lane.script) if reply is None else lane.script.send(reply)
        except StopIteration:
            self.stop(lane)
            if lane.ended is not None:
                lane.ended()
            return
        if isinstance(step, Pause):
            self.world.agenda.after(step.seconds, lambda: self._go_on(lane, None))
        else:
            self._call(lane, step)

    def _call(self, lane: Lane, call: Call) -> None:
        id = self.world.number()
        message = Message("call", id, call.name, lane.session, call.args, call.buffers)
        sent = Sent(id, lane.pid, call.name, call.args, message, self.peer)
        self.world.calls[id] = sent
        self._made.add(id)
        self._open[id] = _Open(sent, lane, self._breaks)
        self._send(sent)
        if self.world.chance.random() < 0.02:
            self._send(sent)
        self._ask_again(0.02)
        if call.patience is not None:
            self.world.agenda.after(call.patience, lambda: self._abandon(id))

    def _abandon(self, id: int) -> None:
        one = self._open.pop(id, None)
        if one is None or one.lane.over:
            return
        if one.sent.name == "llm.generate":
            number = self.world.number()
            message = Message("call", number, "llm.cancel", one.lane.session, {"call": id})
            cancel = Sent(number, one.sent.pid, "llm.cancel", {"call": id}, message, self.peer)
            self.world.calls[number] = cancel
            self._made.add(number)
            self._send(cancel)
        self._go_on(one.lane, ABANDONED)

    # -- the link ----------------------------------------------------------------------------

    def _send(self, sent: Sent) -> None:
        self.link.send(sent.message)

    def up(self) -> None:
        """The connection stands: say again what was not answered, oldest first."""
        self._breaks += 1
        for id in sorted(self._open):
            self._send(self._open[id].sent)
        self._ask_again(0.5)

    def _ask_again(self, odds: float) -> None:
        """For what it was told before; it must be told the same."""
        if self._told and self.world.chance.random() < odds:
            self._send(self.world.chance.choice(self._told[-20:]))

    def hear(self, item: Message) -> None:
        must(
            item.id in self._made, "{!r} hears of call {}, which is not its own", self.peer, item.id
        )
        one = self._open.get(item.id)
        if one is None:
            return
        if item.kind == "stream":
            self._piece(one, item.body)
            return
        del self._open[item.id]
        if item.body["ok"]:
            if TABLE[one.sent.name].writes:
                self._told.append(one.sent)
            if one.sent.name == "llm.generate":
                self._check_stream(one, item.body["result"]["text"])
            reply = Reply(True, item.body["result"], item.buffers)
        else:
            reply = Reply(False, item.body["error"])
            if one.sent.name == "tool.call" and reply.code in ("EDRIVER", "ETIMEOUT"):
                self._told.append(one.sent)
        self._go_on(one.lane, reply)

    def _piece(self, one: _Open, body: dict[str, Any]) -> None:
        """As docs/wire.md says: of a piece, what is new."""
        burst, offset, text = body["burst"], body["offset"], body["text"]
        if body["restarts"] > one.restarts.get(burst, 0):
            one.restarts[burst], one.heard[burst] = body["restarts"], ""
        known = one.heard.get(burst, "")
        if offset > len(known):
            must(one.breaks != self._breaks, "a hole in the stream of call {}", one.sent.id)
            return
        again = known[offset : offset + len(text)]
        if text.startswith(again):
            one.heard[burst] = known + text[len(again) :]
            return
        # What was made again from another context may come out differently.
        anew = one.sent.name == "proc.wait" or one.breaks != self._breaks
        must(anew, "call {} streams {!r} at {}, and {!r} before", one.sent.id, text, offset, known)
        one.heard[burst] = known[:offset] + text

    def _check_stream(self, one: _Open, text: str) -> None:
        heard = next(iter(one.heard.values()), "")
        whole = heard == text or not one.sent.args.get("stream") or one.breaks != self._breaks
        must(whole, "call {} streamed {!r}, and is {!r}", one.sent.id, heard, text)

    def close(self) -> None:
        """The client's process ends."""
        for lane in list(self.lanes):
            self.stop(lane)
        self.link.close()
