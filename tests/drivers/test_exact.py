"""Are the tokens those of ``generate``, whatever happens to 64 sequences?"""

from __future__ import annotations

from typing import Any

import pytest

from drivers.edge.loader import load_model
from tests.campaigns.exact import TRIALS, Answers, Trial, prompts, wrong


@pytest.fixture(scope="module")
def trial(tiny_model: Any, tmp_path_factory: pytest.TempPathFactory) -> Trial:
    folder = tmp_path_factory.mktemp("model")
    tiny_model.model.save_pretrained(folder)
    tiny_model.tokenizer.save_pretrained(folder)
    loaded = load_model("tiny", folder, "float32", "cpu")
    texts = prompts(64, seed=7, words=40)
    archive = tmp_path_factory.mktemp("archive")
    return Trial(loaded, folder, archive, texts, tokens=24, seed=7, words=40)


@pytest.fixture(scope="module")
def right(trial: Trial) -> Answers:
    return trial.generated()


@pytest.mark.parametrize("name", TRIALS)
def test_are_all_64_answers_right(name: str, trial: Trial, right: Answers) -> None:
    assert wrong(right, TRIALS[name](trial)) == []
