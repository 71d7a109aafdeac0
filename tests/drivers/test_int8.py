"""Are activations in 8 bits near enough to the model, told apart from it, and only where asked?"""

from __future__ import annotations

import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.nn.functional import cosine_similarity

from drivers.edge import runners
from drivers.edge.attention import Span, Step
from drivers.edge.blocks import BLOCK
from drivers.edge.engine import EdgeEngine
from drivers.edge.int8 import Int8Linear, fits, rounded
from drivers.edge.llama import Llama
from drivers.edge.pool import Pool
from drivers.edge.runners import make_runner
from llmagentos.abi.errors import EINVAL, ENOSYS
from llmagentos.home import Home
from shell.config import load
from tests.drivers.orders import TEXTS, Collected, order, used

able = pytest.mark.skipif(not fits(torch.device("cpu")), reason="this CPU has no VNNI")


def logits(llama: Llama, tokens: list[int]) -> torch.Tensor:
    """After each of these: [tokens, vocabulary]."""
    blocks = range(-(-len(tokens) // BLOCK))
    pool = Pool(llama.shape, len(blocks), llama.dtype, llama.device)
    step, places = Step(pool, [], [Span(blocks, 0, len(tokens))]), torch.arange(len(tokens))
    return llama.forward(torch.tensor(tokens), places, step, places).float()


@able
@pytest.mark.parametrize("rows", [1, 2, 33])
def test_is_a_product_what_it_would_be_but_for_rounding(rows: int) -> None:
    torch.manual_seed(1)
    weight, bias, x, add = (torch.randn(*s) for s in ((96, 48), (96,), (rows, 48), (rows, 96)))
    x *= 10.0 ** torch.randn(rows, 1)  # each has a scale of its own
    product = Int8Linear([weight[:40], weight[40:]], [bias[:40], bias[40:]])
    exact = x @ weight.T
    error = (product(x, add.clone()) - add - bias - exact).norm(dim=1) / exact.norm(dim=1)
    assert error.max() < 0.02
    assert torch.equal(product(x[-1:]), product(x)[-1:]), "it depends on the other rows"


@able
def test_are_rows_without_numbers_and_the_largest_sums_kept() -> None:
    x = torch.ones(4, 512)
    x[1], x[2, 3], x[3] = 0, float("nan"), -1
    result = Int8Linear([torch.ones(16, 512)])(x)
    assert torch.allclose(result[0], torch.tensor(512.0))
    assert torch.equal(result[1], torch.zeros(16))
    assert result[2].isnan().all()
    assert torch.allclose(result[3], torch.tensor(-512.0)), "sums were cut off"
    assert rounded(x).whole[0].tolist() == [255] * 512


@able
def test_are_logits_near_and_the_fingerprint_another(tiny_model: Any) -> None:
    tokens = tiny_model.tokenizer("the quick brown fox jumps over the lazy dog")["input_ids"]
    exact, whole = Llama(tiny_model.model), Llama(tiny_model.model, activations="int8")
    assert exact.fingerprint != whole.fingerprint
    likeness = cosine_similarity(logits(exact, tokens), logits(whole, tokens))
    assert likeness.min() > 0.98


@able
def test_do_sequences_in_8_bits_come_and_go_as_others_do(tiny_model: Any) -> None:
    engine = EdgeEngine(tiny_model, 8, runner=make_runner(tiny_model, 8, activations="int8"))
    for burst, text in enumerate(TEXTS, start=1):
        engine.start(order(burst, text))
    got = Collected().run(engine)
    assert set(got.finish) == set(range(1, 9))
    assert set(got.finish.values()) <= {"length", "stop"}
    assert used(engine) == (0, 0)


def test_are_they_refused_where_they_can_not_be_computed(
    tiny_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runners, "int8_fits", lambda device: False)
    with pytest.raises(ENOSYS, match="this device"):
        make_runner(tiny_model, 1, activations="int8")
    monkeypatch.setattr("drivers.edge.llama.fits", lambda model: False)
    with pytest.raises(ENOSYS, match="LlamaForCausalLM"):
        make_runner(tiny_model, 1, activations="int8")


def test_are_they_a_setting_of_edge_drivers_only(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.config.write_text("drivers: [{name: a, activations: int8}]\n")
    assert "--activations int8" in " ".join(load(home).programs()[0].command)
    home.config.write_text("drivers: [{name: a, kind: openvino, activations: int8}]\n")
    with pytest.raises(EINVAL, match="activations"):
        load(home)


def test_does_the_program_pass_them_on(monkeypatch: pytest.MonkeyPatch) -> None:
    from drivers.edge import __main__ as program

    told = SimpleNamespace()
    monkeypatch.setattr(program, "run_driver", lambda options, **_: vars(told).update(o=options))
    program.main(["--model", "m"])
    assert told.o.activations == "float"
    program.main(["--model", "m", "--activations", "int8"])
    assert told.o.activations == "int8"


# -- the default in bf16 ----------------------------------------------------------------------


@pytest.fixture
def tiny_bf16(tiny_model: Any) -> Any:
    model = copy.deepcopy(tiny_model.model).bfloat16()
    return SimpleNamespace(
        model=model,
        tokenizer=tiny_model.tokenizer,
        card=tiny_model.card,
        vocabulary=tiny_model.vocabulary,
    )


@pytest.mark.parametrize("activations", ["float", pytest.param("int8", marks=able)])
def test_is_a_burst_that_was_preempted_the_same_in_the_same_company(
    tiny_bf16: Any, tmp_path: Path, activations: Any
) -> None:
    """All are held in the middle of their answers, at once, and go on at once: whoever was beside
    them in a step is so again. Then the same is computed, to the last bit of each probability."""

    def answers(stops: set[int]) -> dict[int, list[float]]:
        folder = tmp_path / str(len(stops))
        runner = make_runner(tiny_bf16, 8, folder=folder, activations=activations)
        engine = EdgeEngine(tiny_bf16, 8, runner=runner)
        for burst in range(1, 9):
            engine.start(order(burst, f"the quick brown fox {'jumps ' * 80}{burst}", logprobs=0))
        got: dict[int, list[float]] = {burst: [] for burst in range(1, 9)}
        steps = 0
        while engine.busy:
            for report in engine.step():
                got[report.burst] += [one.logprob for one in report.logprobs or ()]
            steps += 1
            if steps in stops:
                for burst in range(1, 9):
                    engine.preempt(burst)
                assert engine.step() == []
                for burst in range(1, 9):
                    engine.resume(burst)
        return got

    assert answers({7, 12, 19}) == answers(set())


@able
@pytest.mark.model
@pytest.mark.timeout(600)
def test_does_the_real_model_say_nearly_the_same() -> None:
    from drivers.edge.loader import load_model
    from drivers.models import ensure

    name = "smollm2-135m-instruct"
    torch.set_num_threads(1)  # as for the small one: another test has the other processor
    loaded = load_model(name, ensure(name), "bfloat16")
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    tokens = loaded.tokenizer(text)["input_ids"][:256]
    exact = logits(Llama(loaded.model), tokens)
    whole = logits(Llama(loaded.model, activations="int8"), tokens)
    assert (exact.argmax(-1) == whole.argmax(-1)).float().mean() > 0.8
    assert (exact - whole)[1:].abs().mean() < 0.5
    assert cosine_similarity(exact, whole).mean() > 0.99
