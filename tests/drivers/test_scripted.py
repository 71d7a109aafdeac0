"""Does the scripted driver offer what it is told to, so that the kernel can be tested with it?"""

from __future__ import annotations

import math
import subprocess
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from drivers.scripted.answer import KV_PER_TOKEN
from drivers.scripted.engine import ScriptedEngine
from llmagentos.abi.cards import ModelCard
from llmagentos.abi.driver import Registration

RunHost = Callable[..., SimpleNamespace]
RunProgram = Callable[..., "subprocess.Popen[str]"]
CARD = ModelCard(name="fake-model", context_length=100)


def embedder() -> ScriptedEngine:
    card = ModelCard(name="scripted-embed", context_length=100, embeds=True)
    return ScriptedEngine(CARD, 2, embedder=card)


@pytest.mark.parametrize(
    ("options", "price"),
    [
        ([], {"prompt": 0.0, "completion": 0.0}),
        (["--price-prompt", "1.5", "--price-completion", "6"], {"prompt": 1.5, "completion": 6.0}),
        (["--no-price"], None),
    ],
)
def test_does_its_card_say_what_it_costs(
    kernel: Any, run_program: RunProgram, options: list[str], price: Any
) -> None:
    run_program("drivers.scripted", "--model", "fake-model", *options)
    registration = Registration.model_validate(kernel.admit().body)
    (card,) = registration.models
    assert (card.price.model_dump() if card.price else None) == price
    assert card.kv_bytes_per_token == KV_PER_TOKEN
    assert registration.features == ["preempt", "resume_tokens", "resume_text", "count", "tools"]
    beaten = next(m.body for m in kernel.seen if m.kind == "beat" and m.body.get("models"))
    assert beaten["models"] == kernel.seen[0].body["models"]


@pytest.mark.parametrize(
    "option", ["--price-prompt=-1", "--price-completion=nan", "--model=a b", "--slots=0"]
)
def test_is_a_bad_option_said_in_a_sentence(run_program: RunProgram, option: str) -> None:
    program = run_program("drivers.scripted", "--model", "fake-model", option)
    _, log = program.communicate(timeout=20)
    assert program.returncode == 2
    assert "bad option: " in log
    assert "Traceback" not in log


def test_does_it_embed_when_it_is_told_to(kernel: Any, run_program: RunProgram) -> None:
    run_program("drivers.scripted", "--model", "fake-model", "--embeds", "--embed-model", "vec")
    registration = Registration.model_validate(kernel.admit().body)
    assert "embed" in registration.features
    assert [(card.name, card.embeds) for card in registration.models] == [
        ("fake-model", False),
        ("vec", True),
    ]
    order = {"job": 1, "pid": 2, "model": "vec", "texts": ["the brown fox", "a dog"]}
    kernel.say("embed", order)
    result = kernel.result(1)
    assert result["tokens"] == 5
    assert len(result["vectors"]) == 2
    kernel.say("embed", order | {"job": 2, "model": "fake-model"})
    assert kernel.result(2)["error"]["code"] == "ENOENT"
    kernel.start(3, "x", model="vec")
    assert kernel.steps(3)[0]["error"]["code"] == "ENOENT"


def test_does_an_engine_that_cannot_embed_say_so(kernel: Any, run_host: RunHost) -> None:
    run_host()
    kernel.admit()
    kernel.say("embed", {"job": 1, "pid": 2, "model": "scripted-embed", "texts": ["a"]})
    assert kernel.result(1)["error"]["code"] == "ENOENT"

    class Deaf:
        """An engine of another kind: without ``embed``."""

        models, busy, stats = (CARD,), False, None

        def clear(self) -> None:
            pass

    run_host(lambda announce: Deaf())
    kernel.admit()
    kernel.say("embed", {"job": 2, "pid": 2, "model": "scripted-embed", "texts": ["a"]})
    error = kernel.result(2)["error"]
    assert (error["code"], "embeds" in error["message"]) == ("ENOENT", True)


def test_are_a_few_vectors_for_many_texts_an_error(
    kernel: Any, run_host: RunHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = [[1.0]]
    monkeypatch.setattr(ScriptedEngine, "embed", lambda *_: (vectors, 1))
    run_host()
    kernel.admit()
    kernel.say("embed", {"job": 1, "pid": 2, "model": "m", "texts": ["a", "b"]})
    error = kernel.result(1)["error"]
    assert (error["code"], "1 vectors for 2" in error["message"]) == ("EDRIVER", True)
    vectors.append([float("nan")])
    kernel.say("embed", {"job": 2, "pid": 2, "model": "m", "texts": ["a", "b"]})
    error = kernel.result(2)["error"]
    assert (error["code"], "vectors.1.0" in error["message"]) == ("EDRIVER", True)


def test_are_its_vectors_of_length_one_and_the_same_everywhere() -> None:
    texts = ["", "fox", "the quick brown fox", "ünï 🙂", "fox " * 500]
    vectors, _ = embedder().embed("scripted-embed", texts)
    assert all(math.hypot(*vector) == pytest.approx(1) for vector in vectors)
    assert embedder().embed("scripted-embed", texts[::-1])[0] == vectors[::-1]
    # Fixed: a kernel keeps vectors for longer than one driver lives.
    assert vectors[1][:3] == pytest.approx([-0.013197001982, -0.085180649155, 0.303531045529])


def test_are_texts_that_share_words_near_each_other() -> None:
    texts = ["the quick brown fox", "The brown fox sleeps", "seven ships on stormy seas"]
    (one, two, three), tokens = embedder().embed("scripted-embed", texts)
    assert tokens == 13
    assert sum(a * b for a, b in zip(one, two, strict=True)) > 0.5
    assert abs(sum(a * b for a, b in zip(one, three, strict=True))) < 0.5


def test_does_its_kv_begin_with_the_first_word() -> None:
    from tests.drivers.orders import order

    engine = ScriptedEngine(ModelCard(name="tiny", context_length=100), 2)
    engine.start(order(1, "a b c"))
    engine.start(order(2, "a b c", hold=True))
    assert engine.stats[:2] == (1, 0)
    engine.step()
    assert engine.stats[:2] == (1, 4 * KV_PER_TOKEN)
    engine.preempt(1)
    assert engine.stats[:2] == (0, 4 * KV_PER_TOKEN)
