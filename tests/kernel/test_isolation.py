"""Is a process left alone by all who have nothing to do with it, whatever call they try?

The matrix is made from the table of syscalls: a new call is either tried on the victim here, or
it is said why it can't name anything of another process.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmagentos.abi.errors import EAUTH, EINVAL, ENOENT, EPERM
from llmagentos.abi.syscalls import TABLE
from tests.kernel.rig import MODEL, SERVICE, USER, FakeDriver, Program, Rig, agent

MESSAGE = [{"role": "user", "content": "x"}]

OWN_ONLY = {
    "proc.spawn": "makes a child of the caller",
    "proc.exit": "ends the caller",
    "llm.generate": "reads and grows the caller's own context",
    "llm.embed": "texts that the caller brings",
    "ipc.recv": "the caller's own mailbox",
    "ipc.publish": "a topic is everybody's who holds the capability",
    "ipc.subscribe": "a topic is everybody's who holds the capability",
    "tool.list": "tools, and what the caller may do with them",
    "tool.call": "what a tool reaches, its driver answers for",
    "cap.request": "asks for the caller only",
    "drv.list": "drivers are no process's",
    "drv.info": "drivers are no process's",
    "sys.ping": "the clock",
    "sys.info": "counts over all processes",
}
"""Calls that can't name anything of another process, and why."""

OF_ANOTHER = {"pid", "tree", "approval"}
"""Names of arguments that stand for a process, or for something of one."""


class Town:
    """A victim that has everything a process can have, those to whom it belongs, and strangers."""

    def __init__(self) -> None:
        self.rig = rig = Rig()
        self.driver = rig.driver()
        self.host = rig.host(slots=20)
        rig.tool("tools", "shell")
        rig.wait(3)
        self.owner = Program(rig, "owner", "*", "ipc:mail/*:w")
        rules = {"allow": ["*"], "ask": ["tool:shell(*)"]}
        self.victim = self.born(self.owner.session, "victim", rules)
        self.child = self.born(self.session(self.victim), "child", {"allow": ["*"]})
        self._settle()
        self.strangers = self._strangers()

    def born(self, session: str, name: str, rules: dict[str, Any]) -> int:
        manifest = agent(name, capabilities=rules, prompt="Be good.")
        made = self.rig.call("proc.spawn", manifest=manifest, text="hello", session=session)
        return int(made["pid"])

    def session(self, pid: int) -> str:
        return self.host.session_of(pid)

    def _settle(self) -> None:
        """It works for a while."""
        own = {"session": self.session(self.victim), "peer": b"host"}
        call, host, victim = self.rig.call, self.host, self.victim
        call("ctx.append", messages=[{"role": "user", "content": "my secret"}], **own)
        call("ctx.checkpoint", name="mark", **own)
        call("mem.put", key="secret", value={"n": 42}, labels=["private"], **own)
        call("fs.write", path="notes/secret.txt", text="my secret", **own)
        call("fs.write", path="notes/secret.txt", text="my secret, again", **own)
        call("ipc.send", pid=victim, body="a letter")
        host.act(victim, "tool.call", name="shell", arguments={"command": "secret"})
        (self.approval,) = [one["id"] for one in call("cap.list", pid=victim)["approvals"]]

    def _strangers(self) -> dict[int, str]:
        """Pids, and sessions. All may do whatever they like, but nobody gave them the victim."""
        free = {"allow": ["*"], "deny": ["ipc:mail/*"]}
        program, session = self.rig.program("stranger")
        bound = Program(self.rig, "bound", "*")
        lone = self.born(USER, "lone", free)
        sibling = self.born(self.owner.session, "sibling", free)
        late = self.born(USER, "late", {"allow": ["*"]})
        orphan = self.born(self.session(late), "orphan", free)
        self.rig.call("proc.kill", pid=late, signal="KILL")
        agents = (lone, sibling, orphan, self.child)
        return {program: session, bound.pid: bound.session} | {
            pid: self.session(pid) for pid in agents
        }

    def bury(self) -> None:
        """The victim ends, and is collected. Its child is an orphan from now on."""
        self.rig.call("proc.kill", pid=self.victim, signal="KILL")
        self.rig.call("proc.wait", pid=self.victim)

    def portrait(self) -> str:
        """All that there is to see of the victim, to the last byte."""
        rig, pid = self.rig, self.victim
        asked: list[tuple[str, dict[str, Any]]] = [
            ("proc.info", {}), ("ctx.read", {}), ("proc.limits", {}),
        ]  # fmt: skip
        if rig.machine.table.find(pid) is not None:
            asked += [
                ("mem.list", {}), ("mem.get", {"key": "secret"}), ("cap.list", {"history": 99}),
                ("fs.list", {"recursive": True}), ("fs.history", {"path": "notes/secret.txt"}),
                ("proc.list", {"tree": pid}),
            ]  # fmt: skip
        else:
            asked.remove(("proc.limits", {}))
            asked.append(("cap.list", {"pid": 1, "history": 99}))
        seen: list[Any] = [
            rig.call(name, **({} if "tree" in args else {"pid": pid}) | args)
            for name, args in asked
        ]
        for table in ("mail", "memory", "files", "contents", "messages", "approvals"):
            rows = rig.store._rows(f"SELECT * FROM {table}")
            seen.append([str(row) for row in rows])
        seen.append([rig.call("proc.info", pid=self.child), rig.call("ctx.read", pid=self.child)])
        return json.dumps(seen, sort_keys=True)


