"""The toolbox of one agent: what its model may call, and the calls that it wants made.

A call goes through the kernel, which makes it once and puts what came of it into the context in the
same step. What can't be made is told to the model there, so that it can do better. It knows nothing
about what tools do.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from itertools import groupby
from typing import Any, Final

from agents.arguments import parse
from llmagentos.abi import errors
from llmagentos.abi.calls.ctx import ContextMessage
from llmagentos.abi.calls.tool import ListResult, ToolInfo
from llmagentos.abi.manifest import ToolRef
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


_LISTING: Final = "tool.list"
"""The tool that tells a model of those that are loaded lazily."""

_LINE: Final = 100
"""Characters of a description that a model is told of a tool before it is loaded."""


class Toolbox:
    """``refs``: the tools that its manifest names. ``choice``: what it says of whether one must be
    called."""

    def __init__(
        self, program: AsyncSystem, refs: Sequence[ToolRef], choice: ToolChoice = "auto"
    ) -> None:
        self._program = program
        self._refs = refs
        self._choice = choice
        self._made: Counter[tuple[str, str]] = Counter()
        self._tools: dict[str, ToolInfo] = {}

    async def open(self) -> None:
        """See what there is now."""
        listed = ListResult.model_validate(await self._program.call("tool.list"))
        self._tools = {
            tool.name: tool
            for tool in listed.tools
            if tool.up and tool.verdict != "deny" and self._load(tool.name) is not None
        }

    def told(self, context: Sequence[ContextMessage]) -> list[dict[str, Any]]:
        """What a model with this context is told of. A tool that is lazy takes one line, until
        the model has asked what it does."""
        asked = _asked_for(context)
        shut = {
            name: tool
            for name, tool in self._tools.items()
            if self._load(name) == "lazy" and name not in asked
        }
        told = [_spec(tool) for name, tool in self._tools.items() if name not in shut]
        if shut and (listing := self._tools.get(_LISTING)):
            told = [one for one in told if one["name"] != _LISTING]
            lines = [f"{name}: {_line(tool.description)}" for name, tool in shut.items()]
            words = "Ask for what you want to use of these tools first, by name.\n"
            told.append({**_spec(listing), "description": words + "\n".join(lines)})
        return told

    def _load(self, name: str) -> str | None:
        """How its manifest wants a tool loaded; None: it does not name it."""
        loads = [ref.load for ref in self._refs if _matches(ref.pattern, name)]
        if name == _LISTING and any(ref.load == "lazy" for ref in self._refs):
            loads.append("eager")
        return "eager" if "eager" in loads else "lazy" if loads else None

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


def _spec(tool: ToolInfo) -> dict[str, Any]:
    return {"name": tool.name, "description": tool.description, "parameters": tool.parameters}


def _line(description: str) -> str:
    first = description.strip().partition("\n")[0]
    return first if len(first) <= _LINE else first[: _LINE - 1] + "…"


def _matches(pattern: str, name: str) -> bool:
    """``*`` stands for any letters, and nothing else is special."""
    return fnmatchcase(name, pattern.replace("[", "[[]").replace("?", "[?]"))


def _asked_for(context: Sequence[ContextMessage]) -> set[str]:
    """The tools that a model has asked about: it may call them now."""
    found: set[str] = set()
    for message in context:
        for call in message.tool_calls:
            if call.name == _LISTING:
                try:
                    names = parse(call.arguments).get("names")
                except errors.EINVAL:
                    continue
                found.update(one for one in names or () if isinstance(one, str))
    return found


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
