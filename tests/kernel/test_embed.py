"""Are vectors made where they may be made, and of what they were asked for?"""

from typing import Any

import pytest

from kernel.ledger import Account
from llmagentos.abi.errors import ECONTEXT, EDRIVER, ENODRIVER, EPERM
from tests.kernel.calling import ann, rig
from tests.kernel.embedding import answer, card, embed, embedder, orders
from tests.kernel.rig import Program, Rig, agent

__all__ = ["ann", "rig"]  # fixtures

# -- making vectors ----------------------------------------------------------------------------


def test_are_there_as_many_vectors_as_texts(rig: Rig, ann: Program) -> None:
    driver = embedder(rig)
    number = embed(ann, "one", "two", model="vec")
    (order,) = orders(driver)
    assert (order.texts, order.model, order.pid) == (["one", "two"], "vec", ann.pid)
    assert rig.state(ann.pid) == "WAITING(llm)"
    driver.result(order, vectors=[[0.5, 1], [2.0, -0.25]], tokens=2)
    assert ann.result(number) == {"model": "vec", "vectors": [[0.5, 1.0], [2.0, -0.25]]}
    assert rig.state(ann.pid) == "READY"


@pytest.mark.parametrize(
    "wrong",
    [
        {"vectors": [[1.0]]},
        {"vectors": [[1.0], [1.0, 2.0]]},
        {"vectors": [[], []]},
        {"vectors": []},
        {},
        {"vectors": [[1.0], [2.0]], "tokens": 10_000},
        {"vectors": [[1.0], [float("nan")]]},
    ],
)
def test_is_anything_else_an_error_of_the_driver(
    rig: Rig, ann: Program, wrong: dict[str, Any]
) -> None:
    driver = embedder(rig)
    number = embed(ann, "one", "two")
    driver.result(orders(driver)[0], **wrong)
    with pytest.raises(EDRIVER):
        ann.result(number)


def test_does_an_error_of_the_driver_reach_the_caller(rig: Rig, ann: Program) -> None:
    driver = embedder(rig)
    number = embed(ann)
    driver.result(orders(driver)[0], error={"code": "ECONTEXT", "message": "too long"})
    with pytest.raises(ECONTEXT, match="too long"):
        ann.result(number)


def test_are_texts_refused_that_fit_into_no_order(rig: Rig, ann: Program) -> None:
    driver = embedder(rig)
    texts = ["y" * 1_000_000] * 4
    with pytest.raises(ECONTEXT, match="the most is"):
        ann.call("llm.embed", texts=[*texts, "y" * 150_000])
    embed(ann, *texts, "y" * 100_000)
    assert len(orders(driver)) == 1


def test_does_the_death_of_the_driver_end_it(rig: Rig, ann: Program) -> None:
    driver = embedder(rig)
    number = embed(ann, id=900)
    driver.die()
    with pytest.raises(EDRIVER, match="died while it worked on model vec"):
        ann.result(number)
    driver.register()
    rig.wait(1)
    embed(ann, id=900)
    answer(driver, orders(driver)[0])
    assert ann.result(number), "vectors do no harm when they are made twice"


def test_is_work_that_nobody_waits_for_aborted(rig: Rig, ann: Program) -> None:
    driver = embedder(rig)
    embed(ann)
    rig.drop_client(ann.peer)
    assert driver.aborted == [orders(driver)[0].job]
    assert rig.state(ann.pid) == "READY"


# -- where -------------------------------------------------------------------------------------


def test_is_a_model_that_nobody_offers_refused(rig: Rig, ann: Program) -> None:
    with pytest.raises(ENODRIVER, match="no driver embeds"):
        ann.call("llm.embed", texts=["x"])
    embedder(rig)
    rig.driver("chat", models=[card("chat", embeds=False)], features=["embed"])
    rig.driver("mute", models=[card("mute")])
    for name in ("chat", "mute", "nope"):
        with pytest.raises(ENODRIVER, match=f"no driver offers the embedding model {name}") as no:
            ann.call("llm.embed", texts=["x"], model=name)
        assert "offered are vec;" in no.value.hint


