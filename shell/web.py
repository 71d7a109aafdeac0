"""The screen in a browser: textual-serve, with a door before it.

The address that is printed has a token; who comes with it gets a cookie, and nobody else is let in.
So neither other users of this machine nor other pages in the same browser get to the screen. It
knows nothing about what the screen shows.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import os
import secrets
import shlex
from collections.abc import Awaitable, Callable
from typing import Final

import click
from aiohttp import web
from textual_serve.server import Server

from llmagentos.home import Home
from shell import image

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_LOCAL: Final = ("127.0.0.1", "localhost", "[::1]")
# What the page has and needs: its own files, and its own socket. Nothing from elsewhere.
_POLICY: Final = (
    "default-src 'self' 'unsafe-inline' data: blob:; connect-src 'self' ws: wss:; "
    "frame-ancestors 'none'"
)


def serve(home: Home, host: str, port: int, *, read_only: bool) -> None:
    """Until Ctrl-C."""
    words = image.command("shell.tui", *(["--read-only"] if read_only else []))
    # Its programs get this environment: an installed copy has our packages elsewhere.
    os.environ.update(image.environment(home))
    Guarded(shlex.join(words), host, port).serve()


class Guarded(Server):
    """textual-serve's, for those who have the token."""

    def __init__(self, command: str, host: str, port: int) -> None:
        super().__init__(command, host, port, title="llmos", public_url="")
        self._token = secrets.token_urlsafe(24)
        self._cookie = f"llmos-{port}"
        # Other servers of this machine get cookies too: so it is another one than in the address.
        self._known = secrets.token_urlsafe(24)

    async def _make_app(self) -> web.Application:
        app = await super()._make_app()

        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            return await self._guard(request, handler)

        app.middlewares.append(guard)
        return app

    async def on_startup(self, app: web.Application) -> None:
        self._telling = asyncio.create_task(self._tell())

    async def _tell(self) -> None:
        """The address, as soon as somebody answers there; this is called before."""
        here = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection(here, self.port)
                writer.close()
                break
            await asyncio.sleep(0.05)
        name = f"[{self.host}]" if ":" in self.host else self.host
        click.echo(f"http://{name}:{self.port}/?token={self._token}")
        click.echo("whoever has this address acts as you; Ctrl-C ends it", err=True)

    def initialize_logging(self) -> None:
        """Errors only, and no tracebacks with what is in variables."""

    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if not self._is_at_home(request):
            raise web.HTTPForbidden(text="this page was not asked for here")
        if _same(request.query.get("token"), self._token):
            answer: web.StreamResponse = web.HTTPFound("/")
            answer.set_cookie(self._cookie, self._known, httponly=True, samesite="Strict", path="/")
            return answer
        if not _same(request.cookies.get(self._cookie), self._known):
            raise web.HTTPForbidden(text="open the address that llmos web has printed")
        # What the page is told of where things are is said for the name that it was asked by.
        self.public_url = f"{request.scheme}://{request.host}"
        answer = await handler(request)
        if not answer.prepared:
            answer.headers["Content-Security-Policy"] = _POLICY
        return answer

    def _is_at_home(self, request: web.Request) -> bool:
        """Not from another site's page, nor under a name that others have for this machine."""
        origin = request.headers.get("Origin")
        if origin is not None and origin.partition("://")[2] != request.host:
            return False
        name = request.host.rpartition(":")[0] or request.host
        return self.host not in ("127.0.0.1", "localhost", "::1") or name in _LOCAL


def _same(given: str | None, secret: str) -> bool:
    return given is not None and hmac.compare_digest(given.encode(), secret.encode())
