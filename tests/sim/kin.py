"""Kin: what a process does to its children, asks of others for itself, and looks at.

Each is an act of a voice, and ends early when it is refused. It knows nothing about what must come
of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.sim.manifests import manifest

if TYPE_CHECKING:
    from tests.sim.voices import Act, Voice

GLOBS = (
    "tool:shell", "tool:shell(rm *", "tool:*", "mem:notes:rw", "mem:*", "fs:/share:rw",
    "proc:spawn", "ipc:topic/news:r", "ipc:*", "llm:m@cloud", "llm:small", "cap:decide",
)  # fmt: skip


def breed(voice: Voice) -> Act:
    name, known = f"n{voice.world.number()}", voice.world.witness.lives.known
    if sum(one.alive for one in known.values()) > 22:
        return
    whose = {}
    if not voice.agent or voice.odds(0.3):
        whose = {"pid": child} if (child := voice.child()) else {}
    if voice.odds(0.3) and (voice.agent or whose):
        text = {"text": voice.words()} if voice.odds(0.7) else {}
        made = yield from voice.call("proc.fork", **whose, **text, name=name)
    else:
        made = yield from voice.call(
            "proc.spawn", manifest=manifest(voice.world, voice.words()), name=name,
            text=voice.words(),
        )  # fmt: skip
    if made.ok and voice.odds(0.5):
        patience = voice.one(5.0, 60.0)
        stream, reap = voice.odds(0.5), voice.odds(0.7)
        yield from voice.call(
            "proc.wait", pid=made.body["pid"], stream=stream, reap=reap, patience=patience
        )


def look(voice: Voice) -> Act:
    pid = voice.child() or voice.anybody()
    collected = voice.world.witness.lives.collected[voice.pid]
    if collected and voice.odds(0.4):
        pid = collected[-1]
    name = voice.one(*["proc.info"] * 4, "ctx.read", "cap.list", "proc.wait", "proc.list")
    if name == "proc.list":
        yield from voice.call("proc.list", tree=voice.pid)
    elif name == "proc.wait":
        yield from voice.call("proc.wait", pid=pid, timeout=1.0, reap=voice.odds(0.5))
    else:
        yield from voice.call(name, pid=voice.one(pid, voice.pid))
    if voice.odds(0.2):
        yield from voice.call(voice.one("tool.list", "drv.list", "sys.info"))


def govern(voice: Voice) -> Act:
    """Its children: their limits, their rights, and whether they live."""
    pid = voice.child() if voice.odds(0.9) else voice.anybody()
    if pid is None:
        return
    act = voice.chance.random()
    if act < 0.35:
        signal = voice.one("TERM", "KILL", "STOP", "STOP", "CONT", "CONT", "INT")
        yield from voice.call("proc.kill", pid=pid, signal=signal, tree=voice.odds(0.3))
        if signal == "STOP" and voice.odds(0.5):
            yield from voice.call("proc.kill", pid=pid, signal="CONT")
    elif act < 0.5:
        limits = voice.one({"tokens": 200}, {"turns": 3}, {"children": 1}, {"money": 0.001})
        yield from voice.call("proc.limits", pid=pid, limits=limits)
    elif act < 0.6:
        yield from voice.call("proc.nice", pid=pid, priority=voice.chance.randint(-5, 10))
    elif act < 0.75:
        yield from voice.call("cap.grant", pid=pid, allow=[voice.chance.choice(GLOBS)])
    elif act < 0.85:
        yield from voice.call("cap.revoke", pid=pid, deny=[voice.chance.choice(GLOBS)])
    else:
        yield from decide(voice)


def decide(voice: Voice) -> Act:
    """What its descendants ask for."""
    found = yield from voice.call("cap.list")
    for one in found.body["approvals"][:3] if found.ok else ():
        approve = voice.odds(0.7)
        args = {"always": approve and voice.odds(0.3)}
        if voice.odds(0.3):
            args["reason"] = voice.words()
        if voice.odds(0.5):
            args["hash"] = one["hash"]
        yield from voice.call("cap.decide", approval=one["id"], approve=approve, **args)


def ask(voice: Voice) -> Act:
    yield from voice.call(
        "cap.request", capability=voice.one("tool:shell", "mem:diary:w", "proc:spawn"),
        reason=voice.words(), timeout=voice.one(3.0, 30.0),
    )  # fmt: skip
