"""Does a model that calls a built-in tool do what the syscall does, once, and not one bit more?"""

from __future__ import annotations

import json
import re
from functools import reduce
from typing import Any

import pytest

from kernel import chore
from kernel.builtin import BUILTIN, PAGE
from kernel.effects import FromClient
from llmagentos.abi import wire
from llmagentos.abi.errors import EINVAL, EIO, EQUOTA
from llmagentos.abi.model import MAX_NESTING
from llmagentos.abi.wire import Message
from tests.kernel.rig import USER, Rig, agent


@pytest.fixture
def rig() -> Rig:
    return Rig()


class Asked:
    """An agent whose model wants one call after the other made, and its host."""

    def __init__(self, rig: Rig, *tools: str, **spec: Any) -> None:
        self.rig = rig
        rig.driver("cloud", kind="cloud", features=["tools"])
        self.host = rig.host()
        self.pid = rig.spawn(agent(tools=list(tools), **spec))
        self._count = 0

    def want(self, name: str, **arguments: Any) -> str:
        """The model wants this; the id of its call."""
        self._count += 1
        call = {"id": f"c{self._count}", "name": name, "arguments": json.dumps(arguments)}
        said = {"role": "assistant", "content": "", "tool_calls": [call]}
        self.host.act(self.pid, "ctx.append", messages=[said])
        return str(call["id"])

    def make(self, id: str, name: str, **arguments: Any) -> int:
        return self.host.act(self.pid, "tool.call", name=name, arguments=arguments, append=id)

    def __call__(self, name: str, **arguments: Any) -> Any:
        """What the model is told of it, by the context."""
        number = self.make(self.want(name, **arguments), name, **arguments)
        body = self.host.reply(number)
        assert body is not None, "it waits"
        assert body["ok"], body
        return self.told()

    def told(self) -> Any:
        last = self.rig.call("ctx.read", pid=self.pid)["messages"][-1]
        assert last["role"] == "tool"
        return last["content"]


def test_is_a_file_written_and_read_and_found(rig: Rig) -> None:
    ask = Asked(rig, "fs.*")
    ask("fs.write", path="notes/a.txt", text="größer")
    assert ask("fs.read", path="notes/a.txt") == "größer"
    assert json.loads(ask("fs.list", path="notes"))["files"][0]["path"] == "/self/notes/a.txt"
    read = rig.call("fs.stat", pid=ask.pid, path="notes/a.txt")
    assert read["size"] == len("größer".encode())


@pytest.mark.parametrize(("offset", "seen"), [(2, "rößer"), (3, "ößer"), (4, "ßer")])
def test_may_a_page_of_a_file_begin_within_a_letter(rig: Rig, offset: int, seen: str) -> None:
    ask = Asked(rig, "fs.*")
    ask("fs.write", path="a", text="größer")
    assert ask("fs.read", path="a", offset=offset - 1)[-len(seen) :] == seen


def test_is_a_long_file_read_by_the_page(rig: Rig) -> None:
    ask = Asked(rig, "fs.*")
    ask("fs.write", path="a", text="x" * (PAGE + 7))
    first = ask("fs.read", path="a")
    assert first == "x" * PAGE + f"\n(7 bytes more, from offset {PAGE})"
    assert ask("fs.read", path="a", offset=PAGE) == "x" * 7


def test_is_what_is_no_text_refused(rig: Rig) -> None:
    ask = Asked(rig, "fs.*")
    bytes_ = Message("call", 9001, "fs.write", USER, {"pid": ask.pid, "path": "b"}, (b"\xff\xfe",))
    rig.put_in(FromClient(b"user", bytes_))
    assert ask("fs.read", path="b").startswith("EINVAL: /self/b is no text")
    assert ask("fs.read", path="missing").startswith("ENOENT: ")


def test_is_memory_a_tool_too(rig: Rig) -> None:
    ask = Asked(rig, "mem.*")
    ask("mem.put", key="cat", value="The cat is called Ilse")
    assert json.loads(ask("mem.get", key="cat"))["value"] == "The cat is called Ilse"
    (hit,) = json.loads(ask("mem.search", query="called"))["hits"]
    assert hit["row"]["key"] == "cat"


