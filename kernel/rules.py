"""Rules: what one manifest, or one grant, says of capabilities.

``deny`` wins over ``ask``, ``ask`` over ``allow``; what none of them names is denied. It knows
nothing about processes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final, Literal

from kernel.globs import Glob, escaped, globs
from llmagentos.abi.calls.cap import RuleSet
from llmagentos.abi.manifest import AgentSpec, Capabilities

Verdict = Literal["allow", "ask", "deny"]

_MARKS: Final = "(@"
"""What begins the arguments of a tool, and the driver of a model."""

_KEY: Final = '": '
"""What is in each glob that names an argument."""

_MOST_WORK: Final = 1 << 25
"""Letters times globs that one call may be checked against: about a twentieth of a second."""


@dataclass(frozen=True, slots=True)
class Rules:
    """``:rw`` is written out already. ``approved``: what is not asked for any more; it allows
    nothing that neither ``allow`` nor ``ask`` names."""

    allow: tuple[str, ...] = ()
    ask: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    approved: tuple[str, ...] = ()

    def says(self, capability: str, also: tuple[str, ...] = ()) -> Verdict:
        """``tool:shell(ls -l)`` is matched by ``tool:shell`` and by ``tool:shell(ls *)``, and
        ``llm:m@edge`` by ``llm:m``. ``also``: other ways to write it, none of which may slip
        through ``deny`` or ``ask``."""
        names = _names(capability)
        every = (*names, *also) if also else names
        if self.deny and globs(self.deny).match(every):
            return "deny"
        if self.ask and globs(self.ask).match(every):
            silent = self.approved and globs(self.approved).match(names)
            return "allow" if silent else "ask"
        return "allow" if globs(self.allow).match(names) else "deny"

    def denies(self, capability: str, also: tuple[str, ...] = ()) -> bool:
        """Whether it says no in so many words, not only by naming it nowhere."""
        return globs(self.deny).match((*_names(capability), *also))

    def denies_all(self, bare: str, rest: str) -> bool:
        """Whether ``bare`` is denied whatever comes after it. ``rest``: what stands for all of
        that, ``@*`` or ``(*)``. A no may be wrong: the call itself is checked again."""
        (full,) = globs((escaped(bare) + rest,)).each
        if any(glob.matches(bare) or glob.covers(full) for glob in globs(self.deny).each):
            return True
        named = (*globs(self.allow).each, *globs(self.ask).each)
        return not any(glob.touches(bare, rest[0]) for glob in named)

    def covers(self, glob: str) -> bool:
        """Whether it allows all that the glob would allow if it were given to somebody. A no may
        be wrong, a yes never. ``ask`` and ``deny`` are left aside: they go on to bind whoever is
        given it."""
        wanted = Glob(glob)
        own = globs(self.allow)
        if any(one.covers(wanted) for one in own.each):
            return True
        if wanted.letters is not None:
            return own.match(_names(wanted.letters))
        # All of a tool covers some of its arguments.
        head = Glob(glob.partition("(")[0]).letters if glob.startswith("tool:") else None
        return head is not None and own.match((head,))

    def may_ask(self, capability: str) -> bool:
        """Whether this, with some arguments, might have to be asked for. A yes may be wrong."""
        names = _names(capability)
        if globs(self.approved).match(names):
            return False
        return any(one.touches(name, _MARKS) for one in globs(self.ask).each for name in names)

    def with_allowed(self, fresh: tuple[str, ...]) -> Rules:
        return replace(self, allow=_joined(self.allow, expanded(fresh)))

    def with_approved(self, fresh: tuple[str, ...]) -> Rules:
        """These are not asked for again."""
        return replace(self, approved=_joined(self.approved, fresh))

    def with_denied(self, fresh: tuple[str, ...]) -> Rules:
        return replace(self, deny=_joined(self.deny, expanded(fresh)))

    @property
    def size(self) -> int:
        """How many globs it has."""
        return len(self.allow) + len(self.ask) + len(self.deny) + len(self.approved)

    @property
    def cost(self) -> int:
        """Of checking one capability, for each letter of it."""
        return sum(globs(each).cost for each in (self.allow, self.ask, self.deny, self.approved))

    def shown(self) -> RuleSet:
        return RuleSet(
            allow=list(self.allow),
            ask=list(self.ask),
            deny=list(self.deny),
            approved=list(self.approved),
        )


ANYTHING: Final = Rules(allow=("*",))
"""What binds a process that nothing binds."""


def of_manifest(spec: AgentSpec) -> Rules:
    """What a manifest says, and what it implies: its models and its tools. A tool, or a model,
    that its ``allow`` names with arguments, or with a driver, it gets so and no wider."""
    given = expanded(tuple(spec.capabilities.allow))
    implied: list[str] = []
    narrowed = [Glob(head) for head, found, _ in (one.rpartition("@") for one in given) if found]
    for model in spec.models:
        if not any(head.matches(f"llm:{model}") for head in narrowed):
            implied += [f"llm:{escaped(model)}", f"llm:{escaped(model)}@*"]
    narrowed = [Glob(head) for head, found, _ in (one.partition("(") for one in given) if found]
    for tool in tool_names(spec):
        if not any(head.matches(f"tool:{tool}") for head in narrowed):
            # A star in it is meant as one: all tools of a server.
            implied.append(f"tool:{escaped(tool).replace('[*]', '*')}")
    return Rules(
        _joined(given, tuple(implied)),
        expanded(tuple(spec.capabilities.ask)),
        expanded(tuple(spec.capabilities.deny)),
    )


def tool_names(spec: AgentSpec) -> list[str]:
    """The tools that a manifest names, and the one that tells of those that are loaded lazily."""
    refs = spec.tool_refs
    listing = ["tool.list"] if any(ref.load == "lazy" for ref in refs) else []
    return [ref.pattern for ref in refs] + listing


def of_capabilities(given: Capabilities) -> Rules:
    return Rules(*(expanded(tuple(each)) for each in (given.allow, given.ask, given.deny)))


@lru_cache(maxsize=4096)
def expanded(texts: tuple[str, ...]) -> tuple[str, ...]:
    """``fs:/inbox:rw`` as ``fs:/inbox:r`` and ``fs:/inbox:w``."""
    found: list[str] = []
    for text in texts:
        found += [text[:-1], text[:-2] + "w"] if text.endswith(":rw") else [text]
    return tuple(found)


def bare(capability: str) -> str:
    """A capability without its arguments, or without its driver."""
    if capability.startswith("tool:"):
        return capability.partition("(")[0]
    # A model's name may have an @ in it; which one of several begins the driver, nobody knows.
    if capability.startswith("llm:") and capability.count("@") == 1:
        return capability.partition("@")[0]
    return capability


def lasting(question: str) -> str:
    """A glob for what was asked for, with whatever arguments, on whatever driver."""
    if not question.endswith("@*"):
        return escaped(bare(question))
    model = question.removesuffix("@*")
    return escaped(model) + ("@*" if "@" in model else "")


def written(tool: str, arguments: dict[str, Any], canonical: str) -> tuple[str, tuple[str, ...]]:
    """A tool with its arguments, as globs see it: the text itself if there is only one text, else
    the canonical JSON. Beside it all the ways to write it: were it one way only, whoever calls
    could leave it by one more argument that the tool ignores. A text that could be taken for the
    JSON of other arguments is seen as JSON itself, in which its quotes are escaped."""
    texts = [value for value in arguments.values() if isinstance(value, str)]
    plain = len(arguments) == 1 and texts and _KEY not in texts[0]
    alone = texts[0] if plain else canonical
    return f"tool:{tool}({alone})", tuple(f"tool:{tool}({text})" for text in (canonical, *texts))


def heavy(rights: Iterable[Rules], texts: tuple[str, ...]) -> bool:
    """Whether to match all these texts would hold up everybody else."""
    letters = sum(len(text) + 100 for text in texts)
    return letters > 20_000 and letters * sum(rules.cost for rules in rights) > _MOST_WORK


def _names(capability: str) -> tuple[str, ...]:
    short = bare(capability)
    return (capability,) if short == capability else (capability, short)


def _joined(old: tuple[str, ...], fresh: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*old, *fresh)))
