"""Is what is wrong in a manifest said with file, line, field and remedy, and in time?"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernel.catalog import Catalog
from llmagentos.abi.errors import EINVAL, ENOENT, LLMOSError

HEAD = "apiVersion: llmagentos/v1\nkind: Agent\nmetadata: {name: a}\n"
LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))


@pytest.fixture(autouse=True)
def _fast() -> Iterator[None]:
    begun = time.thread_time()
    yield
    assert time.thread_time() - begun < 2


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """The user's, and the shipped one."""
    mine, shipped = tmp_path / "mine", tmp_path / "shipped"
    mine.mkdir()
    shipped.mkdir()
    return mine, shipped


@pytest.fixture
def catalog(folders: tuple[Path, Path]) -> Catalog:
    return Catalog(folders)


def _refused(catalog: Catalog, source: str) -> EINVAL:
    with pytest.raises(EINVAL) as caught:
        catalog.parsed(source, "mine.yaml")
    return caught.value


@pytest.mark.parametrize(
    ("source", "line", "field", "hint"),
    [
        (HEAD + "spec:\n  prompt: x\n  modle: m\n", 6, "spec.modle", "did you mean model?"),
        (HEAD + "spec:\n  limits: {token: 5}\n", 5, "spec.limits.token", "did you mean tokens?"),
        (HEAD + "spec:\n  restart:\n    strategie: never\n", 6, "spec.restart.strategie",
         "did you mean strategy?"),
        (HEAD + "sepc: {}\n", 4, "sepc", "did you mean spec?"),
        (HEAD + "spec: {zzz: 1}\n", 4, "spec.zzz", "known here: model,"),
        (HEAD + "spec:\n  prompt: [x]\n", 5, "spec.prompt", "schema.json"),
        (HEAD + "spec:\n  limits:\n    tokens: many\n", 6, "spec.limits.tokens", "schema.json"),
        (HEAD + "spec:\n  limits:\n    tokens: 1\n    wall: 5 minutes\n", 7, "spec.limits.wall",
         "schema.json"),
        (HEAD + "spec:\n  model: [m, 5]\n", 5, "spec.model.1", "schema.json"),
        (HEAD + "spec:\n  placement:\n    allow:\n    - edge\n    - moon\n", 8,
         "spec.placement.allow.1", "write 'edge', 'node' or 'cloud'"),
        (HEAD + "spec: []\n", 4, "spec", "schema.json"),
        (HEAD + "spec:\n  tools: [1]\n", 5, "spec.tools.0", "schema.json"),
        (HEAD + "spec:\n  tools: [{mcp: a, lod: lazy}]\n", 5, "spec.tools.0.lod", "schema.json"),
        ("apiVersion: llmagentos/v1\nkind: Agent\nmetadata:\n  description: d\n", 3,
         "metadata.name", "add metadata.name"),
        ("apiVersion: llmagentos/v1\nkind: Agent\n", 1, "metadata", "add metadata"),
        ("apiVersion: llmagentos/v1\nkind: Agnet\nmetadata: {name: a}\n", 2, "kind",
         "write 'Agent'"),
        ("kind: Agent\napiVersion: v2\nmetadata: {name: a}\n", 2, "apiVersion",
         "write 'llmagentos/v1'"),
    ],
)  # fmt: skip
def test_does_the_error_name_file_line_field_and_remedy(
    catalog: Catalog, source: str, line: int, field: str, hint: str
) -> None:
    error = _refused(catalog, source)
    assert f"mine.yaml, line {line}: {field}: " in error.message
    assert hint in error.hint
    assert error.detail == {"file": "mine.yaml", "line": line, "field": field}
    assert "\n" not in error.message


