"""Does a model that calls a built-in tool do what the syscall does, and hear what came of it?"""

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
from tests.kernel.rig import USER, Rig
from tests.kernel.wishes import Asked


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
