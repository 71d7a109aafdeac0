"""The loop of one agent: read the context, make LLM calls, exit with the answer.

All that it needs is a session; all that it achieves is in the kernel before it goes on, so
another host can take over at any step. It knows nothing about other agents, about the host
that it runs in, or about signals.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from dataclasses import dataclass
from typing import Any, Final

from agents.toolbox import Toolbox, unanswered
from llmagentos.abi import errors
from llmagentos.abi.calls.ctx import ReadResult
from llmagentos.aio import AsyncSystem

INTERRUPTED: Final = 130
TERMINATED: Final = 143
"""Exit codes of a process that INT or TERM ended, as a Unix shell counts them: 128 + signal."""

_TERM_GRACE: Final = 0.2
"""TERM cancels the calls in flight and is announced on another socket, so the cancellation may
come first. Seconds that a cancelled agent waits to hear whether TERM was the reason."""

_LOST: Final = (errors.EAUTH, errors.ESRCH, errors.ECONNREFUSED)
"""The process has ended, is somebody else's now, or there is no kernel to tell of its end."""

_ONE_TURN: Final = (
    errors.ECANCELED, errors.ECONTEXT, errors.EDRIVER, errors.ENODRIVER, errors.ETIMEOUT,
    errors.EBUSY, errors.ERATE,
)  # fmt: skip
"""What an interactive agent outlives: the next message may fare better."""

_MOST_ROUNDS: Final = 100
_RECENT: Final = 512
"""Messages from the end of the context: more than one answer's calls and their results."""

_log = logging.getLogger("agents.loop")


@dataclass(frozen=True, slots=True)
class Ending:
    """How an agent ends: the arguments of its ``proc.exit``."""

    code: int
    answer: str = ""
    error: dict[str, Any] | None = None

    @classmethod
    def failed(cls, error: errors.LLMOSError) -> Ending:
        return cls(max(1, error.exit_status), error=error.to_wire())

    @classmethod
    def terminated(cls) -> Ending:
        return cls(TERMINATED, error=errors.ECANCELED("TERM ended it").to_wire())


async def live(
    program: AsyncSystem, name: str, *, interactive: bool = False, tools: bool = False
) -> None:
    """Run the process of this session to its end. ``interactive``: that is not its first answer;
    it goes on as long as there is mail. ``tools``: its model is told of those that it may call.
    Whatever goes wrong goes wrong in here."""
    try:
        ending = await _run(program, interactive, Toolbox(program) if tools else None)
    except _LOST as error:
        _log.debug("%s is dropped: %s", name, error)
        return
    except errors.ECANCELED as error:
        await asyncio.sleep(_TERM_GRACE)
        ending = Ending(INTERRUPTED, error=error.to_wire())
    except errors.LLMOSError as error:
        ending = Ending.failed(error)
    except Exception as error:
        _log.exception("%s: an error in the agent's loop", name)
        cause = traceback.format_exception_only(error)[-1].strip()
        ending = Ending.failed(
            errors.EIO(f"the agent's loop failed: {cause}", hint="the host's log has the traceback")
        )
    await leave(program, name, ending)


async def leave(program: AsyncSystem, name: str, ending: Ending) -> None:
    """End the process of this session."""
    try:
        await program.call(
            "proc.exit", code=ending.code, answer=ending.answer or None, error=ending.error
        )
    except _LOST as error:
        _log.debug("%s is dropped: %s", name, error)
    except errors.LLMOSError as error:
        _log.error("%s could not exit: %s", name, error)
    else:
        _log.debug("%s exited with %d", name, ending.code)


async def _run(program: AsyncSystem, interactive: bool, toolbox: Toolbox | None) -> Ending:
    context = ReadResult.model_validate(await program.call("ctx.read")).messages
    last = context[-1] if context else None
    # It may have had its answer already: a host that ran it before has died since.
    answered = last is not None and last.role == "assistant" and not last.tool_calls
    answer = last.content if last is not None and answered else None
    # A summary may stand for what it was given.
    told = any(message.role == "user" or message.sources for message in context)
    if answer is None and not interactive and not told:
        raise errors.EINVAL("it was given no text", hint="spawn it with a text")
    waits_first = interactive and (last is None or last.role == "system")
    while True:
        if answer is None and not waits_first:
            # Without messages the kernel takes the context and appends the answer in one step. It
            # is not streamed to here: whoever watches the process gets the text from the kernel.
            answer = await _answered(program, interactive, toolbox)
        # What was said to it meanwhile is answered too; into its context in one step with its
        # leaving the mailbox, so that no message is lost with a host.
        try:
            come = await program.call("ipc.recv", append=True, block=interactive)
        except errors.ECANCELED:
            if not interactive:
                raise
            # INT, while there was nothing to cancel. Or TERM, of which the host hears now.
            await asyncio.sleep(_TERM_GRACE)
            continue
        if not come["mail"]:
            return Ending(0, answer or "")
        answer, waits_first = None, False


async def _thought(program: AsyncSystem, toolbox: Toolbox | None) -> str:
    """Answers, and the calls that they want made, until one wants none."""
    if toolbox is None:
        return (await program.generate()).text
    for _ in range(_MOST_ROUNDS):
        tools = await toolbox.open()
        # What a host that died has left is done first.
        context = ReadResult.model_validate(await program.call("ctx.read", last=_RECENT)).messages
        if not (calls := unanswered(context)):
            reply = await program.generate(tools=tools)
            if not reply.tool_calls:
                return reply.text
            calls = reply.tool_calls
        await toolbox.make(calls)
    raise errors.EQUOTA(
        f"it has called tools in {_MOST_ROUNDS} answers, and is not done",
        hint="limits.turns says how many answers it may take",
    )


async def _answered(program: AsyncSystem, interactive: bool, toolbox: Toolbox | None) -> str:
    """Of an agent that is interactive INT, a driver's fault or a message that is too long end one
    answer, not the agent. Its context says so in its place, so that no host tries again."""
    try:
        return await _thought(program, toolbox)
    except _ONE_TURN as error:
        if not interactive:
            raise
        if isinstance(error, errors.ECANCELED):
            await asyncio.sleep(_TERM_GRACE)
            words = "(interrupted)"
        else:
            words = f"(no answer: {error.message})"
        if toolbox is not None:
            recent = await program.call("ctx.read", last=_RECENT)
            await toolbox.give_up(unanswered(ReadResult.model_validate(recent).messages), words)
        if isinstance(error, errors.ECONTEXT):
            # With it no later message could be read either.
            await _take_back(program)
        await program.call("ctx.append", messages=[{"role": "assistant", "content": words}])
        return words


async def _take_back(program: AsyncSystem) -> None:
    """The last message of the context."""
    read = ReadResult.model_validate(await program.call("ctx.read", last=2))
    before = read.messages[-2].id if len(read.messages) > 1 else 0
    await program.call("ctx.rewind", message=before)
