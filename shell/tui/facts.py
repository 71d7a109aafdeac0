"""What is known of one process, as text for a pane: budgets as bars, rights, family, history.

Pure: it knows nothing about screens.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from rich.text import Text

from llmagentos.abi.calls.cap import ListResult, RuleSet
from llmagentos.abi.calls.ctx import ContextMessage
from llmagentos.abi.process import ProcessDetail, ProcessInfo
from shell.processes import place, state, word_of
from shell.terminal import clip, counted, duration, printable, size

Colour = Callable[[str], str]
"""Of a state, as Rich writes it."""

_BAR: Final = 24
_BYTES: Final = ("kv_bytes", "memory_bytes", "storage_bytes")


def headline(process: ProcessInfo, colour: Colour) -> Text:
    """One line: who, in which state, where, how much."""
    usage = process.usage
    text = Text()
    text.append(f"{printable(process.name)} ", "bold")
    text.append(f"pid {process.pid}  ")
    text.append(state(process), colour(process.state))
    text.append(f"  {place(process)}  {usage.prompt_tokens} in, {usage.completion_tokens} out")
    if usage.decode_seconds:
        text.append(f", {usage.tokens_per_second:.1f} tok/s")
    if process.labels:
        text.append(f"  [{', '.join(process.labels)}]", colour("WAITING"))
    if process.reason == "approval":
        text.append("  it waits for your decision: 2 shows it", colour("WAITING"))
    return text


def ending(process: ProcessInfo) -> str:
    """How it ended; "" while it lives."""
    record = process.exit
    if record is None:
        return ""
    by = f" by {record.signal}" if record.signal else ""
    why = f": {record.error.message} ({record.error.code})" if record.error else ""
    return f"ended{by} with code {record.code}{why}"


def waiting(detail: ProcessDetail) -> str:
    """Why no driver runs it yet; "" if it doesn't wait for one."""
    if detail.process.reason != "driver" or detail.placement is None:
        return ""
    told = detail.placement.considered.items()
    may = [pair for pair in told if not pair[1].startswith("does not offer")] or told
    return "waits for a driver: " + "; ".join(f"{driver} {why}" for driver, why in may)


def budget(detail: ProcessDetail) -> Text:
    """A bar for everything that is limited; a number for what is used without a limit."""
    process, limits = detail.process, detail.process.limits
    text = Text()
    for name, one in detail.ledger.items():
        shown = size if name in _BYTES else _number
        _bar(text, name, one.spent, one.reserved, one.limit, shown)
    _bar(text, "context_tokens", process.context_tokens, 0, limits.context_tokens, _number)
    elapsed = (process.ended or time.time()) - process.started
    _bar(text, "wall", elapsed, 0, limits.wall, duration)
    _bar(text, "children", len(process.children), 0, limits.children, _number)
    _bar(text, "mailbox", detail.mailbox, 0, limits.mailbox, _number)
    usage = process.usage
    text.append(
        f"\n{usage.turns} LLM calls, {usage.tool_calls} tool calls; queued "
        f"{usage.queue_seconds:.2f} s, prefill {usage.prefill_seconds:.2f} s, decode "
        f"{usage.decode_seconds:.2f} s; {usage.cached_tokens} of {usage.prompt_tokens} prompt "
        f"tokens were read before\n"
    )
    return text


def _bar(
    text: Text,
    name: str,
    used: float,
    reserved: float,
    limit: float | None,
    shown: Callable[[float], str],
) -> None:
    text.append(f"{name.replace('_', ' '):<16}")
    more = f" + {shown(reserved)} set aside" if reserved else ""
    if limit is None:
        text.append(f"{'no limit':<{_BAR}} {shown(used)}{more}\n")
        return
    share = min(1.0, (used + reserved) / limit) if limit else 1.0
    full = round(share * _BAR)
    style = "red" if share > 0.9 else "yellow" if share > 0.7 else "green"
    text.append("█" * full, style)
    text.append("░" * (_BAR - full), "dim")
    text.append(f" {shown(used)}{more} of {shown(limit)}\n")