def test_does_an_agent_start_another_and_wait_for_its_answer(rig: Rig) -> None:
    ask = Asked(
        rig, "proc.*", capabilities={"allow": ["proc:spawn"]}, model="smollm2-135m-instruct"
    )
    child = json.loads(ask("proc.spawn", manifest="summarise", text="Long."))["pid"]
    assert rig.call("proc.info", pid=child)["process"]["ppid"] == ask.pid
    number = ask.make(ask.want("proc.wait", pid=child), "proc.wait", pid=child)
    assert ask.host.reply(number) is None
    assert rig.state(ask.pid) == "WAITING(child)"
    ask.host.act(child, "proc.exit", answer="Short.")
    assert ask.told() == "Short."
    assert rig.state(ask.pid) == "READY"


def test_does_mail_pass_between_agents(rig: Rig) -> None:
    ask = Asked(rig, "ipc.*")
    number = ask.make(ask.want("ipc.recv"), "ipc.recv")
    assert ask.host.reply(number) is None
    rig.call("ipc.send", pid=ask.pid, body="come")
    assert json.loads(ask.told())["mail"][0]["body"] == "come"
    assert rig.call("proc.info", pid=ask.pid)["mailbox"] == 0


# -- rights ------------------------------------------------------------------------------------


def test_needs_it_the_capability_of_the_syscall_too(rig: Rig) -> None:
    ask = Asked(rig, "fs.write", "proc.spawn")
    assert ask("fs.write", path="/inbox/a", text="x").startswith("EPERM: ")
    assert ask("proc.spawn", manifest="summarise", text="x").startswith("EPERM: ")
    assert (
        len([one for one in rig.call("sys.audit")["entries"] if one["action"] == "fs.write"]) == 1
    )


def test_needs_it_the_capability_of_the_tool(rig: Rig) -> None:
    ask = Asked(rig, "fs.read")
    number = ask.make(ask.want("fs.write", path="a", text="x"), "fs.write", path="a", text="x")
    body = ask.host.reply(number)
    assert body is not None
    assert body["error"]["code"] == "EPERM"


@pytest.mark.parametrize("capability", ["tool:fs.write", "fs:/inbox:w"])
@pytest.mark.parametrize("approve", [True, False])
def test_does_it_wait_for_an_approval(rig: Rig, capability: str, approve: bool) -> None:
    given = {"allow": ["fs:/inbox:rw"], "ask": [capability]}
    ask = Asked(rig, "fs.*", capabilities=given)
    arguments = {"path": "/inbox/a", "text": "x"}
    number = ask.make(ask.want("fs.write", **arguments), "fs.write", **arguments)
    assert ask.host.reply(number) is None
    info = rig.call("proc.info", pid=ask.pid)["process"]
    assert (info["state"], info["reason"]) == ("WAITING", "approval")
    (asked,) = rig.call("cap.list")["approvals"]
    rig.call("cap.decide", approval=asked["id"], approve=approve)
    body = ask.host.reply(number)
    assert body is not None
    there = rig.call("fs.list", path="/inbox")["files"] if approve else []
    assert len(there) == int(approve)
    told = ask.told() if body["ok"] else body["error"]["code"]
    assert ("EPERM" in told) is not approve


def test_is_an_approval_found_again_when_its_host_has_died(rig: Rig) -> None:
    ask = Asked(rig, "fs.*", capabilities={"allow": ["fs:/inbox:rw"], "ask": ["fs:/inbox:w"]})
    arguments = {"path": "/inbox/a", "text": "x"}
    id = ask.want("fs.write", **arguments)
    ask.make(id, "fs.write", **arguments)
    ask.host.die()
    (asked,) = rig.call("cap.list")["approvals"]
    rig.call("cap.decide", approval=asked["id"], approve=True)
    ask.host = rig.host("other")
    assert ask.host.reply(ask.make(id, "fs.write", **arguments)) is not None
    assert "version" in ask.told()
    assert rig.call("fs.stat", path="/inbox/a")["version"] == 1


