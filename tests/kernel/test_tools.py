"""Is a tool called once, by those who may, with what it may see, and is the end always told?"""

from typing import Any

import pytest

from kernel.config import Config
from kernel.effects import FromClient, Tick
from kernel.ledger import Account
from llmagentos.abi.errors import EBUSY, EDRIVER, EINVAL, ELABEL, ENODRIVER, ENOENT, EPERM, EQUOTA
from llmagentos.abi.wire import Message
from tests.kernel.rig import MODEL, Program, Rig, agent


@pytest.fixture
def rig() -> Rig:
    return settled()


@pytest.fixture
def ann(rig: Rig) -> Program:
    return Program(rig, "ann", "*")


def settled(**config: Any) -> Rig:
    """One whose boot is long ago."""
    rig = Rig(Config(default_model=MODEL, **config))
    rig.wait(rig.config.boot_patience)
    return rig


def call(program: Program, name: str = "echo", /, **args: Any) -> int:
    return program.start("tool.call", name=name, **args)


def error(program: Program, number: int) -> str:
    body = program.reply(number)
    assert body is not None, "no reply has come"
    return str(body["error"]["code"])


def spent(rig: Rig, program: Program) -> Account:
    found = rig.machine.table.get(program.pid).account("tool_calls")
    return Account(found.spent, found.reserved)


def used(rig: Rig, pid: int) -> int:
    usage = rig.call("proc.info", pid=pid)["process"]["usage"]
    return int(usage["tool_calls"])


def events(rig: Rig) -> list[tuple[str, Any]]:
    return [(e["type"], e["data"]) for e in rig.events if e["type"].startswith("job.")]


# -- calling -----------------------------------------------------------------------------------


def test_does_a_call_reach_the_tool_and_its_result_the_caller(rig: Rig, ann: Program) -> None:
    tool = rig.tool()
    number = call(ann, arguments={"text": ["hi", 1, None]})
    (order,) = tool.orders
    assert (order.tool, order.pid, order.arguments) == ("echo", ann.pid, {"text": ["hi", 1, None]})
    assert rig.state(ann.pid) == "WAITING(tool)"
    rig.now += 2
    tool.result(order, {"said": "hi"})
    assert ann.result(number) == {
        "content": {"said": "hi"}, "driver": "tools", "seconds": 2.0, "labels": [],
        "message": None, "error": None,
    }  # fmt: skip
    assert rig.state(ann.pid) == "READY"
    assert used(rig, ann.pid) == 1


def test_is_an_unknown_tool_refused_with_the_one_that_was_meant(rig: Rig, ann: Program) -> None:
    rig.tool("tools", "echo", "shell")
    rig.driver(tools=[{"name": "shelf"}])
    with pytest.raises(ENOENT) as caught:
        ann.call("tool.call", name="shelf")
    assert caught.value.hint == "did you mean shell?"


def test_may_a_tool_be_late_at_the_boot() -> None:
    rig = Rig()
    ann = Program(rig, "ann", "*")
    number, nowhere = call(ann), call(ann, "nowhere")
    rig.wait(rig.config.boot_patience - 2)
    assert rig.state(ann.pid) == "WAITING(tool)"
    rig.tool()
    assert error(ann, nowhere) == "ENOENT", "drivers have had their time to come"
    assert ann.reply(number) is None, "its tool has it"


def test_is_a_tool_whose_driver_is_down_refused_at_once(rig: Rig, ann: Program) -> None:
    tool = rig.tool()
    tool.die()
    with pytest.raises(ENODRIVER, match="no driver for tool echo is up") as caught:
        ann.call("tool.call", name="echo")
    assert "tools is down: its connection ended" in caught.value.hint
    assert spent(rig, ann) == Account()


def test_is_a_tool_waited_for_while_its_driver_loads(rig: Rig, ann: Program) -> None:
    tool = rig.tool(state="loading")
    call(ann)
    assert not tool.orders
    tool.beat("ready")
    assert len(tool.orders) == 1


def test_does_a_driver_that_fails_to_load_fail_those_who_wait(rig: Rig, ann: Program) -> None:
    tool = rig.tool(state="loading")
    number = call(ann)
    tool.beat("failed", note="no such server")
    with pytest.raises(ENODRIVER) as caught:
        ann.result(number)
    assert "no such server" in caught.value.hint
    assert spent(rig, ann) == Account()


