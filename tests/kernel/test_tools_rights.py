"""Is a tool called by those who may, with what it may see, and as often as they may?"""

import pytest

from kernel.ledger import Account
from llmagentos.abi.errors import ELABEL, EPERM, EQUOTA
from tests.kernel.calling import ann, call, error, rig, used
from tests.kernel.rig import Program, Rig, agent

__all__ = ["ann", "rig"]  # fixtures


def test_may_a_tool_be_called_by_those_who_may(rig: Rig) -> None:
    tool = rig.tool("tools", "shell", "echo")
    bob = Program(rig, "bob", "tool:shell(ls *)")
    for name, arguments in (("echo", {}), ("shell", {"line": "rm x"}), ("shell", {})):
        with pytest.raises(EPERM):
            bob.call("tool.call", name=name, arguments=arguments)
    call(bob, "shell", arguments={"line": "ls x"})
    assert len(tool.orders) == 1


def test_is_a_limit_of_calls_kept_over_the_tree(rig: Rig) -> None:
    tool = rig.tool(slots=1)
    bob = Program(rig, "bob", "*", tool_calls=2)
    host = rig.host()
    made = bob.call("proc.spawn", manifest=agent(tools=["echo"]), text="x")
    running = call(bob)
    waiting = host.act(made["pid"], "tool.call", name="echo")
    with pytest.raises(EQUOTA, match="0 of its 2 tool calls left"):
        bob.call("tool.call", name="echo")
    rig.call("proc.kill", pid=made["pid"], signal="KILL")
    assert host.reply(waiting) is not None
    assert bob.account("tool_calls") == Account(reserved=1), "what never began is given back"
    call(bob)
    tool.result(tool.orders[0])
    assert bob.result(running)
    tool.result(tool.orders[1])
    assert bob.account("tool_calls") == Account(spent=2)
    rig.crash()
    assert bob.account("tool_calls") == Account(spent=2)
    assert used(rig, bob.pid) == 2


def test_do_the_books_of_those_above_outlive_a_crash(rig: Rig) -> None:
    tool, host, bob = rig.tool(), rig.host(), Program(rig, "bob", "*")
    made = bob.call("proc.spawn", manifest=agent(tools=["echo"]), text="x")
    host.act(made["pid"], "tool.call", name="echo")
    tool.result(tool.orders[0])
    rig.crash()
    assert bob.account("tool_calls") == Account(spent=1)


def test_is_data_kept_from_a_tool_that_may_not_have_it(rig: Rig, ann: Program) -> None:
    tool = rig.tool()
    ann.label("private", "health")
    with pytest.raises(ELABEL, match="driver tools may not see data labelled health") as caught:
        ann.call("tool.call", name="echo")
    assert caught.value.detail["labels"] == ["health", "private"]
    assert caught.value.detail["drivers"].keys() == {"tools"}
    assert not tool.orders
    assert rig.call("sys.audit")["entries"][-1]["verdict"] == "ELABEL"
    rig.tool("abroad", labels=["health", "private"], zone="cloud")
    with pytest.raises(ELABEL):
        ann.call("tool.call", name="echo")
    home = rig.tool("home", labels=["health", "private"])
    call(ann)
    assert len(home.orders) == 1


def test_is_data_kept_from_such_a_tool_that_comes_late() -> None:
    rig = Rig()
    ann = Program(rig, "ann", "*")
    ann.label("private")
    number = call(ann)
    tool = rig.tool()
    assert error(ann, number) == "ELABEL"
    assert not tool.orders
    assert rig.call("sys.audit")["entries"][-1]["verdict"] == "ELABEL"


@pytest.mark.parametrize("fails", [True, False])
def test_is_the_caller_labelled_by_what_it_got(rig: Rig, ann: Program, fails: bool) -> None:
    tool = rig.tool("tools", {"name": "mail", "labels": ["private"]})
    number = call(ann, "mail")
    assert rig.labels(ann.pid) == []
    told = {"error": {"code": "EIO", "message": "the letter says …"}} if fails else {}
    tool.result(tool.orders[0], labels=["health"], **told)
    assert rig.labels(ann.pid) == ["health", "private"]
    if not fails:
        assert ann.result(number)["labels"] == ["health", "private"]


def test_is_a_tool_that_was_revoked_while_the_call_waited_not_called() -> None:
    rig = Rig()
    tool = rig.tool(slots=1)
    program = Program(rig, "p", "tool:*")
    program.start("tool.call", name="echo", arguments={"n": 1})
    waits = program.start("tool.call", name="echo", arguments={"n": 2})
    rig.call("cap.revoke", pid=program.pid, deny=["tool:echo"])
    (first,) = tool.heard("call")
    tool.say("result", {"job": first.job, "content": 1})
    assert len(tool.heard("call")) == 1
    reply = rig.reply(waits, program.peer)
    assert reply is not None
    assert reply["error"]["code"] == "EPERM"


# -- listing -----------------------------------------------------------------------------------


def test_are_all_tools_listed(rig: Rig, ann: Program) -> None:
    card = {"name": "shell", "description": "Run it", "parameters": {"type": "object"}}
    rig.tool("b", card, "echo")
    rig.tool("a", "echo").die()
    rig.driver(tools=[{"name": "odd"}])
    rows = [row for row in ann.call("tool.list")["tools"] if row["driver"] != "kernel"]
    assert [(row["name"], row["driver"], row["up"]) for row in rows] == [
        ("echo", "a", False),
        ("echo", "b", True),
        ("shell", "b", True),
    ]
    more = {"driver": "b", "up": True, "verdict": "allow", "parallel": False}
    assert rows[2] == {**card, **more}


@pytest.mark.parametrize(
    ("allow", "ask", "deny", "verdict"),
    [
        (["tool:shell"], [], [], "allow"),
        (["tool:*"], [], [], "allow"),
        (["tool:*"], ["tool:shell"], [], "ask"),
        (["tool:*"], ["tool:shell(*)"], [], "ask"),
        (["tool:*"], ["tool:shell(rm *)"], [], "allow"),
        (["tool:shell(ls *)"], [], [], "allow"),
        ([], ["tool:shell(ls *)"], [], "ask"),
        (["tool:*"], [], ["tool:shell"], "deny"),
        (["tool:*"], [], ["tool:shell(rm *)"], "allow"),
        (["tool:echo"], [], [], "deny"),
        ([], [], [], "deny"),
    ],
)
def test_does_the_list_say_what_the_caller_may(
    rig: Rig, allow: list[str], ask: list[str], deny: list[str], verdict: str
) -> None:
    rig.tool("tools", "shell")
    host = rig.host()
    pid = rig.spawn(agent(capabilities={"allow": allow, "ask": ask, "deny": deny}))
    reply = host.reply(host.act(pid, "tool.list", names=["shell", "missing"]))
    assert reply is not None
    assert [row["verdict"] for row in reply["result"]["tools"]] == [verdict]
    (own,) = rig.call("tool.list", names=["shell"])["tools"]
    assert own["verdict"] == "allow", "the user may do all"
