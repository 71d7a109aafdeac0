"""Which process a program is: the one that bore its name before, or a new one.

For both clients, the sync one and the async one. It knows nothing about connections.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from llmagentos.abi import errors
from llmagentos.home import Home, NamesLock, write_secret

if TYPE_CHECKING:
    from llmagentos.aio import AsyncSystem
    from llmagentos.client import System


def become(system: System, place: Home, name: str | None) -> None:
    """Take up the named process that was there before, or adopt a new one."""
    if name is None:
        _adopt(system, name)
        return
    lock = NamesLock(place)
    try:
        for pause in lock.attempts():
            time.sleep(pause)
        token = place.token(name)
        if not (token and _resume(system, token)):
            _adopt(system, name)
            write_secret(place.session_file(name), system.session)
    finally:
        lock.release()


def _resume(system: System, token: str) -> bool:
    user_key, system.session = system.session, token
    try:
        system.pid = system.info().process.pid
    except errors.EAUTH:
        system.session = user_key
        return False
    return True


def _adopt(system: System, name: str | None) -> None:
    adopted = system.call("proc.adopt", name=name)
    system.pid, system.session = adopted["pid"], adopted["session"]


async def become_async(system: AsyncSystem, place: Home, name: str | None) -> None:
    """Take up the named process that was there before, or adopt a new one."""
    import asyncio  # short commands do without it

    if name is None:
        await _adopt_async(system, name)
        return
    lock = NamesLock(place)
    try:
        for pause in lock.attempts():
            await asyncio.sleep(pause)
        token = place.token(name)
        if not (token and await _resume_async(system, token)):
            await _adopt_async(system, name)
            write_secret(place.session_file(name), system.session)
    finally:
        lock.release()


async def _resume_async(system: AsyncSystem, token: str) -> bool:
    user_key, system.session = system.session, token
    try:
        system.pid = (await system.info()).process.pid
    except errors.EAUTH:
        system.session = user_key
        return False
    return True


async def _adopt_async(system: AsyncSystem, name: str | None) -> None:
    adopted = await system.call("proc.adopt", name=name)
    system.pid, system.session = adopted["pid"], adopted["session"]