def test_may_a_driver_be_late_at_the_boot() -> None:
    rig = Rig()
    ann = Program(rig, "ann", "*")
    named, any, never = embed(ann, model="b"), embed(ann), embed(ann, model="nope")
    driver = embedder(rig, "d", card("b"), card("a"))
    assert [order.model for order in orders(driver)] == ["b", "a"]
    for order in orders(driver):
        answer(driver, order)
    assert ann.result(named)["model"] == "b"
    assert ann.result(any)["model"] == "a", "the first by name"
    rig.wait(rig.config.boot_patience + 1)
    with pytest.raises(ENODRIVER):
        ann.result(never)


def test_is_the_first_model_that_it_may_have_the_default(rig: Rig) -> None:
    embedder(rig, "x", card("a"), card("b"))
    driver = embedder(rig, "y", card("c"), card("b"), card("a"), slots=1)
    embedder(rig, "z", card("B")).die()
    embedder(rig, "a", card("c"))
    bob = Program(rig, "bob", "llm:m", "llm:b@y", "llm:B", "llm:c")
    for _ in range(2):
        embed(bob)
    answer(driver, orders(driver)[0])
    assert [order.model for order in orders(driver)] == ["b", "b"], "a full one is waited for"


def test_is_private_data_kept_from_a_driver_that_may_not_see_it(rig: Rig, ann: Program) -> None:
    cloud = embedder(rig, "cloud", kind="cloud", zone="cloud", labels=["private"])
    ann.label("private")
    with pytest.raises(ENODRIVER, match="no driver may run any embedding model") as caught:
        ann.call("llm.embed", texts=["x"])
    assert "is not on this device" in caught.value.hint
    home = embedder(rig, "home", labels=["private"])
    embed(ann)
    assert (len(orders(cloud)), len(orders(home))) == (0, 1)


def test_is_a_place_that_the_manifest_rules_out_not_used(rig: Rig) -> None:
    embedder(rig, "cloud", kind="cloud")
    host = rig.host()
    spec = {"placement": {"allow": ["edge"]}, "capabilities": {"allow": ["llm:*"]}}
    pid = rig.spawn(agent(**spec))
    reply = host.reply(host.act(pid, "llm.embed", texts=["x"], model="vec"))
    assert reply is not None
    assert reply["error"]["code"] == "ENODRIVER"
    assert "cloud is cloud" in reply["error"]["hint"]


def test_is_a_driver_used_only_by_those_who_may(rig: Rig) -> None:
    embedder(rig, "far")
    bob = Program(rig, "bob", "llm:vec@near")
    with pytest.raises(ENODRIVER) as caught:
        bob.call("llm.embed", texts=["x"], model="vec")
    assert "far is denied by the capabilities" in caught.value.hint
    near = embedder(rig, "near")
    embed(bob, model="vec")
    assert len(orders(near)) == 1
    with pytest.raises(EPERM):
        bob.call("llm.embed", texts=["x"], model="other")


def test_is_what_was_revoked_while_it_waited_not_used(rig: Rig, ann: Program) -> None:
    driver = embedder(rig, slots=1)
    bob = Program(rig, "bob", "*")
    embed(ann)
    waiting = embed(bob)
    process = rig.machine.table.get(bob.pid)
    process.rights = tuple(rules.with_denied(("llm:*",)) for rules in process.rights)
    answer(driver, orders(driver)[0])
    with pytest.raises(ENODRIVER):
        bob.result(waiting)
    assert len(orders(driver)) == 1
    assert bob.account("tokens") == Account()


def test_does_one_that_drains_get_nothing_new(rig: Rig, ann: Program) -> None:
    driver = embedder(rig)
    rig.call("drv.drain", name="vectors")
    with pytest.raises(ENODRIVER, match="no driver for model vec is up") as caught:
        ann.call("llm.embed", texts=["x"], model="vec")
    assert "is draining" in caught.value.hint
    with pytest.raises(ENODRIVER, match="no driver for an embedding model is up"):
        ann.call("llm.embed", texts=["x"])
    assert not orders(driver)