def test_does_an_error_of_the_tool_reach_the_caller_as_it_is(rig: Rig, ann: Program) -> None:
    tool = rig.tool()
    number = call(ann)
    said = {"code": "EINVAL", "message": "no path", "hint": "give one", "detail": {"path": None}}
    tool.result(tool.orders[0], error=said)
    with pytest.raises(EINVAL, match="no path") as caught:
        ann.result(number)
    assert (caught.value.hint, caught.value.detail) == ("give one", {"path": None})
    number = call(ann)
    tool.result(tool.orders[1], error={"code": "EWHAT", "message": "odd"})
    with pytest.raises(EDRIVER, match="odd"):
        ann.result(number)
    assert used(rig, ann.pid) == 2, "a call that failed is a call"


def test_are_arguments_refused_that_fit_into_no_order(rig: Rig, ann: Program) -> None:
    tool = rig.tool()
    with pytest.raises(EINVAL, match="the most is"):
        ann.call("tool.call", name="echo", arguments={"x": "y" * (4 * 1024 * 1024 - 4000)})
    ann.start("tool.call", name="echo", arguments={"x": "y" * (4 * 1024 * 1024 - 4200)})
    assert len(tool.orders) == 1


def test_is_a_result_that_is_too_large_an_error_and_no_second_call(rig: Rig, ann: Program) -> None:
    tool = rig.tool()
    number = call(ann, id=900)
    tool.result(tool.orders[0], "y" * (4 * 1024 * 1024 - 50))
    assert error(ann, number) == "EQUOTA"
    call(ann, id=900)
    assert len(tool.orders) == 1


# -- slots and queues --------------------------------------------------------------------------


def test_do_calls_wait_for_a_slot_in_turn(rig: Rig, ann: Program) -> None:
    tool = rig.tool("tools", "echo", "other", slots=1)
    numbers = [call(ann, name, arguments={"n": n}) for n, name in enumerate(("echo", "other") * 2)]
    order = []
    for _ in numbers:
        job = tool.orders[-1]
        order.append(job.arguments["n"])
        tool.result(job)
    assert order == [0, 1, 2, 3]
    assert all(ann.result(number) for number in numbers)


def test_does_one_busy_driver_not_hold_up_another(rig: Rig, ann: Program) -> None:
    busy, free = rig.tool("busy", slots=1), rig.tool("free", "other")
    call(ann)
    call(ann)
    call(ann, "other")
    assert (len(busy.orders), len(free.orders)) == (1, 1)


def test_is_the_driver_with_the_most_room_taken(rig: Rig, ann: Program) -> None:
    small, large = rig.tool("small", slots=2), rig.tool("large", slots=4)
    for _ in range(3):
        call(ann)
    assert (len(small.orders), len(large.orders)) == (1, 2)
    for _ in range(3):
        call(ann)
    assert (len(small.orders), len(large.orders)) == (2, 4)


def test_is_a_full_queue_refused() -> None:
    rig = settled(queue_limit=2)
    tool = rig.tool("tools", "echo", "other", slots=1)
    ann = Program(rig, "ann", "*")
    waiting = [call(ann) for _ in range(3)]
    with pytest.raises(EBUSY, match="2 calls wait for tool echo"):
        ann.call("tool.call", name="echo")
    assert spent(rig, ann).reserved == 3
    assert ann.reply(call(ann, "other")) is None, "it has a queue of its own"
    tool.result(tool.orders[0])
    assert ann.result(waiting[0])
    assert ann.reply(call(ann)) is None


def test_are_as_many_taken_at_once_as_there_are_slots_and_places() -> None:
    rig = settled(queue_limit=2)
    tool = rig.tool(slots=3)
    ann = Program(rig, "ann", "*")
    for number in range(900, 906):
        message = Message("call", number, "tool.call", ann.session, {"name": "echo"})
        rig.machine.apply(FromClient(ann.peer, message), rig.now)
    rig.put_in(Tick())
    assert len(tool.orders) == 3
    assert [number for number in range(900, 906) if ann.reply(number)] == [905]
    assert error(ann, 905) == "EBUSY"


def test_does_a_drained_driver_get_nothing_new(rig: Rig, ann: Program) -> None:
    tool = rig.tool(slots=1)
    running, waiting = call(ann), call(ann)
    rig.call("drv.drain", name="tools")
    assert error(ann, waiting) == "ENODRIVER"
    with pytest.raises(ENODRIVER) as caught:
        ann.call("tool.call", name="echo")
    assert "tools is draining" in caught.value.hint
    tool.result(tool.orders[0], "done")
    assert ann.result(running)["content"] == "done"
    assert len(tool.orders) == 1
    rig.call("drv.drain", name="tools", on=False)
    call(ann)
    assert len(tool.orders) == 2


