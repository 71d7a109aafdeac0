"""Whether the manifests that come with the system are fit for use."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from llmagentos.abi.manifest import DEFAULT_MODEL, Manifest

FOLDER = Path(__file__).parents[2] / "manifests"
NAMES = ("codegen", "dialogue", "summarise", "translate")
"""Those that answer once; ``assistant`` goes on."""
PLACES = ("cloud-first", "edge-only", "private")
"""Those that show where an agent's model may run."""
PROGRAMS = {
    "research-team": ("research-worker", "research-critic"),
    "translate-then-summarise": ("translate", "summarise"),
}
"""Those with a program, and whom they start."""


def document(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    return loaded


def test_are_these_all_that_there_are() -> None:
    assert {file.stem for file in FOLDER.glob("*.yaml")} == {
        *NAMES, *PLACES, *PROGRAMS, *PROGRAMS["research-team"], "assistant",
    }  # fmt: skip
    assert {file.stem for file in (FOLDER / "samples").iterdir()} == set(NAMES)


@pytest.mark.parametrize("name", PLACES)
def test_does_a_manifest_say_where_its_model_may_run(name: str) -> None:
    spec = Manifest.model_validate(document(name)).spec
    assert {"placement", "labels"} & spec.model_fields_set
    assert spec.limits.tokens is not None
    assert spec.limits.wall is not None


@pytest.mark.parametrize("name", PROGRAMS)
def test_may_a_program_start_those_that_it_needs(name: str) -> None:
    spec = Manifest.model_validate(document(name)).spec
    assert spec.program is not None
    assert spec.program[:2] == ["python", "-m"]
    assert find_spec(spec.program[2]) is not None
    assert spec.capabilities.allow == ["proc:spawn"]
    assert spec.limits.children is not None
    assert spec.limits.tokens is not None
    for child in PROGRAMS[name]:
        given = Manifest.model_validate(document(child)).spec
        assert set(given.models) <= set(spec.models)
        assert given.limits.tokens is not None


@pytest.mark.parametrize("name", NAMES)
def test_is_the_manifest_valid_and_bounded(name: str) -> None:
    manifest = Manifest.model_validate(document(name))
    limits, sampling = manifest.spec.limits, manifest.spec.sampling
    assert manifest.metadata.name == name
    assert manifest.metadata.description
    assert manifest.spec.models == [DEFAULT_MODEL]
    assert manifest.spec.prompt.strip()
    assert sampling.temperature == 0, "two runs give the same answer"
    assert sampling.max_tokens <= 120
    assert limits.tokens is not None
    assert limits.tokens > sampling.max_tokens
    assert limits.turns is not None
    assert limits.wall is not None


def test_does_the_assistant_wait_for_more_and_is_it_bounded() -> None:
    manifest = Manifest.model_validate(document("assistant"))
    assert manifest.spec.interactive
    assert manifest.spec.limits.tokens is not None
    assert manifest.spec.limits.turns is not None


@pytest.mark.parametrize("name", NAMES)
def test_is_there_a_sample_text_for_it(name: str) -> None:
    sample = (FOLDER / "samples" / f"{name}.txt").read_text(encoding="utf-8")
    assert 0 < len(sample.split()) < 150
    assert sample == sample.strip(), "a line's end is a token too, and changes the answer"


@pytest.mark.parametrize("name", NAMES)
def test_does_the_manifest_tell_an_editor_its_schema_and_a_reader_its_model(name: str) -> None:
    lines = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "# yaml-language-server: $schema=schema.json"
    assert any(line.strip().startswith("# ") and "model" in line for line in lines[1:])


def test_does_the_schema_know_what_a_manifest_writes() -> None:
    schema = json.loads((FOLDER / "schema.json").read_text(encoding="utf-8"))
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"]
    assert schema["title"]
    assert schema["additionalProperties"] is False
    spec = schema["$defs"]["AgentSpec"]["properties"]
    for name in NAMES:
        assert document(name).keys() <= schema["properties"].keys()
        assert document(name)["spec"].keys() <= spec.keys()
