"""The drivers of the world: each says again every marker that it is told, in all that it answers.

So whatever went in comes out, through answers, summaries and results, as with a model that repeats
its prompt. Some are cleared for a label, some are not, and one claims to be but is elsewhere. A
driver answers in parts, and may die between them, or come back with another card. It knows nothing
about who may be told what.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from kernel.effects import DriverGone, FromDriver
from llmagentos.abi.wire import Message
from tests.interference.markers import PRIVATE, TEAM, found, labels_of, token
from tests.interference.program import Dice
from tests.kernel.rig import MODEL, SERVICE

if TYPE_CHECKING:
    from tests.interference.world import World

HOST: Final = "host"

_MODELS: Final = [
    {"name": MODEL, "context_length": 2048},
    {
        "name": "vec", "context_length": 2048, "embeds": True,
        "price": {"prompt": 0.0, "completion": 0.0},
    },
]  # fmt: skip
_PLENTY: Final = ["preempt", "resume_tokens", "count", "fork", "snapshot", "embed"]
_TOOLS: Final = [{"name": "echo"}, {"name": "asked"}]

CARDS: Final[dict[str, dict[str, Any]]] = {
    "edge": {"kind": "edge", "features": _PLENTY, "labels": [PRIVATE, TEAM], "slots": 1},
    "spare": {"kind": "edge", "features": ["resume_tokens"], "labels": [PRIVATE], "slots": 1},
    "aide": {"kind": "edge", "features": ["embed"], "models": _MODELS[1:]},
    "lab": {"kind": "node", "features": _PLENTY, "labels": [PRIVATE, TEAM], "zone": "lab"},
    "cloud": {"kind": "cloud", "features": ["resume_tokens", "embed"], "zone": "internet"},
    "vault": {
        "kind": "tool", "labels": [PRIVATE, TEAM],
        "tools": [*_TOOLS, {"name": "diary", "labels": [PRIVATE]}],
    },
    "web": {"kind": "tool", "tools": [*_TOOLS, {"name": "search"}], "zone": "internet"},
    "guest": {"kind": "tool", "labels": [PRIVATE, TEAM], "tools": _TOOLS, "zone": "lab"},
}  # fmt: skip

_MOST: Final = 24
"""Words of one answer."""


@dataclass(slots=True)
class Work:
    """A burst or a job that is on a driver. ``said``: how many words of its answer are out."""

    kind: str
    order: Any
    said: int = 0
    counted: bool = False
    waits: bool = False


class Echo:
    """``work``: what it was given and has not finished, by number."""

    def __init__(self, world: World, name: str) -> None:
        self._world = world
        self._connections = count(1)
        self.name = name
        self.peer = b""
        self.work: dict[int, Work] = {}
        self.card: dict[str, Any] = {}
        self.register()

    @property
    def up(self) -> bool:
        return bool(self.peer)

    def register(self, **fields: Any) -> None:
        """Connect anew, with these fields of its card in place of its own."""
        if self.name == HOST:
            known: dict[str, Any] = {"kind": "host", "models": [], "slots": 64}
        else:
            known = CARDS[self.name]
        models = _MODELS if known["kind"] not in ("tool", "host") else []
        card = {"slots": 4, "labels": [], "zone": "device", "models": models, "state": "ready"}
        self.card = {"name": self.name, **card, **known, **fields}
        self.peer = f"{self.name}-{next(self._connections)}".encode()
        self.work.clear()
        self._world.connected(self)
        self.say("register", self.card)

    def die(self) -> None:
        """With work, it is refused first: it says what it was told where no such thing belongs."""
        for work in list(self.work.values())[:1]:
            self.say(" ".join(found(work.order.model_dump_json())) or "nonsense", {})
        peer, self.peer = self.peer, b""
        self.work.clear()
        self._world.put_in(DriverGone(peer))

    def say(self, kind: str, body: dict[str, Any]) -> None:
        self._world.put_in(FromDriver(self.peer, Message(kind, session=SERVICE, body=body)))

    # -- orders --------------------------------------------------------------------------------

    def hears(self, kind: str, body: Any) -> None:
        match kind:
            case "start":
                self.work[body.burst] = Work(kind, body, len(body.accepted))
            case "call" | "embed":
                self.work[body.job] = Work(kind, body)
            case "cancel" if self._has(body):
                del self.work[body.burst]
            case "preempt" | "resume" if self._has(body):
                self.work[body.burst].waits = kind == "preempt"
            case "abort":
                self.work.pop(body.job, None)

    def _has(self, ref: Any) -> bool:
        work = self.work.get(ref.burst)
        return work is not None and work.order.attempt == ref.attempt

    # -- answers -------------------------------------------------------------------------------

    def goes_on(self, number: int, dice: Dice) -> None:
        """With one piece of work: a part of its answer, the rest of it, or an error."""
        work = self.work[number]
        fails, some = dice.once_in(12), dice.once_in(3)
        if work.kind != "start":
            del self.work[number]
            self._result(work, dice, fails)
            return
        if work.order.hold and not work.counted:
            self._step(work, prompt_tokens=5)
            work.counted = True
            if number not in self.work:
                return
        words = [*found(work.order.model_dump_json()), "so", "it", "is"][:_MOST]
        rest = words[work.said :]
        told = rest[:1] if some and len(rest) > 1 else rest
        over = len(told) == len(rest)
        if over:
            del self.work[number]
        finish = "stop" if over else None
        prompt = None if work.counted else 5
        work.counted = True
        if fails and over:
            text = " ".join(words)
            error = {"code": "EDRIVER", "message": text, "hint": text, "detail": {"said": text}}
            self._step(work, prompt_tokens=prompt, finish="error", error=error)
            self._complain(words)
            return
        ids = [token(word, place) for place, word in enumerate(told)]
        text = "".join(f"{word} " for word in told)
        self._step(work, prompt_tokens=prompt, tokens=ids, text=text, finish=finish)
        work.said += len(told)

    def _step(self, work: Work, **fields: Any) -> None:
        step = {"burst": work.order.burst, "attempt": work.order.attempt, "index": work.said}
        self.say("report", {"steps": [{**step, **fields}]})

    def _complain(self, told: list[str]) -> None:
        """It says of itself what went wrong, and others look how it is before it is well again."""
        note = " ".join(told)[:500]
        self.say("beat", {"state": "failed", "note": note})
        self._world.looked_at()
        self.say("beat", {"state": "ready", "note": note})

    def _result(self, work: Work, dice: Dice, fails: bool) -> None:
        order, told = work.order, found(work.order.model_dump_json())
        labels: list[str] = []
        if work.kind == "call":
            if order.tool == "diary":
                told.append(self._world.markers.new(PRIVATE))
            if PRIVATE in self.card["labels"] and dice.once_in(4):
                told.append(self._world.markers.new(dice.pick((PRIVATE, TEAM))))
                labels = sorted(labels_of(told))
        body: dict[str, Any] = {"job": order.job, "labels": labels}
        if fails:
            body["error"] = {"code": "EDRIVER", "message": " ".join(told)}
            self._complain(told)
        elif work.kind == "call":
            body["content"] = {"said": told}
        else:
            body["vectors"], body["tokens"] = [[0.5]] * len(order.texts), 1
        self.say("result", body)
