"""The handlers of the syscalls, one module a family.

A handler gets the kernel, the call and its decoded arguments; rights have been checked. It
returns the result, or ``DEFERRED`` when the reply comes later, and raises the typed errors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kernel.syscalls import cap, ctx, drv, fs, ipc, llm, mem, proc, sys, tool

HANDLERS: dict[str, Callable[..., Any]] = {
    **proc.HANDLERS,
    **llm.HANDLERS,
    **ctx.HANDLERS,
    **mem.HANDLERS,
    **fs.HANDLERS,
    **ipc.HANDLERS,
    **tool.HANDLERS,
    **cap.HANDLERS,
    **drv.HANDLERS,
    **sys.HANDLERS,
}
