"""Notices: what a manifest asks for and this kernel does not do yet.

Said to whoever spawns it, since nothing may be silently ignored. An entry goes when its
feature comes. It knows nothing about how features work.
"""

from __future__ import annotations

from llmagentos.abi.manifest import AgentSpec


def notices(spec: AgentSpec) -> list[str]:
    """One sentence for each."""
    found = []
    if spec.context.overflow != "refuse":
        found.append("context.overflow: compact is not served yet: a full context is refused")
    return found
