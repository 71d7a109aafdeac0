"""Does the sampler draw what was asked for, and the same everywhere?"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch

from drivers.edge.sampler import choose, uniform
from llmagentos.abi.errors import EDRIVER
from llmagentos.abi.manifest import Sampling

LOGITS = torch.tensor([1.0, 3.0, 2.0, -1.0, 2.5, 0.0])


def draw(index: int, *, seed: int = 11, logits: torch.Tensor = LOGITS, **sampling: Any) -> int:
    return choose(logits, Sampling(**sampling), seed=seed, index=index)


@pytest.mark.parametrize(
    "sampling",
    [
        {},
        {"temperature": 2.0, "top_k": 1},
        {"temperature": 2.0, "top_p": 1e-9},
        {"temperature": 1e-9},
        {"temperature": 1e-300},
    ],
)
def test_is_the_likeliest_token_chosen(sampling: dict[str, Any]) -> None:
    assert {draw(index, **sampling) for index in range(50)} == {1}


def test_does_it_draw_with_the_model_s_probabilities() -> None:
    count = 4000
    drawn = Counter(draw(index, temperature=1.5) for index in range(count))
    for token, share in enumerate(torch.softmax(LOGITS / 1.5, 0).tolist()):
        assert drawn[token] / count == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize(("top_k", "top_p"), [(3, 1.0), (0, 0.7), (0, 0.95), (4, 0.8), (2, 0.9)])
def test_does_it_keep_the_tokens_that_transformers_keeps(top_k: int, top_p: float) -> None:
    from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

    scores = TemperatureLogitsWarper(1.2)(None, LOGITS[None])
    if top_k:
        scores = TopKLogitsWarper(top_k)(None, scores)
    if top_p < 1:
        scores = TopPLogitsWarper(top_p)(None, scores)
    kept = {token for token, score in enumerate(scores[0].tolist()) if score != -float("inf")}
    drawn = {draw(i, temperature=1.2, top_k=top_k, top_p=top_p) for i in range(600)}
    assert drawn == kept


def test_is_a_draw_a_function_of_seed_and_index_alone() -> None:
    forwards = [draw(index, temperature=3.0) for index in range(40)]
    backwards = [draw(index, temperature=3.0) for index in reversed(range(40))]
    assert forwards == backwards[::-1]
    assert forwards != [draw(index, temperature=3.0, seed=12) for index in range(40)]


def test_are_the_random_numbers_those_of_every_other_machine() -> None:
    # Fixed for ever: a driver of another version must go on with the same tokens.
    assert uniform(0, 0) == 0.0564663990004608
    assert all(0 <= uniform(2**63 - 1, index) < 1 for index in range(1000))


def test_are_logits_that_are_no_numbers_an_error() -> None:
    with pytest.raises(EDRIVER, match="finite"):
        draw(0, logits=torch.full((6,), float("nan")))


def test_does_min_p_keep_the_tokens_that_transformers_keeps() -> None:
    from transformers import MinPLogitsWarper, TemperatureLogitsWarper

    for floor in (0.05, 0.3, 0.9, 1.0):
        scores = TemperatureLogitsWarper(1.2)(None, LOGITS[None])
        scores = MinPLogitsWarper(floor)(None, scores)
        kept = {token for token, score in enumerate(scores[0].tolist()) if score != -float("inf")}
        assert {draw(i, temperature=1.2, min_p=floor) for i in range(600)} == kept


@pytest.mark.parametrize("penalty", [0.5, 1.3, 4.0])
def test_is_repetition_penalized_as_in_transformers(penalty: float) -> None:
    from transformers import RepetitionPenaltyLogitsProcessor

    prompt, answer = [1, 3], [4, 4]
    processor = RepetitionPenaltyLogitsProcessor(penalty)
    scores = processor(torch.tensor([prompt + answer]), LOGITS[None].clone())
    sampling = Sampling(repetition_penalty=penalty)
    got = choose(LOGITS, sampling, seed=1, index=2, prompt=prompt, answer=answer)
    assert got == int(scores[0].argmax())


def test_do_penalties_count_the_answer_only() -> None:
    def best(answer: list[int], **sampling: float) -> int:
        return choose(LOGITS, Sampling(**sampling), seed=1, index=0, prompt=[1], answer=answer)

    assert best([], presence_penalty=2.0) == 1
    assert best([1], presence_penalty=0.4) == 1
    assert best([1], presence_penalty=0.6) == 4
    assert best([1, 1], frequency_penalty=0.2) == 1
    assert best([1, 1, 1], frequency_penalty=0.2) == 4
    assert best([5], presence_penalty=-2.0) == 1
    assert best([4], presence_penalty=-2.0) == 4


def test_is_only_chosen_what_is_allowed() -> None:
    allowed = torch.tensor([True, False, False, True, False, False])
    sampling = Sampling(temperature=2.0)
    drawn = {choose(LOGITS, sampling, seed=3, index=i, allowed=allowed) for i in range(200)}
    assert drawn == {0, 3}
    with pytest.raises(EDRIVER):
        choose(LOGITS, sampling, seed=3, index=0, allowed=torch.zeros(6, dtype=torch.bool))
