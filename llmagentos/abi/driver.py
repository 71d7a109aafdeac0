"""The driver protocol: what a driver or an agent host and the kernel say to each other.

Same frames as the syscalls, on a socket of its own, and never a reply: both sides only
announce. The header's ``t`` is the message's kind, its ``s`` (from the driver) the service
key; a node, on another machine, is known by its CURVE key instead. It knows nothing about what a
driver does with a burst.

From the driver::

    register   Registration   once, first thing, before any model is loaded; again when asked
    beat       Beat           every ``Welcome.beat_interval`` seconds, and when its state changes
    report     Report         one per engine step, for all its sequences together
    result     JobResult      (tool drivers, and those that embed) the end of a job

From the kernel::

    welcome    Welcome        the answer to register
    refuse     ErrorRecord    the answer to a register that is not accepted; the driver ends
    who        {}             the kernel does not know the sender (it was restarted): register
    start      Start          a burst to run, possibly from tokens that another driver made
    preempt    BurstRef       hold it at the next token boundary, and keep its KV
    resume     BurstRef       go on with it
    cancel     BurstRef       stop it, and forget it; nothing more is reported
    snapshot   BurstRef       (feature) keep its KV where it outlives the driver
    expect     Expected       (feature fork) when a process whose burst has ended comes back
    fork       Forked         (feature fork) a process begins with what another one has read
    drop       ProcessRef     (feature fork) a process does not come back
    call       ToolOrder      (tool drivers) a job: call a tool
    embed      EmbedOrder     (drivers with the feature) a job: vectors for texts
    abort      JobRef         stop a job, and forget it; of its result only ``denied`` is wanted
    assign     Assignment     (hosts) a process to run
    signal     HostSignal     (hosts) a signal for a process that it runs

Each burst carries an ``attempt``: reports of an earlier attempt are ignored. What a driver can do
it lists in ``features``. With the feature ``count`` a driver can be told to ``hold`` a burst that
it starts: it counts the prompt, reports that and nothing else, and goes on when it is resumed.

KV is known by what was read, not by who read it: a ``start`` finds again whatever the driver has of
its prompt, also on the disk (that is *restore*). So ``snapshot``, ``expect``, ``fork`` and ``drop``
never change an answer. They only say what is worth keeping.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import Field

from llmagentos.abi.cards import ModelCard, Rate, ToolCard
from llmagentos.abi.jobs import EmbedOrder, JobRef, JobResult, ToolOrder
from llmagentos.abi.logprob import ChosenLogprob, TokenId
from llmagentos.abi.manifest import Place, Sampling
from llmagentos.abi.model import Count, Model, ModelName, Name, Pid
from llmagentos.abi.process import ErrorRecord, Signal
from llmagentos.abi.talk import MAX_CALLS, ChatMessage, ToolCall, ToolChoice, ToolSpec

BEAT_INTERVAL: Final = 1.0
MISSED_BEATS: Final = 10
"""A driver that was silent for this many intervals is taken for dead. Generous, because a
driver on a loaded machine may spend seconds in one prefill; a dead process is noticed at once,
by its closed connection."""

Kind = Literal["edge", "cloud", "node", "tool", "host"]
DriverState = Literal["loading", "ready", "draining", "failed"]
Feature = Literal[
    "preempt", "resume_tokens", "resume_text", "count", "fork", "snapshot", "embed", "grammar",
    "logprobs", "tools",
]  # fmt: skip
Finish = Literal["stop", "length", "stop_string", "tool_calls", "error"]


class Registration(Model):
    """``name`` is the driver's identity: it comes back under it. ``running``: (hosts) the pids
    that it still runs from before the kernel was restarted. ``sessions``: under which, in the same
    order; one under which it may not act any more does not keep its agent."""

    name: Name
    kind: Kind
    models: list[ModelCard] = Field(default_factory=list)
    slots: int = Field(ge=1, le=4096)
    features: list[Feature] = Field(default_factory=list)
    tools: list[ToolCard] = Field(default_factory=list, max_length=4096)
    zone: str = "device"
    labels: list[Name] = Field(default_factory=list, description="labels that it may see")
    rates: list[Rate] = Field(default_factory=list, max_length=8)
    state: DriverState = "loading"
    os_pid: Count = 0
    version: str = ""
    running: list[Pid] = Field(default_factory=list)
    sessions: list[str] = Field(default_factory=list)


class KV(Model):
    """What a process has of the KV cache: bytes in memory, those that it shares included."""

    pid: Pid
    bytes: Count


class Beat(Model):
    """``models`` and ``tools`` only when they have changed (a driver learns a context length by
    loading; tools may come and go)."""

    state: DriverState
    note: str = Field("", max_length=500, description="what it is doing, for people")
    progress: float | None = Field(None, ge=0, le=1)
    active: Count = Field(0, description="sequences in the batch")
    kv_bytes: Count = 0
    kv: list[KV] = Field(default_factory=list, max_length=1000, description="those with the most")
    prefill_weight: float | None = Field(
        None, gt=0, le=1000, description="what it takes to read a token, measured; to make one is 1"
    )
    models: list[ModelCard] | None = None
    tools: list[ToolCard] | None = Field(None, max_length=4096)
    rates: list[Rate] | None = Field(None, max_length=8, description="only when they have changed")
    closed: float | None = Field(
        None, ge=0, le=1e7, description="seconds for which its provider takes nothing from it"
    )


class StepReport(Model):
    """What one burst got in one engine step.

    ``index`` is the number of tokens that it had before; ``text`` what became readable with
    ``tokens`` (a token may hold half a character, and a text that may begin a stop string is
    held back until that is known). ``finish`` ends the burst.

    A driver without ``resume_tokens`` may not know the tokens: it gives any numbers, one for each
    piece of text, and says at the end how many there were (``completion_tokens``). An error with
    ``prompt_tokens: 0`` says that nothing was used; one without them, that nobody knows.
    """

    burst: int = Field(ge=1)
    attempt: int = Field(ge=1)
    index: Count
    tokens: list[TokenId] = Field(default_factory=list)
    text: str = ""
    logprobs: list[ChosenLogprob] | None = Field(None, description="of tokens, if asked for")
    tool_calls: list[ToolCall] = Field(
        default_factory=list, max_length=MAX_CALLS, description="with the end, whole"
    )
    prompt_tokens: TokenId | None = Field(
        None, description="once: with the first report, if it can count beforehand"
    )
    completion_tokens: TokenId | None = Field(
        None, description="with the end: what is to be paid for, if that is not len(tokens)"
    )
    cached_tokens: TokenId = Field(
        0, description="of the prompt and the accepted tokens, those found that were read before"
    )
    prefill_seconds: float = Field(0.0, ge=0, le=1e6)
    decode_seconds: float = Field(0.0, ge=0, le=1e6)
    finish: Finish | None = None
    error: ErrorRecord | None = None


class Report(Model):
    steps: list[StepReport]


class Welcome(Model):
    """``boot`` changes when the kernel restarts; what was running under another is void."""

    boot: int
    beat_interval: float = BEAT_INTERVAL


class Start(Model):
    """``accepted`` are tokens that this burst already has: they are prefilled after the prompt,
    not reported again, and the answer goes on from them. With ``text`` their numbers mean nothing
    here (another kind of driver made them): the answer goes on from this text of theirs, and is
    counted from where they end. ``hold``: only count the prompt, report that, and wait to be
    resumed."""

    burst: int = Field(ge=1)
    attempt: int
    pid: Pid
    model: ModelName
    messages: list[ChatMessage]
    sampling: Sampling
    context_tokens: int | None = Field(None, description="the process's own limit, if lower")
    labels: list[Name] = Field(
        default_factory=list, description="of the prompt: KV is shared among equals only"
    )
    accepted: list[int] = Field(default_factory=list)
    text: str | None = None
    tools: list[ToolSpec] = Field(default_factory=list)
    tool_choice: ToolChoice = "auto"
    hold: bool = False


class BurstRef(Model):
    burst: int = Field(ge=1)
    attempt: int


class ProcessRef(Model):
    pid: Pid


class Expected(Model):
    """``seconds``: from now, about; nobody knows, if there are none."""

    pid: Pid
    seconds: float | None = Field(None, ge=0, le=1e9)


class Forked(Model):
    pid: Pid
    child: Pid


class Assignment(Model):
    """A process for a host to run, with the session in whose name it makes its calls."""

    pid: Pid
    name: Name
    session: str
    manifest: dict[str, Any]


class HostSignal(Model):
    """INT, STOP and CONT mean something to a program only: the rest the kernel does. ``grace``: of
    a program that has ended itself; seconds that it has to be gone, before it is killed."""

    pid: Pid
    signal: Signal
    grace: float = Field(0.0, ge=0, le=1e6)


FROM_DRIVER: Final[dict[str, type[Model]]] = {
    "register": Registration, "beat": Beat, "report": Report, "result": JobResult,
}  # fmt: skip
FROM_KERNEL: Final[dict[str, type[Model]]] = {
    "welcome": Welcome,
    "refuse": ErrorRecord,
    "start": Start,
    "preempt": BurstRef,
    "resume": BurstRef,
    "cancel": BurstRef,
    "snapshot": BurstRef,
    "expect": Expected,
    "fork": Forked,
    "drop": ProcessRef,
    "call": ToolOrder,
    "embed": EmbedOrder,
    "abort": JobRef,
    "assign": Assignment,
    "signal": HostSignal,
}

PLACES: Final[dict[Kind, Place]] = {"edge": "edge", "node": "node", "cloud": "cloud"}
"""Which ``placement.allow`` word each kind of compute driver answers to."""
