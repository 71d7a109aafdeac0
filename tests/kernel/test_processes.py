"""How processes begin, end and are collected, and what is told of them."""

from functools import partial
from typing import Any

import pytest

from kernel.process import IllegalTransition
from llmagentos.abi.errors import ESRCH
from tests.kernel.rig import Rig, agent, said


def test_does_an_agent_wait_as_new_until_a_host_comes(rig: Rig) -> None:
    pid = rig.spawn()
    assert rig.state(pid) == "NEW"
    host = rig.host()
    assert rig.state(pid) == "READY"
    assert host.assigned[0].pid == pid


def test_does_an_answer_go_the_whole_way(rig: Rig) -> None:
    driver, host = rig.driver(), rig.host()
    pid = rig.spawn(agent(prompt="be kind"), text="how are you?")
    waiting = rig.send("proc.wait", pid=pid, stream=True)
    call = host.act(pid, "llm.generate")
    assert rig.state(pid) == "RUNNING"
    start = driver.started[0]
    assert [(m.role, m.content) for m in start.messages] == [
        ("system", "be kind"),
        ("user", "how are you?"),
    ]
    driver.report(start, "fine ", prompt=7)
    driver.report(start, "thanks", index=1, finish="stop")
    result = host.result_of(call)
    assert result["text"] == "fine thanks"
    assert result["usage"]["prompt_tokens"] == 7
    assert rig.streamed(waiting) == "fine thanks"
    host.act(pid, "proc.exit", answer="fine thanks")
    record = rig.reply(waiting)
    assert record is not None
    assert record["result"]["answer"] == "fine thanks"
    assert record["result"]["usage"]["completion_tokens"] == 2


def test_is_all_done_that_a_manifest_may_ask_for(rig: Rig) -> None:
    asks = agent(context={"overflow": "compact", "recall": 100})
    assert rig.call("proc.spawn", manifest=asks)["notices"] == []
    assert "proc.notice" not in [event["type"] for event in rig.events]


def test_is_it_said_which_tools_nobody_offers(rig: Rig) -> None:
    told = partial(rig.call, "proc.spawn")
    named = agent(tools=["fs.raed", "mem.*", "fs.read", {"mcp": "shelf"}, "a[b"])
    assert told(manifest=named)["notices"] == [], "drivers may be on their way"
    rig.wait(3)
    assert told(manifest=named)["notices"] == [
        "nobody offers the tool fs.raed now; did you mean fs.read?",
        "nobody offers the tool shelf.* now",
        "nobody offers the tool a[b now",
    ]
    rig.driver("shelf", kind="tool", models=[], tools=[{"name": "shelf.find", "parameters": {}}])
    assert told(manifest=agent(tools=[{"mcp": "shelf"}]))["notices"] == []
    idle = agent(tool_choice="required")
    (notice,) = told(manifest=idle)["notices"]
    assert notice == "tool_choice is required, and the manifest names no tools"


