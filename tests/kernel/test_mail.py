"""Is every letter read once, by the one whom it was sent to?"""

from typing import Any

import pytest

from llmagentos.abi.calls.ipc import MAX_MAIL
from llmagentos.abi.errors import EINVAL, EPERM, ESRCH
from llmagentos.abi.model import MAX_NESTING
from tests.kernel.mailing import ann, bob, bodies, fill, post, read
from tests.kernel.rig import Program, Rig

__all__ = ["ann", "bob"]  # fixtures


# -- sending and reading -----------------------------------------------------------------------


def test_is_mail_read_in_the_order_in_which_it_was_sent(ann: Program, bob: Program) -> None:
    for number in range(3):
        post(ann, bob, {"n": number})
    first = bob.call("ipc.recv")
    assert bodies(first) == [{"n": 0}]
    assert first["left"] == 2
    assert read(bob, 100) == [{"n": 1}, {"n": 2}]
    assert read(bob) == []


def test_does_a_letter_say_from_whom_and_when_it_is(rig: Rig, ann: Program, bob: Program) -> None:
    sent = ann.call("ipc.send", pid=bob.pid, body="hi")
    (mail,) = bob.call("ipc.recv")["mail"]
    assert mail == {
        "id": sent["id"],
        "sender": ann.pid,
        "body": "hi",
        "labels": [],
        "time": rig.now,
    }


def test_does_waiting_for_mail_end_when_some_comes(rig: Rig, ann: Program, bob: Program) -> None:
    waiting = bob.start("ipc.recv", limit=5)
    assert rig.state(bob.pid) == "WAITING(mail)"
    post(ann, bob, "now")
    assert bodies(bob.result(waiting)) == ["now"]
    assert rig.state(bob.pid) == "READY"
    assert read(bob) == []


def test_do_those_who_wait_get_mail_in_turn(ann: Program, bob: Program) -> None:
    waiting = [bob.start("ipc.recv") for _ in range(3)]
    for word in ("one", "two", "three"):
        post(ann, bob, word)
    assert [bodies(bob.result(number)) for number in waiting] == [["one"], ["two"], ["three"]]


def test_is_waiting_in_vain_no_error(rig: Rig, ann: Program, bob: Program) -> None:
    waiting = bob.start("ipc.recv", timeout=5)
    rig.wait(4)
    assert bob.reply(waiting) is None
    rig.wait(2)
    assert bob.result(waiting) == {"mail": [], "left": 0}
    post(ann, bob, "late")
    assert read(bob) == ["late"]


@pytest.mark.parametrize("how", ["cancelled", "its client is gone"])
def test_is_nothing_given_to_a_call_that_is_over(
    rig: Rig, ann: Program, bob: Program, how: str
) -> None:
    bob.start("ipc.recv")
    if how == "cancelled":
        rig.call("proc.kill", pid=bob.pid, signal="INT")
    else:
        rig.drop_client(bob.peer)
    post(ann, bob, "for the next one")
    assert read(bob) == ["for the next one"]


def test_does_a_stopped_process_find_what_came_meanwhile(
    rig: Rig, ann: Program, bob: Program
) -> None:
    waiting = bob.start("ipc.recv")
    rig.call("proc.kill", pid=bob.pid, signal="STOP")
    post(ann, bob, "first")
    post(ann, bob, "second")
    assert bob.reply(waiting) is None
    rig.call("proc.kill", pid=bob.pid, signal="CONT")
    assert bodies(bob.result(waiting)) == ["first"]
    assert read(bob) == ["second"]


def test_does_a_stopped_process_lose_nothing_by_a_crash(
    rig: Rig, ann: Program, bob: Program
) -> None:
    bob.start("ipc.recv", id=907)
    rig.call("proc.kill", pid=bob.pid, signal="STOP")
    post(ann, bob, "first")
    rig.crash()
    rig.call("proc.kill", pid=bob.pid, signal="CONT")
    assert bodies(bob.call("ipc.recv", id=907)) == ["first"]
    assert read(bob) == []


def test_is_there_no_mail_for_one_that_has_ended(rig: Rig, ann: Program, bob: Program) -> None:
    rig.call("proc.kill", pid=bob.pid, signal="KILL")
    with pytest.raises(ESRCH):
        ann.call("ipc.send", pid=bob.pid, body="hello?")
    with pytest.raises(ESRCH):
        rig.call("ipc.send", pid=bob.pid, body="hello?")
    with pytest.raises(ESRCH):
        rig.call("ipc.send", pid=4711, body="hello?")


def test_may_only_those_who_may_write(rig: Rig, bob: Program) -> None:
    made = rig.call("proc.adopt", name="stranger", capabilities={"allow": ["ipc:topic/*"]})
    with pytest.raises(EPERM):
        rig.call("ipc.send", session=made["session"], pid=bob.pid, body="x")
    assert read(bob) == []


