"""Is nothing found, or looked for, where it may not be?"""

from __future__ import annotations

import pytest

from kernel import memory
from llmagentos.abi.errors import ENODRIVER, EPERM, EQUOTA
from tests.kernel.keeping import do, spawned
from tests.kernel.meaning import Embedder, ask, keys
from tests.kernel.rig import FakeHost, Program, Rig, agent

pytestmark = pytest.mark.usefixtures("booted")


@pytest.mark.parametrize("by", ["words", "meaning", "both"])
def test_does_who_hears_that_it_is_too_much_have_the_labels_of_it(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    driver = Embedder(rig, labels=["secret"])
    for key in "ab":
        row = {"value": "dog " + "x" * 30_000, "labels": ["secret"]}
        rig.call("mem.put", space="big", key=key, **row)
    driver.catches_up()
    monkeypatch.setattr(memory, "MAX_BODY", 50_000)
    reader = Program(rig, "reader", "mem:*:rw")
    number = ask(rig, "dog", by=by, space="big", session=reader.session, peer=reader.peer)
    driver.answers()
    with pytest.raises(EQUOTA):
        rig.result(number, reader.peer)
    assert rig.labels(reader.pid) == ["secret"]


def test_does_what_a_private_process_looks_for_go_to_nobody_else(rig: Rig) -> None:
    driver = Embedder(rig)
    ann = Program(rig, "ann", "mem:notes:rw")
    rig.call("mem.put", space="notes", key="x", value="a dog")
    driver.catches_up()
    before = len(driver.orders)
    ann.label("private")
    result = ann.call("mem.search", space="notes", query="secret dog x")
    assert (result["by"], result["note"][:9]) == ("words", "ENODRIVER")
    with pytest.raises(ENODRIVER, match="may embed what this process looks for") as no:
        ann.call("mem.search", space="notes", query="hound", by="meaning")
    assert "may not see data labelled private" in no.value.hint
    assert len(driver.orders) == before
    cleared = Embedder(rig, "cleared", labels=["private"])
    number = ann.start("mem.search", space="notes", query="hound", by="meaning")
    assert [order.texts for order in cleared.orders] == [["hound"]]
    cleared.answers()
    assert keys(ann.result(number)) == ["x"]
    assert len(driver.orders) == before


@pytest.mark.parametrize("by", ["meaning", "both"])
def test_is_who_finds_labelled_rows_labelled(rig: Rig, by: str) -> None:
    driver = Embedder(rig, labels=["private"])
    ann = Program(rig, "ann", "mem:notes:rw")
    rig.call("mem.put", space="notes", key="secret", value="a dog", labels=["private"])
    rig.call("mem.put", space="notes", key="open", value="a car")
    driver.catches_up()
    number = ann.start("mem.search", space="notes", query="truck", by=by, limit=1)
    driver.answers()
    assert keys(ann.result(number)) == ["open"]
    assert rig.labels(ann.pid) == []
    number = ann.start("mem.search", space="notes", query="hound", by=by, limit=1)
    driver.answers()
    assert keys(ann.result(number)) == ["secret"]
    assert rig.labels(ann.pid) == ["private"]


def test_is_no_capability_for_a_model_needed_but_one_for_the_space(
    rig: Rig, host: FakeHost
) -> None:
    driver = Embedder(rig)
    rig.call("mem.put", space="notes", key="x", value="a dog")
    driver.catches_up()
    pid = rig.spawn(agent("reader", capabilities={"allow": ["mem:notes:r"], "deny": ["llm:vec@*"]}))
    number = host.act(pid, "mem.search", space="notes", query="hound", by="meaning")
    driver.answers()
    assert keys(host.result_of(number)) == ["x"]
    with pytest.raises(EPERM):
        do(host, pid, "mem.search", space="diary", query="hound", by="meaning")
    assert not driver.open


def test_is_nothing_found_in_what_was_revoked_meanwhile(rig: Rig, host: FakeHost) -> None:
    driver = Embedder(rig, slots=1)
    pid = spawned(rig)
    do(host, pid, "mem.put", space="notes", key="x", value="a dog")
    driver.catches_up()
    ask(rig, "busy", by="both", space="notes")
    number = host.act(pid, "mem.search", space="notes", query="hound", by="meaning")
    process = rig.machine.table.get(pid)
    process.rights = tuple(rules.with_denied(("mem:notes:r",)) for rules in process.rights)
    while driver.open:
        driver.answers()
    assert host.error_of(number)["code"] == "EPERM"
