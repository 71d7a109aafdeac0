"""Adoption: a program with the user's key becomes a process, or the one that it was before.

It knows nothing about connections, but that some processes end with theirs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel import births
from kernel.calls import SHARED, Call
from kernel.rules import of_capabilities
from kernel.table import digest
from llmagentos.abi.calls.proc import AdoptArgs, AdoptResult

if TYPE_CHECKING:
    from kernel.machine import Machine


def adopt(kernel: Machine, call: Call, args: AdoptArgs) -> AdoptResult:
    for resumed in (False, True):
        # No reply with a token in it is kept on the disk; a repeat of the call finds what the
        # first one has made by the token.
        token = _token(kernel, call, resumed=resumed)
        made = kernel.table.of_session(digest(token))
        if made is not None:
            return AdoptResult(pid=made.pid, name=made.name, session=token, resumed=resumed)
    process = kernel.table.named(args.name) if args.name else None
    resumed = process is not None
    if process is None:
        process = births.begin(
            kernel,
            call.process,
            args.name or "program",
            "program",
            limits=args.limits,
            rules=of_capabilities(args.capabilities) if args.capabilities else None,
            attached=b"" if args.name else call.peer,
        )
    token = _token(kernel, call, resumed=resumed)
    kernel.calls.drop_calls(process, "its program came back anew")
    kernel.forget_session(process)
    kernel.table.give_session(process, token)
    kernel.changed(process)
    kernel.journal.audit(kernel.now, call.process.pid, "proc.adopt", "ok", f"pid {process.pid}")
    return AdoptResult(pid=process.pid, name=process.name, session=token, resumed=resumed)


def _token(kernel: Machine, call: Call, *, resumed: bool) -> str:
    """Of a session, and the same when the call is repeated. Only who has the user's key could
    work it out."""
    if not call.scope.startswith(SHARED):
        return kernel.services.mint()  # what can't be repeated
    return digest(f"{kernel.services.user_key} {call.scope} {call.id} {resumed}")
