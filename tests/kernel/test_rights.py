"""Who may do what, who may give and take it, and is every refusal written down?"""

import time
from typing import Any

import pytest

from kernel.config import Config
from llmagentos.abi.audit import first_break
from llmagentos.abi.calls.sys import AuditEntry
from llmagentos.abi.errors import EAUTH, EINVAL, EPERM, EQUOTA, ESRCH
from tests.kernel.rig import MODEL, SERVICE, FakeHost, Program, Rig, agent


@pytest.fixture
def rig() -> Rig:
    return Rig()


def audited(rig: Rig) -> list[AuditEntry]:
    entries = rig.call("sys.audit")["entries"]
    return [AuditEntry.model_validate(entry) for entry in entries]


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
    reply = host.reply(host.act(plain, "proc.spawn", manifest=agent("c")))
    assert reply is not None
    assert reply["error"]["code"] == "EPERM"
    assert "capabilities: {allow: ['proc:spawn']}" in reply["error"]["hint"]
    denied = rig.spawn(agent(capabilities={"allow": ["proc:*"], "deny": ["proc:spawn"]}))
    reply = host.reply(host.act(denied, "proc.spawn", manifest=agent("c")))
    assert reply is not None
    assert "is denied to agent" in reply["error"]["message"]


def test_may_an_agent_use_other_models_only_if_its_manifest_says_so(rig: Rig) -> None:
    rig.driver(models=[{"name": n, "context_length": 99} for n in (MODEL, "big-one")])
    host = rig.host()
    plain = rig.spawn()
    reply = host.reply(host.act(plain, "llm.generate", model="big-one"))
    assert reply is not None
    assert reply["error"]["code"] == "EPERM"
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


def error(host: FakeHost, number: int) -> dict[str, Any]:
    reply = host.reply(number)
    assert reply is not None
    assert not reply["ok"]
    found: dict[str, Any] = reply["error"]
    return found


def family(rig: Rig, host: FakeHost, *rules: dict[str, Any]) -> list[int]:
    """Agents, each the child of the one before, with these capabilities."""
    pids = [rig.spawn(agent("a0", capabilities=rules[0]))]
    for number, more in enumerate(rules[1:], 1):
        manifest = agent(f"a{number}", capabilities=more)
        reply = host.reply(host.act(pids[-1], "proc.spawn", manifest=manifest, text="x"))
        assert reply is not None
        pids.append(reply["result"]["pid"])
    return pids


SPAWNS = {"allow": ["proc:spawn"]}
ALL: dict[str, Any] = {"allow": ["*"]}


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
    said = error(host, host.act(pid, "tool.call", name="sh", arguments={"a": "a secret"}))
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


# -- giving ------------------------------------------------------------------------------------


def test_does_a_grant_take_effect_and_last(rig: Rig) -> None:
    host = rig.host()
    _, pid = family(rig, host, SPAWNS, {})
    args = {"path": "/shared/x", "text": "x"}
    assert error(host, host.act(pid, "fs.write", **args))["code"] == "EPERM"
    given = rig.call("cap.grant", pid=pid, allow=["fs:/shared:rw"])
    assert {"fs:/shared:r", "fs:/shared:w"} <= set(given["rules"]["allow"])
    rig.crash()
    host = rig.host()
    rig.wait(rig.config.claim_patience + 1)
    number = host.act(pid, "fs.write", **args)
    assert host.reply(number)["ok"]  # type: ignore[index]
    assert [e.action for e in audited(rig)].count("cap.grant") == 1
    assert "fs:/shared:rw" in next(e for e in audited(rig) if e.action == "cap.grant").detail


def test_do_ask_and_deny_outlast_a_grant(rig: Rig) -> None:
    host = rig.host()
    rules = {"allow": ["proc:spawn"], "deny": ["fs:/shared:w"], "ask": ["mem:notes:*"]}
    _, pid = family(rig, host, rules, {})
    rig.call("cap.grant", pid=pid, allow=["*"])
    assert error(host, host.act(pid, "fs.write", path="/shared/x", text=""))["code"] == "EPERM"
    assert host.reply(host.act(pid, "mem.put", space="notes", key="x", value=1)) is None
    assert rig.state(pid) == "WAITING(approval)"


@pytest.mark.parametrize(
    ("allow", "code"),
    [
        (["fs:/a:r"], "ok"),
        (["fs:/a:rw"], "EPERM"),
        (["fs:/a:r", "fs:/b:r"], "EPERM"),
        (["fs:/*:r"], "EPERM"),
        (["tool:sh(ls *)"], "ok"),
        (["tool:*"], "EPERM"),
        (["[f]s:/b:r"], "EPERM"),
        (["fs:/c:rw"], "ok"),
    ],
)
def test_does_nobody_give_what_he_has_not(rig: Rig, allow: list[str], code: str) -> None:
    host = rig.host()
    rules = {"allow": ["proc:spawn", "fs:/a:r", "tool:sh", "fs:/c:r", "fs:/c:w"]}
    _, middle, child = family(rig, host, rules, ALL, {})
    reply = host.reply(host.act(middle, "cap.grant", pid=child, allow=allow))
    assert reply is not None
    assert (reply["error"]["code"] if not reply["ok"] else "ok") == code


def test_does_nobody_give_himself_or_his_parent_anything(rig: Rig) -> None:
    host = rig.host()
    top, child = family(rig, host, ALL, ALL)
    for pid in (top, child, 1):
        assert error(host, host.act(child, "cap.grant", pid=pid, allow=["x"]))["code"] == "EPERM"
    with pytest.raises(EINVAL):
        rig.call("cap.grant", pid=1, allow=["x"])
    rig.call("proc.kill", pid=child, signal="KILL")
    with pytest.raises(EINVAL, match="has ended"):
        rig.call("cap.grant", pid=child, allow=["x"])


