"""Does a repeated call get the first result, and take effect once?"""

import pytest

from kernel.config import Config
from kernel.table import digest
from llmagentos.abi.errors import EPROTO
from tests.kernel.rig import MODEL, Rig, agent


def test_is_a_repeated_spawn_one_process(rig: Rig) -> None:
    first = rig.call("proc.spawn", manifest=agent(), id=77)
    again = rig.call("proc.spawn", manifest=agent(), id=77)
    assert again == first
    rig.crash()
    assert rig.call("proc.spawn", manifest=agent(), id=77) == first
    assert len(rig.machine.table) == 2


@pytest.mark.parametrize("name", [None, "collector"])
def test_is_a_repeated_adoption_one_process_with_one_session(rig: Rig, name: str | None) -> None:
    first = rig.call("proc.adopt", name=name, id=77)
    assert rig.call("proc.adopt", name=name, id=77) == first
    rig.crash()
    assert rig.call("proc.adopt", name=name, id=77) == first
    assert rig.call("proc.info", session=first["session"])["process"]["pid"] == first["pid"]
    assert len(rig.machine.table) == 2
    if name:
        later = rig.call("proc.adopt", name=name, id=78)
        assert later["resumed"]
        assert not first["resumed"]
        assert rig.call("proc.adopt", name=name, id=78) == later


def test_does_a_program_that_came_back_anew_end_the_calls_of_before(rig: Rig) -> None:
    rig.driver()
    old = rig.call("proc.adopt", name="collector", peer=b"old")["session"]
    taken = rig.send("ipc.recv", session=old, peer=b"old", timeout=60.0)
    said = [{"role": "user", "content": "x"}]
    asked = rig.send("llm.generate", session=old, peer=b"old", messages=said, append=True)
    new = rig.call("proc.adopt", name="collector", peer=b"new")
    rig.call("ipc.send", pid=new["pid"], body="for whom?")
    for number in (taken, asked):
        reply = rig.reply(number, b"old")
        assert reply is not None
        assert reply["error"]["code"] == "ECANCELED"
    got = rig.call("ipc.recv", session=new["session"], peer=b"new")["mail"]
    assert [letter["body"] for letter in got] == ["for whom?"]


def test_do_two_shells_with_one_key_not_get_each_others_replies(rig: Rig) -> None:
    first = rig.call("proc.spawn", manifest=agent(), id=77, peer=b"one")
    second = rig.call("proc.spawn", manifest=agent(), id=77, peer=b"two")
    assert first != second


def test_does_a_session_have_its_ids_to_itself_on_any_connection(rig: Rig) -> None:
    _, session = rig.program("collector")
    message = [{"role": "user", "content": "once"}]
    options = {"session": session, "id": 5, "messages": message}
    first = rig.call("ctx.append", peer=b"prog", **options)
    assert rig.call("ctx.append", peer=b"elsewhere", **options) == first
    assert len(rig.call("ctx.read", session=session)["messages"]) == 1


def test_does_a_repeat_of_a_call_in_flight_join_it(rig: Rig) -> None:
    driver = rig.driver()
    _, session = rig.program("collector")
    said = [{"role": "user", "content": "hi"}]
    options = {"session": session, "id": 9, "messages": said, "stream": True}
    rig.send("llm.generate", peer=b"before", **options)
    driver.report(driver.started[0], "one ", prompt=1)
    rig.send("llm.generate", peer=b"after", **options)
    assert rig.streamed(9, b"after") == "one "
    driver.report(driver.started[0], "two", index=1, finish="stop")
    assert len(driver.started) == 1
    assert rig.reply(9, b"after") is not None
    assert rig.reply(9, b"before") is None


def test_is_a_call_that_died_with_the_kernel_done_when_repeated(rig: Rig) -> None:
    rig.driver()
    _, session = rig.program("collector")
    options = {"session": session, "id": 9, "messages": [{"role": "user", "content": "hi"}]}
    rig.send("llm.generate", **options)
    rig.beating.clear()
    rig.crash()
    driver = rig.driver()
    rig.send("llm.generate", **options)
    driver.answer("again")
    reply = rig.reply(9)
    assert reply is not None
    assert reply["result"]["text"] == "again"


def test_are_old_replies_let_go() -> None:
    rig = Rig(Config(default_model=MODEL, replays_kept=3))
    _, session = rig.program("collector")
    for number in range(1, 201):
        said = [{"role": "user", "content": str(number)}]
        rig.call("ctx.append", session=session, id=number, messages=said)
    (kept,) = rig.store._rows("SELECT count(*) AS n FROM replays")
    assert 3 <= kept["n"] < 3 + 64, "they go in blocks"
    rig.crash()
    found = [n for n in range(1, 201) if rig.machine.replays.find(digest(session), n)]
    assert found == [198, 199, 200]


def test_is_an_id_that_is_used_for_another_call_refused(rig: Rig) -> None:
    pid = rig.call("proc.spawn", manifest=agent(), id=77)["pid"]
    with pytest.raises(EPROTO, match=r"used for proc\.spawn before"):
        rig.call("proc.kill", pid=pid, id=77)