@pytest.mark.parametrize(
    ("field", "says"),
    [
        ("modle: m", "spec.modle: there is no such field"),
        ("prompt: [x]", "spec.prompt: it must be a text"),
        ("limits: {tokens: many}", "spec.limits.tokens: it must be a whole number"),
        ("limits: {tokens: -1}", "spec.limits.tokens: it must be greater than or equal to 0"),
        ("limits: 5", "spec.limits: it must be a map"),
        ("program: ''", "spec.program: it must be a list"),
        ("tool_choice: maybe", "spec.tool_choice: it must be 'auto', 'required' or 'none'"),
        ("tools: [1]", "spec.tools.0: it must be a text"),
        ("tools: [{mcp: a, tool: b}]", "spec.tools.0: give either tool or mcp"),
    ],
)
def test_is_it_said_in_plain_words_what_is_wrong(catalog: Catalog, field: str, says: str) -> None:
    error = _refused(catalog, f"{HEAD}spec:\n  {field}\n")
    assert error.message == f"mine.yaml, line 5: {says}"


def test_does_the_duration_s_error_say_how_to_write_one(catalog: Catalog) -> None:
    error = _refused(catalog, HEAD + "spec: {limits: {wall: soon}}\n")
    assert "write it as 500ms, 30s, 5m" in error.message


def test_does_the_error_say_how_many_more_there_are(catalog: Catalog) -> None:
    error = _refused(catalog, HEAD + "spec:\n  a: 1\n  b: 2\n  c: 3\n")
    assert "spec.a" in error.message
    assert "(and 2 more)" in error.message


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("", "mine.yaml: it is empty"),
        ("# nothing but this\n", "mine.yaml: it is empty"),
        ("just a text\n", "a manifest is a map, this is a str"),
        ("- a\n- b\n", "a manifest is a map, this is a list"),
        ("kind: Agent\nspec:\n\tprompt: x\n", "mine.yaml, line 3, column 1: not YAML"),
        ("kind: Agent\nspec: {prompt: x\n", "mine.yaml, line 3, column 1: not YAML"),
        ("prompt: it is: x\n", "mine.yaml, line 1"),
        ("a: 1\n---\nb: 2\n", "mine.yaml, line 2, column 1: not YAML"),
        ("a: \x01\n", "mine.yaml"),
        ("a: 2001-99-99\n", "mine.yaml: not YAML"),
        ("a: " + "9" * 5000 + "\n", "mine.yaml: not YAML"),
        (LAUGHS, "mine.yaml, line 1: anchors and aliases are not allowed"),
        ("a: &x {b: *x}\n", "anchors and aliases are not allowed"),
        ("a:\n- b\n" + "[" * 1000 + "]" * 1000, "mine.yaml"),
        ("[" * 1000 + "]" * 1000, "nested more than 16 deep"),
        ("".join(" " * n + "a:\n" for n in range(60)), "nested more than 16 deep"),
        ('!!python/object/apply:os.system ["true"]', "mine.yaml, line 1, column 1: not YAML"),
    ],
)
def test_is_what_is_no_manifest_told_so(catalog: Catalog, source: str, says: str) -> None:
    error = _refused(catalog, source)
    assert says in error.message
    assert "\n" not in error.message


def test_is_the_same_field_twice_refused(catalog: Catalog) -> None:
    assert "twice" in _refused(catalog, HEAD + "metadata: {name: b}\n").message


@pytest.mark.parametrize("source", [HEAD + "spec: {prompt: !secret x}\n", HEAD + "? [a, b]\n: c\n"])
def test_has_an_odd_tag_or_key_its_line(catalog: Catalog, source: str) -> None:
    assert "mine.yaml, line 4" in _refused(catalog, source).message


@pytest.mark.parametrize(
    "value", ["!!binary //79", "!!set {a, b}", "2001-01-01", "9" * 60, "0x" + "f" * 20]
)
def test_is_a_value_that_is_no_json_refused(catalog: Catalog, value: str) -> None:
    error = _refused(catalog, HEAD + f"spec:\n  tools:\n  - x: {value}\n")
    assert "mine.yaml, line" in error.message


