"""Manifests: what the agents of the simulation are told to be, by chance.

Limits are small, so that each binds now and then. It knows nothing about who is spawned.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.sim.world import World

_LIMITS: dict[str, tuple[Any, ...]] = {
    "tokens": (100, 500), "tokens_per_minute": (80, 300), "money": (0.0003, 0.001, 0.003),
    "turns": (1, 4), "tool_calls": (1, 3), "kv_bytes": (400, 3000), "wall": (8.0, 60.0),
    "children": (0, 2), "memory_rows": (1, 3), "memory_bytes": (100, 600),
    "storage_bytes": (50, 800), "mailbox": (1, 2), "context_tokens": (20, 100),
}  # fmt: skip

_ALLOWED = (
    "proc:spawn", "tool:echo", "tool:shell", "tool:vault", "tool:web", "mem:notes:rw",
    "mem:diary:r", "fs:/share:rw", "ipc:*", "llm:*", "cap:decide",
)  # fmt: skip
_ASKED = ("tool:shell(rm *", "mem:notes:w", "fs:/share:w", "llm:big", "proc:spawn")
_DENIED = ("tool:shell(rm *", "tool:web", "ipc:topic/gossip:w", "mem:diary:*", "llm:m@cloud")


def limits(chance: random.Random) -> dict[str, Any]:
    names = chance.sample(sorted(_LIMITS), chance.choice((0, 0, 1, 2, 4)))
    return {name: chance.choice(_LIMITS[name]) for name in names}


def capabilities(chance: random.Random) -> dict[str, list[str]]:
    allow = ["*"] if chance.random() < 0.5 else chance.sample(_ALLOWED, chance.randint(5, 11))
    ask = chance.sample(_ASKED, chance.choice((0, 0, 1, 2)))
    deny = chance.sample(_DENIED, chance.choice((0, 0, 1)))
    return {"allow": allow, "ask": ask, "deny": deny}


def manifest(world: World, prompt: str) -> dict[str, Any]:
    chance = world.chance
    spec: dict[str, Any] = {
        "model": chance.choice(("m", "m", "m", "small", ["big", "m"], ["m", "small"])),
        "prompt": prompt,
        "capabilities": capabilities(chance),
        "limits": limits(chance),
        "sampling": {"max_tokens": chance.choice((5, 12, 40))},
    }
    if chance.random() < 0.25:
        spec["labels"] = [chance.choice(("private", "team"))]
    if chance.random() < 0.3:
        spec["restart"] = {
            "strategy": chance.choice(("on-failure", "always")),
            "intensity": chance.randint(0, 2), "period": chance.choice((5.0, 30.0)),
        }  # fmt: skip
    if chance.random() < 0.3:
        spec["placement"] = dict(
            chance.choice(({"allow": ["edge"]}, {"allow": ["edge", "cloud"], "prefer": "cloud"}))
        )
    if chance.random() < 0.4:
        rule = spec.setdefault("placement", {})
        rule["failover"] = chance.choice(("restart", "fail"))
        rule["patience"] = chance.choice((0, 3.0, 30.0))
    if chance.random() < 0.4:
        spec["schedule"] = {
            "priority": chance.randint(-5, 5), "weight": chance.choice((0.5, 1.0, 3.0)),
            "deadline": chance.choice((None, 5.0, 60.0)),
        }  # fmt: skip
    if chance.random() < 0.3:
        spec["tools"] = ["echo", "shell"]
    return {
        "apiVersion": "llmagentos/v1", "kind": "Agent", "metadata": {"name": "agent"}, "spec": spec,
    }  # fmt: skip
