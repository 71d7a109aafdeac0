"""Is a process left alone by all who have nothing to do with it, whatever call they try?

The matrix is made from the table of syscalls: a new call is either tried on the victim here, or
it is said why it can't name anything of another process.
"""

from __future__ import annotations

import pytest

from llmagentos.abi.errors import EAUTH, EINVAL, ENOENT, EPERM
from llmagentos.abi.syscalls import TABLE
from tests.kernel.rig import MODEL, SERVICE, USER, FakeDriver, said
from tests.kernel.town import Town, attempts

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
    monkeypatch.setattr("tests.kernel.fakes.SERVICE", key)
    card = {"kind": kind, "models": [], "slots": 9, "state": "ready"}
    rogue = FakeDriver(town.rig, "rogue", card)
    town.rig.beating.remove(rogue)
    assert [body.code for body in rogue.heard("refuse")] == ["EAUTH"]
    rogue.beat()
    assert len(town.rig.call("drv.list")["drivers"]) == before
    town.born(USER, "next", {})
    assert not rogue.heard("assign")


def test_does_a_driver_not_speak_for_another(town: Town) -> None:
    number = town.rig.send("llm.generate", messages=said())
    (start,) = town.driver.started
    rogue = town.rig.driver("rogue", models=[{"name": MODEL, "context_length": 99}])
    rogue.report(start, "lies", finish="stop", prompt=1)
    assert town.rig.reply(number) is None
    town.driver.answer("the truth")
    reply = town.rig.reply(number)
    assert reply is not None
    assert reply["result"]["text"] == "the truth"
