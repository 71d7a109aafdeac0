"""Family: lanes of the user that make processes, end them, and give and take their rights.

It knows nothing about kernels that die: the caller sees to repeats.
"""

from __future__ import annotations

import random

from tests.campaigns.belief import Belief, same
from tests.campaigns.lanes import Lane, agent
from tests.campaigns.system import Broken


def parent(belief: Belief, chance: random.Random, name: str) -> Lane:
    """Children by name: no name is used for two."""
    living: dict[str, int] = {}
    dead: dict[str, int] = {}
    number = 0
    while not belief.ending:
        number += 1
        act = chance.random()
        if act < 0.5 and len(living) < 30:
            child = f"{name}-{number}"
            if living and chance.random() < 0.3:
                args = {"pid": chance.choice(list(living.values())), "name": child}
                made = yield from belief.ok("proc.fork", **args)
            else:
                made = yield from belief.ok("proc.spawn", manifest=agent(child), text=child)
            same("name", child, made["name"])
            living[child] = made["pid"]
        elif act < 0.8 and living:
            child, pid = chance.choice(list(living.items()))
            told = yield from belief.ok("proc.kill", pid=pid, signal="KILL")
            same("signalled", [pid], told["signalled"])
            del living[child]
            dead[child] = pid
            if chance.random() < 0.8:
                record = yield from belief.ok("proc.wait", pid=pid)
                same("end", (pid, child, 137), (record["pid"], record["name"], record["code"]))
        elif living:
            child, pid = chance.choice(list(living.items()))
            told = yield from belief.ok("proc.info", pid=pid)
            same("state", ("NEW", child), (told["process"]["state"], told["process"]["name"]))
    found = yield from belief.ok("proc.list", history=10_000)
    mine = [p for p in found["processes"] if p["name"].startswith(f"{name}-")]
    same("children", {**living, **dead}, {p["name"]: p["pid"] for p in mine})
    same("each once", len(living) + len(dead), len(mine))
    same("living", sorted(living.values()), [p["pid"] for p in mine if p["exit"] is None])


def granter(belief: Belief, chance: random.Random, name: str) -> Lane:
    """One child; its rights are given and taken one at a time."""
    made = yield from belief.ok("proc.spawn", manifest=agent(name))
    pid, number = made["pid"], 0
    told = yield from belief.ok("cap.list", pid=pid)
    allow, deny = told["rules"][0]["allow"], told["rules"][0]["deny"]
    while not belief.ending:
        number += 1
        glob = f"mem:{name}-{number}:r"
        if len(allow) > 150 or len(deny) > 150:
            told = yield from belief.ok("cap.list", pid=pid)
            rules = told["rules"][0]
        elif chance.random() < 0.6:
            allow.append(glob)
            told = yield from belief.ok("cap.grant", pid=pid, allow=[glob])
            rules = told["rules"]
        else:
            deny.append(glob)
            told = yield from belief.ok("cap.revoke", pid=pid, deny=[glob])
            rules = told["rules"]
        same("allowed", allow, rules["allow"])
        same("denied", deny, rules["deny"])
    told = yield from belief.ok("cap.list", pid=pid)
    same("allowed", allow, told["rules"][0]["allow"])
    same("denied", deny, told["rules"][0]["deny"])


def limits(belief: Belief, chance: random.Random, pid: int) -> Lane:
    """A limit that is lowered one by one never comes back."""
    most = 1_000_000
    while not belief.ending:
        if chance.random() < 0.5:
            most -= 1
            told = yield from belief.ok("proc.limits", pid=pid, limits={"tool_calls": most})
        else:
            told = yield from belief.ok("proc.limits", pid=pid)
        if most < 1_000_000:
            same("limit", most, told["limits"]["tool_calls"])
    refused = yield from belief.call("proc.limits", pid=pid, limits={"tool_calls": most + 5})
    if refused.ok:
        raise Broken(f"a limit was raised: {refused.body}")
