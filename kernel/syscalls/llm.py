"""The ``llm`` family: calls of a language model."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kernel import budget, context, reach
from kernel.burst import Burst
from kernel.calls import DEFERRED, Call, Deferred
from kernel.embed_job import EmbedJob
from kernel.process import Process
from kernel.table import digest
from llmagentos.abi.calls.llm import CancelArgs, CancelResult, EmbedArgs, GenerateArgs
from llmagentos.abi.errors import ECANCELED, ECONTEXT, EINVAL, LLMOSError
from llmagentos.abi.manifest import MAX_LOGPROBS, Sampling
from llmagentos.abi.talk import ChatMessage
from llmagentos.abi.wire import MAX_PROMPT

if TYPE_CHECKING:
    from kernel.machine import Machine


def generate(kernel: Machine, call: Call, args: GenerateArgs) -> Deferred:
    process = call.process
    kept = args.messages is None or args.append
    given: list[ChatMessage] = list(args.messages or ())
    size = sum(map(context.bytes_of, given))
    size += context.size(process.head) if kept else 0
    sampling = _sampling(process, args)
    _check(sampling)
    size += sum(len(tool.model_dump_json()) for tool in args.tools)
    # A grammar lies beside the prompt in the order to the driver.
    grammar = len(sampling.grammar.model_dump_json()) if sampling.grammar is not None else 0
    if size + grammar > MAX_PROMPT:
        raise ECONTEXT(
            f"the prompt takes {size + grammar:,} bytes; the most is {MAX_PROMPT:,}",
            hint="shorten or compact the context, or tell of fewer tools",
        )
    prompt = given
    if kept:
        past = context.messages(process.head)
        prompt = [node.message for node in past] + given
    if not prompt:
        raise EINVAL(
            "the context is empty, and no messages were given",
            hint="give messages, or ctx.append them first",
        )
    call.stream = args.stream
    number = max([process.usage.turns, *(burst.number for burst in process.bursts)]) + 1
    burst = Burst(
        id=kernel.new_burst(),
        number=number,
        process=process,
        call=call,
        models=_models(kernel, process, args),
        messages=tuple(prompt),
        sampling=_seeded(kernel, process, number, sampling),
        tools=tuple(args.tools),
        tool_choice=args.tool_choice,
        append=kept,
        added=len(given) if kept else 0,
        labels=process.labels,
        bytes=size,
        approved=call.approved,
        admitted=kernel.now,
        submitted=kernel.now,
    )
    budget.admit(burst, kernel.now)
    try:
        kernel.scheduler.submit(burst)
    except LLMOSError:
        budget.settle(burst, kernel.now, turn=False)
        raise
    call.burst = burst
    process.bursts.add(burst)
    if process.stopped:
        kernel.scheduler.hold(burst)
    position = kernel.scheduler.queued
    kernel.journal.event(
        kernel.now, "burst.queued", process.pid, burst=burst.id, models=list(burst.models),
        position=position, estimate=kernel.scheduler.estimate(position),
    )  # fmt: skip
    kernel.settle(process, f"burst {burst.id} was queued")
    return DEFERRED


def _models(kernel: Machine, process: Process, args: GenerateArgs) -> tuple[str, ...]:
    if isinstance(args.model, str):
        return (args.model,)
    if args.model:
        return tuple(args.model)
    if process.manifest is not None:
        return tuple(process.spec.models)
    return (kernel.config.default_model,)


def _sampling(process: Process, args: GenerateArgs) -> Sampling:
    sampling = process.spec.sampling
    return sampling if args.sampling is None else args.sampling.over(sampling)


def _check(sampling: Sampling) -> None:
    """Raises ``EINVAL`` for an answer that would be too large to be sent."""
    if sampling.logprobs is not None:
        most = sampling.max_tokens * (1 + sampling.logprobs)
        if most > MAX_LOGPROBS:
            raise EINVAL(
                f"{sampling.max_tokens} tokens with {sampling.logprobs} of the likeliest beside "
                f"each are {most:,} probabilities; the most is {MAX_LOGPROBS:,}",
                hint="lower max_tokens or logprobs",
            )


def _seeded(kernel: Machine, process: Process, number: int, sampling: Sampling) -> Sampling:
    if sampling.seed is None and sampling.temperature > 0:
        # Chosen here, and the same for a repeat after a crash, so that another driver, or the
        # same one anew, makes the same draws.
        secret = digest(f"{kernel.services.user_key} {process.pid} {number}")
        sampling = sampling.model_copy(update={"seed": int(secret[:15], 16)})
    return sampling


def embed(kernel: Machine, call: Call, args: EmbedArgs) -> Deferred:
    size = sum(len(text.encode()) + 8 for text in args.texts)
    if size > MAX_PROMPT:
        raise ECONTEXT(
            f"the texts take {size:,} bytes; the most is {MAX_PROMPT:,}",
            hint="embed them in several calls",
        )
    return kernel.jobs.submit(EmbedJob(kernel.new_burst(), call, args))


def cancel(kernel: Machine, call: Call, args: CancelArgs) -> CancelResult:
    process = reach.target(kernel, call.process, args.pid)
    victims = [
        one
        for one in process.calls
        if one.spec.name == "llm.generate" and (args.call is None or one.id == args.call)
    ]
    for one in victims:
        kernel.calls.cancel_burst(one)
        kernel.calls.refuse(one, ECANCELED("the LLM call was cancelled"), keep=True)
    return CancelResult(cancelled=len(victims))


HANDLERS: dict[str, Callable[..., Any]] = {
    "llm.generate": generate,
    "llm.embed": embed,
    "llm.cancel": cancel,
}
