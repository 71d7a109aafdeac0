"""Does nothing that one may ask for, or say, kill the kernel, hold it up, or fill it?"""

from __future__ import annotations

import time
from typing import Any

import pytest

from kernel import dispatch
from kernel.effects import FromClient, Tick
from llmagentos.abi.errors import EBUDGET, EBUSY, ECONTEXT, EINVAL, EIO, EQUOTA
from llmagentos.abi.manifest import Manifest
from llmagentos.abi.process import ErrorRecord
from llmagentos.abi.syscalls import TABLE
from llmagentos.abi.wire import Message
from tests.kernel.keeping import do, say
from tests.kernel.rig import MODEL, USER, FakeHost, Program, Rig, agent

pytestmark = pytest.mark.usefixtures("booted")

HUGE = 2**53


def test_does_a_rich_program_hear_that_it_is_too_poor(rig: Rig) -> None:
    price = {"prompt": 0.0, "completion": 1e9}
    rig.driver(models=[{"name": MODEL, "context_length": HUGE, "price": price}])
    made = rig.call("proc.adopt", peer=b"prog", limits={"money": 1e7})
    said = [{"role": "user", "content": "x"}]
    with pytest.raises(EBUDGET) as caught:
        rig.call("llm.generate", session=made["session"], peer=b"prog", messages=said,
                 sampling={"max_tokens": 1_000_000})  # fmt: skip
    assert caught.value.detail["limit"] == 1e7


def test_does_a_model_with_enormous_kv_hurt_only_who_uses_it(rig: Rig) -> None:
    rig.driver(models=[{"name": MODEL, "context_length": HUGE, "kv_bytes_per_token": HUGE}])
    made = rig.call("proc.adopt", peer=b"prog", limits={"kv_bytes": 1000})
    said = [{"role": "user", "content": "x"}]
    number = rig.send("llm.generate", session=made["session"], peer=b"prog", messages=said)
    reply = rig.reply(number, b"prog")
    assert reply is None or reply["error"]["code"] == "EQUOTA"
    assert rig.call("sys.info")


