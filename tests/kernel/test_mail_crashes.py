"""Is every letter read once, whatever dies in between and whoever asks again?"""

import pytest

from llmagentos.abi.errors import EBUSY
from tests.kernel.mailing import ann, bob, bodies, fill, post, read
from tests.kernel.rig import Program, Rig

__all__ = ["ann", "bob"]  # fixtures


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
