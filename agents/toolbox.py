"""The toolbox of one agent: what its model may call, and the calls that it wants made.

A call goes through the kernel, which makes it once and puts what came of it into the context in the
same step. What can't be made is told to the model there, so that it can do better. It knows nothing
about what tools do.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any, Final

from agents.arguments import parse
from llmagentos.abi import errors
from llmagentos.abi.calls.ctx import ContextMessage
from llmagentos.abi.calls.tool import ListResult, ToolInfo
from llmagentos.abi.talk import ToolCall, ToolChoice
from llmagentos.aio import AsyncSystem

SAME: Final = 3
"""So often the same call is made; then the model is told to do something else."""

HOPELESS: Final = 6
"""Whoever wants it so often goes round in circles, and is ended."""

_TELLS: Final = (
    errors.DeniedError, errors.EQUOTA, errors.EINVAL, errors.ENOENT, errors.EBUSY,
    errors.ENODRIVER, errors.EDRIVER, errors.ETIMEOUT,
)  # fmt: skip
"""What a model can act on. All else is no affair of it."""


class Toolbox:
    """``choice``: what the manifest says of whether a tool must be called."""

    def __init__(self, program: AsyncSystem, choice: ToolChoice = "auto") -> None:
        self._program = program
        self._choice = choice
        self._made: Counter[tuple[str, str]] = Counter()
        self._tools: dict[str, ToolInfo] = {}

    async def open(self) -> list[dict[str, Any]]:
        """What there is now, as the model is told of it."""
        listed = ListResult.model_validate(await self._program.call("tool.list"))
        allowed = (tool for tool in listed.tools if tool.up and tool.verdict != "deny")
        self._tools = {tool.name: tool for tool in allowed}
        return [
            {"name": one.name, "description": one.description, "parameters": one.parameters}
            for one in self._tools.values()
        ]

    def choice(self, context: Sequence[ContextMessage]) -> ToolChoice | None:
        """What holds for the next answer. One that must call a tool is the first to what came:
        were it each, there would be no end. None: as it likes."""
        if self._choice == "auto":
            return None
        if self._choice == "required" and context and context[-1].role == "tool":
            return None
        return self._choice

    async def make(self, calls: Sequence[ToolCall]) -> None:
        """Make these calls: in order, and those beside each other that say that they may. What came
        of each is in the context then. Raises ``EINVAL`` for a model that goes round in circles."""
        for together, group in groupby(calls, self._beside_others):
            some = list(group)
            if together:
                await _all(self._make(call) for call in some)
            else:
                for call in some:
                    await self._make(call)

    async def give_up(self, calls: Iterable[ToolCall], words: str) -> None:
        """Of these nothing will come: say so, since each call needs a result."""
        for call in calls:
            await self._tell(call, words)

    def _beside_others(self, call: ToolCall) -> bool:
        tool = self._tools.get(call.name)
        return tool is not None and tool.parallel

    async def _make(self, call: ToolCall) -> None:
        key = call.name, call.arguments
        self._made[key] += 1
        if self._made[key] >= HOPELESS:
            raise errors.EINVAL(
                f"the model wants {call.name} with the same arguments for the {HOPELESS}th time",
                hint="a larger model, or another prompt, may get on",
            )
        if self._made[key] > SAME:
            times = f"{self._made[key] - 1} times"
            return await self._tell(
                call, f"EINVAL: you have made this very call {times}; use what came of it"
            )
        try:
            await self._program.call(
                "tool.call", name=call.name, arguments=parse(call.arguments), append=call.id
            )
        except _TELLS as error:
            hint = f" ({error.hint})" if error.hint else ""
            await self._tell(call, f"{error.code}: {error.message}{hint}")

    async def _tell(self, call: ToolCall, words: str) -> None:
        message = {"role": "tool", "content": words, "tool_call": call.id}
        await self._program.call("ctx.append", messages=[message])


def unanswered(context: Sequence[ContextMessage]) -> list[ToolCall]:
    """The calls that the last answer wants made and that have no result."""
    answered = set()
    for message in reversed(context):
        if message.role == "tool":
            answered.add(message.tool_call)
        elif message.tool_calls:
            return [call for call in message.tool_calls if call.id not in answered]
        elif message.role == "assistant":
            break
    return []


async def _all(works: Iterable[Any]) -> None:
    """All of them; when one fails the others are stopped."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
