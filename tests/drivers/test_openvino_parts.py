"""Do the OpenVINO driver and its parts keep their promises, apart from the engine?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("openvino_genai")

from drivers.models import Store, ensure
from drivers.openvino import __main__ as program
from drivers.openvino.conversion import converted
from drivers.openvino.guide import plain
from drivers.openvino.prefixes import BLOCK, Prefixes, names_of
from drivers.openvino.weights import check_architecture
from llmagentos.abi.errors import ENOSYS
from tests.drivers.questions import CLOCK, NAME, TEXTS


def test_does_a_prompt_wait_for_one_that_begins_like_it() -> None:
    first, second = list(range(3 * BLOCK)), [*range(2 * BLOCK), *[7] * BLOCK]
    prefixes = Prefixes(10)
    assert prefixes.begin(1, names_of(first))
    assert not prefixes.begin(2, names_of(second))
    assert prefixes.begin(3, names_of([9, *first]))
    prefixes.end(1, read=True)
    assert prefixes.begin(2, names_of(second))
    assert not prefixes.begin(4, names_of(second))
    prefixes.end(2, read=False)
    assert prefixes.begin(4, names_of(second))


def test_is_not_more_remembered_than_there_is_room_for() -> None:
    prefixes, prompt = Prefixes(2), names_of(list(range(4 * BLOCK)))
    assert prefixes.begin(1, prompt)
    prefixes.end(1, read=True)
    assert prefixes.begin(2, prompt)
    assert not prefixes.begin(3, prompt)


@pytest.mark.parametrize(
    "unlike",
    [
        {"model_type": "gemma"},
        {"rope_parameters": {"rope_type": "llama3"}},
        {"head_dim": 32},
        {"hidden_act": "gelu"},
    ],
)
def test_is_a_model_refused_that_would_become_another(unlike: dict[str, Any]) -> None:
    plain = {"model_type": "llama", "hidden_size": 128, "num_attention_heads": 2, "head_dim": 64}
    check_architecture(plain)
    with pytest.raises(ENOSYS, match="can't serve"):
        check_architecture(plain | unlike)


def test_is_it_registered_with_what_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[str, Any] = {}
    monkeypatch.setattr(program, "run_driver", lambda options, **more: told.update(more) or 0)
    assert program.main(["--model", NAME]) == 0
    assert [card.name for card in told["models"]] == [NAME]
    assert told["features"] == ["resume_tokens", "resume_text", "count", "tools"]


@pytest.mark.model
def test_does_the_program_serve_a_kernel(kernel: Any, run_program: Any) -> None:
    ensure(NAME)
    converted(NAME, Store.default(), lambda note, progress=None: None)  # once, and not in its time
    run_program("drivers.openvino", "--model", NAME, "--kv-bytes", str(64 * 1024**2))
    registration = kernel.hear_kind("register").body
    assert registration["features"] == ["resume_tokens", "resume_text", "count", "tools"]
    kernel.say("welcome", {"boot": 1, "beat_interval": 0.1})
    kernel.hear_state("ready", 60)
    kernel.start(1, TEXTS[0], model=NAME, sampling={"max_tokens": 8}, hold=True)
    kernel.hear_kind("report")
    kernel.say("resume", {"burst": 1, "attempt": 1})
    steps = kernel.steps(1)
    assert "Paris" in "".join(step.get("text", "") for step in steps)
    assert steps[-1]["finish"] in ("stop", "length")


def test_is_what_it_can_read_of_a_schema_kept() -> None:
    good = CLOCK[1].parameters | {"properties": {"seconds": {"type": "number", "minimum": 0}}}
    assert plain(good) == {
        "type": "object", "properties": {"seconds": {"type": "number"}},
        "required": ["seconds"], "additionalProperties": False,
    }  # fmt: skip
    ways = {"anyOf": [{"type": ["string", "null"], "format": "x"}, {"enum": [1, 2]}, 7]}
    assert plain(ways) == {"anyOf": [{"type": ["string", "null"]}, {"enum": [1, 2]}, {}]}
    assert plain({"type": "array", "items": {"$ref": "#"}}) == {"type": "array", "items": {}}
    assert plain({"type": "object", "properties": {'"': {}}}) == {"type": "object"}
    assert plain({"enum": ["\\"]}) == {}


def test_is_a_model_converted_once(tmp_path: Path, monkeypatch: Any) -> None:
    from drivers.openvino import conversion

    store = Store(tmp_path)
    folder = store.folder("some")
    folder.mkdir(parents=True)
    (folder / "llmos.json").write_text(json.dumps({}))
    made = []

    def write(model: Path, target: Path, progress: Any) -> None:
        made.append(model)
        progress(0.5)
        target.write_bytes(b"GGUF")

    monkeypatch.setattr(conversion, "write_gguf", write)
    notes: list[Any] = []
    file = converted("some", store, lambda note, progress=None: notes.append(progress))
    assert file.read_bytes() == b"GGUF"
    assert converted("some", store, lambda note, progress=None: None) == file
    assert (made, notes) == ([folder], [0.5])