@pytest.mark.parametrize("path", ["a", "a/", "/self/a", "/self/a/"])
@pytest.mark.parametrize("kind", ["deny", "ask"])
def test_is_a_path_meant_however_it_is_spelled(rig: Rig, path: str, kind: str) -> None:
    ask = Asked(rig, "fs.*", capabilities={kind: ["tool:fs.write(/self/a)"]})
    arguments = {"path": path, "text": "x"}
    body = ask.host.reply(ask.make(ask.want("fs.write", **arguments), "fs.write", **arguments))
    if kind == "deny":
        assert body is not None
        assert body["error"]["code"] == "EPERM"
    else:
        assert body is None
        assert len(rig.call("cap.list")["approvals"]) == 1
    assert rig.call("fs.list", pid=ask.pid)["files"] == []


def test_is_a_number_in_quotes_denied_as_one(rig: Rig) -> None:
    denied = 'tool:proc.kill({"pid": 7})'
    ask = Asked(rig, "proc.kill", capabilities={"deny": [denied]})
    for pid in (7, "7"):
        body = ask.host.reply(ask.make(ask.want("proc.kill", pid=pid), "proc.kill", pid=pid))
        assert body is not None
        assert body["error"]["message"].startswith("tool:proc.kill(…) is denied")


def test_is_what_was_left_out_denied_too(rig: Rig) -> None:
    ask = Asked(rig, "fs.*", capabilities={"deny": ["tool:fs.list(/self)"]})
    body = ask.host.reply(ask.make(ask.want("fs.list"), "fs.list"))
    assert body is not None
    assert not body["ok"]


def test_do_labels_come_with_what_is_read(rig: Rig) -> None:
    ask = Asked(rig, "mem.*", capabilities={"allow": ["mem:notes:r"]})
    rig.call("mem.put", space="notes", key="k", value="v", labels=["private"])
    ask("mem.get", space="notes", key="k")
    assert rig.labels(ask.pid) == ["private"]


# -- once --------------------------------------------------------------------------------------


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


# -- bounds ------------------------------------------------------------------------------------


def test_is_the_limit_of_tool_calls_kept(rig: Rig) -> None:
    ask = Asked(rig, "fs.*", limits={"tool_calls": 2})
    for _ in range(2):
        ask("fs.list")
    id = ask.want("fs.list")
    body = ask.host.reply(ask.make(id, "fs.list"))
    assert body is not None
    assert body["error"]["code"] == EQUOTA.__name__
    assert rig.call("proc.info", pid=ask.pid)["process"]["usage"]["tool_calls"] == 2


@pytest.mark.parametrize(
    "arguments",
    [
        {}, {"path": 3}, {"path": "../x", "text": ""}, {"path": "a", "text": "x", "pid": 1},
        {"path": "a", "text": "x", "labels": []}, {"path": "/", "text": "x"},
    ],
)  # fmt: skip
def test_are_bad_arguments_refused(rig: Rig, arguments: dict[str, Any]) -> None:
    ask = Asked(rig, "fs.*")
    body = ask.host.reply(ask.make(ask.want("fs.write"), "fs.write", **arguments))
    assert body is not None
    code = body["result"]["error"]["code"] if body["ok"] else body["error"]["code"]
    assert code == EINVAL.__name__


def test_is_a_number_in_quotes_a_number(rig: Rig) -> None:
    ask = Asked(rig, "fs.*")
    ask("fs.write", path="a", text="abc")
    assert ask("fs.read", path="a", offset="1") == "bc"


@pytest.mark.parametrize("by", ["register", "beat"])
def test_may_a_driver_not_take_the_name_of_one(rig: Rig, by: str) -> None:
    tool = rig.tool("mine", *(["fs.read"] if by == "register" else ["other"]))
    if by == "beat":
        tool.beat(tools=[{"name": "fs.read"}])
    kinds = [kind for kind, _ in rig.commands[tool.peer]]
    assert kinds[-1] == "refuse"
    (only,) = rig.call("tool.list", names=["fs.read"])["tools"]
    assert only["driver"] == "kernel"


