"""Notices: what a manifest asks for and this kernel does not do yet.

Said to whoever spawns it, since nothing may be silently ignored. An entry goes when its
feature comes. It knows nothing about how features work.
"""

from __future__ import annotations

from llmagentos.abi.manifest import AgentSpec, Schedule

_UNSERVED_LIMITS = (
    "kv_bytes", "tokens_per_minute", "money", "tool_calls",
    "memory_rows", "memory_bytes", "storage_bytes", "mailbox",
)  # fmt: skip


def notices(spec: AgentSpec) -> list[str]:
    """One sentence for each."""
    found = []
    if spec.tools:
        found.append("tools are not served yet: the model is told of none")
    if spec.restart.strategy != "never":
        found.append("restart is not served yet: a failed agent is not started again")
    if spec.context.overflow != "refuse":
        found.append("context.overflow: compact is not served yet: a full context is refused")
    if spec.schedule != Schedule():
        found.append("schedule is not served yet: bursts run first in, first out")
    if spec.capabilities.ask:
        found.append("capabilities.ask is not served yet: whatever would be asked is denied")
    unserved = [name for name in _UNSERVED_LIMITS if getattr(spec.limits, name) is not None]
    if unserved:
        found.append(f"these limits are not kept yet: {', '.join(unserved)}")
    return found
