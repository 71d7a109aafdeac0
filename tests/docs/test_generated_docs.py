"""Whether the generated files are those that the contract makes now."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from llmagentos.abi.syscalls import TABLE

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "docs" / "generate.py"


@pytest.fixture
def generate(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The script, set to write into an empty folder."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    spec = importlib.util.spec_from_file_location("generate_docs", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    for folder in ("docs", "manifests", "llmagentos"):
        (tmp_path / folder).mkdir()
    return module


def test_are_the_generated_files_up_to_date() -> None:
    done = subprocess.run([sys.executable, SCRIPT, "--check"], capture_output=True, text=True)
    assert done.returncode == 0, f"run `python docs/generate.py`: {done.stdout}{done.stderr}"


def test_does_the_check_name_what_has_drifted_and_write_nothing(
    generate: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    table = tmp_path / "docs" / "syscalls.md"
    monkeypatch.setattr(sys, "argv", ["generate.py"])
    assert generate.main() == 0
    written = table.read_text(encoding="utf-8")
    table.write_text(written.replace("proc.spawn", "proc.start"), encoding="utf-8")
    drifted = table.read_text(encoding="utf-8")
    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", ["generate.py", "--check"])
    assert generate.main() == 1
    assert capsys.readouterr().out == "docs/syscalls.md has drifted\n"
    assert table.read_text(encoding="utf-8") == drifted


def test_has_every_call_a_section_with_every_argument() -> None:
    text = (ROOT / "docs" / "syscalls.md").read_text(encoding="utf-8")
    for name, call in TABLE.items():
        section = text.split(f"\n### {name}\n")[1].split("\n### ")[0]
        assert call.doc in section
        assert ("*Reserved.*" in section) == (call.args is None)
        assert ("**Streams.**" in section) == call.streams
        assert ("**Writes.**" in section) == call.writes
        for field in call.args.model_fields if call.args else ():
            assert f"| `{field}` |" in section, f"{name} {field}"
