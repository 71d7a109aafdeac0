"""The table of syscalls: the one place that says which calls there are.

Client stubs, ``docs/syscalls.md`` and the kernel's dispatch are made from it. It knows
nothing about how a call is carried out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from llmagentos.abi.calls import ctx, drv, llm, proc, sys
from llmagentos.abi.calls.drv import DriverInfo
from llmagentos.abi.model import Model
from llmagentos.abi.process import ExitRecord, ProcessDetail


@dataclass(frozen=True, slots=True)
class Syscall:
    """One row.

    ``capability`` is what the caller must hold, all of it; ``self`` means nothing, ``tree`` that
    the target must be the caller or a descendant of it, ``user`` the user's key. ``cost`` names
    the limits it draws on. A call that ``writes`` has its reply kept, so that a repeat gets the
    first result. ``args`` is None for a call that is reserved: it answers ``ENOSYS``.
    """

    name: str
    doc: str
    args: type[Model] | None = None
    result: type[Model] | None = None
    capability: str = "self"
    cost: str = ""
    writes: bool = False
    streams: bool = False

    @property
    def family(self) -> str:
        return self.name.partition(".")[0]


_CALLS: Final = (
    Syscall("proc.spawn", "Start an agent from a manifest, as a child of the caller.",
            proc.SpawnArgs, proc.SpawnResult, "proc:spawn", "children", writes=True),
    Syscall("proc.fork", "A child that shares the context up to now, and halves what is left.",
            proc.ForkArgs, proc.SpawnResult, "tree proc:spawn", "children", writes=True),
    Syscall("proc.exit", "End the calling process with a code and an answer.",
            proc.ExitArgs, proc.Empty, writes=True),
    Syscall("proc.wait", "Wait until a process has ended; its exit record.",
            proc.WaitArgs, ExitRecord, "tree", writes=True, streams=True),
    Syscall("proc.kill", "Send a signal to a process or to its whole tree.",
            proc.KillArgs, proc.KillResult, "tree", writes=True),
    Syscall("proc.nice", "Change a process's priority.",
            proc.NiceArgs, proc.Empty, "tree", writes=True),
    Syscall("proc.limits", "Read a process's limits, or lower them.",
            proc.LimitsArgs, proc.LimitsResult, "tree", writes=True),
    Syscall("proc.list", "The process table.",
            proc.ListArgs, proc.ListResult, "tree"),
    Syscall("proc.info", "Everything about one process, why it is where it is included.",
            proc.InfoArgs, ProcessDetail, "tree"),
    Syscall("proc.adopt", "Become a process: a new one, or the one that bore this name before.",
            proc.AdoptArgs, proc.AdoptResult, "user"),
    Syscall("llm.generate", "One LLM call, a burst.",
            llm.GenerateArgs, llm.GenerateResult, "llm:<model>@<driver>",
            "tokens, turns, context_tokens, wall", writes=True, streams=True),
    Syscall("llm.embed", "Vectors for texts.",
            llm.EmbedArgs, llm.EmbedResult, "llm:<model>@<driver>", "tokens"),
    Syscall("llm.cancel", "Cancel LLM calls in flight.",
            llm.CancelArgs, llm.CancelResult, "tree", writes=True),
    Syscall("ctx.read", "The messages of a context.",
            ctx.ReadArgs, ctx.ReadResult, "tree"),
    Syscall("ctx.append", "Add messages to a context.",
            ctx.AppendArgs, ctx.AppendResult, "tree", writes=True),
    Syscall("ctx.compact", "Replace old messages by a summary that names them; can be undone.",
            ctx.CompactArgs, ctx.CompactResult, "tree", writes=True),
    Syscall("ctx.checkpoint", "Name the context as it is now.",
            ctx.CheckpointArgs, ctx.CheckpointResult, "tree", writes=True),
    Syscall("ctx.restore", "Back to a checkpoint.",
            ctx.RestoreArgs, ctx.HeadResult, "tree", writes=True),
    Syscall("ctx.rewind", "Back to a message.",
            ctx.RewindArgs, ctx.HeadResult, "tree", writes=True),
    *(Syscall(f"mem.{name}", doc) for name, doc in (
        ("put", "Keep a row."), ("get", "Read a row."), ("search", "Find rows."),
        ("delete", "Forget a row."), ("list", "The rows there are."))),
    *(Syscall(f"fs.{name}", doc) for name, doc in (
        ("write", "Write a file."), ("read", "Read a file."), ("list", "The files in a folder."),
        ("stat", "About a file."), ("delete", "Delete a file."),
        ("history", "A file's versions."), ("restore", "Bring a version back."))),
    *(Syscall(f"ipc.{name}", doc) for name, doc in (
        ("send", "Put a message into a mailbox."), ("recv", "Take a message out of one's own."),
        ("publish", "Send to a topic."), ("subscribe", "Follow a topic."))),
    *(Syscall(f"tool.{name}", doc) for name, doc in (
        ("list", "The tools there are."), ("call", "Call a tool."))),
    *(Syscall(f"cap.{name}", doc) for name, doc in (
        ("list", "The capabilities of a process."), ("grant", "Give one."),
        ("revoke", "Take one back, from the subtree too."), ("request", "Ask for one."),
        ("decide", "Answer a request."))),
    Syscall("drv.list", "The drivers and agent hosts, and their load.",
            drv.ListArgs, drv.ListResult),
    Syscall("drv.info", "One driver.",
            drv.InfoArgs, DriverInfo),
    Syscall("drv.drain", "Let a driver finish and give it nothing new.",
            drv.DrainArgs, proc.Empty, "user", writes=True),
    Syscall("sys.ping", "Is the kernel there?",
            proc.Empty, sys.PingResult),
    Syscall("sys.info", "Version, uptime, counts.",
            proc.Empty, sys.InfoResult),
    Syscall("sys.events", "Events that have happened; what is to come is on the event socket.",
            sys.EventsArgs, sys.EventsResult, "user"),
    Syscall("sys.audit", "The audit log: refusals and acts of power, chained by hashes.",
            sys.AuditArgs, sys.AuditResult, "user"),
    Syscall("sys.metrics", "Counters and gauges.",
            proc.Empty, sys.MetricsResult, "user"),
    Syscall("sys.shutdown", "End the kernel in good order.",
            sys.ShutdownArgs, proc.Empty, "user"),
)  # fmt: skip

TABLE: Final[dict[str, Syscall]] = {call.name: call for call in _CALLS}
