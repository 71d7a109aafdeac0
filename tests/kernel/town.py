"""A town: a victim that has everything a process can have, and all who may not touch it.

Beside them, the arguments with which each syscall names something of the victim. It knows nothing
about what comes of it.
"""

from __future__ import annotations

import json
from typing import Any

from tests.kernel.rig import USER, Program, Rig, agent, said


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
        call("ctx.append", messages=said("my secret"), **own)
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
        "ctx.append": {"messages": said("x")},
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
