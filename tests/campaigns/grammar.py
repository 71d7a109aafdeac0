"""The grammar of the fuzzers: arguments made from the models in the table of syscalls.

``sound`` ones have the right shape, ``wild`` ones almost. Values that only mean something to one
kernel, such as pids, come from pools that the campaign fills. It knows nothing about sockets.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from functools import cache
from typing import Any

import msgpack

from llmagentos.abi.driver import FROM_DRIVER
from llmagentos.abi.model import Model
from llmagentos.abi.syscalls import TABLE

Pools = Mapping[str, Sequence[Any]]
"""By the name of a field, or of a call and its field: values that have been seen."""

AGENT: dict[str, Any] = {
    "apiVersion": "llmagentos/v1", "kind": "Agent", "metadata": {"name": "fuzz"},
    "spec": {"model": "m"},
}  # fmt: skip
_RULES: list[dict[str, Any]] = [
    {"allow": ["*"]},
    {"allow": ["proc:spawn", "mem:common:rw", "fs:/common:rw", "ipc:*", "llm:*"]},
    {"allow": ["*"], "ask": ["tool:*", "mem:common:w"]},
    {"allow": ["*"], "ask": ["llm:*"], "deny": ["fs:/common:w"]},
    {"allow": ["tool:clock(*)"], "deny": ["[!a-", "*[", "?" * 100]},
]
_MANIFESTS: list[Any] = [
    AGENT, "summarise", "no-such-manifest",
    *({**AGENT, "spec": {"model": "m", "capabilities": rules}} for rules in _RULES),
    {**AGENT, "spec": {"model": ["m", "other"], "labels": ["private"], "tools": ["clock"]}},
    {**AGENT, "spec": {"model": "m", "restart": {"strategy": "always", "intensity": 2}}},
    {**AGENT, "spec": {"model": "m", "limits": {"tokens": 50, "turns": 3, "children": 2,
        "memory_rows": 2, "memory_bytes": 300, "storage_bytes": 300, "mailbox": 2,
        "money": 0.001, "wall": "30s", "tokens_per_minute": 60, "tool_calls": 2}}},
    {**AGENT, "spec": {"model": "m", "prompt": "Be brief.", "context": {"overflow": "compact"}}},
]  # fmt: skip
_SOURCES = [
    "apiVersion: llmagentos/v1\nkind: Agent\nmetadata: {name: yaml}\nspec: {model: m}\n",
    "a: [", "- 1\n" * 5000, "a: &a [*a]", "x: !!python/object:os.system {}", "\t",
    "%YAML 9.9\n---\n",
    "? [a, b]\n: c\n", "{a: 1, a: 2}", "!!binary aGk=", "[" * 200, "a: 2026-01-01T00:00:00Z",
    "metadata: {name: \x85}", "1: 2", "null", "~: ~", "<<: {a: 1}", "--- a\n--- b\n",
]  # fmt: skip
_SAID = [{"role": "user", "content": "word word"}]
_TYPICAL: dict[str, Sequence[Any]] = {
    "manifest": _MANIFESTS,
    "source": _SOURCES,
    "model": ["m", "m", "m", "other", "none", ["m", "other"], []],
    "llm.embed.model": ["vectors", "vectors", None, "m"],
    "llm.generate.messages": [_SAID, _SAID, _SAID, None, [{"role": "tool", "content": ""}]],
    "sampling": [None, {"max_tokens": 5}, {"max_tokens": 500}, {"temperature": 1.5, "stop": ["a"]}],
    "limits": [None, {"tokens": 50}, {"kv_bytes": 100}, {"turns": 2}, {"money": 0.00001},
        {"memory_rows": 2}, {"memory_bytes": 300}, {"storage_bytes": 300}, {"mailbox": 2},
        {"children": 1}, {"tokens_per_minute": 60}, {"wall": "30s"}, {"context_tokens": 20}],
    "space": ["self", "self", "common", "other"],
    "path": ["a", "a", "/common/a", "b/c/d", "/common", "/", "/self", "a/", "é", "../x"],
    "key": ["a", "a", "b", "é", "a%_", "a" * 512],
    "query": ["a", "word other", '"', "a AND (", "NEAR(", "*", "é", "-a", "a:b", "^a", "\x00"],
    "topic": ["news", "news", "a/b"],
    "checkpoint": ["c1", "c2", "x"],
    "capability": ["mem:common:w", "tool:clock(x)", "llm:m@edge", "proc:spawn", "x" * 500],
    "allow": [["*"], ["mem:common:rw"], ["tool:clock"], ["[", "]"], ["*a" * 200]],
    "deny": [[], ["mem:*"], ["llm:m@*"], ["*"], ["!"], ["(" * 300]],
    "labels": [[], [], [], ["private"], ["private", "other"]],
    "timeout": [0.5, 30, "1s", None],
    "ttl": [None, None, 1, 30],
    "name": ["fuzz", "a", "known"],
    "drv.info.name": ["edge", "tools", "nobody"],
    "drv.drain.name": ["edge", "cloud", "tools", "host"],
    "tool.call.name": ["clock", "clock", "mail", "nothing"],
    "arguments": [{}, {"x": "y"}, {"text": "rm -rf /"}],
    "expect": [None, 0, 1],
}  # fmt: skip
"""By the name of a field, or of a call and its field: values that get somewhere."""
_WANTED = {"llm.generate": "messages", "fs.write": "text", "proc.spawn": "text"}
"""Fields that are not needed, but without which a call mostly gets nowhere."""
_WORDS = ["a", "x", "word", "é", "word " * 5, "m", "-", "a" * 63]
HOSTILE: list[Any] = [
    None, True, False, -1, 0, 1, 2**31, 2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, -(2**63),
    0.5, -0.0, 1e308, 5e-324, float("nan"), float("inf"), float("-inf"), "", "\x00", "\n", "\x7f",
    "a" * 300, "a" * 5000, "é" * 255, "\u202eabc", "𝒳\U0010ffff", "\ud800", "e\u0301", "\ufeff",
    "../../etc/passwd", "/self/../../x", "' OR 1=1 --", '"a" AND (NEAR', "*" * 400, "[!a-", "%s%n",
    "{}", "null", "NaN", "9" * 400, "1h" * 300, b"", b"\xff\xfe", b"x" * 5000, [], {}, [[]],
    {"": None}, [None] * 300, list(range(3000)), {"a" * 300: 1}, {str(n): n for n in range(1000)},
    msgpack.Timestamp(1, 2), msgpack.ExtType(5, b"x"),
]  # fmt: skip


def narrow(chance: random.Random) -> dict[str, list[Any]]:
    """A few names for things, so that what is written is also found."""
    fields = ("path", "key", "space", "topic", "checkpoint")
    return {name: [_TYPICAL[name][0], chance.choice(_TYPICAL[name])] for name in fields}


class Grammar:
    """Of one model, for the call of this name."""

    def __init__(self, name: str, model: type[Model]) -> None:
        self._name = name
        self._schema = model.model_json_schema()
        self._parts: dict[str, Any] = self._schema.get("$defs", {})
        self.fields = frozenset(self._schema.get("properties", ()))

    def sound(self, chance: random.Random, pools: Pools) -> dict[str, Any]:
        made = self._object(self._schema, chance, pools)
        if "source" in self._schema.get("properties", {}):
            # The one rule that no schema tells: a manifest, or a source.
            made.pop("manifest" if chance.random() < 0.2 else "source", None)
            if "source" not in made:
                made.setdefault("manifest", chance.choice(_MANIFESTS))
        return made

    def wild(self, chance: random.Random, pools: Pools) -> dict[str, Any]:
        """With one to three things in it that should not be there."""
        made = deepcopy(self.sound(chance, pools))
        for _ in range(chance.choice([1, 1, 1, 2, 3])):
            _spoil(made, chance)
        return made

    def _object(self, schema: Any, chance: random.Random, pools: Pools) -> dict[str, Any]:
        needed, often = set(schema.get("required", ())), chance.choice([0.05, 0.2, 0.5])
        if chance.random() < 0.8:
            needed.add(_WANTED.get(self._name, ""))
        return {
            name: self._field(name, part, chance, pools)
            for name, part in schema.get("properties", {}).items()
            if name in needed or chance.random() < often
        }

    def _field(self, name: str, schema: Any, chance: random.Random, pools: Pools) -> Any:
        seen = pools.get(f"{self._name}.{name}") or pools.get(name)
        if seen and chance.random() < 0.85:
            return chance.choice(seen)
        typical = _TYPICAL.get(f"{self._name}.{name}") or _TYPICAL.get(name)
        if typical and chance.random() < 0.85:
            return chance.choice(typical)
        return self._value(schema, chance, pools)

    def _value(self, schema: Any, chance: random.Random, pools: Pools) -> Any:
        if "$ref" in schema:
            schema = self._parts[schema["$ref"].rpartition("/")[2]]
        if "anyOf" in schema:
            return self._value(chance.choice(schema["anyOf"]), chance, pools)
        if "enum" in schema or "const" in schema:
            return chance.choice(schema.get("enum", [schema.get("const")]))
        match schema.get("type"):
            case "object" if "properties" in schema:
                return self._object(schema, chance, pools)
            case "object":
                inside = schema.get("additionalProperties")
                inside = inside if isinstance(inside, dict) else {}
                return {
                    chance.choice(_WORDS): self._value(inside, chance, pools)
                    for _ in range(chance.randrange(3))
                }
            case "array":
                least, most = schema.get("minItems", 0), min(schema.get("maxItems", 4), 4)
                several = range(chance.randint(least, max(least, most)))
                return [self._value(schema["items"], chance, pools) for _ in several]
            case "string":
                return _text(schema, chance)
            case "integer" | "number" as kind:
                return _number(schema, kind, chance)
            case "boolean":
                return chance.random() < 0.5
            case "null":
                return None
        return json_value(chance)


def json_value(chance: random.Random, depth: int = 3) -> Any:
    kind = chance.randrange(8 if depth else 6)
    if kind == 6:
        return [json_value(chance, depth - 1) for _ in range(chance.randrange(4))]
    if kind == 7:
        return {chance.choice(_WORDS): json_value(chance, depth - 1) for _ in range(3)}
    return chance.choice([None, True, 7, -1.5, chance.choice(_WORDS), 2**53, "x" * 200])


@cache
def _fitting(pattern: str) -> tuple[str, ...]:
    durations = ["1s", "500ms", "1h30m"]
    return tuple(word for word in [*_WORDS, *durations] if re.search(pattern, word))


def _text(schema: Any, chance: random.Random) -> str:
    words: Sequence[str] = _fitting(schema["pattern"]) if "pattern" in schema else _WORDS
    most = schema.get("maxLength")
    word = chance.choice(words or _WORDS)
    if most and "pattern" not in schema and chance.random() < 0.02:
        word = chance.choice("xé") * min(most, 70_000)
    return word[:most] if most else word


def _number(schema: Any, kind: str, chance: random.Random) -> float:
    least = schema.get("minimum", schema.get("exclusiveMinimum", 0))
    most = schema.get("maximum", schema.get("exclusiveMaximum", 2**53))
    if kind == "number":
        return chance.choice([least + 0.001, (least + most) / 2, most * 0.999, 1.0])
    edge = [least, most if "maximum" in schema else most - 1]
    near = [least + n for n in range(1, 4) if least + n <= most]
    return chance.choice(near if near and chance.random() < 0.8 else edge)


def _spoil(root: dict[str, Any], chance: random.Random) -> None:
    """Change one thing somewhere inside."""
    where: Any = root
    while True:
        inside = where.values() if isinstance(where, dict) else where
        deeper = [value for value in inside if isinstance(value, dict | list) and value]
        if not deeper or chance.random() < 0.5:
            break
        where = chance.choice(deeper)
    hostile = deepcopy(chance.choice(HOSTILE))
    if isinstance(where, dict):
        act = chance.random()
        if act < 0.15 and where:
            del where[chance.choice(list(where))]
        elif act < 0.3 or not where:
            where[chance.choice(["more", "pid", "", "\x00", "a" * 200])] = hostile
        elif act < 0.35:
            where[chance.choice(list(where))] = _deep(chance.choice([20, 31, 32, 33, 200]))
        else:
            where[chance.choice(list(where))] = hostile
    elif where:
        where[chance.randrange(len(where))] = hostile


def _deep(levels: int) -> Any:
    value: Any = "deep"
    for level in range(levels):
        value = [value] if level % 2 else {"a": value}
    return value


CALLS: dict[str, Grammar] = {name: Grammar(name, spec.args) for name, spec in TABLE.items()}
DRIVERS: dict[str, Grammar] = {name: Grammar(name, model) for name, model in FROM_DRIVER.items()}