def test_does_a_result_that_can_not_be_sent_become_an_error(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Odd:
        pass

    monkeypatch.setitem(dispatch.HANDLERS, "sys.metrics", lambda *_: Odd())
    with pytest.raises(EIO, match=r"sys\.metrics failed inside the kernel"):
        rig.call("sys.metrics")
    assert rig.call("sys.info")


def test_are_a_thousand_arguments_that_no_call_has_told_in_one_word(rig: Rig) -> None:
    odd = {f"odd{number}": 1 for number in range(1000)}
    with pytest.raises(EINVAL, match=r"sys\.info takes no 'odd0'"):
        rig.call("sys.info", **odd)


def _unbounded(schema: dict[str, Any], path: str = "") -> list[str]:
    """Whole numbers that may be of any size."""
    found = []
    if schema.get("type") == "integer" and "enum" not in schema and "const" not in schema:
        top = schema.get("maximum", schema.get("exclusiveMaximum"))
        found += [] if top is not None and top <= 2**63 else [path]
    for name, part in schema.items():
        parts = part if isinstance(part, list) else [part]
        found += [
            one
            for each in parts
            if isinstance(each, dict)
            for one in _unbounded(each, f"{path}.{name}")
        ]
    return found


@pytest.mark.parametrize("shape", [Manifest, *(spec.args for spec in TABLE.values())])
def test_has_every_number_that_may_be_given_a_bound(shape: Any) -> None:
    assert not _unbounded(shape.model_json_schema())


def test_is_a_manifest_that_takes_long_to_understand_refused(rig: Rig) -> None:
    allow = [f"tool:{'*a' * 50}{n}(x)" for n in range(256)]
    tools = [f"t{'a' * 100}{n}" for n in range(2000)]
    for number in (2000, 256):
        begun = time.process_time()
        try:
            rig.spawn(agent(tools=tools[:number], capabilities={"allow": allow}))
        except EINVAL:
            assert number == 2000
        assert time.process_time() - begun < 2


def test_is_a_manifest_that_its_host_could_not_be_sent_refused(rig: Rig) -> None:
    with pytest.raises(EINVAL, match="the manifest takes"):
        rig.spawn(agent(prompt="ü" * 1_048_570))


def test_is_a_context_without_an_end_refused(rig: Rig) -> None:
    program = Program(rig, "p")
    some = [{"role": "user", "content": ""}] * 4096
    for _ in range(4):
        program.call("ctx.append", messages=some)
    with pytest.raises(ECONTEXT, match="20,000"):
        program.call("ctx.append", messages=some)
    assert len(program.call("ctx.read")["messages"]) == 4 * 4096
    program.call("ctx.compact", summary="all of it", keep=1)
    program.call("ctx.append", messages=some[:10])


def test_is_too_large_a_context_refused_before_it_is_built(rig: Rig) -> None:
    program = Program(rig, "p", "llm:*")
    for _ in range(5):
        program.call("ctx.append", messages=[{"role": "user", "content": "x" * 1_000_000}])
    with pytest.raises(EQUOTA, match="the result takes"):
        program.call("ctx.read")
    assert len(program.call("ctx.read", last=2)["messages"]) == 2
    with pytest.raises(ECONTEXT):
        program.call("llm.generate")


@pytest.mark.parametrize("code", ["", "a secret in many words", "x" * 33, "E" + "X" * 100])
def test_is_the_code_of_an_error_a_word(rig: Rig, host: FakeHost, code: str) -> None:
    pid = rig.spawn()
    with pytest.raises(EINVAL, match="error is not of the form"):
        do(host, pid, "proc.exit", code=1, error={"code": code, "message": "m"})
    with pytest.raises(EINVAL):
        do(host, pid, "proc.exit", code=1, error={"code": "E", "message": "m" * 3000})
    do(host, pid, "proc.exit", code=1, error={"code": "EMINE", "message": "m"})


def test_is_an_error_told_whatever_is_in_it() -> None:
    odd = EINVAL("m" * 10_000, detail={"n": 2**80, "o": object()})
    assert ErrorRecord.of(odd).detail == {}
    assert ErrorRecord.of(EINVAL("m", detail={"n": 1})).detail == {"n": 1}


def test_are_events_told_in_pages_that_fit(rig: Rig) -> None:
    since, seen, pages = 0, 0, 0
    for number in range(3000):
        rig.machine.journal.event(rig.now, "test.event", 1, text="x" * 2000, n=number)
    rig._take(rig.machine.flush())
    while True:
        page = rig.call("sys.events", since=since, limit=10_000)
        pages, seen = pages + 1, seen + len(page["events"])
        since = page["events"][-1]["seq"]
        if not page["more"]:
            break
    assert pages > 2
    assert since == page["latest"]
    assert seen >= 3000


def test_do_the_replies_for_a_stopped_process_have_a_bound(rig: Rig) -> None:
    program = Program(rig, "p")
    say(rig, "fs.write", (b"x" * 1_000_000,), path="/self/f", session=program.session)
    rig.call("proc.kill", pid=program.pid, signal="STOP")
    for _ in range(40):
        rig.send("fs.read", path="/self/f", session=program.session, peer=program.peer)
    process = rig.machine.table.get(program.pid)
    assert sum(len(frame) for reply in process.held for frame in reply.frames) < 20_000_000
    with pytest.raises(EBUSY, match="is stopped"):
        program.call("fs.read", path="/self/f")
    rig.call("proc.kill", pid=program.pid, signal="CONT")
    program.call("fs.read", path="/self/f")


def test_is_what_happens_while_one_asks_left_for_the_next_time(rig: Rig) -> None:
    # A reader takes `latest` for what it has seen: what it was not told must come after that.
    before = rig.call("sys.events", limit=10_000)["latest"]
    audited = rig.call("sys.audit", limit=1000)["latest"]
    calls = ("proc.spawn", {"manifest": agent()}), ("sys.events", {}), ("sys.audit", {})
    for number, (name, args) in enumerate(calls, start=900):
        rig.machine.apply(FromClient(b"user", Message("call", number, name, USER, args)), rig.now)
        if name == "proc.spawn":
            rig.machine.journal.audit(rig.now, 1, "x", "ok")
    rig.put_in(Tick())
    for number, latest in ((901, before), (902, audited)):
        told = rig.reply(number)
        assert told is not None
        assert told["result"]["latest"] == latest
    assert rig.call("sys.events", since=before, limit=10_000)["events"][0]["seq"] == before + 1
    assert rig.call("sys.audit", since=audited)["entries"][0]["seq"] == audited + 1
