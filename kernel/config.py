"""The kernel's settings, and the services that are handed to its machine.

It knows nothing about where the settings come from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from llmagentos.abi.driver import BEAT_INTERVAL, MISSED_BEATS
from llmagentos.abi.errors import LLMOSError
from llmagentos.abi.manifest import DEFAULT_MODEL, Manifest
from llmagentos.abi.process import ProcessInfo
from llmagentos.abi.wire import REPLAYS_KEPT

if TYPE_CHECKING:
    from kernel.files import FileStore
    from kernel.mail import MailStore
    from kernel.memory_store import MemoryStore


@dataclass(frozen=True, slots=True)
class Config:
    """Counts, and seconds."""

    default_model: str = DEFAULT_MODEL
    policy: str = "fair"
    """Of scheduling: a name in ``kernel.policies.POLICIES``."""
    queue_limit: int = 4096
    driver_patience: float = 60.0
    """How long a burst waits for a driver that is away to come back."""
    boot_patience: float = 20.0
    """How long after a boot a model or a tool that no driver offers may still be announced."""
    claim_patience: float = 5.0
    """How long after a boot hosts may claim the processes that they still run."""
    term_grace: float = 5.0
    """Between TERM and KILL."""
    silence: float = BEAT_INTERVAL * MISSED_BEATS
    """A driver that was silent for so long is taken for dead."""
    attempts: int = 3
    """How many drivers may die under a burst before it fails."""
    approval_patience: float = 86_400.0
    """How long a question waits for somebody to decide it; then it is a no."""
    calls_open: int = 4096
    """Calls of one process that may wait for their replies."""
    events_kept: int = 20_000
    zombies_kept: int = 1000
    processes_kept: int = 10_000
    """Collected processes in the history, with their contexts."""
    audit_kept: int = 1_000_000
    """Entries of the audit log."""
    versions_kept: int = 100
    """Versions of one file."""
    publications_kept: int = 1000
    """Messages of one topic."""
    topics_kept: int = 10_000
    mailbox: int = 1000
    """Messages in a mailbox whose process has no limit of its own."""
    replays_kept: int = REPLAYS_KEPT


class StoreFailed(Exception):
    """The state can't be read or written: the machine must not go on. ``error`` says why."""

    def __init__(self, error: LLMOSError) -> None:
        super().__init__(str(error))
        self.error = error


class Catalog(Protocol):
    """Manifests by name, or from text. Raises ``ENOENT`` and ``EINVAL``."""

    def named(self, name: str) -> Manifest: ...

    def parsed(self, source: str, file: str, folder: str = "") -> Manifest: ...

    def checked(self, document: dict[str, Any]) -> Manifest: ...


class History(Protocol):
    """What is kept on disk only."""

    def process(self, pid: int) -> ProcessInfo | None:
        """A process that was collected."""

    def processes(self, count: int) -> list[ProcessInfo]:
        """The last so many that were collected, newest first."""

    def messages(self, pid: int) -> list[dict[str, Any]]:
        """The context of a process that was collected, oldest message first."""

    def pages(self, ids: list[int]) -> list[dict[str, Any]]:
        """These messages, oldest first, as far as they were committed."""

    def summaries(self, ids: list[int]) -> list[tuple[int, list[int]]]:
        """Those of these messages that are summaries, and the messages that each stands for."""

    def events(self, since: int, limit: int, pid: int | None) -> list[dict[str, Any]]:
        """Events with a greater seq than ``since``, oldest first."""

    def audit(self, since: int, limit: int) -> list[dict[str, Any]]:
        """Audit entries with a greater seq than ``since``, oldest first."""

    def replies(self, turn: int) -> bytes | None:
        """The packed replies of one turn."""

    def retire(self, kept: int) -> list[int]:
        """Forget all but the last so many collected processes; the pids that are gone."""


@dataclass(frozen=True, slots=True)
class Services:
    """What the machine reaches the world through. ``mint`` makes unguessable tokens (hex), and
    is the machine's only source of chance."""

    catalog: Catalog
    history: History
    memory: MemoryStore
    files: FileStore
    mail: MailStore
    mint: Callable[[], str]
    user_key: str
    service_key: str
    version: str
    os_pid: int
    events_socket: str
