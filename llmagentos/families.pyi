# Made by docs/generate.py from llmagentos/abi. Do not edit.
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from llmagentos.abi import driver, manifest, process, talk
from llmagentos.abi.calls import cap, ctx, drv, fs, ipc, llm, mem, proc, sys, tool

class Proc:
    def spawn(
        self,
        *,
        manifest: str | Mapping[str, Any] | None = ...,
        source: str | None = ...,
        file: str = ...,
        folder: str = ...,
        text: str | None = ...,
        name: str | None = ...,
        model: str | None = ...,
        sampling: manifest.Sampling | Mapping[str, Any] | None = ...,
        limits: process.Limits | Mapping[str, Any] | None = ...,
        placement: manifest.PlacementRule | Mapping[str, Any] | None = ...,
        attach: bool = ...,
        within: float | None = ...,
    ) -> proc.SpawnResult:
        """Start an agent from a manifest, as a child of the caller."""
        ...

    def fork(
        self,
        *,
        pid: int | None = ...,
        text: str | None = ...,
        name: str | None = ...,
        within: float | None = ...,
    ) -> proc.SpawnResult:
        """A child that shares the context up to now, and halves what is left."""
        ...

    def exit(
        self,
        *,
        code: int = ...,
        answer: str = ...,
        error: Mapping[str, Any] | None = ...,
        within: float | None = ...,
    ) -> proc.Empty:
        """End the calling process with a code and an answer."""
        ...

    def wait(
        self,
        *,
        pid: int,
        timeout: float | str | None = ...,
        reap: bool = ...,
        within: float | None = ...,
    ) -> process.ExitRecord:
        """Wait until a process has ended; its exit record."""
        ...

    def kill(
        self,
        *,
        pid: int,
        signal: Literal['TERM', 'KILL', 'STOP', 'CONT', 'INT'] = ...,
        tree: bool = ...,
        within: float | None = ...,
    ) -> proc.KillResult:
        """Send a signal to a process or to its whole tree."""
        ...

    def nice(
        self,
        *,
        pid: int,
        priority: int,
        within: float | None = ...,
    ) -> proc.Empty:
        """Change a process's priority."""
        ...

    def limits(
        self,
        *,
        pid: int | None = ...,
        limits: process.Limits | Mapping[str, Any] | None = ...,
        within: float | None = ...,
    ) -> proc.LimitsResult:
        """Read a process's limits, or lower them."""
        ...

    def list(
        self,
        *,
        tree: int | None = ...,
        pids: Sequence[int] | None = ...,
        history: int = ...,
        after: int = ...,
        limit: int = ...,
        within: float | None = ...,
    ) -> proc.ListResult:
        """The process table."""
        ...

    def info(
        self,
        *,
        pid: int | None = ...,
        within: float | None = ...,
    ) -> process.ProcessDetail:
        """Everything about one process, why it is where it is included."""
        ...

    def adopt(
        self,
        *,
        name: str | None = ...,
        limits: process.Limits | Mapping[str, Any] | None = ...,
        capabilities: manifest.Capabilities | Mapping[str, Any] | None = ...,
        within: float | None = ...,
    ) -> proc.AdoptResult:
        """Become a process: a new one, or the one that bore this name before."""
        ...


class Llm:
    def generate(
        self,
        *,
        messages: Sequence[talk.InputMessage | Mapping[str, Any]] | None = ...,
        append: bool = ...,
        model: str | Sequence[str] | None = ...,
        sampling: manifest.Sampling | Mapping[str, Any] | None = ...,
        tools: Sequence[talk.ToolSpec | Mapping[str, Any]] = ...,
        tool_choice: Literal['auto', 'required', 'none'] = ...,
        within: float | None = ...,
    ) -> llm.GenerateResult:
        """One LLM call, a burst."""
        ...

    def embed(
        self,
        *,
        texts: Sequence[str],
        model: str | None = ...,
        within: float | None = ...,
    ) -> llm.EmbedResult:
        """Vectors for texts."""
        ...

    def cancel(
        self,
        *,
        pid: int | None = ...,
        call: int | None = ...,
        within: float | None = ...,
    ) -> llm.CancelResult:
        """Cancel LLM calls in flight."""
        ...


