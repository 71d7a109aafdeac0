"""Is every letter read once, by the one whom it was sent to, whatever happens in between?"""

from typing import Any

import pytest

from kernel.config import Config
from llmagentos.abi.calls.ipc import MAX_MAIL
from llmagentos.abi.errors import EBUSY, EINVAL, EPERM, ESRCH
from llmagentos.abi.model import MAX_NESTING
from tests.kernel.rig import MODEL, Program, Rig


def post(sender: Program, to: Program, body: Any, **args: Any) -> int:
    return sender.start("ipc.send", pid=to.pid, body=body, **args)


def read(program: Program, limit: int = 1) -> list[Any]:
    """What is there now."""
    return bodies(program.call("ipc.recv", limit=limit, block=False))


def bodies(result: Any) -> list[Any]:
    return [mail["body"] for mail in result["mail"]]


@pytest.fixture
def rig() -> Rig:
    return Rig()


@pytest.fixture
def ann(rig: Rig) -> Program:
    return Program(rig, "ann", "ipc:*")


@pytest.fixture
def bob(rig: Rig) -> Program:
    return Program(rig, "bob", "ipc:*", mailbox=3)


def fill(sender: Program, target: Program) -> None:
    for number in range(3):
        post(sender, target, number)


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


# -- a full mailbox ----------------------------------------------------------------------------


def test_is_a_full_mailbox_refused_at_once(ann: Program, bob: Program) -> None:
    fill(ann, bob)
    with pytest.raises(EBUSY, match="is full") as caught:
        ann.call("ipc.send", pid=bob.pid, body="too much")
    assert caught.value.detail == {"length": 3, "limit": 3}
    assert read(bob, 100) == [0, 1, 2]


def test_has_a_mailbox_without_a_limit_the_systems() -> None:
    rig = Rig(Config(default_model=MODEL, mailbox=2))
    ann, eve = Program(rig, "ann", "ipc:*"), Program(rig, "eve", "ipc:*")
    for number in range(2):
        ann.call("ipc.send", pid=eve.pid, body=number)
    with pytest.raises(EBUSY):
        ann.call("ipc.send", pid=eve.pid, body=2)


def test_do_senders_wait_for_room_in_turn(rig: Rig, ann: Program, bob: Program) -> None:
    eve = Program(rig, "eve", "ipc:*")
    fill(ann, bob)
    waiting = [
        post(ann, bob, "a", wait=60),
        post(eve, bob, "e", wait=60),
        post(ann, bob, "b", wait=60),
    ]
    assert rig.state(ann.pid) == rig.state(eve.pid) == "WAITING(mail)"
    result = bob.call("ipc.recv", limit=2)
    assert (bodies(result), result["left"]) == ([0, 1], 3)
    assert ann.result(waiting[0])["id"] < eve.result(waiting[1])["id"]
    assert ann.reply(waiting[2]) is None
    assert read(bob, 100) == [2, "a", "e"]
    assert read(bob, 100) == ["b"]
    assert rig.state(ann.pid) == "READY"


def test_does_nobody_wait_for_room_longer_than_he_said(
    rig: Rig, ann: Program, bob: Program
) -> None:
    fill(ann, bob)
    waiting = post(ann, bob, "late", wait=5)
    rig.wait(6)
    assert ann.reply(waiting)["error"]["code"] == "ETIMEOUT"
    assert read(bob, 100) == [0, 1, 2]
    assert read(bob, 100) == []


def test_is_the_letter_of_a_sender_that_died_waiting_not_delivered(
    rig: Rig, ann: Program, bob: Program
) -> None:
    eve = Program(rig, "eve", "ipc:*")
    fill(ann, bob)
    post(eve, bob, "from the grave", wait=60)
    after = post(ann, bob, "a", wait=60)
    rig.call("proc.kill", pid=eve.pid, signal="KILL")
    assert read(bob) == [0]
    assert ann.result(after)
    assert read(bob, 100) == [1, 2, "a"]


def test_does_a_waiting_sender_hear_that_the_receiver_has_ended(
    rig: Rig, ann: Program, bob: Program
) -> None:
    fill(ann, bob)
    waiting = [post(ann, bob, "a", wait=60), post(ann, bob, "b", wait=60)]
    rig.call("proc.kill", pid=bob.pid, signal="KILL")
    assert [ann.reply(number)["error"]["code"] for number in waiting] == ["ESRCH", "ESRCH"]
    assert rig.state(ann.pid) == "READY"


