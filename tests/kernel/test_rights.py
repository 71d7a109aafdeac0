"""Who may do what, who may give and take it, and is every refusal written down?"""

import time
from typing import Any

import pytest

from kernel.config import Config
from llmagentos.abi.audit import first_break
from llmagentos.abi.errors import EAUTH, EINVAL, EPERM, ESRCH
from tests.kernel.asking import ALL, SPAWNS, audited, family
from tests.kernel.rig import MODEL, SERVICE, Program, Rig, agent


@pytest.mark.parametrize("session", ["", "a guess", SERVICE, "ключ"])
def test_is_a_wrong_session_refused(rig: Rig, session: str) -> None:
    with pytest.raises(EAUTH):
        rig.call("proc.list", session=session)
    assert audited(rig)[-1].verdict == "EAUTH"


def test_does_a_session_end_with_its_process(rig: Rig) -> None:
    pid, session = rig.program()
    rig.call("proc.kill", pid=pid, signal="KILL")
    with pytest.raises(EAUTH):
        rig.call("proc.info", session=session)


def test_does_only_a_ping_need_no_session(rig: Rig) -> None:
    assert rig.call("sys.ping", session="")["uptime"] == 0


def test_does_an_unknown_call_suggest_the_one_that_was_meant(rig: Rig) -> None:
    with pytest.raises(EINVAL) as caught:
        rig.call("proc.spwan")
    assert "proc.spawn" in caught.value.hint


def test_does_a_wrong_argument_name_its_field(rig: Rig) -> None:
    with pytest.raises(EINVAL, match=r"proc\.kill: pid: Input should be a valid integer"):
        rig.call("proc.kill", pid="seven")
    with pytest.raises(EINVAL, match="extra: Extra inputs are not permitted"):
        rig.call("sys.ping", extra=1)


def test_may_an_agent_spawn_only_if_its_manifest_says_so(rig: Rig) -> None:
    host = rig.host()
    plain = rig.spawn()
    error = host.error_of(host.act(plain, "proc.spawn", manifest=agent("c")))
    assert error["code"] == "EPERM"
    assert "capabilities: {allow: ['proc:spawn']}" in error["hint"]
    denied = rig.spawn(agent(capabilities={"allow": ["proc:*"], "deny": ["proc:spawn"]}))
    error = host.error_of(host.act(denied, "proc.spawn", manifest=agent("c")))
    assert "is denied to agent" in error["message"]


def test_may_an_agent_use_other_models_only_if_its_manifest_says_so(rig: Rig) -> None:
    rig.driver(models=[{"name": n, "context_length": 99} for n in (MODEL, "big-one")])
    host = rig.host()
    plain = rig.spawn()
    refused = host.act(plain, "llm.generate", model="big-one")
    assert host.error_of(refused)["code"] == "EPERM"
    allowed = rig.spawn(agent(capabilities={"allow": ["llm:big-*"]}))
    assert host.reply(host.act(allowed, "llm.generate", model="big-one")) is None


def test_does_the_audit_chain_hold_over_a_crash_and_show_a_forgery(rig: Rig) -> None:
    rig.spawn()
    rig.crash()
    rig.spawn()
    entries = audited(rig)
    assert len(entries) >= 2
    assert first_break(entries) is None
    forged = [e.model_copy(update={"detail": "never"}) if e.seq == 2 else e for e in entries]
    assert first_break(forged) == 2
    assert first_break(entries[:1] + entries[2:]) in (3, None if len(entries) == 2 else 3)


def test_does_the_audit_log_let_old_entries_go_and_say_so() -> None:
    rig = Rig(Config(default_model=MODEL, audit_kept=20))
    for number in range(150):
        if number == 70:
            rig.crash()
        rig.spawn()
        entries = audited(rig)
        assert len(entries) <= 20 + 100 + 1
        assert first_break(entries) is None
    assert entries[0].seq > 1
    assert entries[-1].seq > 150


@pytest.mark.parametrize(
    ("needs", "name", "args"),
    [
        ("mem:notes:r", "mem.list", {"space": "notes"}),
        ("mem:notes:w", "mem.put", {"space": "notes", "key": "x", "value": 1}),
        ("fs:/x:r", "fs.list", {"path": "/x"}),
        ("fs:/x:w", "fs.write", {"path": "/x/y", "text": ""}),
        ("ipc:topic/news:r", "ipc.subscribe", {"topic": "news", "block": False}),
        ("ipc:topic/news:w", "ipc.publish", {"topic": "news", "body": 1}),
        ("tool:sh(ls)", "tool.call", {"name": "sh", "arguments": {"a": "ls"}}),
        ("llm:m", "llm.generate", {"messages": [{"role": "user", "content": "x"}]}),
    ],
)
def test_is_this_capability_what_the_call_needs(
    rig: Rig, needs: str, name: str, args: dict[str, Any]
) -> None:
    rig.driver()
    rig.tool("tools", "sh")
    other = needs[:-1] + ("w" if needs.endswith("r") else "r")
    cases = {"it": ([needs], []), "another": ([other], []), "not-it": (["*"], [needs])}
    for who, (allow, deny) in cases.items():
        rig.call("proc.adopt", name=who, capabilities={"allow": allow, "deny": deny})
        program = Program(rig, who)
        body = program.reply(program.start(name, **args))
        refused = body is not None and not body["ok"] and body["error"]["code"] == "EPERM"
        assert refused == (who != "it"), who


