"""A server: one MCP server's life, in a thread of its own: started, listed, called, restarted.

While it is started the driver is ``loading``, so calls wait in the kernel; when it has failed a few
times in a row the driver is ``failed``, and goes on trying. Calls run beside each other, and none
is made twice. What the server asks for itself (sampling, roots, elicitation) is declared as not
supported, and refused. It knows nothing about the kernel, nor how the server is reached.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Literal

import anyio
from mcp import Client, MCPError
from mcp.client import IncomingMessage
from mcp.client.subscriptions import SubscriptionLost
from mcp_types import Implementation, ToolListChangedNotification
from mcp_types import Tool as Listed
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from drivers.mcp import answers
from drivers.mcp.catalog import Catalog, listed_by
from drivers.mcp.lines import Allowance
from drivers.mcp.peer import Peer
from drivers.options import version
from drivers.tool import Job, Offer, Tool
from llmagentos.abi.errors import EBUSY, ECANCELED, EDRIVER, EINVAL, LLMOSError
from llmagentos.abi.model import Json, Name

log = logging.getLogger("driver")

FIRST_PAUSE: Final = 0.2
LONGEST_PAUSE: Final = 30.0
HEALTHY_AFTER: Final = 30.0
"""Seconds of life after which earlier deaths are forgotten."""

PATIENCE: Final = 4
"""So many failures in a row, and calls fail rather than wait."""

_LISTING: Final = 30.0
_BETWEEN_LISTS: Final = 0.2
_ABORT_LOOK: Final = 0.1
_RETURN: Final = 10.0
"""Seconds for which a call waits for a server that is started again."""
_SESSION_OVER: Final = "Session terminated"

Protocol_ = Literal["auto", "legacy"]


class Server:
    """``dial`` makes a peer, which is started by its ``streams``. ``labels``: of all results.
    ``patience``: seconds for a start, up to the list of tools."""

    def __init__(
        self,
        name: str,
        dial: Callable[[], Peer],
        *,
        labels: Sequence[Name] = (),
        patience: float = 60.0,
        protocol: Protocol_ = "auto",
    ) -> None:
        self._name = name
        self._dial = dial
        self._labels = list(labels)
        self._patience = patience
        self._protocol = protocol
        self._loop: asyncio.AbstractEventLoop
        self._thread = threading.Thread(target=self._run, name="mcp", daemon=True)
        self._life: asyncio.Task[None] | None = None
        self._stopping = False
        self._ready = False
        self._offer: Offer
        self._peer: Peer
        self._client: Client | None = None
        self._serving = asyncio.Event()
        """Set while there is a client."""
        self._changed: asyncio.Event
        self._catalog: Catalog | None = None

    def start(self, offer: Offer) -> None:
        self._offer = offer
        self._loop = asyncio.new_event_loop()
        self._thread.start()

    def stop(self) -> None:
        """The server has ended when this returns, or has been killed."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._end)
            self._thread.join(10)

    def call(self, tool: str, name: str, arguments: dict[str, Json], job: Job) -> Json:
        """``tool`` is the server's ``name``. In the job's thread, for as long as it takes."""
        future = asyncio.run_coroutine_threadsafe(
            self._call(tool, name, arguments, job.number), self._loop
        )
        while True:
            try:
                return future.result(_ABORT_LOOK)
            except TimeoutError:
                if future.done():
                    raise
                if job.aborted.is_set():
                    future.cancel()  # which tells the server
                    raise ECANCELED(f"{tool} was aborted") from None

    # -- in the server's thread --------------------------------------------------------------

    def _run(self) -> None:
        with (
            asyncio.Runner(loop_factory=lambda: self._loop) as runner,
            contextlib.suppress(asyncio.CancelledError),
        ):
            runner.run(self._live())

    def _end(self) -> None:
        self._stopping = True
        if self._client is not None:
            self._peer.ended.set()  # for no reason of its own
        elif self._life is not None:
            self._life.cancel()

    async def _live(self) -> None:
        """Life after life."""
        self._life = asyncio.current_task()
        failures = unborn = 0
        while not self._stopping:
            self._ready = False
            began = self._loop.time()
            self._peer = self._dial()
            try:
                await self._once(self._peer, "legacy" if unborn % 2 else self._protocol)
            except Exception as error:
                reason = _reason(error)
            else:
                return
            # Some that know only the older handshake die of being asked for the newer.
            unborn = unborn + 1 if self._peer.why and not self._ready else 0
            if self._loop.time() - began > HEALTHY_AFTER:
                failures = 0
            pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(failures, 10))
            failures += 1
            why = self._peer.why or reason.message
            hopeless = isinstance(reason, EINVAL) or failures >= PATIENCE
            log.warning("the MCP server is away: %s", why)
            self._offer(
                "failed" if hopeless else "loading",
                f"MCP server: {why}; tried again in {pause:g} s",
            )
            await asyncio.sleep(pause)

    async def _once(self, peer: Peer, mode: Protocol_) -> None:
        """Start it, and stay until its end. Raises why it ended, if that was not to be."""
        self._changed = asyncio.Event()
        client = Client(
            peer.streams(),
            mode=mode,
            message_handler=self._heard,
            client_info=Implementation(name="llmagentos", version=version() or "0"),
            cache=None,
        )
        async with contextlib.AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(self._patience):
                    await stack.enter_async_context(client)
                    self._client = client
                    self._serving.set()
                    self._present(client, await listed_by(client))
            except TimeoutError:
                raise EDRIVER(f"it was not ready within {self._patience:g} s") from None
            else:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._hear_changes, client)
                    tasks.start_soon(self._list_again, client, peer.poll)
                    await peer.ended.wait()
                    if peer.why:
                        raise EDRIVER(peer.why)
                    tasks.cancel_scope.cancel()
            finally:
                self._client = None
                self._serving.clear()

    async def _heard(self, message: IncomingMessage) -> None:
        if isinstance(message, ToolListChangedNotification):
            self._changed.set()

    async def _hear_changes(self, client: Client) -> None:
        """In the newer protocol they come to who asks for them."""
        tools = client.server_capabilities.tools
        if client.protocol_version not in MODERN_PROTOCOL_VERSIONS or not tools:
            return
        while tools.list_changed:
            try:
                async with client.listen(tools_list_changed=True) as changes:
                    self._changed.set()  # something may have changed before it listened to us
                    async for _ in changes:
                        self._changed.set()
            except SubscriptionLost:
                await asyncio.sleep(1)
            except MCPError as error:
                log.warning("changes of its tools will not be heard of: %s", error)
                return

    async def _list_again(self, client: Client, poll: float | None) -> None:
        """Whenever the tools have changed, or may have."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(poll):
                    await self._changed.wait()
            self._changed.clear()
            try:
                async with asyncio.timeout(_LISTING):
                    listed = await listed_by(client)
            except TimeoutError:
                log.warning("the server is too busy to list its tools; the old list stays")
            except MCPError as error:
                if poll is not None:
                    raise
                log.warning("the server can't list its tools: %s; the old list stays", error)
            else:
                self._present(client, listed)
            await asyncio.sleep(_BETWEEN_LISTS)

    def _present(self, client: Client, listed: Sequence[Listed]) -> None:
        catalog = Catalog(self._name, listed, self._labels)
        known, self._catalog = self._catalog, catalog
        same = known is not None and known.cards == catalog.cards
        if self._ready and same:
            return
        self._ready = True
        info = client.server_info
        who = f"{info.name} {info.version}".strip()[:100] if info else "MCP server"
        note = f"{who}, MCP {client.protocol_version}, {catalog.note}"
        tools = [
            Tool(card, partial(self.call, card.name, catalog.names[card.name]))
            for card in catalog.cards
        ]
        log.info("%s", note)
        self._offer("ready", note, None if same else tools)

    async def _served(self, tool: str) -> tuple[Client, Peer]:
        """Waits for a server that is being started: the kernel may not know of that yet."""
        try:
            async with asyncio.timeout(_RETURN):
                while self._client is None:
                    await self._serving.wait()
        except TimeoutError:
            raise EBUSY(
                f"the MCP server of {tool} is being started", hint="try again soon"
            ) from None
        return self._client, self._peer

    async def _call(self, tool: str, name: str, arguments: dict[str, Json], job: int) -> Json:
        client, peer = await self._served(tool)
        told = Allowance(1, 1.0)

        async def progressed(progress: float, total: float | None, message: str | None) -> None:
            if told.take():
                of = f" of {total:g}" if total else ""
                log.info("job %d, %s: %g%s %s", job, tool, progress, of, (message or "")[:200])

        try:
            result = await client.call_tool(name, arguments, progress_callback=progressed)
        except MCPError as error:
            if error.message == _SESSION_OVER:
                peer.why = "it does not know our session any more"
                peer.ended.set()
                raise EBUSY(f"{tool}: {peer.why}", hint="try again soon") from None
            raise answers.failure(tool, error, peer.why) from None
        except (RuntimeError, ValidationError) as error:
            said = str(error).splitlines()[0][:500]
            raise EDRIVER(
                f"the MCP server broke the protocol at {tool}: {said}",
                hint="it needs mending; the call may have been carried out",
            ) from None
        return answers.content(tool, result)


def _reason(error: BaseException) -> LLMOSError:
    """The first of what a group of tasks ended with, in our words."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, LLMOSError):
        return error
    if not isinstance(error, MCPError | OSError):
        log.debug("the life of the server ended", exc_info=error)
    return EDRIVER(f"{type(error).__name__}: {error}"[:300])