class Ctx:
    def read(
        self,
        *,
        pid: int | None = ...,
        last: int | None = ...,
        source: int | None = ...,
        within: float | None = ...,
    ) -> ctx.ReadResult:
        """The messages of a context."""
        ...

    def append(
        self,
        *,
        pid: int | None = ...,
        messages: Sequence[talk.InputMessage | Mapping[str, Any]],
        within: float | None = ...,
    ) -> ctx.AppendResult:
        """Add messages to a context."""
        ...

    def compact(
        self,
        *,
        pid: int | None = ...,
        keep: int | None = ...,
        through: int | None = ...,
        summary: str,
        within: float | None = ...,
    ) -> ctx.CompactResult:
        """Replace old messages by a summary that names them; can be undone."""
        ...

    def checkpoint(
        self,
        *,
        pid: int | None = ...,
        name: str | None = ...,
        within: float | None = ...,
    ) -> ctx.CheckpointResult:
        """Name the context as it is now."""
        ...

    def restore(
        self,
        *,
        pid: int | None = ...,
        checkpoint: str,
        within: float | None = ...,
    ) -> ctx.HeadResult:
        """Back to a checkpoint."""
        ...

    def rewind(
        self,
        *,
        pid: int | None = ...,
        message: int,
        within: float | None = ...,
    ) -> ctx.HeadResult:
        """Back to a message."""
        ...


class Mem:
    def put(
        self,
        *,
        pid: int | None = ...,
        space: str = ...,
        key: str,
        value: Any,
        labels: Sequence[str] = ...,
        ttl: float | str | None = ...,
        within: float | None = ...,
    ) -> mem.PutResult:
        """Keep a row, in place of the one of the same key."""
        ...

    def get(
        self,
        *,
        pid: int | None = ...,
        space: str = ...,
        key: str,
        within: float | None = ...,
    ) -> mem.MemoryRow:
        """Read a row."""
        ...

    def search(
        self,
        *,
        pid: int | None = ...,
        space: str = ...,
        query: str,
        limit: int = ...,
        by: Literal['words', 'meaning', 'both'] = ...,
        within: float | None = ...,
    ) -> mem.SearchResult:
        """The rows that have these words, or mean the same, best first."""
        ...

    def delete(
        self,
        *,
        pid: int | None = ...,
        space: str = ...,
        key: str,
        within: float | None = ...,
    ) -> mem.DeleteResult:
        """Forget a row."""
        ...

    def list(
        self,
        *,
        pid: int | None = ...,
        space: str = ...,
        prefix: str = ...,
        after: str = ...,
        limit: int = ...,
        within: float | None = ...,
    ) -> mem.ListResult:
        """The rows there are, by key."""
        ...


class Fs:
    def write(
        self,
        *,
        pid: int | None = ...,
        path: str,
        text: str | None = ...,
        labels: Sequence[str] = ...,
        expect: int | None = ...,
        buffers: Sequence[bytes] = ...,
        within: float | None = ...,
    ) -> fs.FileInfo:
        """Write a new version of a file."""
        ...

    def read(
        self,
        *,
        pid: int | None = ...,
        path: str,
        version: int | None = ...,
        offset: int = ...,
        length: int | None = ...,
        within: float | None = ...,
    ) -> fs.FileInfo:
        """Read a file."""
        ...

    def list(
        self,
        *,
        pid: int | None = ...,
        path: str = ...,
        recursive: bool = ...,
        after: str = ...,
        limit: int = ...,
        within: float | None = ...,
    ) -> fs.ListResult:
        """The files and folders in a folder."""
        ...

    def stat(
        self,
        *,
        pid: int | None = ...,
        path: str,
        version: int | None = ...,
        within: float | None = ...,
    ) -> fs.FileInfo:
        """About a file."""
        ...

    def delete(
        self,
        *,
        pid: int | None = ...,
        path: str,
        within: float | None = ...,
    ) -> fs.FileInfo:
        """Delete a file; its versions stay."""
        ...

    def history(
        self,
        *,
        pid: int | None = ...,
        path: str,
        limit: int = ...,
        within: float | None = ...,
    ) -> fs.HistoryResult:
        """A file's versions."""
        ...

    def restore(
        self,
        *,
        pid: int | None = ...,
        path: str,
        version: int,
        within: float | None = ...,
    ) -> fs.FileInfo:
        """Bring a version back, as a new one."""
        ...