def test_is_nobody_elses_mail_to_be_had(rig: Rig, ann: Program, bob: Program) -> None:
    for number in range(3):
        post(ann, bob, f"for bob {number}")
        post(bob, ann, f"for ann {number}")
    assert read(bob, 2) == ["for bob 0", "for bob 1"]
    assert read(ann, 9) == ["for ann 0", "for ann 1", "for ann 2"]
    assert read(ann) == []
    assert bodies(rig.call("ipc.recv", block=False)) == []
    bob.call("ipc.recv", id=909)
    assert ann.call("ipc.recv", id=909, block=False)["mail"] == [], "a repeat is bob's alone"


def test_is_a_body_that_is_too_long_refused(ann: Program, bob: Program) -> None:
    ann.call("ipc.send", pid=bob.pid, body="x" * (MAX_MAIL - 2))
    with pytest.raises(EINVAL, match="the most is"):
        ann.call("ipc.send", pid=bob.pid, body="x" * (MAX_MAIL - 1))
    with pytest.raises(EINVAL):
        ann.call("ipc.send", pid=bob.pid, body="é" * (MAX_MAIL // 2))
    assert len(read(bob, 3)) == 1


def test_can_all_that_is_sent_be_read(ann: Program, bob: Program) -> None:
    deep: Any = 0
    for _ in range(MAX_NESTING):
        deep = [deep]
    ann.call("ipc.send", pid=bob.pid, body=deep)
    with pytest.raises(EINVAL, match="nested"):
        ann.call("ipc.send", pid=bob.pid, body=[deep])
    assert read(bob) == [deep], "the reply could not be decoded"


def test_is_more_than_fits_into_a_reply_left_for_the_next(rig: Rig) -> None:
    ann, eve = Program(rig, "ann", "ipc:*"), Program(rig, "eve", "ipc:*")
    floats = [0.5] * (MAX_MAIL // 4 - 1)  # more than twice as long in a reply
    for _ in range(40):
        ann.call("ipc.send", pid=eve.pid, body=floats)
    seen = 0
    while seen < 40:
        result = eve.call("ipc.recv", limit=100)
        assert result["mail"], "an empty reply would be the end of it"
        seen += len(result["mail"])
        assert result["left"] == 40 - seen


# -- labels ------------------------------------------------------------------------------------


@pytest.mark.parametrize("waits", [True, False])
def test_does_mail_bring_its_senders_labels(
    rig: Rig, ann: Program, bob: Program, waits: bool
) -> None:
    ann.label("private")
    if waits:
        number = bob.start("ipc.recv")
        post(ann, bob, "secret")
        result = bob.result(number)
    else:
        post(ann, bob, "secret")
        assert rig.labels(bob.pid) == [], "it has not read it yet"
        result = bob.call("ipc.recv")
    assert result["mail"][0]["labels"] == ["private"]
    assert rig.labels(bob.pid) == ["private"]


def test_are_the_labels_those_of_when_it_was_sent(rig: Rig, ann: Program, bob: Program) -> None:
    fill(bob, bob)
    waiting = post(ann, bob, "plain", wait=60)
    ann.label("private")
    read(bob, 3)
    assert ann.result(waiting)
    assert bob.call("ipc.recv")["mail"][0]["labels"] == []


# -- mail that goes into the context -----------------------------------------------------------


def said(program: Program) -> list[tuple[str, str]]:
    found = program.call("ctx.read")["messages"]
    return [(message["role"], message["content"]) for message in found]


def test_is_mail_in_the_context_when_it_leaves_the_mailbox(ann: Program, bob: Program) -> None:
    post(ann, bob, "now")
    post(ann, bob, {"n": 1})
    assert len(bob.call("ipc.recv", append=True, limit=9)["mail"]) == 2
    who = f"(mail of process {ann.pid})"
    assert said(bob) == [("user", f"{who} now"), ("user", f'{who} {{"n": 1}}')]
    assert read(bob) == []


def test_is_mail_that_is_waited_for_in_the_context_too(ann: Program, bob: Program) -> None:
    call = bob.start("ipc.recv", append=True)
    post(ann, bob, "later")
    assert bodies(bob.result(call)) == ["later"]
    assert said(bob) == [("user", f"(mail of process {ann.pid}) later")]


def test_is_the_users_own_mail_in_the_context_as_it_was_written(rig: Rig, bob: Program) -> None:
    rig.call("ipc.send", pid=bob.pid, body="from me")
    bob.call("ipc.recv", append=True)
    assert said(bob) == [("user", "from me")]


def test_does_mail_stay_where_it_is_if_the_context_is_full(
    ann: Program, bob: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kernel.context._MOST_BYTES", MAX_MAIL)
    bob.call("ctx.append", messages=[{"role": "user", "content": "something"}])
    waiting = bob.start("ipc.recv", append=True)
    post(ann, bob, "one too many")
    refused = bob.reply(waiting)
    assert refused is not None
    assert refused["error"]["code"] == "ECONTEXT"
    assert said(bob) == [("user", "something")]
    assert read(bob) == ["one too many"]
