"""Guests: the drivers and hosts of a fuzzed machine, which mostly do what they are told, sometimes
wrongly, and sometimes never.

They make what they say from a seed. They know nothing about who made the calls.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from tests.campaigns.grammar import DRIVERS, Pools
from tests.kernel.rig import SERVICE

Announce = Callable[[bytes, str, dict[str, Any], str], None]
"""Peer, kind, body, key."""

_PRICE = {"prompt": 1000.0, "completion": 2000.0}
_MODELS = [
    {"name": "m", "context_length": 500, "price": _PRICE, "kv_bytes_per_token": 10},
    {"name": "vectors", "context_length": 500, "price": _PRICE, "embeds": True},
]
_FEATURES = ["preempt", "resume_tokens", "count", "embed"]
_CARDS: dict[str, dict[str, Any]] = {
    "edge": {"kind": "edge", "models": _MODELS, "features": _FEATURES, "labels": ["private"]},
    "cloud": {"kind": "cloud", "models": _MODELS[:1], "features": []},
    "tools": {"kind": "tool", "tools": [{"name": "clock"}, {"name": "mail", "labels": ["secret"]}]},
    "host": {"kind": "host"},
}
NAMES = list(_CARDS)


class Guests:
    """By name: the connection of each that is there, and the orders that it has."""

    def __init__(self, announce: Announce) -> None:
        self._announce = announce
        self._arrivals = 0
        self.peers: dict[str, bytes] = {}
        self._bursts: dict[bytes, dict[int, tuple[Any, int]]] = {}
        """Of each: the order, and how many tokens it has made."""
        self._jobs: dict[bytes, dict[int, tuple[str, Any]]] = {}

    def arrive(self, name: str) -> None:
        """Register, perhaps for the second time; what it had is gone."""
        self._arrivals += 1
        peer = self.peers[name] = f"{name}-{self._arrivals}".encode()
        card = {"name": name, "slots": 3, "state": "ready", **_CARDS[name]}
        self._announce(peer, "register", card, SERVICE)

    def gone(self, name: str) -> bytes:
        peer = self.peers.pop(name)
        self._bursts.pop(peer, None)
        self._jobs.pop(peer, None)
        return peer

    def forget(self) -> None:
        """The kernel has died: it knows nobody any more."""
        for name in list(self.peers):
            self.gone(name)

    def ordered(self, peer: bytes, kind: str, body: Any) -> None:
        if kind == "start":
            self._bursts.setdefault(peer, {})[body.burst] = (body, len(body.accepted))
        elif kind == "cancel":
            self._bursts.get(peer, {}).pop(body.burst, None)
        elif kind in ("call", "embed"):
            self._jobs.setdefault(peer, {})[body.job] = (kind, body)
        elif kind == "abort":
            self._jobs.get(peer, {}).pop(body.job, None)

    # -- what they do ------------------------------------------------------------------------

    def work(self, chance: random.Random) -> None:
        """A step of something that was ordered."""
        bursts = [(peer, burst) for peer, some in self._bursts.items() for burst in some]
        jobs = [(peer, job) for peer, some in self._jobs.items() for job in some]
        if bursts and (not jobs or chance.random() < 0.6):
            peer, burst = chance.choice(bursts)
            order, made = self._bursts[peer][burst]
            step = _step(order, made, chance)
            self._bursts[peer][burst] = (order, made + len(step["tokens"]))
            if "finish" in step and chance.random() < 0.9:
                del self._bursts[peer][burst]
            self._announce(peer, "report", {"steps": [step]}, SERVICE)
        elif jobs:
            peer, job = chance.choice(jobs)
            kind, order = self._jobs[peer][job]
            if chance.random() < 0.9:
                del self._jobs[peer][job]
            self._announce(peer, "result", _result(kind, order, chance), SERVICE)

    def beat(self) -> None:
        for peer in self.peers.values():
            self._announce(peer, "beat", {"state": "ready"}, SERVICE)

    def babble(self, chance: random.Random, pools: Pools) -> None:
        """Anything of the protocol, by anybody."""
        kind = chance.choice([*DRIVERS, "welcome", ""])
        grammar = DRIVERS.get(kind, DRIVERS["beat"])
        make = grammar.wild if chance.random() < 0.6 else grammar.sound
        peer = chance.choice([*self.peers.values(), b"stranger"])
        self._announce(peer, kind, make(chance, pools), chance.choice([SERVICE, SERVICE, ""]))


def _step(order: Any, made: int, chance: random.Random) -> dict[str, Any]:
    words = ["a "] * chance.randrange(4)
    step: dict[str, Any] = {
        "burst": order.burst, "attempt": order.attempt, "index": made,
        "tokens": list(range(len(words))), "text": "".join(words),
    }  # fmt: skip
    if made == len(order.accepted):
        step["prompt_tokens"] = chance.choice([0, 3, 3, 3, 40, 5000])
    if chance.random() < 0.4:
        step["finish"] = chance.choice(["stop", "stop", "length", "error", "stop_string"])
    if step.get("finish") == "error":
        step["error"] = {"code": chance.choice(["EDRIVER", "ECONTEXT", "NONE"]), "message": "x"}
    if chance.random() < 0.1:
        step[chance.choice(["attempt", "index", "burst"])] += chance.choice([1, 1, 100])
    return step


def _result(kind: str, order: Any, chance: random.Random) -> dict[str, Any]:
    how = chance.random()
    made: dict[str, Any] = {"job": order.job + (how > 0.95)}
    if how < 0.15:
        return made | {"error": {"code": "EINVAL", "message": "x", "detail": {"a": 1}}}
    if kind == "embed":
        vectors = [[0.5, 1.0]] * (len(order.texts) + chance.choice([0, 0, 0, 0, 1]))
        return made | {"vectors": vectors, "tokens": chance.choice([1, 100])}
    made["content"] = chance.choice([None, "text", {"a": [1, 2]}, "x" * 50_000])
    made["labels"] = chance.choice([[], [], ["private"]])
    return made
