"""Clearance: who may be told what, worked out from the markers in what leaves the kernel.

What "not cleared" means, channel by channel:

- **A driver** (of a model, of tools, of vectors) is cleared for a label that its card names, and
  for ``private`` only if it is on the device as well. No command to it holds a marker of any other
  label, in its texts or among its tokens. What a ``start`` says of its labels must name those of
  its markers too, since drivers share KV among equals.
- **A process** is whoever makes calls with its session. A reply or a part of a stream to it may
  hold a marker if the process carries the label when the message leaves: reading labels the reader,
  and from then on it is everybody else's check that holds. So a process is never refused, but
  never told anything without its label either.
- **An agent host** is told of an agent (its manifest) if that agent carries the labels.
- **Who listens to events** is cleared for nothing: no event holds a marker.
- **The user** is cleared for everything, stays as he is, and what he says is his to say: he alone
  may declassify. Here he says labelled things only where he names the label. The audit log is
  shown to him only.

Names (of processes, models, tools, topics, spaces, mounts, and an error's code) are no content:
they stand in events and in everybody's process table. So no marker is ever part of one here. What a
driver says of itself in its beats is its own affair. Whether something is there, or how large it
is, is no content either: this is about bytes, not about hints.

It knows nothing about how anything came to where it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tests.interference.markers import PRIVATE, found, labels_of, spoken


class Leak(AssertionError):
    """Something was told to somebody who is not cleared for it."""


def check_command(card: Mapping[str, Any], kind: str, body: Mapping[str, Any], raw: bytes) -> None:
    """A command to a driver that is no host."""
    told = [*found(raw), *spoken(body.get("accepted", ()))]
    if not told:
        return
    labels = labels_of(told)
    hidden = labels - set(card["labels"])
    if PRIVATE in labels and card["zone"] != "device":
        hidden.add(PRIVATE)
    if hidden:
        where = f"driver {card['name']} in zone {card['zone']}"
        raise Leak(f"{where} is told {', '.join(told)} by {kind}, and may not see {sorted(hidden)}")
    if kind == "start" and not labels <= set(body["labels"]):
        raise Leak(f"{', '.join(told)} start on {card['name']} as data of {body['labels']}")


def check_message(pid: int, labels: Iterable[str], what: str, told: list[str]) -> None:
    """A reply, a part of a stream, or an assignment, for a process that has these labels."""
    lacks = labels_of(told) - set(labels)
    if lacks:
        raise Leak(f"process {pid} is told {', '.join(told)} by {what}, and lacks {sorted(lacks)}")


def check_public(text: str) -> None:
    """What everybody may hear."""
    if told := found(text):
        raise Leak(f"events tell {', '.join(told)}")
