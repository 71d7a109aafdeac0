"""Who may do what, and is every refusal written down?"""

import pytest

from llmagentos.abi.audit import first_break
from llmagentos.abi.calls.sys import AuditEntry
from llmagentos.abi.errors import EAUTH, EINVAL, ENOSYS, EPERM
from llmagentos.abi.syscalls import TABLE
from tests.kernel.rig import MODEL, SERVICE, Rig, agent

ON_ANOTHER = {
    "proc.fork": {},
    "proc.wait": {},
    "proc.kill": {},
    "proc.nice": {"priority": 1},
    "proc.limits": {},
    "proc.info": {},
    "llm.cancel": {},
    "ctx.read": {},
    "ctx.append": {"messages": [{"role": "user", "content": "x"}]},
    "ctx.compact": {"keep": 0, "summary": "x"},
    "ctx.checkpoint": {},
    "ctx.restore": {"checkpoint": "x"},
    "ctx.rewind": {"message": 0},
}


@pytest.fixture
def rig() -> Rig:
    return Rig()


def audited(rig: Rig) -> list[AuditEntry]:
    entries = rig.call("sys.audit")["entries"]
    return [AuditEntry.model_validate(entry) for entry in entries]


def test_does_the_matrix_cover_every_call_that_takes_a_target() -> None:
    takes_target = {
        call.name
        for call in TABLE.values()
        if call.args is not None
        and "tree" in call.capability.split()
        and "pid" in call.args.model_fields
    }
    assert takes_target == set(ON_ANOTHER)


@pytest.mark.parametrize("name", ON_ANOTHER)
def test_is_a_stranger_refused_and_the_refusal_audited(rig: Rig, name: str) -> None:
    victim = rig.spawn()
    stranger, session = rig.program()
    with pytest.raises(EPERM):
        rig.call(name, session=session, peer=b"prog", pid=victim, **ON_ANOTHER[name])
    last = audited(rig)[-1]
    assert (last.pid, last.action, last.verdict) == (stranger, name, "EPERM")


@pytest.mark.parametrize(
    "name", [call.name for call in TABLE.values() if call.capability == "user"]
)
def test_are_the_users_calls_the_users_alone(rig: Rig, name: str) -> None:
    rig.driver()
    _, session = rig.program()
    args = {"name": "edge"} if name == "drv.drain" else {}
    with pytest.raises(EPERM):
        rig.call(name, session=session, peer=b"prog", **args)


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


@pytest.mark.parametrize("name", [call.name for call in TABLE.values() if call.args is None])
def test_does_a_reserved_call_say_so(rig: Rig, name: str) -> None:
    with pytest.raises(ENOSYS):
        rig.call(name)


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
