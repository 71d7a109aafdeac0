"""Is a manifest taken as it was meant, or refused?"""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from llmagentos.abi.manifest import DEFAULT_MODEL, Manifest
from llmagentos.abi.model import Duration
from llmagentos.abi.process import Limits

_DURATION: TypeAdapter[float] = TypeAdapter(Duration)
_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1, "ms": 0.001}
MINIMAL: dict[str, Any] = {
    "apiVersion": "llmagentos/v1", "kind": "Agent", "metadata": {"name": "a"},
}  # fmt: skip


def _manifest(**spec: Any) -> Manifest:
    return Manifest.model_validate({**MINIMAL, "spec": spec})


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 60), st.sampled_from(list(_UNITS))), min_size=1, max_size=4)
)
def test_is_a_written_duration_the_sum_of_its_parts(parts: list[tuple[int, str]]) -> None:
    meant = sum(number * _UNITS[unit] for number, unit in parts)
    for space in ("", " "):
        written = space.join(f"{number}{space}{unit}" for number, unit in parts)
        assert math.isclose(_DURATION.validate_python(written, strict=True), meant)


@settings(deadline=None)
@given(st.floats(min_value=0.001, max_value=366 * 86400))
def test_is_a_number_of_seconds_taken_as_it_is(number: float) -> None:
    assert _DURATION.validate_python(number) == number


@settings(deadline=None)
@given(st.text(max_size=12))
def test_is_any_other_text_no_duration(text: str) -> None:
    try:
        value = _DURATION.validate_python(text)
    except ValidationError:
        return
    assert text.strip()[-1] in "smhd"
    assert 0 < value <= 366 * 86400


@pytest.mark.parametrize(
    "bad",
    ["", " ", "5", "m", "5 minutes", "5m!", "-5m", "1.5.2s", "5M", "1e3s", "0s", "400d", 0, -1,
     True, float("nan"), float("inf"), None, [5], "9" * 400 + "d"],
)  # fmt: skip
def test_is_this_no_duration(bad: object) -> None:
    with pytest.raises(ValidationError):
        _DURATION.validate_python(bad, strict=True)


def test_is_the_least_manifest_complete() -> None:
    spec = Manifest.model_validate(MINIMAL).spec
    assert spec.models == [DEFAULT_MODEL]
    assert spec.placement.allow == ["edge", "node", "cloud"]
    assert spec.limits == Limits()
    assert (spec.sampling.temperature, spec.sampling.max_tokens) == (0.0, 256)
    assert (spec.restart.strategy, spec.context.overflow) == ("never", "refuse")


def test_is_the_manifest_of_the_design_taken() -> None:
    manifest = _manifest(
        model="smollm2-135m-instruct",
        placement={"allow": ["edge", "node", "cloud"], "prefer": "edge"},
        labels=[],
        prompt="…",
        tools=["fs.read", {"mcp": "time"}],
        capabilities={"allow": ["fs:/inbox:r"], "ask": ["tool:shell(*)"], "deny": []},
        limits={
            "context_tokens": 4096, "tokens": 20000, "wall": "5m", "money": 0.05, "turns": 8,
            "children": 4,
        },
        sampling={"temperature": 0, "max_tokens": 256},
        schedule={"priority": 0, "weight": 1, "deadline": None},
        restart={"strategy": "on-failure", "intensity": 3, "period": "60s"},
        context={"overflow": "compact"},
    )  # fmt: skip
    assert manifest.spec.limits.wall == 300.0
    assert Manifest.model_validate_json(manifest.model_dump_json()) == manifest


@pytest.mark.parametrize(
    "spec",
    [
        {"modle": "m"},
        {"model": 5},
        {"model": []},
        {"model": ""},
        {"model": "a b"},
        {"prompt": ["x"]},
        {"prompt": "x" * (1024 * 1024 + 1)},
        {"labels": "private"},
        {"labels": ["not a name"]},
        {"placement": {"allow": []}},
        {"placement": {"allow": ["moon"]}},
        {"limits": {"tokens": "20000"}},
        {"limits": {"tokens": 2.5}},
        {"limits": {"tokens": -1}},
        {"limits": {"tokens": True}},
        {"limits": {"context_tokens": 0}},
        {"limits": {"money": float("nan")}},
        {"limits": {"money": float("inf")}},
        {"sampling": {"temperature": -0.1}},
        {"sampling": {"top_p": 0}},
        {"sampling": {"max_tokens": 0}},
        {"sampling": {"seed": 2**63}},
        {"sampling": {"stop": [""]}},
        {"sampling": {"stop": ["x"] * 17}},
        {"schedule": {"priority": 20}},
        {"schedule": {"weight": 0}},
        {"restart": {"strategy": "maybe"}},
        {"context": {"overflow": "truncate"}},
        {"context": {"recall": 100}},
        {"context": {"overflow": "compact", "recall": -1}},
    ],
)
def test_is_a_wrong_spec_refused(spec: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        _manifest(**spec)


@pytest.mark.parametrize(
    "change",
    [{"apiVersion": "llmagentos/v2"}, {"kind": "Pod"}, {"metadata": {}}, {"extra": 1},
     {"metadata": {"name": ""}}, {"metadata": {"name": "../x"}}, {"metadata": {"name": "a\n"}},
     {"metadata": {"name": "x" * 64}}, {"metadata": None}],
)  # fmt: skip
def test_is_a_wrong_frame_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Manifest.model_validate({**MINIMAL, **change})


def test_is_a_manifest_immutable() -> None:
    with pytest.raises(ValidationError):
        _manifest().spec.limits.tokens = 5  # type: ignore[misc]
