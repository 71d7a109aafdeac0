"""Does a full mailbox take nothing in, and do those who wait for room get it in turn?"""

import pytest

from kernel.config import Config
from llmagentos.abi.errors import EBUSY
from tests.kernel.mailing import ann, bob, bodies, fill, post, read
from tests.kernel.rig import MODEL, Program, Rig

__all__ = ["ann", "bob"]  # fixtures


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
