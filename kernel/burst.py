"""A burst: one LLM call of one process, from admission to its last token.

It knows nothing about queues or drivers; those move it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from kernel import ledger
from llmagentos.abi.cards import Price
from llmagentos.abi.driver import Finish, StepReport
from llmagentos.abi.errors import ECONTEXT, EINVAL, EPROTO, LLMOSError
from llmagentos.abi.logprob import ChosenLogprob
from llmagentos.abi.manifest import Sampling
from llmagentos.abi.model import MAX_TEXT
from llmagentos.abi.process import Usage
from llmagentos.abi.talk import MAX_CALLS, ChatMessage, ToolCall, ToolChoice, ToolSpec

if TYPE_CHECKING:
    from kernel.calls import Call
    from kernel.demand import Demand
    from kernel.process import Process


Resumes = Literal["tokens", "text"]


@dataclass(slots=True, eq=False)
class Burst:
    """``driver`` is where it runs, or, while ``kept``, where its KV waits for it. ``state``:
    queued for a slot, running in one, or held by a STOP."""

    id: int
    number: int
    """Which of its process's answers this is. A call that is repeated after a crash of the kernel
    gets the same number, so a reader knows what it has heard."""
    process: Process
    call: Call
    models: tuple[str, ...]
    messages: tuple[ChatMessage, ...]
    sampling: Sampling
    tools: tuple[ToolSpec, ...]
    tool_choice: ToolChoice
    append: bool
    added: int
    """How many of ``messages``, from the end, are not in the context yet."""
    admitted: float
    submitted: float
    """When it began to wait, this time."""
    approved: bool = False
    """Somebody has said yes to a model that must be asked for."""
    state: Literal["queued", "running", "held"] = "queued"
    labels: tuple[str, ...] = ()
    """Of what its prompt holds."""
    bytes: int = 0
    """Of its prompt's texts."""
    demand: Demand | None = None
    """What it waits for, while it is queued."""
    attempt: int = 0
    model: str = ""
    driver: str | None = None
    kept: bool = False
    counting: bool = False
    """Its driver holds it until its prompt is counted and paid for."""
    slot_since: float = 0.0
    ran_from: int = 0
    """How many tokens it had when it got its slot."""
    first_at: float | None = None
    """When its driver gave it its first token, this time."""
    last_at: float = 0.0
    """The same of its last one."""
    started: float | None = None
    tokens: list[int] = field(default_factory=list)
    text: str = ""
    numbered: str = ""
    """The model whose numbers its tokens are; "": at least one of them is no number of a token, so
    only its text says how it goes on."""
    restarts: int = 0
    """How often it was begun anew."""
    sunk_tokens: int = 0
    """Those of answers that were begun before."""
    failed_on: tuple[str, ...] = ()
    """Drivers that gave it an error which another might not."""
    tool_calls: list[ToolCall] = field(default_factory=list)
    paid_tokens: int | None = None
    """How many tokens its answer is to be paid for, where its driver says another number than the
    tokens that it gave."""
    metered: bool = True
    """False: its driver takes money for it, and has not said yet for how much."""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    """Of these, those that its first driver had read before."""
    recalled: int = 0
    """Tokens that any of its drivers had read before, its own included."""
    prefill_weight: float = 0.5
    """What a token of the prompt takes on its driver, beside one of the answer."""
    logprobs: list[ChosenLogprob] = field(default_factory=list)
    reserved: dict[str, int] = field(default_factory=dict)
    price: Price | None = None
    """Of the model, on the driver that it is on."""
    moved_at: int = 0
    """How many tokens it brought to that driver."""
    risked: int = 0
    """Money that is spent if the kernel dies now."""
    sunk_cost: int = 0
    """What it cost on drivers that it was on before, in billionths."""
    queue_seconds: float = 0.0
    prefill_seconds: float = 0.0
    decode_seconds: float = 0.0
    finish: Finish | None = None

    @property
    def tree(self) -> int:
        """The pid of the root of its process's tree: what the fair policy is fair to."""
        return self.process.tree

    @property
    def weight(self) -> float:
        return self.process.weight

    @property
    def priority(self) -> int:
        return self.process.priority

    @property
    def due(self) -> float | None:
        """When its process is to be done."""
        return self.process.due

    @property
    def estimate(self) -> int:
        """About how many tokens its prompt has, as long as nobody has counted them."""
        return self.bytes // 4 + 8 * len(self.messages)

    @property
    def prompt_bound(self) -> int:
        """The most tokens that its prompt can come to: no token stands for less than a byte, and
        a template puts a few around each message."""
        return self.bytes + 16 * len(self.messages) + 64

    @property
    def made(self) -> int:
        """How many tokens its answer has."""
        return len(self.tokens) if self.paid_tokens is None else self.paid_tokens

    @property
    def resumes(self) -> Resumes | None:
        """How it goes on elsewhere; None: it has not begun."""
        if not self.tokens:
            return None
        return "tokens" if self.numbered else "text"

    @property
    def most(self) -> int:
        """How many tokens it may come to, about, as providers count them beforehand."""
        return (self.prompt_tokens or self.estimate) + self.sampling.max_tokens

    @property
    def cost(self) -> int:
        """What it cost up to now, in billionths of a currency unit. What nobody has said the cost
        of may have cost all that it could."""
        if not self.metered:
            return max(self.sunk_cost, self.reserved.get("money", 0))
        return self.cost_of(self.prompt_tokens, self.made, self.price)

    def answer(self) -> ChatMessage:
        return ChatMessage(role="assistant", content=self.text, tool_calls=self.tool_calls)

    def cost_of(self, prompt: int, tokens: int, price: Price | None) -> int:
        """What it costs with so many tokens in all, at this price on the driver that it is on. What
        it brings from another driver is read like its prompt."""
        if price is None:
            return self.sunk_cost
        read, made = prompt + self.moved_at, max(0, tokens - self.moved_at)
        return (
            self.sunk_cost + ledger.price(price.prompt, read) + ledger.price(price.completion, made)
        )

    def accept(self, step: StepReport) -> bool:
        """Take in a report; False if it was heard before or is of an earlier attempt. Raises
        ``EPROTO`` if tokens are missing."""
        if step.attempt != self.attempt or step.index < len(self.tokens):
            return False
        if self.counting and step.tokens:
            raise EPROTO(f"burst {self.id} is to be counted and held, and its driver went on")
        if step.index > len(self.tokens):
            raise EPROTO(
                f"burst {self.id} has {len(self.tokens)} tokens and the driver goes on at "
                f"{step.index}"
            )
        if len(self.tokens) + len(step.tokens) > self.sampling.max_tokens:
            raise EPROTO(
                f"burst {self.id} may have {self.sampling.max_tokens} tokens, and the driver "
                f"made {len(self.tokens) + len(step.tokens)}"
            )
        asked = self.sampling.logprobs is not None
        if step.logprobs is not None and not (asked and len(step.logprobs) == len(step.tokens)):
            raise EPROTO(
                f"burst {self.id} got {len(step.logprobs)} probabilities for {len(step.tokens)} "
                f"tokens{'' if asked else ', and wants none'}"
            )
        self.tokens += step.tokens
        self.text += step.text
        self.logprobs += step.logprobs or ()
        self.prefill_seconds += step.prefill_seconds
        self.decode_seconds += step.decode_seconds
        self.finish = step.finish
        for call in step.tool_calls:
            self.tool_calls.append(_distinct(call, {one.id for one in self.tool_calls}))
        if step.prompt_tokens is not None:
            self.metered = True
        if step.completion_tokens is not None:
            # Those that it brought from elsewhere are no affair of this driver.
            self.paid_tokens = self.moved_at + step.completion_tokens
        return True

    @property
    def excess(self) -> LLMOSError | None:
        """What is wrong with an answer that could not be kept or sent."""
        if len(self.text) > MAX_TEXT:
            return ECONTEXT(f"the answer is longer than {MAX_TEXT:,} characters")
        if len(self.tool_calls) > MAX_CALLS:
            return EINVAL(f"the answer wants more than {MAX_CALLS} calls made")
        return None

    def billed(self, prompt: int, *, nothing: bool) -> None:
        """Its driver says how many tokens it has read. What the burst brought as a text is among
        them, and is counted as part of the answer. ``nothing``: 0 says that it has used nothing,
        which is no news of the prompt."""
        if prompt or not nothing:
            self.prompt_tokens = max(0, prompt - (0 if self.numbered else self.moved_at))

    def begin_anew(self) -> None:
        """Forget the answer, but not what it took."""
        self.restarts += 1
        self.sunk_tokens += self.made
        self.tokens, self.text, self.logprobs, self.tool_calls = [], "", [], []
        self.paid_tokens, self.numbered, self.moved_at = None, "", 0

    def usage(self) -> Usage:
        return Usage(
            prompt_tokens=self.prompt_tokens,
            cached_tokens=min(self.cached_tokens, self.prompt_tokens),
            completion_tokens=self.made + self.sunk_tokens,
            turns=1,
            money=self.cost / ledger.MONEY,
            queue_seconds=round(self.queue_seconds, 6),
            prefill_seconds=round(self.prefill_seconds, 6),
            decode_seconds=round(self.decode_seconds, 6),
        )


def _distinct(call: ToolCall, taken: set[str]) -> ToolCall:
    """Under an id of its own: some endpoints give all calls of an answer the same, and a result
    goes by it."""
    id, number = call.id, 2
    while id in taken:
        id, number = f"{call.id[:120]}-{number}", number + 1
    return call if id == call.id else call.model_copy(update={"id": id})
