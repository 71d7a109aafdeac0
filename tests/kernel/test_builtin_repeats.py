"""Is a built-in tool called once, whoever makes the call again, and has its waiting an end?"""

from __future__ import annotations

import json

import pytest

from tests.kernel.rig import Rig
from tests.kernel.wishes import Asked


def test_is_it_done_once_whoever_makes_the_call_again(rig: Rig) -> None:
    ask = Asked(rig, "fs.*")
    arguments = {"path": "a", "text": "x"}
    id = ask.want("fs.write", **arguments)
    for _ in range(3):
        assert ask.host.reply(ask.make(id, "fs.write", **arguments)) is not None
    rig.crash()
    ask.host = rig.host()
    rig.wait(10)
    ask.make(id, "fs.write", **arguments)
    assert rig.call("fs.stat", pid=ask.pid, path="a")["version"] == 1
    assert [m["role"] for m in rig.call("ctx.read", pid=ask.pid)["messages"]].count("tool") == 1


def test_is_one_that_waits_not_begun_twice(rig: Rig) -> None:
    ask = Asked(rig, "ipc.*")
    id = ask.want("ipc.recv")
    ask.make(id, "ipc.recv")
    body = ask.host.reply(ask.make(id, "ipc.recv"))
    assert body is not None
    assert body["error"]["code"] == "EBUSY"


@pytest.mark.parametrize("crash", [True, False])
def test_is_one_that_waited_taken_up_by_the_next_host(rig: Rig, crash: bool) -> None:
    ask = Asked(rig, "ipc.*")
    id = ask.want("ipc.recv")
    ask.make(id, "ipc.recv")
    if crash:
        rig.crash()
    else:
        ask.host.die()
    rig.call("ipc.send", pid=ask.pid, body="come")
    assert rig.call("proc.info", pid=ask.pid)["mailbox"] == 1, "nobody took it"
    ask.host = rig.host()
    rig.wait(10)
    ask.make(id, "ipc.recv")
    assert json.loads(ask.told())["mail"][0]["body"] == "come"
    account = rig.machine.table.get(ask.pid).account("tool_calls")
    assert (account.spent, account.reserved) == (1, 0)


@pytest.mark.parametrize("how", ["INT", "KILL", "TERM"])
def test_does_a_signal_end_one_that_waits(rig: Rig, how: str) -> None:
    ask = Asked(rig, "ipc.*")
    number = ask.make(ask.want("ipc.recv"), "ipc.recv")
    rig.call("proc.kill", pid=ask.pid, signal=how)
    body = ask.host.reply(number)
    assert body is None or body["error"]["code"] in ("ECANCELED", "EAUTH")
    account = rig.machine.table.get(ask.pid).account("tool_calls")
    assert (account.spent, account.reserved) == (0, 0)
    if how == "INT":
        rig.call("ipc.send", pid=ask.pid, body="later")
        assert rig.call("proc.info", pid=ask.pid)["mailbox"] == 1


def test_does_waiting_have_an_end(rig: Rig) -> None:
    ask = Asked(rig, "ipc.*")
    number = ask.make(ask.want("ipc.recv", timeout=5), "ipc.recv", timeout=5)
    rig.wait(4)
    assert ask.host.reply(number) is None
    rig.wait(2)
    assert json.loads(ask.told())["mail"] == []


def test_is_a_timeout_that_is_given_kept(rig: Rig) -> None:
    ask = Asked(rig, "ipc.*")
    id = ask.want("ipc.recv", timeout=100)
    number = ask.host.act(
        ask.pid, "tool.call", name="ipc.recv", arguments={"timeout": 100}, append=id, timeout=5
    )
    rig.wait(6)
    body = ask.host.reply(number)
    assert body is not None
    assert body["error"]["code"] == "ETIMEOUT"
    account = rig.machine.table.get(ask.pid).account("tool_calls")
    assert (account.spent, account.reserved) == (0, 0)
    rig.call("ipc.send", pid=ask.pid, body="later")
    assert rig.call("proc.info", pid=ask.pid)["mailbox"] == 1
