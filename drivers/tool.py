"""A tool: a thing that an agent may call, its arguments checked by the model that describes them.

The arguments are a pydantic model: what it says to an LLM (its JSON Schema, in the card) and what
it lets through are the same. It knows nothing about the protocol, or in which thread it runs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeVar

from pydantic import ValidationError

from drivers.faults import first_problem
from llmagentos.abi.cards import ToolCard
from llmagentos.abi.driver import DriverState
from llmagentos.abi.errors import EINVAL
from llmagentos.abi.jobs import MAX_DENIAL, MAX_DENIED, Denial
from llmagentos.abi.model import Json, Model, Name

_MORE: Final = "more"


@dataclass(eq=False, slots=True)
class Job:
    """One order that is being carried out, as the tool sees it.

    ``key`` is the same when the kernel repeats an order after a crash. ``aborted`` is set when
    nobody wants the result any more: a thread can't be stopped, so work that may take long must
    look at it, and raise what it likes. ``denied``: what ``deny`` was told.
    """

    number: int
    pid: int
    key: str = ""
    aborted: threading.Event = field(default_factory=threading.Event)
    denied: list[Denial] = field(default_factory=list)

    def deny(self, what: str, detail: str, times: int = 1) -> None:
        """For the audit log: whoever the job is for was refused this. Of more than fit into a
        result the last one says how many they are."""
        if len(self.denied) < MAX_DENIED:
            self.denied.append(Denial(what=what, detail=detail[:MAX_DENIAL], times=times))
            return
        last = self.denied[-1]
        before = last.times if last.what == _MORE else 1
        self.denied[-1] = Denial(what=_MORE, detail="of other kinds", times=before + 1)


@dataclass(frozen=True, slots=True)
class Tool:
    """``run`` is called in a thread of its own, for several jobs at once; it may raise an
    ``LLMOSError``, which ends that job only."""

    card: ToolCard
    run: Callable[[dict[str, Json], Job], Json]


class Offer(Protocol):
    """How a source says what there is. From any thread; ``tools`` only when they have changed."""

    def __call__(
        self, state: DriverState, note: str = "", tools: Sequence[Tool] | None = None
    ) -> None: ...


class Source(Protocol):
    """Where tools come from that are not the same for all the driver's life. Until its first offer
    the driver is loading."""

    def start(self, offer: Offer) -> None: ...

    def stop(self) -> None: ...


Arguments = TypeVar("Arguments", bound=Model)


def make_tool(
    name: str,
    description: str,
    arguments: type[Arguments],
    work: Callable[[Arguments, Job], Json],
    labels: Sequence[Name] = (),
) -> Tool:
    """A tool whose ``work`` gets only arguments that fit; others are an ``EINVAL``."""

    def run(given: dict[str, Json], job: Job) -> Json:
        try:
            read = arguments.model_validate(given)
        except ValidationError as error:
            raise EINVAL(
                f"{name} can't take these arguments: {first_problem(error)}",
                hint=f"it takes: {', '.join(arguments.model_fields) or 'none'}",
            ) from None
        return work(read, job)

    card = ToolCard(
        name=name,
        description=description,
        parameters=arguments.model_json_schema(),
        labels=list(labels),
    )
    return Tool(card, run)