def test_does_a_lowered_limit_keep_what_is_there(rig: Rig, ann: Program, bob: Program) -> None:
    fill(ann, bob)
    rig.call("proc.limits", pid=bob.pid, limits={"mailbox": 1})
    waiting = post(ann, bob, "a", wait=60)
    assert read(bob, 2) == [0, 1]
    assert ann.reply(waiting) is None
    assert read(bob) == [2]
    assert ann.result(waiting)


def test_does_the_mail_of_one_that_has_ended_go(rig: Rig, ann: Program, bob: Program) -> None:
    fill(ann, bob)
    rig.call("proc.kill", pid=bob.pid, signal="KILL")
    assert rig.store._rows("SELECT count(*) AS n FROM mail") == [{"n": 0}]
    dropped = [event for event in rig.events if event["type"] == "ipc.dropped"]
    assert [(event["pid"], event["data"]) for event in dropped] == [(bob.pid, {"count": 3})]


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


# -- crashes -----------------------------------------------------------------------------------


def test_does_mail_outlive_a_crash(rig: Rig, ann: Program, bob: Program) -> None:
    ann.label("private")
    ann.call("ipc.send", pid=bob.pid, body=["one"])
    rig.crash()
    ann.call("ipc.send", pid=bob.pid, body="two")
    mail = bob.call("ipc.recv", limit=9)["mail"]
    assert [(one["body"], one["labels"]) for one in mail] == [
        (["one"], ["private"]),
        ("two", ["private"]),
    ]


def test_has_no_letter_the_id_of_another(rig: Rig, ann: Program, bob: Program) -> None:
    first = ann.call("ipc.send", pid=bob.pid, body="one")
    read(bob)
    rig.crash()
    assert ann.call("ipc.send", pid=bob.pid, body="two")["id"] > first["id"]


def test_is_a_full_mailbox_still_full_after_a_crash(rig: Rig, ann: Program, bob: Program) -> None:
    fill(ann, bob)
    rig.crash()
    with pytest.raises(EBUSY):
        ann.call("ipc.send", pid=bob.pid, body=3)


def test_is_a_repeated_send_one_letter(rig: Rig, ann: Program, bob: Program) -> None:
    sent = ann.call("ipc.send", id=905, pid=bob.pid, body="once")
    assert ann.call("ipc.send", id=905, pid=bob.pid, body="once") == sent
    rig.crash()
    assert ann.call("ipc.send", id=905, pid=bob.pid, body="once") == sent
    assert read(bob, 9) == ["once"]


def test_does_a_repeated_recv_get_the_same_mail(rig: Rig, ann: Program, bob: Program) -> None:
    fill(ann, bob)
    taken = bob.call("ipc.recv", id=905, limit=2)
    rig.crash()
    assert bob.call("ipc.recv", id=905, limit=2) == taken
    assert read(bob, 9) == [2]


def test_does_a_parked_recv_that_is_repeated_get_its_mail_once(
    rig: Rig, ann: Program, bob: Program
) -> None:
    bob.start("ipc.recv", id=905)
    bob.start("ipc.recv", id=905)
    post(ann, bob, "one")
    post(ann, bob, "two")
    assert bodies(bob.result(905)) == ["one"]
    rig.crash()
    bob.start("ipc.recv", id=905)
    assert bodies(bob.result(905)) == ["one"]
    assert read(bob) == ["two"]


def test_is_a_letter_that_waited_for_room_not_sent_by_a_crash(
    rig: Rig, ann: Program, bob: Program
) -> None:
    fill(ann, bob)
    post(ann, bob, "a", wait=60, id=950)
    rig.crash()
    assert read(bob, 9) == [0, 1, 2]
    post(ann, bob, "a", wait=60, id=950)
    assert ann.result(950)
    assert read(bob, 9) == ["a"]


def test_does_no_event_tell_what_was_sent(rig: Rig, ann: Program, bob: Program) -> None:
    ann.call("ipc.send", pid=bob.pid, body="a secret word")
    read(bob)
    sent = [event for event in rig.events if event["type"] == "ipc.sent"]
    assert [(event["pid"], event["data"]["to"]) for event in sent] == [(ann.pid, bob.pid)]
    assert "secret" not in str(rig.events)


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
