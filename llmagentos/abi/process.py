"""What a process looks like from outside: its states, signals, limits, usage, exit record.

Words and shapes only; the rules by which they change are the kernel's.
"""

from __future__ import annotations

from typing import Any, Final, Literal, get_args

from pydantic import Field, ValidationError

from llmagentos.abi.errors import BY_CODE, MAX_WORDS, LLMOSError
from llmagentos.abi.model import Count, Duration, Json, Model, Name, Pid

State = Literal["NEW", "READY", "RUNNING", "WAITING", "STOPPED", "ZOMBIE"]
"""NEW: no host has it yet. READY: it can go on; its burst, if any, is queued. RUNNING: a
burst of it is on a driver now. WAITING: for its ``Reason``. STOPPED: by a signal. ZOMBIE:
ended, its exit record not collected yet."""

Reason = Literal["llm", "tool", "mail", "child", "approval", "timer", "driver"]
"""Why a process is WAITING. ``driver``: no driver or host that can serve it is up now."""

Signal = Literal["TERM", "KILL", "STOP", "CONT", "INT"]
"""INT cancels the calls in flight. TERM does so and asks the process to end; after a grace
period it is killed. KILL ends it at once. STOP and CONT hold and resume it."""

SIGNALS: Final[tuple[str, ...]] = get_args(Signal)

Role = Literal["system", "user", "assistant", "tool"]

INIT: Final[int] = 1
"""The user's own process: the root of the tree and of all rights."""


class Limits(Model):
    """What a process may use. Inherited, and only ever lowered. None: not limited here."""

    context_tokens: Count | None = Field(None, ge=1, description="tokens in its context")
    kv_bytes: Count | None = Field(None, description="bytes of KV cache on drivers")
    tokens: Count | None = Field(None, description="prompt and completion tokens in all")
    tokens_per_minute: Count | None = Field(None, description="tokens in any minute")
    money: float | None = Field(
        None, ge=0, le=1e12, description="in the currency of the price table"
    )
    wall: Duration | None = Field(None, description="seconds from spawn to exit")
    tool_calls: Count | None = None
    turns: Count | None = Field(None, description="LLM calls")
    children: Count | None = Field(None, description="live children")
    memory_rows: Count | None = None
    memory_bytes: Count | None = None
    storage_bytes: Count | None = None
    mailbox: Count | None = Field(None, description="messages waiting to be read")


class Usage(Model):
    """What a process, or one LLM call, has used. Tokens, seconds, currency units."""

    prompt_tokens: int = 0
    cached_tokens: int = Field(0, description="of the prompt tokens, those that were read before")
    completion_tokens: int = 0
    turns: int = 0
    tool_calls: int = 0
    money: float = 0.0
    queue_seconds: float = 0.0
    prefill_seconds: float = 0.0
    decode_seconds: float = 0.0

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    @property
    def tokens_per_second(self) -> float:
        """Completion tokens per second of decoding."""
        return self.completion_tokens / self.decode_seconds if self.decode_seconds else 0.0

    def __add__(self, other: Usage) -> Usage:
        mine, theirs = self.model_dump(), other.model_dump()
        return Usage(**{name: mine[name] + theirs[name] for name in mine})


class ErrorRecord(Model):
    """An error as it is kept and sent."""

    code: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9]{0,31}$")
    message: str = Field(max_length=MAX_WORDS)
    hint: str = Field("", max_length=MAX_WORDS)
    detail: dict[str, Json] = Field(default_factory=dict)

    @classmethod
    def of(cls, error: LLMOSError) -> ErrorRecord:
        """Whatever its ``detail`` is: what can't be sent of it is left out."""
        told = error.to_wire()
        try:
            return cls(**told)
        except ValidationError:
            return cls(**{**told, "detail": {}})

    def error(self, otherwise: type[LLMOSError]) -> LLMOSError:
        """To be raised. ``otherwise``: what it is, if its code is none of ours."""
        kind = BY_CODE.get(self.code, otherwise)
        return kind(self.message, hint=self.hint, detail=self.detail)


class ExitRecord(Model):
    """How a process ended. ``code`` 0 is success; ``signal`` is set if a signal ended it."""

    pid: Pid
    name: Name
    code: int = Field(ge=0, le=255)
    signal: Signal | None = None
    answer: str = ""
    error: ErrorRecord | None = None
    usage: Usage = Usage()
    started: float = Field(description="seconds since 1970")
    ended: float


class ProcessInfo(Model):
    """One row of the process table."""

    pid: Pid
    ppid: int
    name: Name
    kind: Literal["init", "agent", "program"]
    state: State
    reason: Reason | None = None
    manifest: str | None = Field(None, description="the name of its manifest")
    model: str | None = Field(None, description="the model of its last or current burst")
    driver: str | None = Field(None, description="where that burst is or was")
    host: str | None = Field(None, description="the agent host that runs it")
    priority: int = 0
    labels: list[str] = Field(default_factory=list)
    limits: Limits = Limits()
    usage: Usage = Usage()
    context_messages: int = 0
    context_tokens: int = Field(0, description="as the driver last counted them")
    kv_bytes: int = Field(0, description="of KV that it has in the memory of drivers, as they say")
    children: list[int] = Field(default_factory=list)
    started: float
    ended: float | None = None
    exit: ExitRecord | None = None


class Placement(Model):
    """Why a burst went where it went: each driver that was considered, and the verdict on it."""

    chosen: str | None
    considered: dict[str, str]
    time: float


class Budget(Model):
    """One resource of a process, what its descendants use of it included. Money in currency units;
    the others are counts. ``limit``: its own; None: not limited here."""

    spent: float = 0
    reserved: float = Field(0, description="set aside for what is going on")
    limit: float | None = None


class ProcessDetail(Model):
    """All that ``proc.info`` tells of one process."""

    process: ProcessInfo
    placement: Placement | None = None
    history: list[dict[str, Any]] = Field(
        default_factory=list, description="its last transitions: time, from, to, why"
    )
    spec: dict[str, Any] | None = Field(None, description="its manifest, defaults filled in")
    ledger: dict[str, Budget] = Field(
        default_factory=dict, description="what is limited, or was used, by the limit's name"
    )
    checkpoints: list[str] = Field(default_factory=list, description="of its context, oldest first")
    mailbox: int = Field(0, description="messages that wait in it")