def rights(found: ListResult, process: ProcessInfo) -> Text:
    """Labels, its own rules, those of its ancestors, and what it waits for."""
    text = Text(f"labels     {', '.join(found.labels) or 'none'}\n")
    text.append(f"approvals  {len(found.approvals)} wait for a decision\n")
    if not found.rules:
        text.append("\nNothing binds it: it is the user's.\n")
    names = ["its own rules", *("rules of an ancestor, which bind it too" for _ in found.rules)]
    for name, rules in zip(names, found.rules, strict=False):
        text.append(f"\n{name}\n", "bold")
        text.append("\n".join(_rules(rules)) + "\n")
    text.append("\ndeny wins over ask, ask over allow\n", "dim")
    return text


def _rules(rules: RuleSet) -> Iterable[str]:
    for kind in ("deny", "ask", "approved", "allow"):
        for glob in getattr(rules, kind):
            yield f"  {kind:<9}{printable(glob)}"


def family(detail: ProcessDetail, find: Callable[[int], ProcessInfo | None]) -> Text:
    process = detail.process
    text = Text("parent\n", "bold")
    text.append(f"  {_relative(process.ppid, find)}\n")
    text.append(f"\n{counted(len(process.children), 'child', 'children')}\n", "bold")
    for pid in process.children:
        text.append(f"  {_relative(pid, find)}\n")
    text.append("\nmailbox\n", "bold")
    text.append(f"  {counted(detail.mailbox, 'message waits', 'messages wait')} to be read\n")
    text.append("\nhost\n", "bold")
    text.append(f"  {process.host or 'none'}\n")
    return text


def _relative(pid: int, find: Callable[[int], ProcessInfo | None]) -> str:
    row = find(pid)
    return f"{pid:>6}  {printable(row.name):<20} {state(row)}" if row else f"{pid:>6}"


def history(detail: ProcessDetail, colour: Colour) -> Text:
    """Why it is where it is, and the states it was in, newest first."""
    text = Text("placement of its last burst\n", "bold")
    if detail.placement is None:
        text.append("  it made no call yet\n")
    else:
        for driver, verdict in detail.placement.considered.items():
            mark = "→" if driver == detail.placement.chosen else " "
            text.append(f" {mark} {printable(driver)}: {printable(verdict)}\n")
    text.append("\nits last states\n", "bold")
    for step in reversed(detail.history):
        to = str(step.get("to"))
        text.append(f"  {_clock(step.get('time'))} {step.get('from') or '-'} → ")
        text.append(word_of(to), colour(to.partition("(")[0]))
        text.append(f"  {printable(str(step.get('why') or ''))}\n", "dim")
    return text


def manifest(spec: dict[str, Any] | None) -> str:
    """As YAML, what is said in it; defaults are left out as far as they are empty."""
    if spec is None:
        return "It is a program: it has no manifest."
    import yaml

    said = {"metadata": _said(spec["metadata"]), "spec": _said(spec["spec"])}
    return printable(yaml.safe_dump(said, sort_keys=False, allow_unicode=True))


def _said(document: dict[str, Any]) -> dict[str, Any]:
    """Without what is empty."""
    inside = {k: _said(v) if isinstance(v, dict) else v for k, v in document.items()}
    return {name: value for name, value in inside.items() if value not in ({}, [], None, "")}


def context_rows(messages: Sequence[ContextMessage], tokens: int) -> dict[str, tuple[str, ...]]:
    """Each message with about how many of the context's tokens it takes, by its length."""
    said = [said_in(message) for message in messages]
    letters = sum(map(len, said)) or 1
    return {
        str(message.id): (
            str(message.id),
            message.role,
            f"{round(tokens * len(words) / letters)}" if tokens else "-",
            _clock(message.time),
            ("∑ " if message.sources else "") + clip(" ".join(words.split()), 400),
        )
        for message, words in zip(messages, said, strict=True)
    }


def said_in(message: ContextMessage) -> str:
    """Its words, and then the calls that it wants made."""
    calls = [f"→ {call.name} {call.arguments}" for call in message.tool_calls]
    return "\n".join([message.content, *calls] if message.content else calls)


def _clock(at: Any) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at)) if isinstance(at, int | float) else ""


def _number(amount: float) -> str:
    return f"{amount:,.6g}" if isinstance(amount, float) and amount % 1 else f"{amount:,.0f}"
