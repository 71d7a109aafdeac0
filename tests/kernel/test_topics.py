"""Does everybody who follows a topic see all of it, in order, or else know what is missing?"""

from typing import Any

import pytest

from kernel import envelope
from kernel.config import Config
from llmagentos.abi.calls.ipc import MAX_MAIL
from llmagentos.abi.errors import EINVAL, EPERM, EQUOTA
from tests.kernel.mailing import ann
from tests.kernel.rig import MODEL, Program, Rig

__all__ = ["ann"]  # a fixture

NEWS = "news/today"


@pytest.fixture
def rig() -> Rig:
    return Rig(Config(default_model=MODEL, publications_kept=10, topics_kept=3))


@pytest.fixture
def bob(rig: Rig) -> Program:
    return Program(rig, "bob", "ipc:*")


def publish(program: Program, *words: Any, topic: str = NEWS) -> list[int]:
    return [program.call("ipc.publish", topic=topic, body=word)["seq"] for word in words]


def read(program: Program, since: int | None, **options: Any) -> Any:
    """What is there now."""
    return program.call("ipc.subscribe", topic=NEWS, since=since, block=False, **options)


def told(result: Any) -> list[tuple[int, Any]]:
    return [(one["seq"], one["body"]) for one in result["messages"]]


# -- publishing and reading --------------------------------------------------------------------


def test_are_messages_numbered_from_one_in_each_topic(ann: Program) -> None:
    assert publish(ann, "a", "b") == [1, 2]
    assert publish(ann, "x", topic="other") == [1]
    assert publish(ann, "c") == [3]


def test_does_a_reader_get_what_came_after_what_he_has_seen(
    rig: Rig, ann: Program, bob: Program
) -> None:
    publish(ann, "a", {"b": 2}, "c")
    result = read(bob, 1)
    assert told(result) == [(2, {"b": 2}), (3, "c")]
    assert (result["next"], result["oldest"], result["latest"]) == (3, 1, 3)
    assert result["messages"][0] | {"seq": 0} == {
        "seq": 0, "sender": ann.pid, "body": {"b": 2}, "labels": [], "time": rig.now,
    }  # fmt: skip
    assert told(read(bob, 1)) == told(result), "reading takes nothing away"


def test_can_a_reader_take_it_in_pieces(ann: Program, bob: Program) -> None:
    publish(ann, *range(5))
    result = read(bob, 0, limit=2)
    assert (told(result), result["next"], result["latest"]) == ([(1, 0), (2, 1)], 2, 5)
    assert [seq for seq, _ in told(read(bob, result["next"], limit=2))] == [3, 4]


def test_does_a_reader_without_a_number_hear_only_what_comes(ann: Program, bob: Program) -> None:
    publish(ann, "before")
    assert read(bob, None) == {"messages": [], "next": 1, "oldest": 1, "latest": 1}
    waiting = bob.start("ipc.subscribe", topic=NEWS)
    publish(ann, "after")
    assert told(bob.result(waiting)) == [(2, "after")]


def test_are_all_who_wait_told(rig: Rig, ann: Program, bob: Program) -> None:
    eve = Program(rig, "eve", "ipc:*")
    publish(ann, "before")
    waiting = [
        (bob, bob.start("ipc.subscribe", topic=NEWS, since=1)),
        (bob, bob.start("ipc.subscribe", topic=NEWS, since=1)),
        (eve, eve.start("ipc.subscribe", topic=NEWS)),
    ]
    other = eve.start("ipc.subscribe", topic="other")
    assert rig.state(bob.pid) == "WAITING(mail)"
    publish(ann, "news")
    for program, number in waiting:
        result = program.result(number)
        assert (told(result), result["next"], result["latest"]) == ([(2, "news")], 2, 2)
    assert rig.state(bob.pid) == "READY"
    assert eve.reply(other) is None
    publish(ann, "more")
    assert told(bob.result(waiting[0][1])) == [(2, "news")]