def attempts(name: str, town: Town) -> list[dict[str, Any]]:
    """Arguments with which a call names something of the victim."""
    pids = [town.victim, town.child]
    with_pid: dict[str, dict[str, Any]] = {
        "proc.fork": {},
        "proc.wait": {"timeout": 1},
        "proc.kill": {"signal": "KILL", "tree": True},
        "proc.nice": {"priority": 5},
        "proc.limits": {"limits": {"tokens": 1}},
        "proc.info": {},
        "llm.cancel": {},
        "ctx.read": {},
        "ctx.append": {"messages": MESSAGE},
        "ctx.compact": {"keep": 0, "summary": "x"},
        "ctx.checkpoint": {},
        "ctx.restore": {"checkpoint": "mark"},
        "ctx.rewind": {"message": 0},
        "mem.put": {"key": "secret", "value": "mine"},
        "mem.get": {"key": "secret"},
        "mem.search": {"query": "secret"},
        "mem.delete": {"key": "secret"},
        "mem.list": {},
        "fs.write": {"path": "notes/secret.txt", "text": "mine"},
        "fs.read": {"path": "notes/secret.txt"},
        "fs.list": {"recursive": True},
        "fs.stat": {"path": "/self/notes/secret.txt"},
        "fs.delete": {"path": "notes/secret.txt"},
        "fs.history": {"path": "notes/secret.txt"},
        "fs.restore": {"path": "notes/secret.txt", "version": 1},
        "ipc.send": {"body": "psst"},
        "cap.list": {"history": 99},
        "cap.grant": {"allow": ["x"]},
        "cap.revoke": {"deny": ["*"]},
        "sys.events": {},
    }
    others: dict[str, list[dict[str, Any]]] = {
        "proc.list": [{"tree": pid} for pid in pids],
        "proc.adopt": [{"name": "owner"}, {}],
        "cap.decide": [
            {"approval": town.approval, "approve": yes, "always": yes} for yes in (True, False)
        ],
        "drv.drain": [{"name": "edge"}],
        "sys.audit": [{}],
        "sys.metrics": [{}],
        "sys.shutdown": [{}],
    }
    found = others.get(name, [])
    if name in with_pid:
        found = [{"pid": pid, **with_pid[name]} for pid in pids]
    if name == "cap.list":
        found.append({"approval": town.approval})
    if name == "cap.revoke":
        found.append({"pid": town.victim, "labels": ["private"]})
    return found


@pytest.fixture
def town() -> Town:
    return Town()


@pytest.mark.parametrize("name", TABLE)
def test_is_every_call_either_tried_or_known_to_be_harmless(name: str, town: Town) -> None:
    tried, fields = attempts(name, town), set(TABLE[name].args.model_fields)
    assert bool(tried) != (name in OWN_ONLY)
    if not tried:
        assert not fields & OF_ANOTHER
    for field in fields & OF_ANOTHER:
        # A flag is no process.
        flag = TABLE[name].args.model_fields[field].annotation is bool
        assert flag or any(field in args for args in tried)
    for args in tried:
        TABLE[name].args.model_validate(args)


@pytest.mark.parametrize("collected", [False, True], ids=["living", "collected"])
@pytest.mark.parametrize("name", [name for name in TABLE if name not in OWN_ONLY])
def test_is_the_victim_left_alone(name: str, collected: bool, town: Town) -> None:
    tried = attempts(name, town)
    if collected:
        town.bury()
    for stranger, session in town.strangers.items():
        for args in tried:
            if stranger == town.child and (args.get("pid") == town.child or "tree" in args):
                continue  # that is itself
            if stranger == town.child and name == "ipc.send":
                continue  # it may write to its parent
            before = town.portrait()
            with pytest.raises(EPERM):
                town.rig.call(name, session=session, peer=b"stranger", **args)
            entry = town.rig.call("sys.audit")["entries"][-1]
            assert (entry["pid"], entry["action"], entry["verdict"]) == (stranger, name, "EPERM")
            assert town.portrait() == before


