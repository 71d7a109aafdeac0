"""Agents: what the loop of one does, whichever host runs it.

All that it needs is in the kernel: it reads its context, acts, thinks, and exits with what it came
to. It knows nothing about hosts or signals.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.sim.callers import Call, Pause, Reply, Script
from tests.sim.voices import Voice, act

if TYPE_CHECKING:
    from tests.sim.world import World

_LOST = ("EAUTH", "ESRCH")
"""Its process has ended, or is somebody else's now."""

INTERRUPTED = 130


def live(world: World, pid: int) -> Script:
    voice, chance = Voice(world, pid), world.chance
    reply = yield Call("ctx.read")
    if _lost(reply):
        return
    for _ in range(chance.randint(1, 10)):
        if world.ending:
            break
        yield from act(voice)
        if voice.last.code == "EAUTH":
            return
        if voice.last.code == "ECANCELED":
            yield Pause(0.2)
            yield from leave(INTERRUPTED)
            return
        if chance.random() < 0.5:
            yield Pause(chance.choice((0.1, 0.5, 2.0)))
    if not world.ending or chance.random() < 0.5:
        reply = yield Call("llm.generate")
        if _lost(reply):
            return
    failed = chance.random() < 0.25
    answer = voice.words() if chance.random() < 0.8 else ""
    error = {"code": "EFAILED", "message": voice.words()} if failed else None
    yield Call(
        "proc.exit", {"code": int(failed), "answer": answer, **({"error": error} if error else {})}
    )


def leave(code: int) -> Script:
    """It was asked to end, and does."""
    yield Call("proc.exit", {"code": code})


def _lost(reply: Reply | None) -> bool:
    return reply is not None and reply.code in _LOST
