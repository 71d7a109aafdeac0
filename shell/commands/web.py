"""``llmos web``: the screen in a browser."""

from __future__ import annotations

import socket

import click

from llmagentos.abi.errors import EINVAL, ENOSYS
from llmagentos.home import Home
from shell.session import open_system

_LOCAL = ("127.0.0.1", "localhost", "::1")


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True)
@click.option("--read-only", is_flag=True, help="It shows, and changes nothing.")
@click.option("--expose", is_flag=True, help="Listen on an address that others can reach.")
def web(host: str, port: int, read_only: bool, expose: bool) -> None:
    """Serve the screen to browsers, until Ctrl-C.

    \b
    llmos web
    llmos web --port 8080 --read-only

    Whoever has the address that it prints acts as you. So only this machine can reach it, unless
    you say --expose; put something that asks who is there before it then.
    """
    if host not in _LOCAL and not expose:
        raise EINVAL(
            f"whoever can reach {host} would act as you",
            hint="say --expose if that is what you want, and --read-only if they may only look",
        )
    try:
        from shell.web import serve
    except ImportError as error:
        raise ENOSYS(
            f"this needs the package {error.name!r}", hint='pip install "llmagentos[web]"'
        ) from None
    with open_system(patience=3.0) as system:
        system.call("sys.ping", within=3.0)
    _check_free(host, port)
    serve(Home.default(), host, port, read_only=read_only)


def _check_free(host: str, port: int) -> None:
    """Before an address is printed, and its token with it, that leads to somebody else's program.
    Raises ``EINVAL``."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        why = (error.strerror or str(error)).partition(" (")[0].lower()
        raise EINVAL(
            f"it can't listen on {host}, port {port}: {why}",
            hint="another port may be free: llmos web --port 8001",
        ) from None