# -- time --------------------------------------------------------------------------------------


def test_is_a_call_that_takes_too_long_aborted(rig: Rig, ann: Program) -> None:
    tool = rig.tool(slots=1)
    slow, next = call(ann, timeout=5, id=900), call(ann, timeout=5)
    rig.wait(4)
    assert ann.reply(slow) is None
    rig.wait(2)
    assert error(ann, slow) == "ETIMEOUT"
    assert tool.aborted == [tool.orders[0].job]
    assert len(tool.orders) == 2, "its slot is free"
    assert ann.reply(next) is None, "its time begins with its start"
    assert spent(rig, ann) == Account(spent=1, reserved=1)
    tool.result(tool.orders[0], "late")
    call(ann, timeout=5, id=900)
    assert error(ann, slow) == "ETIMEOUT", "it may have done something: not again"
    assert len(tool.orders) == 2


# -- endings -----------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["INT", "KILL", "gone"])
def test_is_a_call_that_nobody_waits_for_aborted(rig: Rig, ann: Program, how: str) -> None:
    tool, bob = rig.tool(slots=1), Program(rig, "bob", "*")
    for _ in range(3):
        call(ann)
    after = call(bob)
    if how == "gone":
        rig.drop_client(ann.peer)
    else:
        rig.call("proc.kill", pid=ann.pid, signal=how)
    assert tool.aborted == [tool.orders[0].job]
    assert [order.pid for order in tool.orders] == [ann.pid, bob.pid], "what waited must not start"
    assert spent(rig, ann) == Account(spent=1)
    tool.result(tool.orders[0], "late")
    assert bob.reply(after) is None
    tool.result(tool.orders[1], "mine")
    assert bob.result(after)["content"] == "mine"


def test_does_a_stopped_process_get_its_result_when_it_goes_on(rig: Rig, ann: Program) -> None:
    tool = rig.tool()
    number = call(ann)
    rig.call("proc.kill", pid=ann.pid, signal="STOP")
    assert not tool.aborted
    tool.result(tool.orders[0], "done")
    assert ann.reply(number) is None
    rig.call("proc.kill", pid=ann.pid, signal="CONT")
    assert ann.result(number)["content"] == "done"


@pytest.mark.parametrize("how", ["dies", "falls silent", "registers anew", "talks nonsense"])
def test_does_a_call_fail_whose_driver_is_lost(rig: Rig, ann: Program, how: str) -> None:
    first, second = rig.tool("a", slots=1), rig.tool("b", slots=1)
    number, other, waiting = call(ann, id=900), call(ann), call(ann)
    old = first.orders[0]
    if how == "dies":
        first.die()
    elif how == "falls silent":
        first.hang()
        rig.wait(rig.config.silence + 2)
    elif how == "registers anew":
        first.say("register", first.card)
    else:
        first.say("result", {"job": "which?"})
    with pytest.raises(EDRIVER, match="driver a died while it worked on tool echo"):
        ann.result(number)
    first.result(old, "late")
    call(ann, id=900)
    assert error(ann, number) == "EDRIVER", "it may have done something: not again"
    second.result(second.orders[0], "fine")
    assert ann.result(other)["content"] == "fine"
    assert ann.reply(waiting) is None, "it never began, so it may go elsewhere"
    assert spent(rig, ann) == Account(spent=2, reserved=1)


def test_do_those_that_wait_fail_when_no_driver_is_left(rig: Rig, ann: Program) -> None:
    tool = rig.tool(slots=1)
    running, waiting = call(ann), call(ann)
    tool.die()
    assert [error(ann, running), error(ann, waiting)] == ["EDRIVER", "ENODRIVER"]
    assert spent(rig, ann) == Account(spent=1)
    assert rig.state(ann.pid) == "READY"
    assert not list(rig.machine.jobs)


def test_is_a_result_from_the_wrong_driver_ignored(rig: Rig, ann: Program) -> None:
    right, wrong = rig.tool("a"), rig.tool("b", "other")
    number = call(ann)
    wrong.result(right.orders[0], "forged")
    assert ann.reply(number) is None
    right.result(right.orders[0], "true")
    right.result(right.orders[0], "twice")
    assert ann.result(number)["content"] == "true"