def test_are_all_the_arguments_of_a_tool_looked_at(rig: Rig) -> None:
    rules = {"allow": ["*"], "deny": ["tool:sh(rm *)"]}
    rig.call("proc.adopt", name="ann", capabilities=rules)
    with pytest.raises(EPERM):
        Program(rig, "ann").call(
            "tool.call", name="sh", arguments={"command": "rm -rf /", "more": 1}
        )


# -- what is said of a refusal -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("above", "own", "message"),
    [
        (SPAWNS, {}, "a1 has no capability tool:sh(…)"),
        (SPAWNS, ALL, "a process above a1 has no capability tool:sh(…)"),
        (ALL, {"deny": ["tool:sh(*)"]}, "tool:sh(…) is denied to a1"),
        ({**ALL, "deny": ["tool:sh"]}, ALL, "tool:sh(…) is denied to a process above a1"),
    ],
)
def test_does_a_refusal_say_who_refuses_and_never_what_was_said(
    rig: Rig, above: dict[str, Any], own: dict[str, Any], message: str
) -> None:
    host = rig.host()
    _, pid = family(rig, host, above, own)
    said = host.error_of(host.act(pid, "tool.call", name="sh", arguments={"a": "a secret"}))
    assert (said["code"], said["message"]) == ("EPERM", message)
    last = audited(rig)[-1]
    assert (last.pid, last.action, last.detail) == (pid, "tool.call", message)


def test_are_arguments_that_would_take_too_long_to_check_refused(rig: Rig) -> None:
    globs = [f"tool:sh(*{'a?' * 100}{number})" for number in range(100)]
    rig.call("proc.adopt", name="ann", capabilities={"allow": ["*"], "deny": globs})
    ann = Program(rig, "ann")
    for arguments in ({"a": "a" * 1_000_000}, {str(n): "" for n in range(100_000)}):
        begin = time.process_time()
        with pytest.raises(EPERM, match="too long to be checked"):
            ann.call("tool.call", name="sh", arguments=arguments)
        assert time.process_time() - begin < 2
    ann.start("tool.call", name="sh", arguments={"a": "a" * 100})


# -- the tree ----------------------------------------------------------------------------------


def test_does_what_was_below_stay_below_when_all_of_it_was_collected(rig: Rig) -> None:
    host = rig.host()
    pids = family(rig, host, ALL, ALL, {})
    for pid in (pids[2], pids[1]):
        host.act(pid, "proc.exit", answer=f"{pid} is done")
        rig.call("proc.wait", pid=pid)
    number = host.act(pids[0], "proc.wait", pid=pids[2])
    assert host.result_of(number)["answer"] == f"{pids[2]} is done"
    stranger = Program(rig, "stranger", "*")
    with pytest.raises(EPERM):
        stranger.call("proc.wait", pid=pids[2])
    with pytest.raises(ESRCH):
        stranger.call("proc.wait", pid=999)


# -- mail --------------------------------------------------------------------------------------


def test_do_a_programs_rights_bound_the_mail_of_what_it_spawned(rig: Rig) -> None:
    ann, bob, host = Program(rig, "ann", "*"), Program(rig, "bob", "*"), rig.host()
    one, two = (
        ann.call("proc.spawn", manifest=agent(capabilities=ALL), text="x")["pid"] for _ in "ab"
    )

    def post(sender: int, to: int) -> str:
        reply = host.reply(host.act(sender, "ipc.send", pid=to, body="hi"))
        assert reply is not None
        return "ok" if reply["ok"] else str(reply["error"]["code"])

    assert [post(one, two), post(one, ann.pid), post(one, 1)] == ["ok", "ok", "ok"]
    assert [post(one, bob.pid), post(one, 999)] == ["EPERM", "EPERM"]
    with pytest.raises(EPERM):
        ann.call("ipc.send", pid=bob.pid, body="hi")
    # Being bound by rules must not set it free.
    rig.call("cap.revoke", pid=ann.pid, deny=["mem:*"])
    assert post(one, bob.pid) == "EPERM"
    # Nor must the end of the program.
    rig.call("proc.kill", pid=ann.pid, signal="KILL")
    rig.call("proc.wait", pid=ann.pid)
    assert [post(one, bob.pid), post(one, two)] == ["EPERM", "ok"]
    rig.crash()
    host = rig.host()
    rig.wait(rig.config.claim_patience + 1)
    assert [post(one, bob.pid), post(one, two)] == ["EPERM", "ok"]


def test_does_a_program_write_to_strangers_only_if_its_rules_name_mail(rig: Rig) -> None:
    bob, (pid, session) = Program(rig, "bob", "*"), rig.program()
    named = Program(rig, "named", f"ipc:mail/{bob.pid}:w")
    named.call("ipc.send", pid=bob.pid, body="hi")
    for program in (session, rig.program("other")[1]):
        with pytest.raises(EPERM):
            rig.call("ipc.send", pid=bob.pid, body="hi", session=program)
    with pytest.raises(EPERM):
        rig.call("cap.request", capability=f"ipc:mail/{bob.pid}:w", session=session)
    rig.call("cap.revoke", pid=pid, deny=["mem:*"])
    with pytest.raises(EPERM):
        rig.call("ipc.send", pid=bob.pid, body="hi", session=session)
    rig.call("cap.grant", pid=pid, allow=[f"ipc:mail/{bob.pid}:w"])
    rig.call("ipc.send", pid=bob.pid, body="hi", session=session)