class Ipc:
    def send(
        self,
        *,
        pid: int,
        body: Any,
        wait: float | str | None = ...,
        within: float | None = ...,
    ) -> ipc.SendResult:
        """Put a message into a process's mailbox."""
        ...

    def recv(
        self,
        *,
        limit: int = ...,
        block: bool = ...,
        timeout: float | str | None = ...,
        append: bool = ...,
        within: float | None = ...,
    ) -> ipc.RecvResult:
        """Take messages out of one's own mailbox."""
        ...

    def publish(
        self,
        *,
        topic: str,
        body: Any,
        within: float | None = ...,
    ) -> ipc.PublishResult:
        """Add a message to a topic."""
        ...

    def subscribe(
        self,
        *,
        topic: str,
        since: int | None = ...,
        limit: int = ...,
        block: bool = ...,
        timeout: float | str | None = ...,
        within: float | None = ...,
    ) -> ipc.SubscribeResult:
        """What came to a topic after a seq, or what comes next."""
        ...


class Tool:
    def list(
        self,
        *,
        names: Sequence[str] | None = ...,
        within: float | None = ...,
    ) -> tool.ListResult:
        """The tools there are, and what the caller may do with them."""
        ...

    def call(
        self,
        *,
        name: str,
        arguments: Mapping[str, Any] = ...,
        timeout: float | str = ...,
        append: str | None = ...,
        within: float | None = ...,
    ) -> tool.CallResult:
        """Call a tool."""
        ...


class Cap:
    def list(
        self,
        *,
        pid: int | None = ...,
        history: int = ...,
        approval: int | None = ...,
        after: int = ...,
        within: float | None = ...,
    ) -> cap.ListResult:
        """The capabilities of a process, and the approvals it waits for."""
        ...

    def grant(
        self,
        *,
        pid: int,
        allow: Sequence[str],
        within: float | None = ...,
    ) -> cap.RulesResult:
        """Give a descendant what the caller itself may."""
        ...

    def revoke(
        self,
        *,
        pid: int,
        deny: Sequence[str] = ...,
        labels: Sequence[str] = ...,
        within: float | None = ...,
    ) -> cap.RulesResult:
        """Take capabilities from a process and its descendants; declassify."""
        ...

    def request(
        self,
        *,
        capability: str,
        reason: str = ...,
        timeout: float | str | None = ...,
        within: float | None = ...,
    ) -> cap.RequestResult:
        """Ask whoever may decide for a capability."""
        ...

    def decide(
        self,
        *,
        approval: int,
        approve: bool,
        always: bool = ...,
        hash: str | None = ...,
        reason: str = ...,
        within: float | None = ...,
    ) -> cap.DecideResult:
        """Answer an approval."""
        ...


class Drv:
    def list(
        self,
        *,
        within: float | None = ...,
    ) -> drv.ListResult:
        """The drivers and agent hosts, and their load."""
        ...

    def info(
        self,
        *,
        name: str,
        within: float | None = ...,
    ) -> drv.DriverInfo:
        """One driver."""
        ...

    def drain(
        self,
        *,
        name: str,
        on: bool = ...,
        within: float | None = ...,
    ) -> proc.Empty:
        """Let a driver finish and give it nothing new."""
        ...


class Sys:
    def ping(
        self,
        *,
        within: float | None = ...,
    ) -> sys.PingResult:
        """Is the kernel there?"""
        ...

    def info(
        self,
        *,
        within: float | None = ...,
    ) -> sys.InfoResult:
        """Version, uptime, counts."""
        ...

    def events(
        self,
        *,
        since: int = ...,
        limit: int = ...,
        pid: int | None = ...,
        within: float | None = ...,
    ) -> sys.EventsResult:
        """Events that have happened; what is to come is on the event socket."""
        ...

    def audit(
        self,
        *,
        since: int = ...,
        limit: int = ...,
        within: float | None = ...,
    ) -> sys.AuditResult:
        """The audit log: refusals, acts of power and calls of tools, in a chain of hashes."""
        ...

    def metrics(
        self,
        *,
        within: float | None = ...,
    ) -> sys.MetricsResult:
        """Counters and gauges."""
        ...

    def shutdown(
        self,
        *,
        reason: str = ...,
        within: float | None = ...,
    ) -> proc.Empty:
        """End the kernel in good order."""
        ...


class Families:
    proc: Proc
    llm: Llm
    ctx: Ctx
    mem: Mem
    fs: Fs
    ipc: Ipc
    tool: Tool
    cap: Cap
    drv: Drv
    sys: Sys

