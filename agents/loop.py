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
from llmagentos.abi.calls.ctx import ContextMessage, ReadResult
from llmagentos.abi.calls.llm import GenerateResult
from llmagentos.abi.manifest import AgentSpec
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


async def live(program: AsyncSystem, name: str, spec: AgentSpec) -> None:
    """Run the process of this session, of which the manifest says ``spec``, to its end. Whatever
    goes wrong goes wrong in here."""
    try:
        ending = await _Life(program, spec).run()
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


class _Life:
    """One agent from here to its end."""

    def __init__(self, program: AsyncSystem, spec: AgentSpec) -> None:
        self._program = program
        self._interactive = spec.interactive
        self._toolbox = Toolbox(program, spec.tool_refs, spec.tool_choice) if spec.tools else None
        grammar = spec.sampling.grammar
        self._structured = grammar is not None and grammar.json_schema is not None

    async def run(self) -> Ending:
        context = await self._context()
        last = context[-1] if context else None
        # It may have had its answer already: a host that ran it before has died since.
        answered = last is not None and last.role == "assistant" and not last.tool_calls
        answer = last.content if last is not None and answered else None
        # A summary may stand for what it was given.
        told = any(message.role == "user" or message.sources for message in context)
        if answer is None and not self._interactive and not told:
            raise errors.EINVAL("it was given no text", hint="spawn it with a text")
        waits_first = self._interactive and (last is None or last.role == "system")
        while True:
            if answer is None and not waits_first:
                # Without messages the kernel takes the context and appends the answer in one step.
                # It is not streamed to here: whoever watches gets the text from the kernel.
                answer = await self._answered()
            # What was said to it meanwhile is answered too; into its context in one step with its
            # leaving the mailbox, so that no message is lost with a host.
            try:
                come = await self._program.call("ipc.recv", append=True, block=self._interactive)
            except errors.ECANCELED:
                if not self._interactive:
                    raise
                # INT, while there was nothing to cancel. Or TERM, of which the host hears now.
                await asyncio.sleep(_TERM_GRACE)
                continue
            if not come["mail"]:
                return Ending(0, answer or "")
            answer, waits_first = None, False

    async def _context(self, last: int | None = None) -> list[ContextMessage]:
        read = await self._program.call("ctx.read", **({} if last is None else {"last": last}))
        return ReadResult.model_validate(read).messages

    async def _answered(self) -> str:
        """Of an agent that is interactive INT, a driver's fault or a message that is too long end
        one answer, not the agent. Its context says so in its place, so that no host tries again."""
        try:
            return await self._thought()
        except _ONE_TURN as error:
            if not self._interactive:
                raise
            if isinstance(error, errors.ECANCELED):
                await asyncio.sleep(_TERM_GRACE)
                words = "(interrupted)"
            else:
                words = f"(no answer: {error.message})"
            if self._toolbox is not None:
                await self._toolbox.give_up(unanswered(await self._context(_RECENT)), words)
            if isinstance(error, errors.ECONTEXT):
                # With it no later message could be read either.
                await self._take_back()
            said = {"role": "assistant", "content": words}
            await self._program.call("ctx.append", messages=[said])
            return words

    async def _thought(self) -> str:
        """Answers, and the calls that they want made, until one wants none."""
        if self._toolbox is None:
            return self._checked(await self._program.generate())
        for _ in range(_MOST_ROUNDS):
            await self._toolbox.open()
            # What a host that died has left is done first.
            context = await self._context(_RECENT)
            if not (calls := unanswered(context)):
                told = self._toolbox.told(context)
                choice = self._toolbox.choice(context) if told else None
                reply = await self._program.generate(tools=told, tool_choice=choice)
                if not reply.tool_calls:
                    return self._checked(reply)
                calls = reply.tool_calls
            await self._toolbox.make(calls)
        raise errors.EQUOTA(
            f"it has called tools in {_MOST_ROUNDS} answers, and is not done",
            hint="limits.turns says how many answers it may take",
        )

    def _checked(self, reply: GenerateResult) -> str:
        """Half of a JSON document is none."""
        if self._structured and reply.finish == "length":
            raise errors.EQUOTA(
                f"its answer was to be JSON, and was cut off after {reply.usage.completion_tokens} "
                "tokens",
                hint="give it a higher sampling.max_tokens",
            )
        return reply.text

    async def _take_back(self) -> None:
        """The last message of the context."""
        messages = await self._context(2)
        before = messages[-2].id if len(messages) > 1 else 0
        await self._program.call("ctx.rewind", message=before)
