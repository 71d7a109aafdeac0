"""Does a burst that is held lose anything, gain anything, or cost anything?

What both engines promise the kernel's scheduler, and then the edge engine's answers, token by
token, when it is preempted all the time.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest

from drivers.edge.blocks import BLOCK
from drivers.edge.engine import EdgeEngine
from drivers.scripted.engine import ScriptedEngine
from llmagentos.abi.cards import ModelCard
from llmagentos.abi.errors import EBUSY, ECONTEXT, EINVAL, ENOENT
from tests.drivers.orders import TEXTS, Collected, order, reference, used

MakeEngine = Callable[[int], Any]

LONG = "one two three four five six seven eight nine ten eleven twelve"


@pytest.fixture(params=["edge", "scripted"])
def make(request: pytest.FixtureRequest) -> MakeEngine:
    """Engines of a kind, by their number of slots."""
    if request.param == "scripted":
        card = ModelCard(name="tiny", context_length=512)
        return lambda slots: ScriptedEngine(card, slots)
    tiny = request.getfixturevalue("tiny_model")
    return lambda slots: EdgeEngine(tiny, slots, chunk=16)


def undisturbed(make: MakeEngine, text: str) -> Collected:
    return Collected().start(engine := make(1), order(1, text)).run(engine)


# -- counting ---------------------------------------------------------------------------------


def test_is_a_prompt_counted_before_anything_is_spent(make: MakeEngine) -> None:
    plain, engine, got = undisturbed(make, LONG), make(1), Collected()
    got.start(engine, order(1, LONG, hold=True))
    assert got.prompt == plain.prompt
    assert got.tokens[1] == []
    assert (engine.busy, used(engine), engine.step()) == (False, (0, 0), [])
    engine.resume(1)
    got.run(engine)  # it also sees to it that the prompt's tokens are not said again
    assert (got.tokens, got.text, got.finish) == (plain.tokens, plain.text, plain.finish)


def test_does_counting_need_no_slot(make: MakeEngine) -> None:
    plain, engine, got = undisturbed(make, LONG), make(1), Collected()
    got.start(engine, order(1, LONG))
    for burst in (2, 3, 4):
        got.start(engine, order(burst, LONG, hold=True))
    got.add(engine.step())
    with pytest.raises(EBUSY):
        engine.resume(2)
    engine.preempt(1)
    for burst in (2, 3, 1, 4):
        engine.resume(burst)
        got.run(engine)
        assert got.tokens[burst] == plain.tokens[1]
        assert got.text[burst] == plain.text[1]


def test_is_a_counted_burst_forgotten_when_it_is_cancelled(make: MakeEngine) -> None:
    engine, got = make(1), Collected()
    got.start(engine, order(1, LONG, hold=True)).start(engine, order(2, LONG, hold=True))
    engine.preempt(1)  # held already
    engine.cancel(1)
    engine.resume(1)
    assert not engine.busy
    engine.clear()
    engine.resume(2)
    assert not engine.busy


def test_does_a_counted_burst_go_on_from_accepted_tokens(make: MakeEngine) -> None:
    plain, engine = undisturbed(make, LONG), make(1)
    kept = plain.tokens[1][:5]
    got = Collected(accepted=5).start(engine, order(1, LONG, accepted=kept, hold=True))
    assert got.prompt == plain.prompt
    engine.resume(1)
    got.run(engine)
    assert kept + got.tokens[1] == plain.tokens[1]
    assert plain.text[1].endswith(got.text[1])


@pytest.mark.parametrize("hold", [False, True])
def test_is_an_answer_that_was_complete_finished_at_once(make: MakeEngine, hold: bool) -> None:
    plain, engine = undisturbed(make, LONG), make(1)
    tokens = plain.tokens[1]
    got = Collected(accepted=len(tokens))
    got.start(engine, order(1, LONG, accepted=tokens, hold=hold))
    assert (got.tokens[1], got.finish, got.prompt) == ([], plain.finish, plain.prompt)
    engine.resume(1)
    assert not engine.busy


def test_is_what_is_wrong_said_instead_of_a_count(make: MakeEngine) -> None:
    engine, good = make(1), order(1, LONG, hold=True)
    with pytest.raises(ECONTEXT):
        engine.start(order(1, LONG, hold=True, max_tokens=510))
    with pytest.raises(EINVAL, match="no message"):
        engine.start(good.model_copy(update={"messages": []}))
    with pytest.raises(ENOENT, match="other"):
        engine.start(good.model_copy(update={"model": "other"}))
    engine.resume(1)
    assert not engine.busy


# -- preempting -------------------------------------------------------------------------------


def test_does_saying_it_twice_change_nothing(make: MakeEngine) -> None:
    plain, engine, got = undisturbed(make, LONG), make(2), Collected()
    got.start(engine, order(1, LONG)).start(engine, order(2, LONG))
    while 1 not in got.finish:
        got.add(engine.step())
        for command in (engine.preempt, engine.preempt, engine.resume, engine.resume):
            command(1)
    assert engine.stats.active <= 1
    got.run(engine)
    assert got.tokens[1] == got.tokens[2] == plain.tokens[1]


def test_is_a_preempted_burst_that_is_cancelled_gone(make: MakeEngine) -> None:
    engine, got = make(2), Collected()
    got.start(engine, order(1, LONG)).start(engine, order(2, "a " * 60))
    for _ in range(3):  # on the edge engine the second is in the middle of its prompt then
        got.add(engine.step())
    for burst in (1, 2):
        engine.preempt(burst)
    assert not engine.busy
    assert engine.stats.kv_bytes > 0
    for burst in (1, 2):
        engine.cancel(burst)
        engine.resume(burst)
    assert not engine.busy
    assert used(engine) == (0, 0)


@pytest.mark.parametrize("slots", [1, 3])
@pytest.mark.parametrize("chunk", [7, 256])
def test_are_answers_the_same_with_a_quantum_of_one_token(
    tiny: Any, slots: int, chunk: int
) -> None:
    """All take turns in the slots, and each is preempted after every single step."""
    engine, got = EdgeEngine(tiny, slots, chunk), Collected()
    for burst, text in enumerate(TEXTS, start=1):
        got.start(engine, order(burst, text, hold=True))
    turns = deque(range(1, len(TEXTS) + 1))
    while turns:
        running = [turns.popleft() for _ in range(min(slots, len(turns)))]
        for burst in running:
            engine.resume(burst)
        stepped = engine.step()
        assert {report.burst for report in stepped} <= set(running)
        got.add(stepped)
        for burst in running:
            engine.preempt(burst)
        turns.extend(burst for burst in running if burst not in got.finish)
    assert used(engine) == (0, 0)
    for burst, text in enumerate(TEXTS, start=1):
        assert got.tokens[burst] == reference(tiny, text)
        assert got.text[burst] == tiny.vocabulary.decode(got.tokens[burst])


def test_do_all_that_are_resumed_move_on_in_one_step(tiny: Any) -> None:
    engine, got = EdgeEngine(tiny, slots=4), Collected()
    for burst in range(1, 5):
        got.start(engine, order(burst, TEXTS[burst]))
    while len(stepped := engine.step()) < 4:
        got.add(stepped)
    for command in (engine.preempt, engine.resume):
        for burst in range(1, 5):
            command(burst)
    assert sorted(len(report.tokens) for report in engine.step()) == [1, 1, 1, 1]


def test_is_no_token_of_a_prompt_read_twice(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, read = EdgeEngine(tiny, slots=1, chunk=16), []
    forward = engine._runner.forward

    def watched(decoding: Any, reading: Any) -> Any:
        read.append(len(decoding) + sum(count for _, count in reading))
        return forward(decoding, reading)

    monkeypatch.setattr(engine._runner, "forward", watched)
    got = Collected().start(engine, order(1, "a " * 100))
    while 1 not in got.finish:
        got.add(engine.step())
        engine.preempt(1)
        engine.resume(1)
    # every token of the prompt, and every one of the answer but the last, which nothing follows
    assert sum(read) == got.prompt[1] + len(got.tokens[1]) - 1


@pytest.mark.parametrize("seed", range(3))
def test_is_no_answer_hurt_by_what_happens_to_the_others(tiny: Any, seed: int) -> None:
    """Counted, run, preempted, resumed and cancelled at random, with many more than slots."""
    rng, slots = random.Random(seed), 3
    engine, got = EdgeEngine(tiny, slots, chunk=16), Collected()
    texts = {burst: TEXTS[burst % len(TEXTS)] for burst in range(1, 25)}
    for burst, text in texts.items():
        got.start(engine, order(burst, text, hold=True))
    running: set[int] = set()
    held, cancelled = set(texts), set()
    while running or held:
        for burst in sorted(running):
            if rng.random() < 0.3:
                engine.preempt(burst)
                running.discard(burst)
                held.add(burst)
        for burst in rng.sample(sorted(held), min(len(held), slots - len(running))):
            engine.resume(burst)
            held.discard(burst)
            running.add(burst)
        if rng.random() < 0.03:
            burst = rng.choice(sorted(running | held))
            engine.cancel(burst)
            running.discard(burst)
            held.discard(burst)
            cancelled.add(burst)
        stepped = engine.step()
        assert {report.burst for report in stepped} <= running
        got.add(stepped)
        running -= got.finish.keys()
    assert used(engine) == (0, 0)
    assert cancelled
    expected = {text: reference(tiny, text) for text in TEXTS}
    for burst, text in texts.items():
        heard = got.tokens[burst]
        assert heard == expected[text][: len(heard) if burst in cancelled else None]


def test_does_the_card_say_what_a_token_takes(tiny: Any) -> None:
    engine = EdgeEngine(tiny, slots=1)
    got = Collected().start(engine, order(1, "the quick brown fox"))
    got.add(engine.step())
    engine.preempt(1)  # its KV is as long as its prompt now, or ends with the block
    (card,) = engine.models
    tokens = engine.stats.kv_bytes / card.kv_bytes_per_token
    assert got.prompt[1] <= tokens < got.prompt[1] + BLOCK
    assert card.price is not None
    assert (card.price.prompt, card.price.completion) == (0, 0)
