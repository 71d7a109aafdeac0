"""A process: what the kernel knows of one agent or program, and the states it goes through.

It knows nothing about other processes: the tree is the table's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from kernel import context
from kernel.context import Node
from kernel.ledger import Account
from kernel.ordered import Ordered
from kernel.rate import Window
from kernel.rules import Rules
from llmagentos.abi.manifest import AgentSpec, Manifest, Place
from llmagentos.abi.process import (
    INIT,
    ExitRecord,
    Limits,
    Placement,
    ProcessInfo,
    Reason,
    State,
    Usage,
)

if TYPE_CHECKING:
    from kernel.burst import Burst
    from kernel.calls import Call
    from kernel.effects import Send

# Back to NEW goes what is restarted.
_NEXT: Final[dict[State, frozenset[State]]] = {
    "NEW": frozenset({"READY", "RUNNING", "WAITING", "STOPPED", "ZOMBIE"}),
    "READY": frozenset({"NEW", "RUNNING", "WAITING", "STOPPED", "ZOMBIE"}),
    "RUNNING": frozenset({"NEW", "READY", "WAITING", "STOPPED", "ZOMBIE"}),
    "WAITING": frozenset({"NEW", "READY", "RUNNING", "WAITING", "STOPPED", "ZOMBIE"}),
    "STOPPED": frozenset({"NEW", "READY", "RUNNING", "WAITING", "ZOMBIE"}),
    "ZOMBIE": frozenset(),
}


_REMEMBERED: Final = 16


class Step(NamedTuple):
    """One transition."""

    time: float
    before: str
    after: str
    why: str


class IllegalTransition(Exception):
    """A process was to go where it can't; carries all that led there."""

    def __init__(self, process: Process, to: State, why: str) -> None:
        story = "\n".join(
            f"  {step.time:.3f} {step.before} -> {step.after}: {step.why}"
            for step in process.history
        )
        super().__init__(
            f"process {process.pid} ({process.name}) can't go from {process.state} to {to}: "
            f"{why}\nits last transitions:\n{story or '  none'}"
        )


@dataclass(slots=True, eq=False)
class Process:
    pid: int
    ppid: int
    name: str
    kind: Literal["init", "agent", "program"]
    started: float
    manifest: Manifest | None = None
    manifest_hash: str | None = None
    """Its manifest's name on the disk, where one is kept for all processes that run it."""
    session: str = ""
    """The hash of its session's token; "" when it has none."""
    state: State = "NEW"
    reason: Reason | None = None
    priority: int = 0
    labels: tuple[str, ...] = ()
    rights: tuple[Rules, ...] = ()
    """The rules that bind it: those of every ancestor at its birth, and, last, its own. None:
    nothing binds it but where it stands in the tree."""
    places: tuple[Place, ...] = ("edge", "node", "cloud")
    """Where its bursts may run: at most where its parent's may."""
    payer: Process | None = None
    """Whose budget it draws on beside its own: its parent at birth, also when that has ended."""
    tree: int = INIT
    """The pid of the root of the tree that it was born in: the child of init above it."""
    weight: float = 1.0
    """The share of that tree under the fair policy."""
    due: float | None = None
    """When it should be done, under the deadline policy."""
    deadline: float | None = None
    """When its wall time, or that of an ancestor, is over."""
    terminate_by: float | None = None
    """When it is killed, since TERM has come."""
    limits: Limits = field(default_factory=Limits)
    usage: Usage = field(default_factory=Usage)
    accounts: dict[str, Account] = field(default_factory=dict)
    minute: Window | None = None
    """What it spent of late, if its tokens per minute are limited."""
    head: Node | None = None
    born: Node | None = None
    """Its context at its birth: what it begins with again when it is restarted."""
    origin: int | None = None
    """Of which process it was forked."""
    restarts: tuple[float, ...] = ()
    """When it was restarted, of late."""
    failures: tuple[str, ...] = ()
    """Why it was."""
    context_tokens: int = 0
    checkpoints: dict[str, Node | None] = field(default_factory=dict)
    children: set[int] = field(default_factory=set)
    attached: bytes = b""
    """The connection that it ends with."""
    stopped: bool = False
    reaped: bool = False
    ended: float | None = None
    exit: ExitRecord | None = None
    host: str | None = None
    claim: str | None = None
    """The host that it was on before the boot, which may still run it."""
    hosted_before: bool = False
    model: str | None = None
    driver: str | None = None
    placement: Placement | None = None
    history: tuple[Step, ...] = ()
    """Its last transitions, oldest first."""
    bursts: Ordered[Burst] = field(default_factory=Ordered)
    calls: Ordered[Call] = field(default_factory=Ordered)
    """Its calls in flight."""
    watchers: Ordered[Call] = field(default_factory=Ordered)
    """Others' ``proc.wait`` calls for it."""
    held: list[Send] = field(default_factory=list)
    """Replies that came while it was stopped."""
    held_bytes: int = 0
    past: dict[str, Any] | None = None
    """Of one that was collected before the boot: what its row says, and need not be known here."""

    @property
    def spec(self) -> AgentSpec:
        return self.manifest.spec if self.manifest else AgentSpec()

    def account(self, what: str) -> Account:
        """Of one resource, made when it is first used."""
        found = self.accounts.get(what)
        if found is None:
            found = self.accounts[what] = Account()
        return found

    def hold(self, reply: Send, size: int) -> None:
        """It is stopped, and hears this when it goes on."""
        self.held.append(reply)
        self.held_bytes += size

    @property
    def alive(self) -> bool:
        return self.exit is None

    def go(self, to: State, reason: Reason | None, now: float, why: str) -> bool:
        """Change the state; False if nothing changed. Raises ``IllegalTransition``."""
        if to == self.state and reason == self.reason:
            return False
        if to not in _NEXT[self.state]:
            raise IllegalTransition(self, to, why)
        step = Step(now, _text(self.state, self.reason), _text(to, reason), why)
        self.history = (*self.history[-_REMEMBERED + 1 :], step)
        self.state, self.reason = to, reason
        return True

    def info(self, kv_bytes: int = 0) -> ProcessInfo:
        usage = self.usage
        for burst in self.bursts:
            if burst.started is not None:
                usage = usage + burst.usage()
        return ProcessInfo(
            pid=self.pid,
            ppid=self.ppid,
            name=self.name,
            kind=self.kind,
            state=self.state,
            reason=self.reason,
            manifest=self.manifest.metadata.name if self.manifest else None,
            model=self.model,
            driver=self.driver,
            host=self.host,
            priority=self.priority,
            labels=list(self.labels),
            limits=self.limits,
            usage=usage,
            context_messages=context.depth(self.head),
            context_tokens=self.context_tokens,
            kv_bytes=kv_bytes,
            children=sorted(self.children),
            started=self.started,
            ended=self.ended,
            exit=self.exit,
        )


def described(process: Process) -> str:
    """``WAITING(driver)``."""
    return _text(process.state, process.reason)


def _text(state: State, reason: Reason | None) -> str:
    return f"{state}({reason})" if reason else state


def brief(info: ProcessInfo) -> ProcessInfo:
    """As one row of many: what it said is for those who ask for it, and take its labels on."""
    if info.exit is None or not (info.exit.answer or info.exit.error):
        return info
    error = info.exit.error
    if error is not None and info.labels:
        error = error.model_copy(update={"message": "(labelled)", "hint": "", "detail": {}})
    record = info.exit.model_copy(update={"answer": "", "error": error})
    return info.model_copy(update={"exit": record})