def test_may_rules_only_grow_so_far(rig: Rig) -> None:
    ann = Program(rig, "ann", "*")
    for number in range(63):
        ann.call("cap.revoke", pid=ann.pid, deny=[f"x{number}-{i}" for i in range(64)])
    with pytest.raises(EQUOTA):
        ann.call("cap.revoke", pid=ann.pid, deny=[f"y-{i}" for i in range(64)])
    # The user is never kept from taking something away.
    rig.call("cap.revoke", pid=ann.pid, deny=["mem:*"])
    with pytest.raises(EPERM):
        ann.call("mem.list", space="notes")


# -- taking ------------------------------------------------------------------------------------


def test_does_a_revocation_take_the_subtree_along(rig: Rig) -> None:
    host = rig.host(slots=9)
    tops = family(rig, host, ALL, ALL, ALL)
    beside = rig.spawn(agent(capabilities=ALL))
    revoked = rig.call("cap.revoke", pid=tops[1], deny=["mem:notes:rw"])
    assert revoked["rules"]["deny"] == ["mem:notes:r", "mem:notes:w"]
    rig.crash()
    host = rig.host(slots=9)
    rig.wait(rig.config.claim_patience + 1)
    codes = []
    for pid in (*tops, beside):
        reply = host.reply(host.act(pid, "mem.list", space="notes"))
        assert reply is not None
        codes.append("ok" if reply["ok"] else reply["error"]["code"])
    assert codes == ["ok", "EPERM", "EPERM", "ok"]
    # Those who come later are born with it.
    made = host.reply(host.act(tops[1], "proc.spawn", manifest=agent(capabilities=ALL), text="x"))
    assert made is not None
    late = made["result"]["pid"]
    assert error(host, host.act(late, "mem.list", space="notes"))["code"] == "EPERM"
    # What an orphan was denied it stays denied.
    rig.call("proc.kill", pid=tops[1], signal="KILL")
    assert error(host, host.act(late, "mem.list", space="notes"))["code"] == "EPERM"


def test_can_a_program_without_rules_be_bound(rig: Rig) -> None:
    pid, session = rig.program()
    rig.call("cap.revoke", pid=pid, deny=["mem:*"])
    with pytest.raises(EPERM):
        rig.call("mem.list", space="notes", session=session)
    rig.call("fs.list", path="/shared", session=session)
    rig.call("mem.list", session=session)


def test_does_a_revoked_model_get_no_more_slots(rig: Rig) -> None:
    driver, host = rig.driver(slots=1), rig.host()
    pids = [rig.spawn() for _ in range(2)]
    first, second = (host.act(pid, "llm.generate") for pid in pids)
    rig.wait(3)
    rig.call("cap.revoke", pid=pids[1], deny=["llm:*"])
    assert error(host, second)["code"] == "ENODRIVER"
    driver.answer()
    assert host.reply(first)["ok"]  # type: ignore[index]
    assert len(driver.started) == 1


def test_may_one_give_up_rights_of_its_own(rig: Rig) -> None:
    ann = Program(rig, "ann", "*")
    ann.call("cap.revoke", pid=ann.pid, deny=["mem:*"])
    with pytest.raises(EPERM):
        ann.call("mem.list", space="notes")
    with pytest.raises(EINVAL, match="nothing to revoke"):
        ann.call("cap.revoke", pid=ann.pid)


def test_may_the_user_alone_declassify(rig: Rig) -> None:
    host = rig.host()
    top, child = family(rig, host, ALL, {})
    rig.call("mem.put", pid=child, key="x", value=1, labels=["private", "secret"])
    host.act(child, "mem.get", key="x")
    for who in (top, child):
        number = host.act(who, "cap.revoke", pid=child, labels=["private"])
        assert error(host, number)["message"] == "only the user may declassify"
    with pytest.raises(EINVAL, match="not labelled other"):
        rig.call("cap.revoke", pid=child, labels=["private", "other"])
    assert rig.labels(child) == ["private", "secret"]
    rig.call("cap.revoke", pid=child, labels=["private"])
    rig.crash()
    assert rig.labels(child) == ["secret"]
    assert "private" in audited(rig)[-1].detail


def test_do_labels_follow_what_is_granted_and_revoked(rig: Rig) -> None:
    ann = Program(rig, "ann", "*")
    child = ann.call("proc.spawn", manifest=agent(), text="x")["pid"]
    ann.label("private")
    ann.call("cap.revoke", pid=child, deny=["a message in disguise"])
    assert rig.labels(child) == ["private"]
    ann.label("more")
    ann.call("cap.grant", pid=child, allow=["another one"])
    assert rig.labels(child) == ["more", "private"]


# -- the tree ----------------------------------------------------------------------------------


def test_does_what_was_below_stay_below_when_all_of_it_was_collected(rig: Rig) -> None:
    host = rig.host()
    pids = family(rig, host, ALL, ALL, {})
    for pid in (pids[2], pids[1]):
        host.act(pid, "proc.exit", answer=f"{pid} is done")
        rig.call("proc.wait", pid=pid)
    reply = host.reply(host.act(pids[0], "proc.wait", pid=pids[2]))
    assert reply is not None
    assert reply["result"]["answer"] == f"{pids[2]} is done"
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