@pytest.mark.parametrize(
    "name",
    [name for name, call in TABLE.items() if {"tree", "below"} & set(call.capability.split())],
)
def test_would_the_same_call_do_something_for_its_owner(name: str, town: Town) -> None:
    """Else the refusals above would say nothing."""
    (args, *_) = attempts(name, town)
    number = town.owner.start(name, **args)
    body = town.owner.reply(number)
    assert body is None or body["ok"], body


def test_is_there_no_other_way_to_write_what_is_anothers(town: Town) -> None:
    session, victim = next(iter(town.strangers.values())), town.victim
    call, before = town.rig.call, town.portrait()
    paths = [
        f"/:{victim}/notes/secret.txt", f"/self/../:{victim}/notes/secret.txt", f":{victim}/x/..",
        f"/ :{victim}/x", f"//{victim}", f"/\u200b:{victim}/x",
    ]  # fmt: skip
    for path in paths:
        for name, more in (("fs.read", {}), ("fs.write", {"text": "mine"}), ("fs.list", {})):
            with pytest.raises((EINVAL, ENOENT)):
                call(name, session=session, path=path, **more)
    for space in (f":{victim}", f"self:{victim}", "", "self/"):
        with pytest.raises(EINVAL):
            call("mem.list", session=session, space=space)
    for pid in (-victim, 0, victim + 2**53, float(victim), str(victim), True):
        with pytest.raises(EINVAL):
            call("ctx.read", session=session, pid=pid)
    assert town.portrait() == before


def test_do_strangers_not_see_each_other_in_lists(town: Town) -> None:
    for stranger, session in town.strangers.items():
        for args in ({}, {"history": 100}, {"tree": stranger}):
            listed = town.rig.call("proc.list", session=session, **args)["processes"]
            assert [row["pid"] for row in listed] == [stranger]
        listed = town.rig.call("cap.list", session=session, history=99)
        assert listed["approvals"] == []


def test_does_a_refusal_not_tell_whether_the_victim_lives(town: Town) -> None:
    session = next(iter(town.strangers.values()))

    def said(pid: int) -> list[str]:
        found = []
        for name, more in (("proc.info", {}), ("ipc.send", {"body": 1}), ("mem.list", {})):
            with pytest.raises(EPERM) as caught:
                town.rig.call(name, session=session, pid=pid, **more)
            found.append(caught.value.message)
        return found

    living = said(town.victim)
    town.rig.call("proc.kill", pid=town.victim, signal="KILL")
    assert said(town.victim) == living
    town.rig.call("proc.wait", pid=town.victim)
    assert said(town.victim) == living


# -- the sockets -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TABLE)
def test_does_the_service_key_open_no_syscall(name: str, town: Town) -> None:
    for args in attempts(name, town) or [{}]:
        with pytest.raises(EAUTH):
            town.rig.call(name, session=SERVICE, **args)


@pytest.mark.parametrize("key", ["", "a guess", USER, "a session"])
@pytest.mark.parametrize("kind", ["edge", "host", "tool"])
def test_does_no_other_key_register_a_driver(
    kind: str, key: str, town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    if key == "a session":
        key = town.owner.session
    before = len(town.rig.call("drv.list")["drivers"])
    monkeypatch.setattr("tests.kernel.rig.SERVICE", key)
    card = {"kind": kind, "models": [], "slots": 9, "state": "ready"}
    rogue = FakeDriver(town.rig, "rogue", card)
    town.rig.beating.remove(rogue)
    assert [body.code for body in rogue.heard("refuse")] == ["EAUTH"]
    rogue.beat()
    assert len(town.rig.call("drv.list")["drivers"]) == before
    town.born(USER, "next", {})
    assert not rogue.heard("assign")


def test_does_a_driver_not_speak_for_another(town: Town) -> None:
    number = town.rig.send("llm.generate", messages=MESSAGE)
    (start,) = town.driver.started
    rogue = town.rig.driver("rogue", models=[{"name": MODEL, "context_length": 99}])
    rogue.report(start, "lies", finish="stop", prompt=1)
    assert town.rig.reply(number) is None
    town.driver.answer("the truth")
    reply = town.rig.reply(number)
    assert reply is not None
    assert reply["result"]["text"] == "the truth"