def test_can_each_be_told_to_a_model() -> None:
    """A schema is what a model reads; each argument that it names is one of the syscall."""
    for tool in BUILTIN.values():
        card = tool.card
        assert card.description.endswith(".")
        properties = card.parameters["properties"]
        assert isinstance(properties, dict)
        assert set(properties) == set(tool.takes) <= set(tool.call.args.model_fields)
        assert set(tool.given) <= set(tool.call.args.model_fields)
        assert "$ref" not in json.dumps(card.parameters)


def test_does_a_program_call_one_without_a_context(rig: Rig) -> None:
    _, session = rig.program()
    made = rig.call("tool.call", name="fs.write", arguments={"path": "a", "text": "x"},
                    session=session, peer=b"prog")  # fmt: skip
    assert made["driver"] == "kernel"
    assert made["content"]["path"] == "/self/a"
    with pytest.raises(EINVAL):
        rig.call("tool.call", name="fs.read", arguments={}, session=session, peer=b"prog")


MINE = {"owner": "Ann", "created": "1999", "hash": "x", "labels": [{"bytes": 3}], "n": {"usage": 1}}
"""What somebody keeps, with fields that are called as some of ours."""


def test_is_all_told_that_somebody_has_kept_or_sent(rig: Rig) -> None:
    ask = Asked(rig, "mem.*", "ipc.*")
    ask("mem.put", key="k", value=MINE)
    assert json.loads(ask("mem.get", key="k")) == {"space": "self", "key": "k", "value": MINE}
    (hit,) = json.loads(ask("mem.search", query="Ann"))["hits"]
    assert hit["row"] == {"space": "self", "key": "k", "value": MINE}
    rig.call("ipc.send", pid=ask.pid, body=MINE)
    assert json.loads(ask("ipc.recv"))["mail"][0]["body"] == MINE


def test_is_a_result_too_large_for_a_reply_not_put_into_the_context(rig: Rig) -> None:
    ask = Asked(rig, "fs.*")
    large = b"x" * (wire.MAX_BODY + 1)
    write = Message("call", 9001, "fs.write", USER, {"pid": ask.pid, "path": "a"}, (large,))
    rig.put_in(FromClient(b"user", write))
    id = ask.want("fs.read", path="a", length=len(large))
    number = ask.make(id, "fs.read", path="a", length=len(large))
    body = ask.host.reply(number)
    assert body is not None
    assert body["result"]["error"]["code"] == EQUOTA.__name__
    assert ask.told().startswith("EQUOTA: the result takes 4,")
    # It is answered once, and the agent can read on.
    read = ask.host.reply(ask.host.act(ask.pid, "ctx.read"))
    assert read is not None
    assert [one["tool_call"] for one in read["result"]["messages"]].count(id) == 1


def test_is_a_result_told_that_has_more_in_it_than_one_value_may(rig: Rig) -> None:
    ask = Asked(rig, "mem.*")
    many, deep = ["ferry", *[0] * 40_000], reduce(lambda inner, _: [inner], range(MAX_NESTING), [])
    for key, value in {"a": many, "b": many, "deep": deep[0]}.items():
        rig.call("mem.put", pid=ask.pid, key=key, value=value)
    hits = json.loads(ask("mem.search", query="ferry"))["hits"]
    assert [hit["row"]["value"] for hit in hits] == [many, many]
    assert json.loads(ask("mem.get", key="deep"))["value"] == deep[0]


def test_does_a_bug_in_one_that_waited_hurt_nobody_else(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bug(content: Any) -> None:
        raise RuntimeError(f"what about {content}?")

    monkeypatch.setattr(chore, "_check_size", bug)
    ask = Asked(rig, "ipc.*")
    number = ask.make(ask.want("ipc.recv"), "ipc.recv")
    rig.call("ipc.send", pid=ask.pid, body="a secret")
    body = ask.host.reply(number)
    assert body is not None
    assert body["error"]["code"] == EIO.__name__
    (event,) = [event for event in rig.events if event["type"] == "kernel.bug"]
    assert event["pid"] == ask.pid
    assert re.match(r"RuntimeError at .*chore\.py:\d", event["data"]["error"])
    assert "secret" not in str(event)
