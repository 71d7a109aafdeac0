"""A trace: what went into each turn of the kernel and what came of it, in lines that people read.

The same seed gives the same lines. It knows nothing about what they mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kernel.effects import FromClient, FromDriver, Input

if TYPE_CHECKING:
    from tests.sim.server import Turn

_LONGEST = 160


def told(turn: Turn, fate: str) -> Iterator[str]:
    yield f"turn {turn.number} at {turn.now:.6f}, the kernel {fate}"
    for one in turn.inputs:
        yield f"  <- {_input(one)}"
    for event in turn.effects.events:
        yield f"     {event['seq']} {event['type']} {event['pid']} {_short(event['data'])}"
    for peer, message, _ in turn.replies:
        yield f"  -> {peer.decode()} {message.kind} {message.id} {_short(message.body)}"
    for peer, kind, body, _ in turn.commands:
        yield f"  -> {peer.decode()} {kind} {_short(body)}"


def _input(one: Input) -> str:
    peer = getattr(one, "peer", b"").decode()
    if isinstance(one, FromClient):
        return f"{peer} {one.message.id} {one.message.name} {_short(one.message.body)}"
    if isinstance(one, FromDriver):
        return f"{peer} {one.message.kind} {_short(one.message.body)}"
    return f"{type(one).__name__} {peer}"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