# -- rights, limits, labels --------------------------------------------------------------------


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
    assert spent(rig, bob) == Account(reserved=1), "what never began is given back"
    call(bob)
    tool.result(tool.orders[0])
    assert bob.result(running)
    tool.result(tool.orders[1])
    assert spent(rig, bob) == Account(spent=2)
    rig.crash()
    assert spent(rig, bob) == Account(spent=2)
    assert used(rig, bob.pid) == 2


def test_do_the_books_of_those_above_outlive_a_crash(rig: Rig) -> None:
    tool, host, bob = rig.tool(), rig.host(), Program(rig, "bob", "*")
    made = bob.call("proc.spawn", manifest=agent(tools=["echo"]), text="x")
    host.act(made["pid"], "tool.call", name="echo")
    tool.result(tool.orders[0])
    rig.crash()
    assert spent(rig, bob) == Account(spent=1)


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


# -- crashes -----------------------------------------------------------------------------------


def test_is_a_call_that_is_over_not_made_again_after_a_crash(rig: Rig, ann: Program) -> None:
    tool = rig.tool()
    number = call(ann, id=900)
    tool.result(tool.orders[0], "once")
    first = ann.result(number)
    rig.beating.clear()
    rig.crash()
    tool = rig.tool()
    call(ann, id=900)
    assert ann.result(900) == first
    assert not tool.orders
    assert used(rig, ann.pid) == 1


def test_can_a_tool_tell_that_a_call_is_a_repeat(rig: Rig, ann: Program) -> None:
    tool = rig.tool()
    call(ann, id=900)
    call(ann, id=901)
    keys = [order.key for order in tool.orders]
    rig.beating.clear()
    rig.crash()
    assert spent(rig, ann) == Account(), "the repeat pays for it"
    call(ann, id=900)
    assert rig.state(ann.pid) == "WAITING(tool)", "its driver is on its way"
    tool.register()
    (order,) = tool.orders
    assert order.key == keys[0] != keys[1]
    tool.result(order, "done")
    assert ann.result(900)["content"] == "done"
    assert used(rig, ann.pid) == 1


def test_has_a_client_that_cannot_repeat_a_key_of_its_own_each_time(rig: Rig) -> None:
    tool = rig.tool()
    for _ in range(2):
        rig.send("tool.call", name="echo", peer=b"\0abc", id=1)
        tool.result(tool.orders[-1])
    assert tool.orders[0].key != tool.orders[1].key
    rig.send("tool.call", name="echo", peer=b"shell", id=1)
    assert tool.orders[2].key not in {order.key for order in tool.orders[:2]}


# -- events ------------------------------------------------------------------------------------


def test_do_events_tell_what_became_of_a_call_and_not_what_was_in_it(
    rig: Rig, ann: Program
) -> None:
    tool = rig.tool()
    for _ in range(3):
        call(ann, arguments={"x": "a secret word"})
    rig.now += 1.5
    jobs = [order.job for order in tool.orders]
    tool.result(tool.orders[0], "a secret answer")
    tool.result(tool.orders[1], error={"code": "EIO", "message": "a secret error"})
    rig.call("proc.kill", pid=ann.pid, signal="INT")
    same = {"driver": "tools", "tool": "echo"}
    assert events(rig) == [
        *(("job.started", {"job": job, **same}) for job in jobs),
        ("job.done", {"job": jobs[0], **same, "seconds": 1.5}),
        ("job.failed", {"job": jobs[1], **same, "error": "EIO", "seconds": 1.5}),
        ("job.cancelled", {"job": jobs[2], **same, "seconds": 1.5}),
    ]
    assert "secret" not in str(rig.events)


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


def test_do_tools_come_and_go_with_beats(rig: Rig, ann: Program) -> None:
    """What is at work goes on; what waits for one that is gone is told."""
    tool = rig.tool(slots=1)
    works, waits = call(ann), call(ann)
    tool.beat(tools=[{"name": "new"}])
    there = rig.call("tool.list", names=["new", "echo"])["tools"]
    assert [one["name"] for one in there] == ["new"]
    assert error(ann, waits) == error(ann, call(ann)) == "ENOENT"
    assert ann.reply(works) is None
    tool.result(tool.orders[0], "done")
    done = ann.reply(works)
    assert done is not None
    assert done["result"]["content"] == "done"
    call(ann, "new")
    assert tool.orders[-1].tool == "new"
    tool.beat()
    there = rig.call("tool.list", names=["new", "echo"])["tools"]
    assert [one["name"] for one in there] == ["new"]