def test_is_a_limit_beyond_all_bounds_refused(catalog: Catalog) -> None:
    error = _refused(catalog, HEAD + f"spec:\n  limits:\n    tokens: {'9' * 60}\n")
    assert "mine.yaml, line 6: spec.limits.tokens: " in error.message


def test_is_a_good_one_read_with_its_defaults(catalog: Catalog) -> None:
    spec = catalog.parsed(HEAD + "spec: {limits: {wall: 1h30m}, prompt: 'ü'}\n", "").spec
    assert (spec.limits.wall, spec.prompt, spec.sampling.max_tokens) == (5400.0, "ü", 256)


def test_is_a_map_checked_too(catalog: Catalog) -> None:
    with pytest.raises(EINVAL) as caught:
        catalog.checked({"apiVersion": "llmagentos/v1", "kind": "Agent", "metadata": {}})
    assert caught.value.message.startswith("manifest: metadata.name: ")
    assert caught.value.detail == {"file": "manifest", "line": None, "field": "metadata.name"}


# -- by name ---------------------------------------------------------------------------------


def test_does_the_user_s_folder_win(catalog: Catalog, folders: tuple[Path, Path]) -> None:
    mine, shipped = folders
    (shipped / "sum.yaml").write_text(HEAD + "spec: {prompt: shipped}\n", encoding="utf-8")
    assert catalog.named("sum").spec.prompt == "shipped"
    (mine / "sum.yaml").write_text(HEAD + "spec: {prompt: mine}\n", encoding="utf-8")
    assert catalog.named("sum").spec.prompt == "mine"
    assert catalog.names() == ["sum"]


def test_does_an_unknown_name_suggest_a_near_one(
    catalog: Catalog, folders: tuple[Path, Path]
) -> None:
    for name in ("summarise", "critic"):
        (folders[1] / f"{name}.yaml").write_text(HEAD, encoding="utf-8")
    with pytest.raises(ENOENT) as caught:
        catalog.named("sumarize")
    assert caught.value.message == "there is no manifest named 'sumarize'"
    assert caught.value.hint == "did you mean summarise?"
    with pytest.raises(ENOENT) as caught:
        catalog.named("zzzzzz")
    assert caught.value.hint == "there are critic, summarise"


@pytest.mark.parametrize(
    "name",
    ["", "../secret", "/etc/passwd", "a/../../secret", "a\x00b", "..", ".", "\ud800", "x" * 300],
)
def test_does_no_name_lead_out_of_the_folders(
    catalog: Catalog, folders: tuple[Path, Path], name: str
) -> None:
    (folders[0].parent / "secret.yaml").write_text(HEAD, encoding="utf-8")
    with pytest.raises(ENOENT):
        catalog.named(name)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\xff\xfea\x00", "bad.yaml: not UTF-8 text (byte 0)"),
        (b"a: caf\xe9\n", "bad.yaml: not UTF-8 text (byte 6)"),
        (b"#" * 300_000, "larger than 262144 bytes"),
        (b"", "bad.yaml: it is empty"),
        (b"kind: Agent\nspec: [\n", "bad.yaml, line 3"),
    ],
)
def test_is_a_broken_file_named_in_full(
    catalog: Catalog, folders: tuple[Path, Path], content: bytes, says: str
) -> None:
    file = folders[0] / "bad.yaml"
    file.write_bytes(content)
    with pytest.raises(LLMOSError) as caught:
        catalog.named("bad")
    assert says in caught.value.message
    assert caught.value.message.startswith(str(file))


def test_is_a_folder_no_manifest(catalog: Catalog, folders: tuple[Path, Path]) -> None:
    (folders[0] / "dir.yaml").mkdir()
    with pytest.raises(ENOENT):
        catalog.named("dir")


def test_are_all_shipped_manifests_good() -> None:
    shipped = Path(__file__).parents[2] / "manifests"
    catalog = Catalog([shipped])
    for name in catalog.names():
        assert catalog.named(name).metadata.name