class AsyncProc:
    async def spawn(
        self,
        *,
        manifest: str | Mapping[str, Any] | None = ...,
        source: str | None = ...,
        file: str = ...,
        folder: str = ...,
        text: str | None = ...,
        name: str | None = ...,
        model: str | None = ...,
        sampling: manifest.Sampling | Mapping[str, Any] | None = ...,
        limits: process.Limits | Mapping[str, Any] | None = ...,
        placement: manifest.PlacementRule | Mapping[str, Any] | None = ...,
        attach: bool = ...,
        within: float | None = ...,
    ) -> proc.SpawnResult:
        """Start an agent from a manifest, as a child of the caller."""
        ...

    async def fork(
        self,
        *,
        pid: int | None = ...,
        text: str | None = ...,
        name: str | None = ...,
        within: float | None = ...,
    ) -> proc.SpawnResult:
        """A child that shares the context up to now, and halves what is left."""
        ...

    async def exit(
        self,
        *,
        code: int = ...,
        answer: str = ...,
        error: Mapping[str, Any] | None = ...,
        within: float | None = ...,
    ) -> proc.Empty:
        """End the calling process with a code and an answer."""
        ...

    async def wait(
        self,
        *,
        pid: int,
        timeout: float | str | None = ...,
        reap: bool = ...,
        within: float | None = ...,
    ) -> process.ExitRecord:
        """Wait until a process has ended; its exit record."""
        ...

    async def kill(
        self,
        *,
        pid: int,
        signal: Literal['TERM', 'KILL', 'STOP', 'CONT', 'INT'] = ...,
        tree: bool = ...,
        within: float | None = ...,
    ) -> proc.KillResult:
        """Send a signal to a process or to its whole tree."""
        ...

    async def nice(
        self,
        *,
        pid: int,
        priority: int,
        within: float | None = ...,
    ) -> proc.Empty:
        """Change a process's priority."""
        ...

    async def limits(
        self,
        *,
        pid: int | None = ...,
        limits: process.Limits | Mapping[str, Any] | None = ...,
        within: float | None = ...,
    ) -> proc.LimitsResult:
        """Read a process's limits, or lower them."""
        ...

    async def list(
        self,
        *,
        tree: int | None = ...,
        pids: Sequence[int] | None = ...,
        history: int = ...,
        after: int = ...,
        limit: int = ...,
        within: float | None = ...,
    ) -> proc.ListResult:
        """The process table."""
        ...

    async def info(
        self,
        *,
        pid: int | None = ...,
        within: float | None = ...,
    ) -> process.ProcessDetail:
        """Everything about one process, why it is where it is included."""
        ...

    async def adopt(
        self,
        *,
        name: str | None = ...,
        limits: process.Limits | Mapping[str, Any] | None = ...,
        capabilities: manifest.Capabilities | Mapping[str, Any] | None = ...,
        within: float | None = ...,
    ) -> proc.AdoptResult:
        """Become a process: a new one, or the one that bore this name before."""
        ...


class AsyncLlm:
    async def generate(
        self,
        *,
        messages: Sequence[talk.InputMessage | Mapping[str, Any]] | None = ...,
        append: bool = ...,
        model: str | Sequence[str] | None = ...,
        sampling: manifest.Sampling | Mapping[str, Any] | None = ...,
        tools: Sequence[talk.ToolSpec | Mapping[str, Any]] = ...,
        tool_choice: Literal['auto', 'required', 'none'] = ...,
        within: float | None = ...,
    ) -> llm.GenerateResult:
        """One LLM call, a burst."""
        ...

    async def embed(
        self,
        *,
        texts: Sequence[str],
        model: str | None = ...,
        within: float | None = ...,
    ) -> llm.EmbedResult:
        """Vectors for texts."""
        ...

    async def cancel(
        self,
        *,
        pid: int | None = ...,
        call: int | None = ...,
        within: float | None = ...,
    ) -> llm.CancelResult:
        """Cancel LLM calls in flight."""
        ...


