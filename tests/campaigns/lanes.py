"""Lanes: what the clients of a crash campaign do, and what each then believes.

Each lane owns what it writes (keys, files, a context, children), so after each reply it knows
exactly what the kernel must have, and a thing that was lost, or done twice, shows in what comes
next: in a version, in a ``created``, in a text that is there twice. When the campaign ends it
looks at all of it once more. It knows nothing about kernels that die: the caller sees to repeats.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Generator
from typing import Any

from tests.campaigns.belief import Belief, Spent, same
from tests.campaigns.caller import Call, Reply
from tests.campaigns.system import MODEL, Broken

Lane = Generator[Call, Reply, None]

AGENT: dict[str, Any] = {"apiVersion": "llmagentos/v1", "kind": "Agent", "spec": {"model": MODEL}}


def agent(name: str) -> dict[str, Any]:
    return {**AGENT, "metadata": {"name": name}}


def memory(belief: Belief, chance: random.Random, prefix: str, space: str) -> Lane:
    rows: dict[str, Any] = {}
    number = 0
    while not belief.ending:
        key = f"{prefix}-{chance.randrange(8)}"
        act = chance.random()
        if act < 0.5:
            number += 1
            value = {"n": number, "pad": "x" * chance.choice([0, 40, 2000])}
            made = yield from belief.ok("mem.put", space=space, key=key, value=value)
            same(f"created {key}", key not in rows, made["created"])
            rows[key] = value
        elif act < 0.7:
            gone = yield from belief.ok("mem.delete", space=space, key=key)
            same(f"deleted {key}", rows.pop(key, None) is not None, gone["deleted"])
        elif key in rows:
            row = yield from belief.ok("mem.get", space=space, key=key)
            same(f"value of {key}", rows[key], row["value"])
        else:
            yield from belief.refused("ENOENT", "mem.get", space=space, key=key)
    found = yield from belief.ok("mem.list", space=space, prefix=f"{prefix}-")
    same("keys", sorted(rows), [row["key"] for row in found["rows"]])
    for key, value in rows.items():
        row = yield from belief.ok("mem.get", space=space, key=key)
        same(f"value of {key}", value, row["value"])
    for key in list(rows)[1:]:
        yield from belief.ok("mem.delete", space=space, key=key)


def files(belief: Belief, chance: random.Random, folder: str) -> Lane:
    """Each path's versions, oldest first: the content, or None where it was deleted."""
    versions: dict[str, list[bytes | None]] = {}
    number = 0
    while not belief.ending:
        number += 1
        path = f"{folder}/f{number // 40}-{chance.randrange(3)}"
        past = versions.setdefault(path, [])
        there = bool(past) and past[-1] is not None
        act = chance.random()
        if act < 0.5:
            content = f"{folder} {number} ".encode() + b"y" * chance.choice([0, 10, 4000])
            expect = {"expect": len(past) if there else 0} if chance.random() < 0.3 else {}
            how = {"text": content.decode()} if chance.random() < 0.5 else {}
            buffers = () if how else (content,)
            made = yield from belief.ok("fs.write", *buffers, path=path, **how, **expect)
            past.append(content)
            same(f"hash of {path}", hashlib.sha256(content).hexdigest(), made["hash"])
        elif act < 0.6 and there:
            made = yield from belief.ok("fs.delete", path=path)
            past.append(None)
        elif act < 0.7 and past:
            old = chance.randrange(len(past))
            if past[old] is None:
                continue
            made = yield from belief.ok("fs.restore", path=path, version=old + 1)
            past.append(past[old])
        elif there:
            reply = yield from belief.call("fs.read", path=path)
            same(f"content of {path}", (past[-1],), reply.buffers)
            made = reply.body
        else:
            continue
        same(f"version of {path}", len(past), made["version"])
    for path, past in versions.items():
        if not past:
            continue
        told = yield from belief.ok("fs.history", path=path, limit=1000)
        found = [(one["version"], one["deleted"]) for one in reversed(told["versions"])]
        same(f"history of {path}", [(n + 1, one is None) for n, one in enumerate(past)], found)
        for number, content in enumerate(past, 1):
            if content is not None:
                reply = yield from belief.call("fs.read", path=path, version=number)
                same(f"version {number} of {path}", (content,), reply.buffers)


def context(belief: Belief, chance: random.Random, spent: Spent, name: str) -> Lane:
    """A process's whole context: nobody else may touch it."""
    said: list[str] = []
    marks: dict[str, list[str]] = {}
    number = 0
    while not belief.ending:
        number += 1
        act = chance.random()
        if len(said) > 80:
            yield from belief.ok("ctx.rewind", message=0)
            said.clear()
        elif act < 0.6:
            fresh = [f"{name} {number} {n}" for n in range(chance.randint(1, 3))]
            messages = [{"role": "user", "content": text} for text in fresh]
            made = yield from belief.ok("ctx.append", messages=messages)
            same("ids", len(fresh), len(set(made["ids"])))
            said += fresh
        elif act < 0.7:
            text = f"answer {name} {number}"
            yield from _generate(belief, spent, text, append=True)
            said += [text, text]
        elif act < 0.8 and len(marks) < 200:
            made = yield from belief.ok("ctx.checkpoint")
            same(f"checkpoint {made['checkpoint']} is new", False, made["checkpoint"] in marks)
            marks[made["checkpoint"]] = list(said)
        elif act < 0.83 and marks:
            mark = chance.choice(list(marks))
            yield from belief.ok("ctx.restore", checkpoint=mark)
            said = list(marks[mark])
        else:
            found = yield from belief.ok("ctx.read", last=4)
            same("end of the context", said[-4:], [one["content"] for one in found["messages"]])
    found = yield from belief.ok("ctx.read")
    same("context", said, [one["content"] for one in found["messages"]])


