"""The table of syscalls: the one place that says which calls there are.

Client stubs, ``docs/syscalls.md`` and the kernel's dispatch are made from it. It knows
nothing about how a call is carried out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from llmagentos.abi.calls import cap, ctx, drv, fs, ipc, llm, mem, proc, sys, tool
from llmagentos.abi.calls.drv import DriverInfo
from llmagentos.abi.model import Model
from llmagentos.abi.process import ExitRecord, ProcessDetail


@dataclass(frozen=True, slots=True)
class Syscall:
    """One row.

    ``capability`` is what the caller must hold, all of it, with the arguments' values in place of
    ``<name>``; ``self`` means nothing, ``tree`` that the target must be the caller or a descendant
    of it, ``below`` a descendant, ``holds`` that the caller may do what it gives, ``user`` the
    user's key. ``cost`` names the limits it draws on. A call that ``writes`` has its reply kept,
    so that a repeat gets the first result. ``buffers``: how many raw ones may come beside it.
    """

    name: str
    doc: str
    args: type[Model]
    result: type[Model]
    capability: str = "self"
    cost: str = ""
    writes: bool = False
    streams: bool = False
    buffers: int = 0

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
    Syscall("mem.put", "Keep a row, in place of the one of the same key.",
            mem.PutArgs, mem.PutResult, "tree mem:<space>:w",
            "memory_rows, memory_bytes", writes=True),
    Syscall("mem.get", "Read a row.",
            mem.GetArgs, mem.MemoryRow, "tree mem:<space>:r"),
    Syscall("mem.search", "The rows that have these words, or mean the same, best first.",
            mem.SearchArgs, mem.SearchResult, "tree mem:<space>:r"),
    Syscall("mem.delete", "Forget a row.",
            mem.DeleteArgs, mem.DeleteResult, "tree mem:<space>:w", writes=True),
    Syscall("mem.list", "The rows there are, by key.",
            mem.ListArgs, mem.ListResult, "tree mem:<space>:r"),
    Syscall("fs.write", "Write a new version of a file.",
            fs.WriteArgs, fs.FileInfo, "tree fs:<mount>:w", "storage_bytes", writes=True,
            buffers=1),
    Syscall("fs.read", "Read a file.",
            fs.ReadArgs, fs.FileInfo, "tree fs:<mount>:r"),
    Syscall("fs.list", "The files and folders in a folder.",
            fs.ListArgs, fs.ListResult, "tree fs:<mount>:r"),
    Syscall("fs.stat", "About a file.",
            fs.StatArgs, fs.FileInfo, "tree fs:<mount>:r"),
    Syscall("fs.delete", "Delete a file; its versions stay.",
            fs.DeleteArgs, fs.FileInfo, "tree fs:<mount>:w", writes=True),
    Syscall("fs.history", "A file's versions.",
            fs.HistoryArgs, fs.HistoryResult, "tree fs:<mount>:r"),
    Syscall("fs.restore", "Bring a version back, as a new one.",
            fs.RestoreArgs, fs.FileInfo, "tree fs:<mount>:w", "storage_bytes", writes=True),
    Syscall("ipc.send", "Put a message into a process's mailbox.",
            ipc.SendArgs, ipc.SendResult, "ipc:mail/<pid>:w", "mailbox", writes=True),
    Syscall("ipc.recv", "Take messages out of one's own mailbox.",
            ipc.RecvArgs, ipc.RecvResult, writes=True),
    Syscall("ipc.publish", "Add a message to a topic.",
            ipc.PublishArgs, ipc.PublishResult, "ipc:topic/<topic>:w", writes=True),
    Syscall("ipc.subscribe", "What came to a topic after a seq, or what comes next.",
            ipc.SubscribeArgs, ipc.SubscribeResult, "ipc:topic/<topic>:r"),
    Syscall("tool.list", "The tools there are, and what the caller may do with them.",
            tool.ListArgs, tool.ListResult),
    Syscall("tool.call", "Call a tool.",
            tool.CallArgs, tool.CallResult, "tool:<name>(<arguments>)", "tool_calls",
            writes=True),
    Syscall("cap.list", "The capabilities of a process, and the approvals it waits for.",
            cap.ListArgs, cap.ListResult, "tree"),
    Syscall("cap.grant", "Give a descendant what the caller itself may.",
            cap.GrantArgs, cap.RulesResult, "below holds", writes=True),
    Syscall("cap.revoke", "Take capabilities from a process and its descendants; declassify.",
            cap.RevokeArgs, cap.RulesResult, "tree", writes=True),
    Syscall("cap.request", "Ask whoever may decide for a capability.",
            cap.RequestArgs, cap.RequestResult, writes=True),
    Syscall("cap.decide", "Answer an approval.",
            cap.DecideArgs, cap.DecideResult, "below cap:decide", writes=True),
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
    Syscall("sys.audit",
            "The audit log: refusals, acts of power and calls of tools, in a chain of hashes.",
            sys.AuditArgs, sys.AuditResult, "user"),
    Syscall("sys.metrics", "Counters and gauges.",
            proc.Empty, sys.MetricsResult, "user"),
    Syscall("sys.shutdown", "End the kernel in good order.",
            sys.ShutdownArgs, proc.Empty, "user"),
)  # fmt: skip

TABLE: Final[dict[str, Syscall]] = {call.name: call for call in _CALLS}
