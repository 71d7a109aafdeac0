"""Compaction: the LLM calls of an agent whose context may outlive the window of its model.

When the context is full, its oldest part goes to memory, and a summary takes its place. Each step
can be done again, so that the next host goes on where one has died. It knows nothing about what is
talked about, nor about the loop that makes the calls.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Final

from agents import pages
from agents.cut import Scale, begins_turn, cut, head
from agents.summariser import Means, Summariser
from llmagentos.abi import errors
from llmagentos.abi.calls.ctx import ContextMessage, ReadResult
from llmagentos.abi.calls.drv import ListResult
from llmagentos.abi.calls.llm import GenerateResult
from llmagentos.abi.manifest import AgentSpec, ContextRule
from llmagentos.abi.process import ProcessDetail, ProcessInfo
from llmagentos.aio import AsyncSystem
from llmagentos.aio_connection import AsyncConnection

_NEAR: Final = 0.9
"""Of the context's space: with more in it, room is made before a call fails."""
_ROOM: Final = (0.4, 0.2, 0.0)
"""Of the context's space: what the turns that stay may take; first, and when that was too much."""
_RECALL: Final = 0.3
"""Of the context's space: what may be recalled for one message."""
_MOST: Final = 2
"""The last turn may be so many times as large before it is parted."""
_UNKNOWN: Final = 4096
"""The window of a model that no driver offers now."""
_ASKED: Final = "\nWhat is being answered, word for word: "
"""In a summary: what stands before the message whose answer is not finished yet."""

_log = logging.getLogger("agents.compaction")


class Now:
    """A context as it is, and the window that it must fit into."""

    def __init__(
        self, read: ReadResult, detail: ProcessDetail, drivers: ListResult, before: Scale | None
    ) -> None:
        self.context: Sequence[ContextMessage] = read.messages
        self.me: ProcessInfo = detail.process
        self.spec = AgentSpec.model_validate((detail.spec or {}).get("spec", {}))
        self.window = _window(self.me, self.spec, drivers)
        self.scale = Scale(read.messages, read.tokens, before)
        self.counted = read.tokens > 0

    @property
    def space(self) -> int:
        """Tokens that the context may have, so that the longest answer still fits."""
        return max(1, self.window - self.spec.sampling.max_tokens)

    @property
    def room(self) -> float:
        """Tokens that are left until it is nearly full, about."""
        return self.space * _NEAR - self.scale.tokens(*self.context)


class CompactingSystem(AsyncSystem):
    """A session whose calls of a model make room for themselves. What it asks with messages of its
    own is left as it is."""

    def __init__(
        self, connection: AsyncConnection, session: str, pid: int, rule: ContextRule
    ) -> None:
        super().__init__(connection, session, pid)
        self._plain = self.as_session(session, pid)
        self._rule = rule
        self._scale: Scale | None = None

    async def generate(
        self,
        prompt: str | list[dict[str, Any]] | None = None,
        *,
        append: bool = False,
        model: str | list[str] | None = None,
        tools: list[dict[str, Any]] | None = None,
        **sampling: Any,
    ) -> GenerateResult:
        """Raises ``ECONTEXT`` where no room can be made; then its message says why."""
        if prompt is not None:
            return await self._plain.generate(
                prompt, append=append, model=model, tools=tools, **sampling
            )
        failure: errors.LLMOSError | None = None
        now = await self._now()
        if now.counted and now.room < self._wanted(now):
            try:
                if await self._compact(now, _ROOM[0]):
                    now = await self._now()
            except errors.ECONTEXT as error:
                failure = error  # it is told if what there is doesn't fit
        if recalled := await self._recalled(now):
            note = [{"role": "user", "content": recalled}]
            try:
                return await self._plain.generate(
                    note, append=True, model=model, tools=tools, **sampling
                )
            except errors.ECONTEXT:
                _log.info("%s: what was recalled does not fit, and is left out", self.pid)
        for room in _ROOM:
            try:
                return await self._plain.generate(model=model, tools=tools, **sampling)
            except errors.ECONTEXT as error:
                if failure is not None:
                    raise failure from error
                if not await self._compact(await self._now(), room):
                    raise
        return await self._plain.generate(model=model, tools=tools, **sampling)

    async def _now(self) -> Now:
        read = ReadResult.model_validate(await self._plain.call("ctx.read"))
        drivers = ListResult.model_validate(await self._plain.call("drv.list"))
        now = Now(read, await self._plain.info(), drivers, self._scale)
        self._scale = now.scale
        return now

    def _wanted(self, now: Now) -> float:
        """Tokens that may be recalled for the last message of the context."""
        asked = bool(now.context) and begins_turn(now.context[-1])
        return min(self._rule.recall, now.space * _RECALL) if asked else 0

    async def _recalled(self, now: Now) -> str:
        room = min(self._wanted(now), now.room)
        if room <= 0:
            return ""
        return await pages.recall(self._plain, now.context, now.scale, room)

    async def _compact(self, now: Now, share: float) -> bool:
        """False if there is nothing that could go. Raises ``ECONTEXT`` if it can't be done."""
        room = now.space * share
        at = cut(now.context, now.scale, room, room * _MOST)
        if at is None:
            return False
        gone = now.context[head(now.context) : at]
        summariser = Summariser(self._plain, Means(now.me, now.spec, now.window, now.scale))
        try:
            await pages.keep(self._plain, gone)
            summary = await summariser.summarise([pages.written(one) for one in gone])
            text = _titled(gone, summary)
            if not begins_turn(now.context[at]):
                text += _asked(gone)
            await self._plain.call("ctx.compact", through=gone[-1].id, summary=text)
        except (errors.EAUTH, errors.ESRCH, errors.ECONNREFUSED, errors.ECANCELED):
            raise
        except errors.LLMOSError as error:
            _log.warning("%s: its context could not be compacted: %s", self.pid, error)
            raise errors.ECONTEXT(
                f"the context is full, and could not be compacted: {error.code}: {error.message}",
                hint=error.hint or "its oldest part can be taken out by hand: llmos ctx compact",
                detail={"cause": error.code},
            ) from error
        await summariser.forget()
        _log.info("%s: messages %d to %d are a summary now", self.pid, gone[0].id, gone[-1].id)
        return True


def _titled(gone: Sequence[ContextMessage], summary: str) -> str:
    first, last = gone[0].id, gone[-1].id
    return f"(Summary of messages {first} to {last}, which are kept in memory.)\n{summary}"


def _asked(gone: Sequence[ContextMessage]) -> str:
    """The message that is being answered, if the cut goes through its turn."""
    for message in reversed(gone):
        if begins_turn(message):
            return f"{_ASKED}{message.content}"
        if message.sources and _ASKED in message.content:
            return _ASKED + message.content.partition(_ASKED)[2]
    return ""


def _window(me: ProcessInfo, spec: AgentSpec, drivers: ListResult) -> int:
    """The tokens of one call: those of its last model where that is, or else of its best one; and
    never more than its limit."""
    up = [one for one in drivers.drivers if one.state != "down"]
    cards = [(one.name, card) for one in up for card in one.models]
    last = [card for name, card in cards if (name, card.name) == (me.driver, me.model)]
    best = (card for model in spec.models for _, card in cards if card.name == model)
    card = next(iter([*last, *best]), None)
    length = card.context_length if card else _UNKNOWN
    return min(length, me.limits.context_tokens or length)