def test_is_what_a_thousand_wait_for_written_once(
    rig: Rig, ann: Program, bob: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = [bob.start("ipc.subscribe", topic=NEWS) for _ in range(1000)]
    ok, written = envelope.ok, []

    def spy(result: Any) -> bytes:
        written.append(result)
        return ok(result)

    monkeypatch.setattr(envelope, "ok", spy)
    publish(ann, "a")
    assert len(written) == 2, "what is read, and the reply to the publisher"
    assert {str(bob.result(number)) for number in waiting} == {str(read(bob, 0))}


def test_can_one_wait_for_a_topic_that_is_not_there_yet(ann: Program, bob: Program) -> None:
    waiting = [bob.start("ipc.subscribe", topic=NEWS, since=since) for since in (0, None)]
    publish(ann, "first")
    for number in waiting:
        assert told(bob.result(number)) == [(1, "first")]


def test_is_waiting_in_vain_no_error(rig: Rig, ann: Program, bob: Program) -> None:
    publish(ann, "a")
    waiting = bob.start("ipc.subscribe", topic=NEWS, since=1, timeout=5)
    rig.wait(4)
    assert bob.reply(waiting) is None
    rig.wait(2)
    nothing = {"messages": [], "next": 1, "oldest": 1, "latest": 1}
    assert bob.result(waiting) == nothing
    publish(ann, "b")
    assert bob.result(waiting) == nothing


@pytest.mark.parametrize("how", ["cancelled", "its client is gone", "killed"])
def test_is_a_reader_that_is_gone_forgotten(rig: Rig, ann: Program, bob: Program, how: str) -> None:
    number = bob.start("ipc.subscribe", topic=NEWS)
    if how == "its client is gone":
        rig.drop_client(bob.peer)
    else:
        signal = "INT" if how == "cancelled" else "KILL"
        rig.call("proc.kill", pid=bob.pid, signal=signal)
    ann.label("private")
    publish(ann, "secret")
    reply = bob.reply(number)
    assert reply is None or reply["error"]["code"] == "ECANCELED"
    assert rig.labels(bob.pid) == []


def test_is_a_number_that_never_was_refused(ann: Program, bob: Program) -> None:
    with pytest.raises(EINVAL, match="there is no 1 to go on from"):
        read(bob, 1)
    publish(ann, "a")
    with pytest.raises(EINVAL) as caught:
        read(bob, 2)
    assert caught.value.detail == {"since": 2, "latest": 1}


def test_is_a_body_that_is_too_long_refused(ann: Program, bob: Program) -> None:
    publish(ann, "x" * (MAX_MAIL - 2))
    with pytest.raises(EINVAL, match="the most is"):
        publish(ann, "x" * (MAX_MAIL - 1))
    assert read(bob, 0)["latest"] == 1


def test_is_more_than_fits_into_a_reply_left_for_the_next() -> None:
    rig = Rig()
    ann, bob = Program(rig, "ann", "ipc:*"), Program(rig, "bob", "ipc:*")
    publish(ann, *["é" * (MAX_MAIL // 2 - 1)] * 30)
    since, answers = 0, 0
    while since < 30:
        result = read(bob, since, limit=1000)
        assert result["messages"], "an empty reply would be the end of it"
        assert result["next"] == since + len(result["messages"])
        since, answers = result["next"], answers + 1
    assert answers < 30, "one at a time is too few"


def test_does_a_right_to_write_not_give_one_to_read(rig: Rig, ann: Program) -> None:
    made = rig.call("proc.adopt", name="w", capabilities={"allow": ["ipc:topic/news/*:w"]})
    publish(ann, "a")
    assert rig.call("ipc.publish", session=made["session"], topic=NEWS, body="b") == {"seq": 2}
    with pytest.raises(EPERM):
        rig.call("ipc.subscribe", session=made["session"], topic=NEWS, since=0)
    with pytest.raises(EPERM):
        rig.call("ipc.publish", session=made["session"], topic="other", body="b")


# -- bounds ------------------------------------------------------------------------------------


def test_are_only_the_last_messages_kept_and_does_the_gap_show(
    rig: Rig, ann: Program, bob: Program
) -> None:
    publish(ann, *range(1, 34))
    result = read(bob, 3)
    assert result["oldest"] > 4, "nothing shows the gap"
    assert told(result) == [(n, n) for n in range(result["oldest"], 34)]
    kept = len(result["messages"])
    assert 10 <= kept <= 11
    (rows,) = rig.store._rows("SELECT count(*) AS n FROM publications")
    assert rows["n"] == kept


def test_is_there_a_most_of_topics(rig: Rig, ann: Program, bob: Program) -> None:
    for topic in ("a", "b", "c"):
        publish(ann, 1, topic=topic)
    with pytest.raises(EQUOTA, match="there are 3 topics"):
        publish(bob, 1, topic="d")
    rig.crash()
    with pytest.raises(EQUOTA):
        publish(bob, 1, topic="d")
    assert publish(bob, 1, topic="a") == [2]


def test_does_waiting_for_a_topic_not_make_it(ann: Program, bob: Program) -> None:
    for topic in ("a", "b", "c", "d"):
        bob.start("ipc.subscribe", topic=topic)
    for topic in ("e", "f", "g"):
        publish(ann, 1, topic=topic)


# -- labels ------------------------------------------------------------------------------------


@pytest.mark.parametrize("waits", [True, False])
def test_is_a_reader_labelled_by_what_he_read(
    rig: Rig, ann: Program, bob: Program, waits: bool
) -> None:
    eve = Program(rig, "eve", "ipc:*")
    publish(ann, "plain")
    ann.label("private")
    if waits:
        number = bob.start("ipc.subscribe", topic=NEWS, since=1)
        publish(ann, "secret")
        assert bob.result(number)["messages"][0]["labels"] == ["private"]
    else:
        publish(ann, "secret")
        assert read(bob, 1)["messages"][0]["labels"] == ["private"]
    assert rig.labels(bob.pid) == ["private"]
    assert told(read(eve, 0, limit=1)) == [(1, "plain")]
    assert rig.labels(eve.pid) == [], "it read nothing that is labelled"


# -- crashes -----------------------------------------------------------------------------------


def test_does_a_topic_go_on_after_a_crash(rig: Rig, ann: Program, bob: Program) -> None:
    ann.label("private")
    publish(ann, *range(1, 35))
    before = read(bob, 0)
    rig.crash()
    assert read(bob, 0) == before
    assert publish(ann, 35) == [35]
    assert told(read(bob, 34)) == [(35, 35)]


def test_is_a_repeated_message_published_once(rig: Rig, ann: Program, bob: Program) -> None:
    first = ann.call("ipc.publish", topic=NEWS, body="once", id=900)
    rig.crash()
    assert ann.call("ipc.publish", topic=NEWS, body="once", id=900) == first
    assert told(read(bob, 0)) == [(1, "once")]


def test_does_a_reader_that_waited_go_on_after_a_crash(
    rig: Rig, ann: Program, bob: Program
) -> None:
    publish(ann, "a")
    bob.start("ipc.subscribe", topic=NEWS, since=1, id=900)
    rig.crash()
    publish(ann, "b")
    assert told(bob.call("ipc.subscribe", topic=NEWS, since=1, id=900)) == [(2, "b")]


def test_does_no_event_tell_what_was_published(rig: Rig, ann: Program, bob: Program) -> None:
    publish(ann, "a secret word", "and another")
    read(bob, 0)
    made = [event for event in rig.events if event["type"].startswith("ipc.")]
    assert [(event["type"], event["pid"]) for event in made] == [("ipc.topic", ann.pid)]
    assert "secret" not in str(rig.events)
