"""Drivers of tools: each call has its effect once, and they remember which.

It knows nothing about who calls, but for the key that is the same when a call is made again.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from llmagentos.abi.jobs import ToolOrder
from tests.sim.violation import must
from tests.sim.workers import Worker


class Tools(Worker):
    """``labels``: which the results of each tool have."""

    def __init__(self, world: Any, name: str, card: dict[str, Any]) -> None:
        self._jobs: dict[int, ToolOrder] = {}
        self._labels = {tool["name"]: tool.get("labels", []) for tool in card["tools"]}
        super().__init__(world, name, card)

    def forget(self) -> None:
        self._jobs.clear()

    def obey(self, kind: str, body: Any) -> None:
        if kind == "abort":
            self._jobs.pop(body.job, None)
            return
        must(kind == "call", "driver {} is told to {}", self.name, kind)
        must(body.tool in self._labels, "{} has no tool {}", self.name, body.tool)
        self._jobs[body.job] = body
        must(len(self._jobs) <= self.card["slots"], "{} has {} jobs", self.name, len(self._jobs))
        self.world.effects[body.arguments["text"]].append(body.key)
        self._later(self.world.chance.choice((0.05, 0.5, 3.0)), lambda: self._done(body))

    def _done(self, order: ToolOrder) -> None:
        if self._jobs.get(order.job) is not order:
            return
        if not self.awake:
            self._later(1.0, lambda: self._done(order))
            return
        del self._jobs[order.job]
        chance, markers = self.world.chance, self.world.markers
        labels = list(self._labels[order.tool])
        said = f"done {order.arguments['text']}"
        if labels or chance.random() < 0.1:
            label = labels[0] if labels else "team"
            said += f" {markers.labelled(label)}"
            labels = labels or [label]
        body: dict[str, Any] = {"job": order.job, "content": {"said": said}, "labels": labels}
        if chance.random() < self.world.rudeness / 5:
            body |= {"error": {"code": "EINVAL", "message": "no"}}
            del body["content"]
        self.say("result", body)
        if chance.random() < self.world.rudeness / 5:
            self.say("result", body)


Effects = defaultdict[str, list[str]]
"""The keys of the calls that had an effect, by what they were told."""
