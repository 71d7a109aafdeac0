"""The authority of a node: what its key lets it be, whatever it says of itself. A pure function.

Who it is and what it does is refused when it is wrong: work that went to another name, or to a
tool that nobody has approved, could not be taken back. Where it is and what it may see is not for
a node to say, so its word is only an upper bound or no word at all. It knows nothing about how the
key was proven.
"""

from __future__ import annotations

from llmagentos.abi.driver import Registration
from llmagentos.abi.errors import EPERM
from llmagentos.abi.keys import NodeKey


def granted(card: Registration, key: NodeKey) -> Registration:
    """The registration as it counts: with the zone of the key, and of the labels those that both
    name. Raises ``EPERM``."""
    if card.kind != "node":
        raise EPERM(
            f"the key of {key.name} admits a node, and no {card.kind} driver",
            hint="register with the kind node",
        )
    if card.name != key.name:
        raise EPERM(
            f"this is the key of {key.name}, and not of {card.name}",
            hint=f"register under the name {key.name}",
        )
    if card.tools:
        raise EPERM(
            f"the key of {key.name} admits a node, which offers no tools",
            hint="tool drivers run where the kernel does",
        )
    labels = [label for label in card.labels if label in key.labels]
    return card.model_copy(update={"zone": key.zone, "labels": labels})