def generate(belief: Belief, chance: random.Random, spent: Spent, name: str) -> Lane:
    number = 0
    while not belief.ending:
        number += 1
        words = " ".join([name, str(number), *["word"] * chance.choice([0, 3, 20])])
        yield from _generate(belief, spent, words, stream=chance.random() < 0.5)


def _generate(belief: Belief, spent: Spent, text: str, **more: Any) -> Generator[Call, Reply, None]:
    """The scripted driver says it back, a word per token."""
    said = [{"role": "user", "content": text}]
    reply = yield from belief.call(
        "llm.generate", messages=said, sampling={"max_tokens": 40}, **more
    )
    if not reply.ok:
        raise Broken(f"{reply.call} was refused: {reply.body}")
    made = reply.body
    same("answer", text, made["text"])
    same("completion tokens", len(text.split()), made["usage"]["completion_tokens"])
    heard = reply.call.heard.values()
    # A kernel may die when the answer is made, and the last of it not streamed: the reply has it.
    wrong = [part for part in heard if not (reply.call.again and text.startswith(part))]
    if wrong and text not in heard:
        raise Broken(f"{reply.call} streamed {reply.call.heard}")
    usage = made["usage"]
    spent.tokens += usage["prompt_tokens"] + usage["completion_tokens"]
    spent.turns += 1


def sender(belief: Belief, chance: random.Random, name: str, pids: list[int]) -> Lane:
    belief.writers += 1
    number = 0
    while not belief.ending:
        number += 1
        pid = chance.choice(pids)
        wait = {"wait": 0.2} if chance.random() < 0.2 else {}
        body = {"from": name, "n": number, "pad": "z" * chance.choice([0, 500])}
        reply = yield from belief.call("ipc.send", pid=pid, body=body, **wait)
        if not reply.ok:
            if reply.code not in ("EBUSY", "EQUOTA", "ETIMEOUT"):
                raise Broken(f"{reply.call} was refused: {reply.body}")
            continue
        box = belief.sent.setdefault(pid, {})
        if reply.body["id"] in box:
            raise Broken(f"mail {reply.body['id']} was sent twice")
        box[reply.body["id"]] = (name, number)
    belief.writers -= 1


def receiver(belief: Belief, chance: random.Random, pid: int) -> Lane:
    got: dict[int, tuple[str, int]] = {}
    left, last = 1, False
    while left or not last:
        last = belief.ending and not belief.writers  # what comes back now is all there is
        limit = chance.choice([1, 5, 100])
        block = {"block": False} if chance.random() < 0.3 or belief.ending else {"timeout": 0.2}
        reply = yield from belief.ok("ipc.recv", limit=limit, **block)
        left = reply["left"]
        for mail in reply["mail"]:
            if mail["id"] in got:
                raise Broken(f"mail {mail['id']} was received twice")
            got[mail["id"]] = (mail["body"]["from"], mail["body"]["n"])
    same(f"mail of process {pid}", belief.sent.get(pid, {}), got)
    same("order of ids", sorted(got), list(got))


def publisher(belief: Belief, chance: random.Random, name: str, topics: list[str]) -> Lane:
    belief.writers += 1
    number = 0
    while not belief.ending:
        number += 1
        topic = chance.choice(topics)
        made = yield from belief.ok("ipc.publish", topic=topic, body={"from": name, "n": number})
        known = belief.published.setdefault(topic, {})
        if made["seq"] in known:
            raise Broken(f"seq {made['seq']} of {topic} was given twice")
        known[made["seq"]] = (name, number)
    belief.writers -= 1


def subscriber(belief: Belief, chance: random.Random, topic: str) -> Lane:
    got: dict[int, tuple[str, int]] = {}
    since, latest, last = 0, 1, False
    while since < latest or not last:
        last = belief.ending and not belief.writers
        block = {"block": False} if belief.ending else {"timeout": 0.2}
        told = yield from belief.ok(
            "ipc.subscribe", topic=topic, since=since, limit=chance.choice([1, 50, 1000]), **block
        )
        latest = told["latest"]
        for message in told["messages"]:
            same(f"next seq of {topic}", since + 1, message["seq"])
            since = message["seq"]
            got[since] = (message["body"]["from"], message["body"]["n"])
        same("next", since, told["next"])
    same(f"publications of {topic}", belief.published.get(topic, {}), got)
    same("published once", len(got), len(set(got.values())))