def test_does_the_table_show_tokens_as_they_are_made(rig: Rig) -> None:
    driver, host = rig.driver(), rig.host()
    pid = rig.spawn()
    host.act(pid, "llm.generate")
    driver.report(driver.started[0], "one two ", prompt=7)
    usage = rig.call("proc.info", pid=pid)["process"]["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (7, 2)


def test_is_a_collected_process_gone_from_the_table_but_not_forgotten(rig: Rig) -> None:
    host = rig.host()
    pid = rig.spawn()
    host.act(pid, "proc.exit", code=3)
    assert rig.state(pid) == "ZOMBIE"
    assert rig.call("proc.wait", pid=pid)["code"] == 3
    assert pid not in [p["pid"] for p in rig.call("proc.list")["processes"]]
    assert rig.call("proc.info", pid=pid)["process"]["exit"]["code"] == 3
    assert pid in [p["pid"] for p in rig.call("proc.list", history=10)["processes"]]
    rig.crash()
    assert rig.call("proc.wait", pid=pid)["code"] == 3


def test_are_orphans_adopted_by_init(rig: Rig) -> None:
    host = rig.host()
    parent = rig.spawn(agent(capabilities={"allow": ["proc:spawn"]}))
    child = host.result_of(host.act(parent, "proc.spawn", manifest=agent("child")))["pid"]
    host.act(parent, "proc.exit")
    assert rig.call("proc.info", pid=child)["process"]["ppid"] == 1


def test_does_a_program_without_a_name_end_with_its_connection(rig: Rig) -> None:
    driver = rig.driver()
    pid, session = rig.program()
    rig.send("llm.generate", session=session, peer=b"prog", messages=said("hi"))
    rig.drop_client(b"prog")
    assert len(driver.heard("cancel")) == 1
    with pytest.raises(ESRCH):
        rig.call("proc.kill", pid=pid)


def test_does_a_named_program_come_back_as_itself(rig: Rig) -> None:
    pid, session = rig.program("collector")
    rig.call("ctx.append", session=session, peer=b"prog", messages=said("remember"))
    rig.drop_client(b"prog")
    rig.crash()
    there = rig.call("proc.info", session=session, peer=b"later")["process"]
    assert there["pid"] == pid
    assert there["context_messages"] == 1
    again = rig.call("proc.adopt", name="collector")
    assert again["pid"] == pid
    assert again["resumed"]


def test_does_an_attached_agent_end_with_its_connection(rig: Rig) -> None:
    driver, host = rig.driver(), rig.host()
    pid = rig.spawn(attach=True, peer=b"shell")
    other = rig.spawn(peer=b"shell")
    host.act(pid, "llm.generate")
    rig.drop_client(b"shell")
    assert len(driver.heard("cancel")) == 1
    assert rig.call("proc.info", pid=pid)["process"]["exit"]["signal"] == "KILL"
    assert rig.state(other) == "READY"


def test_does_fork_share_the_context_and_halve_the_budget(rig: Rig) -> None:
    host = rig.host()
    parent = rig.spawn(agent(limits={"tokens": 1000}), text="shared")
    child = rig.call("proc.fork", pid=parent, text="mine alone")["pid"]
    told = [m["content"] for m in rig.call("ctx.read", pid=child)["messages"]]
    assert told == ["shared", "mine alone"]
    assert len(rig.call("ctx.read", pid=parent)["messages"]) == 1
    assert rig.call("proc.limits", pid=child)["limits"]["tokens"] == 500
    assert host.assigned[-1].pid == child


def test_is_the_wall_limit_kept(rig: Rig) -> None:
    rig.host()
    pid = rig.spawn(agent(limits={"wall": "5m"}))
    rig.wait(299)
    assert rig.state(pid) == "READY"
    rig.wait(2)
    record = rig.call("proc.wait", pid=pid)
    assert record["error"]["code"] == "EQUOTA"
    assert record["code"] == 4


def test_are_children_counted(rig: Rig) -> None:
    host = rig.host()
    parent = rig.spawn(agent(capabilities={"allow": ["proc:spawn"]}, limits={"children": 1}))
    host.act(parent, "proc.spawn", manifest=agent("one"))
    refused = host.act(parent, "proc.spawn", manifest=agent("two"))
    assert host.error_of(refused)["code"] == "EQUOTA"


def test_does_a_wait_time_out(rig: Rig) -> None:
    rig.host()
    pid = rig.spawn()
    number = rig.send("proc.wait", pid=pid, timeout=2.0)
    rig.wait(1.9)
    assert rig.reply(number) is None
    rig.wait(0.2)
    reply = rig.reply(number)
    assert reply is not None
    assert reply["error"]["code"] == "ETIMEOUT"


def test_does_an_illegal_transition_tell_the_whole_story(rig: Rig) -> None:
    host = rig.host()
    pid = rig.spawn()
    process = rig.machine.table.get(pid)
    host.act(pid, "proc.exit")
    with pytest.raises(IllegalTransition, match=r"(?s)from ZOMBIE to RUNNING.*NEW -> READY.*exit"):
        process.go("RUNNING", None, rig.now, "a test wants it")


def test_are_only_the_processes_listed_that_were_asked_for(rig: Rig) -> None:
    rig.host()
    one, two, three = (rig.spawn() for _ in range(3))
    rig.spawn()

    def listed(**args: Any) -> list[int]:
        return [row["pid"] for row in rig.call("proc.list", **args)["processes"]]

    assert listed(pids=[three, one, 9999]) == [one, three]
    assert listed(pids=[one, two], tree=two) == [two]
    assert listed(pids=[]) == []


def test_does_info_tell_budgets_checkpoints_and_mail(rig: Rig) -> None:
    host = rig.host()
    pid = rig.spawn(agent(limits={"tokens": 100, "money": 0.5}))
    host.act(pid, "ctx.checkpoint", name="before")
    rig.call("ipc.send", pid=pid, body="hello")
    told = rig.call("proc.info", pid=pid)
    assert told["checkpoints"] == ["before"]
    assert told["mailbox"] == 1
    assert told["ledger"] == {
        "tokens": {"spent": 0, "reserved": 0, "limit": 100},
        "money": {"spent": 0, "reserved": 0, "limit": 0.5},
    }


def test_does_init_collect_those_that_nobody_else_will(rig: Rig) -> None:
    """A child that has ended, one that ends later, and a tree that is killed."""
    host = rig.host()
    parent = rig.spawn(agent("parent", capabilities={"allow": ["proc:spawn"]}))

    def child(name: str) -> int:
        made = host.act(parent, "proc.spawn", manifest=agent(name), text="go")
        return int(host.result_of(made)["pid"])

    early, late = child("early"), child("late")
    host.act(early, "proc.exit", code=0, answer="done")
    assert rig.state(early) == "ZOMBIE", "its parent may still want to hear of it"
    host.act(parent, "proc.exit", code=0)
    assert _names(rig) == ["init", "late", "parent"]
    host.act(late, "proc.exit", code=0)
    assert _names(rig) == ["init", "parent"], "whose own record is the user's to collect"
    assert rig.call("proc.wait", pid=early)["answer"] == "done"
    tree = rig.spawn(agent("tree", capabilities={"allow": ["proc:spawn"]}))
    parent = tree
    child("leaf")
    rig.call("proc.kill", pid=tree, signal="KILL", tree=True)
    assert _names(rig) == ["init", "parent", "tree"]


def _names(rig: Rig) -> list[str]:
    return sorted(row["name"] for row in rig.call("proc.list")["processes"])


@pytest.mark.parametrize("collected", [False, True], ids=["zombie", "collected"])
@pytest.mark.parametrize(
    ("call", "args"),
    [
        ("proc.fork", {}), ("proc.kill", {"signal": "TERM"}), ("proc.limits", {"limits": {}}),
        ("ctx.checkpoint", {}), ("ctx.restore", {"checkpoint": "c1"}),
        ("ctx.rewind", {"message": 1}), ("ctx.append", {"messages": said("hi")}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_is_it_told_of_a_process_that_it_has_ended(
    rig: Rig, call: str, args: dict[str, Any], collected: bool
) -> None:
    pid = rig.spawn()
    rig.call("proc.kill", pid=pid, signal="KILL")
    rig.call("proc.wait", pid=pid, reap=collected)
    with pytest.raises(ESRCH, match=f"process {pid} has ended") as refused:
        rig.call(call, pid=pid, **args)
    assert "ctx.read" in refused.value.hint
    with pytest.raises(ESRCH, match="there is no process 99"):
        rig.call(call, pid=99, **args)