class AsyncCtx:
    async def read(
        self,
        *,
        pid: int | None = ...,
        last: int | None = ...,
        source: int | None = ...,
        within: float | None = ...,
    ) -> ctx.ReadResult:
        """The messages of a context."""
        ...

    async def append(
        self,
        *,
        pid: int | None = ...,
        messages: Sequence[talk.InputMessage | Mapping[str, Any]],
        within: float | None = ...,
    ) -> ctx.AppendResult:
        """Add messages to a context."""
        ...

    async def compact(
        self,
        *,
        pid: int | None = ...,
        keep: int | None = ...,
        through: int | None = ...,
        summary: str,
        within: float | None = ...,
    ) -> ctx.CompactResult:
        """Replace old messages by a summary that names them; can be undone."""
        ...

    async def checkpoint(
        self,
        *,
        pid: int | None = ...,
        name: str | None = ...,
        within: float | None = ...,
    ) -> ctx.CheckpointResult:
        """Name the context as it is now."""
        ...

    async def restore(
        self,
        *,
        pid: int | None = ...,
        checkpoint: str,
        within: float | None = ...,
    ) -> ctx.HeadResult:
        """Back to a checkpoint."""
        ...

    async def rewind(
        self,
        *,
        pid: int | None = ...,
        message: int,
        within: float | None = ...,
    ) -> ctx.HeadResult:
        """Back to a message."""
        ...


class AsyncMem:
    async def put(
        self,
        *,
        pid: int | None = ...,
        space: str = ...,
        key: str,
        value: Any,
        labels: Sequence[str] = ...,
        ttl: float | str | None = ...,
        within: float | None = ...,
    ) -> mem.PutResult:
        """Keep a row, in place of the one of the same key."""
        ...

    async def get(
        self,
        *,
        pid: int | None = ...,
        space: str = ...,
        key: str,
        within: float | None = ...,
    ) -> mem.MemoryRow:
        """Read a row."""
        ...

    async def search(
        self,
        *,
        pid: int | None = ...,
        space: str = ...,
        query: str,
        limit: int = ...,
        by: Literal['words', 'meaning', 'both'] = ...,
        within: float | None = ...,
    ) -> mem.SearchResult:
        """The rows that have these words, or mean the same, best first."""
        ...

    async def delete(
        self,
        *,
        pid: int | None = ...,
        space: str = ...,
        key: str,
        within: float | None = ...,
    ) -> mem.DeleteResult:
        """Forget a row."""
        ...

    async def list(
        self,
        *,
        pid: int | None = ...,
        space: str = ...,
        prefix: str = ...,
        after: str = ...,
        limit: int = ...,
        within: float | None = ...,
    ) -> mem.ListResult:
        """The rows there are, by key."""
        ...


class AsyncFs:
    async def write(
        self,
        *,
        pid: int | None = ...,
        path: str,
        text: str | None = ...,
        labels: Sequence[str] = ...,
        expect: int | None = ...,
        buffers: Sequence[bytes] = ...,
        within: float | None = ...,
    ) -> fs.FileInfo:
        """Write a new version of a file."""
        ...

    async def read(
        self,
        *,
        pid: int | None = ...,
        path: str,
        version: int | None = ...,
        offset: int = ...,
        length: int | None = ...,
        within: float | None = ...,
    ) -> fs.FileInfo:
        """Read a file."""
        ...

    async def list(
        self,
        *,
        pid: int | None = ...,
        path: str = ...,
        recursive: bool = ...,
        after: str = ...,
        limit: int = ...,
        within: float | None = ...,
    ) -> fs.ListResult:
        """The files and folders in a folder."""
        ...

    async def stat(
        self,
        *,
        pid: int | None = ...,
        path: str,
        version: int | None = ...,
        within: float | None = ...,
    ) -> fs.FileInfo:
        """About a file."""
        ...

    async def delete(
        self,
        *,
        pid: int | None = ...,
        path: str,
        within: float | None = ...,
    ) -> fs.FileInfo:
        """Delete a file; its versions stay."""
        ...

    async def history(
        self,
        *,
        pid: int | None = ...,
        path: str,
        limit: int = ...,
        within: float | None = ...,
    ) -> fs.HistoryResult:
        """A file's versions."""
        ...

    async def restore(
        self,
        *,
        pid: int | None = ...,
        path: str,
        version: int,
        within: float | None = ...,
    ) -> fs.FileInfo:
        """Bring a version back, as a new one."""
        ...


