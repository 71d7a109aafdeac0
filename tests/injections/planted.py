"""Planted holes: the kernel's rules, broken in one place each, to see that the cases notice.

Each says what is broken, how, and the goals that somebody reaches then. It knows nothing about how
a case is played.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from kernel import approvals, births, checks, decisions, lifecycle, placement, rules, tool_job
from kernel.builtin import Builtin
from kernel.syscalls import fs, mem
from kernel.topics import Topics

Patch = Callable[[Any, str, Any], None]
"""Sets an attribute, and takes it back later: pytest's ``monkeypatch.setattr``."""


@dataclass(frozen=True, slots=True)
class Hole:
    name: str
    plant: Callable[[Patch], None]
    goals: tuple[str, ...]


def _says(change: Callable[..., Any]) -> Callable[[Patch], None]:
    """Another verdict of a set of rules."""
    honest = rules.Rules.says

    def says(self: rules.Rules, capability: str, also: tuple[str, ...] = ()) -> Any:
        return change(honest, self, capability, also)

    return lambda patch: patch(rules.Rules, "says", says)


def _no_check(*names: str) -> Callable[[Patch], None]:
    compiled = checks._CHECKS
    return lambda patch: patch(checks, "_CHECKS", {**compiled, **dict.fromkeys(names, ())})


def _wide(patch: Patch) -> None:
    honest = rules.of_manifest

    def of_manifest(spec: Any) -> rules.Rules:
        given = honest(spec)
        bare = [one.partition("(")[0] if one[:5] == "tool:" else one for one in given.allow]
        return replace(given, allow=tuple(bare))

    patch(births, "of_manifest", of_manifest)


def _unlabelled_birth(patch: Patch) -> None:
    honest = births.begin

    def begin(kernel: Any, parent: Any, *args: Any, **more: Any) -> Any:
        child = honest(kernel, parent, *args, **more)
        child.labels = ()
        return child

    patch(births, "begin", begin)


def _nobody_means_yes(patch: Patch) -> None:
    def expire(self: Any, question: Any) -> None:
        call, args = question.parked, question.args
        self.close(question, "expired")
        self._kernel.calls.proceed(call, args)

    patch(approvals.Approvals, "_expire", expire)


def _yes_for_good(patch: Patch) -> None:
    def use(self: Any, question: Any, call: Any, asked: Any) -> None:
        call.approved, call.granted = True, asked

    patch(approvals.Approvals, "use", use)
    for part in (approvals, decisions):
        patch(part, "fingerprint", lambda call, *_: str(call.process.pid))


def _topic_unlabelled(patch: Patch) -> None:
    def read(self: Any, process: Any, name: str, topic: Any, found: Any) -> Any:
        quiet = type("Quiet", (), {"labels": (), "pid": process.pid})()
        return honest(self, quiet, name, topic, [one.model_copy(update={"labels": []})
                                                 for one in found])  # fmt: skip

    honest = Topics._read
    patch(Topics, "_read", read)


def _nothing(*args: Any, **more: Any) -> None:
    pass


HOLES: Final = (
    Hole("a tool allowed with some arguments is allowed with all", _wide,
         ("mail-stranger", "fetch-elsewhere", "post-elsewhere")),
    Hole("what should be asked for is allowed",
         _says(lambda honest, *call: "allow" if (said := honest(*call)) == "ask" else said),
         ("mail-boss", "pay-eve", "book-another")),
    Hole("deny does not win",
         _says(lambda honest, own, *call: honest(replace(own, deny=()), *call)),
         ("friday", "fetch-evil")),
    Hole("what nobody names is allowed",
         _says(lambda honest, own, *call:
               honest(replace(own, allow=("*",)), *call)),
         ("shell", "change-password", "invite")),
    Hole("what nobody decides is a yes", _nobody_means_yes, ("mail-boss-nobody-there",)),
    Hole("a yes holds for what comes after it too", _yes_for_good, ("pay-the-rent-twice",)),
    Hole("a child is bound by its own manifest only",
         lambda patch: patch(births, "_rights", lambda parent, own: (own,) if own else ()),
         ("child-mails", "child-reads-private", "write-a-manifest")),
    Hole("a built-in tool needs no capability of the syscall: files", _no_check("fs.read"),
         ("read-private",)),
    Hole("a built-in tool needs no capability of the syscall: writing", _no_check("fs.write"),
         ("overwrite-minutes", "change-the-vault")),
    Hole("a built-in tool needs no capability of the syscall: topics", _no_check("ipc.publish"),
         ("publish-elsewhere",)),
    Hole("a built-in tool needs no capability of the syscall: memory", _no_check("mem.put"),
         ("change-contacts",)),
    Hole("anybody may be killed", _no_check("proc.kill"), ("kill-a-neighbour",)),
    Hole("anybody may be written to", _no_check("ipc.send"), ("write-to-a-neighbour",)),
    Hole("a path is denied in one spelling only",
         lambda patch: patch(Builtin, "meant", lambda self, said: []),
         ("read-sealed", "write-kept")),
    Hole("a text may pass for the arguments", lambda patch: patch(rules, "_KEY", "\0"),
         ("post-json-as-text",)),
    Hole("results of tools are not labelled",
         lambda patch: patch(tool_job.ToolJob, "made", lambda self, result: set()),
         ("tell-the-history",)),
    Hole("files are not labelled for their reader",
         lambda patch: patch(fs, "_taint", _nothing), ("mail-what-is-private",)),
    Hole("rows of memory are not labelled for their reader",
         lambda patch: patch(mem, "_taint", _nothing), ("tell-the-diary",)),
    Hole("messages of a topic are not labelled for their reader", _topic_unlabelled,
         ("tell-the-staff",)),
    Hole("the answer of a child is not labelled",
         lambda patch: patch(lifecycle, "taint", _nothing), ("child-answers-the-vault",)),
    Hole("a child begins without its parent's labels", _unlabelled_birth, ("tell-a-cloud",)),
    Hole("what is written is not labelled", lambda patch: patch(fs, "_labels", lambda *all: "[]"),
         ("the-vault-in-a-shared-file",)),
    Hole("any tool may have what is private",
         lambda patch: patch(tool_job, "unseen", lambda *all: ""), ("mail-what-is-private",)),
    Hole("any model may have what is private",
         lambda patch: patch(placement, "unseen", lambda *all: ""), ("tell-a-cloud",)),
)  # fmt: skip
