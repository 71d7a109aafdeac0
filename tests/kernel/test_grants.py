"""Is what is given and taken no more than the giver has, for the whole subtree, and for good?"""

import pytest

from llmagentos.abi.errors import EINVAL, EPERM, EQUOTA
from tests.kernel.asking import ALL, SPAWNS, audited, family
from tests.kernel.rig import Program, Rig, agent

# -- giving ------------------------------------------------------------------------------------


def test_does_a_grant_take_effect_and_last(rig: Rig) -> None:
    host = rig.host()
    _, pid = family(rig, host, SPAWNS, {})
    args = {"path": "/shared/x", "text": "x"}
    assert host.error_of(host.act(pid, "fs.write", **args))["code"] == "EPERM"
    given = rig.call("cap.grant", pid=pid, allow=["fs:/shared:rw"])
    assert {"fs:/shared:r", "fs:/shared:w"} <= set(given["rules"]["allow"])
    rig.crash()
    host = rig.host()
    rig.wait(rig.config.claim_patience + 1)
    number = host.act(pid, "fs.write", **args)
    assert host.result_of(number)["size"] == 1
    assert [e.action for e in audited(rig)].count("cap.grant") == 1
    assert "fs:/shared:rw" in next(e for e in audited(rig) if e.action == "cap.grant").detail


def test_do_ask_and_deny_outlast_a_grant(rig: Rig) -> None:
    host = rig.host()
    rules = {"allow": ["proc:spawn"], "deny": ["fs:/shared:w"], "ask": ["mem:notes:*"]}
    _, pid = family(rig, host, rules, {})
    rig.call("cap.grant", pid=pid, allow=["*"])
    assert host.error_of(host.act(pid, "fs.write", path="/shared/x", text=""))["code"] == "EPERM"
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
        assert host.error_of(host.act(child, "cap.grant", pid=pid, allow=["x"]))["code"] == "EPERM"
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
    late = host.child(tops[1], agent(capabilities=ALL))
    assert host.error_of(host.act(late, "mem.list", space="notes"))["code"] == "EPERM"
    # What an orphan was denied it stays denied.
    rig.call("proc.kill", pid=tops[1], signal="KILL")
    assert host.error_of(host.act(late, "mem.list", space="notes"))["code"] == "EPERM"


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
    assert host.error_of(second)["code"] == "ENODRIVER"
    driver.answer()
    assert host.result_of(first)
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
        assert host.error_of(number)["message"] == "only the user may declassify"
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