class AsyncIpc:
    async def send(
        self,
        *,
        pid: int,
        body: Any,
        wait: float | str | None = ...,
        within: float | None = ...,
    ) -> ipc.SendResult:
        """Put a message into a process's mailbox."""
        ...

    async def recv(
        self,
        *,
        limit: int = ...,
        block: bool = ...,
        timeout: float | str | None = ...,
        append: bool = ...,
        within: float | None = ...,
    ) -> ipc.RecvResult:
        """Take messages out of one's own mailbox."""
        ...

    async def publish(
        self,
        *,
        topic: str,
        body: Any,
        within: float | None = ...,
    ) -> ipc.PublishResult:
        """Add a message to a topic."""
        ...

    async def subscribe(
        self,
        *,
        topic: str,
        since: int | None = ...,
        limit: int = ...,
        block: bool = ...,
        timeout: float | str | None = ...,
        within: float | None = ...,
    ) -> ipc.SubscribeResult:
        """What came to a topic after a seq, or what comes next."""
        ...


class AsyncTool:
    async def list(
        self,
        *,
        names: Sequence[str] | None = ...,
        within: float | None = ...,
    ) -> tool.ListResult:
        """The tools there are, and what the caller may do with them."""
        ...

    async def call(
        self,
        *,
        name: str,
        arguments: Mapping[str, Any] = ...,
        timeout: float | str = ...,
        append: str | None = ...,
        within: float | None = ...,
    ) -> tool.CallResult:
        """Call a tool."""
        ...


class AsyncCap:
    async def list(
        self,
        *,
        pid: int | None = ...,
        history: int = ...,
        approval: int | None = ...,
        after: int = ...,
        within: float | None = ...,
    ) -> cap.ListResult:
        """The capabilities of a process, and the approvals it waits for."""
        ...

    async def grant(
        self,
        *,
        pid: int,
        allow: Sequence[str],
        within: float | None = ...,
    ) -> cap.RulesResult:
        """Give a descendant what the caller itself may."""
        ...

    async def revoke(
        self,
        *,
        pid: int,
        deny: Sequence[str] = ...,
        labels: Sequence[str] = ...,
        within: float | None = ...,
    ) -> cap.RulesResult:
        """Take capabilities from a process and its descendants; declassify."""
        ...

    async def request(
        self,
        *,
        capability: str,
        reason: str = ...,
        timeout: float | str | None = ...,
        within: float | None = ...,
    ) -> cap.RequestResult:
        """Ask whoever may decide for a capability."""
        ...

    async def decide(
        self,
        *,
        approval: int,
        approve: bool,
        always: bool = ...,
        hash: str | None = ...,
        reason: str = ...,
        within: float | None = ...,
    ) -> cap.DecideResult:
        """Answer an approval."""
        ...


class AsyncDrv:
    async def list(
        self,
        *,
        within: float | None = ...,
    ) -> drv.ListResult:
        """The drivers and agent hosts, and their load."""
        ...

    async def info(
        self,
        *,
        name: str,
        within: float | None = ...,
    ) -> drv.DriverInfo:
        """One driver."""
        ...

    async def drain(
        self,
        *,
        name: str,
        on: bool = ...,
        within: float | None = ...,
    ) -> proc.Empty:
        """Let a driver finish and give it nothing new."""
        ...


class AsyncSys:
    async def ping(
        self,
        *,
        within: float | None = ...,
    ) -> sys.PingResult:
        """Is the kernel there?"""
        ...

    async def info(
        self,
        *,
        within: float | None = ...,
    ) -> sys.InfoResult:
        """Version, uptime, counts."""
        ...

    async def events(
        self,
        *,
        since: int = ...,
        limit: int = ...,
        pid: int | None = ...,
        within: float | None = ...,
    ) -> sys.EventsResult:
        """Events that have happened; what is to come is on the event socket."""
        ...

    async def audit(
        self,
        *,
        since: int = ...,
        limit: int = ...,
        within: float | None = ...,
    ) -> sys.AuditResult:
        """The audit log: refusals, acts of power and calls of tools, in a chain of hashes."""
        ...

    async def metrics(
        self,
        *,
        within: float | None = ...,
    ) -> sys.MetricsResult:
        """Counters and gauges."""
        ...

    async def shutdown(
        self,
        *,
        reason: str = ...,
        within: float | None = ...,
    ) -> proc.Empty:
        """End the kernel in good order."""
        ...


class AsyncFamilies:
    proc: AsyncProc
    llm: AsyncLlm
    ctx: AsyncCtx
    mem: AsyncMem
    fs: AsyncFs
    ipc: AsyncIpc
    tool: AsyncTool
    cap: AsyncCap
    drv: AsyncDrv
    sys: AsyncSys

