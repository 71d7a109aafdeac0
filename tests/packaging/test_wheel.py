"""Does the wheel work in an empty environment, and keep other people's names free?"""

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = ("kernel", "drivers", "agents", "shell", "manifests")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out)]
    subprocess.run([*command, str(ROOT)], check=True, capture_output=True, timeout=400)
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel and what it needs, and nothing else."""
    folder = tmp_path_factory.mktemp("env")
    venv.create(folder)
    # Our own pip puts it there: an environment with a pip of its own takes twice as long. And most
    # of what it would compile is never loaded.
    pip = [sys.executable, "-m", "pip", "--python", folder / "bin" / "python"]
    constraints = ROOT / "constraints.txt"
    subprocess.run(
        [*pip, "install", "--quiet", "--no-compile", "--constraint", constraints, wheel],
        check=True,
        timeout=900,
    )
    return folder


def run(environment: Path, home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [environment / "bin" / "llmos", *words],
        env={**variables, "LLMOS_HOME": str(home)},
        cwd=home,
        capture_output=True,
        text=True,
        timeout=200,
    )


def test_is_llmagentos_the_only_name_that_it_takes(wheel: Path) -> None:
    names = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {name for name in names if not name.endswith(".dist-info")} == {"llmagentos"}


def test_does_it_carry_the_whole_system_and_no_tests(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for folder in OURS:
        shipped = {n.removeprefix("llmagentos/system/") for n in names if f"/system/{folder}/" in n}
        there = {str(p.relative_to(ROOT)) for p in (ROOT / folder).rglob("*.py")}
        there |= {str(p.relative_to(ROOT)) for p in (ROOT / folder).rglob("*.yaml")}
        assert there <= shipped
    assert not [name for name in names if "tests/" in name or "__pycache__" in name]


def test_does_it_run_where_nothing_else_is_installed(environment: Path, tmp_path: Path) -> None:
    shown = run(environment, tmp_path, "--help")
    assert shown.returncode == 0
    assert "llmos run" in shown.stdout
    code = f"import importlib.util as u; print([n for n in {OURS!r} if u.find_spec(n)])"
    found = subprocess.run(
        [environment / "bin" / "python", "-c", code],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert found.stdout.strip() == "[]"


def test_does_its_kernel_come_up_and_go_down(environment: Path, tmp_path: Path) -> None:
    up = run(environment, tmp_path, "up", "--detach")
    try:
        assert up.returncode == 0, up.stderr
        assert run(environment, tmp_path, "ps").returncode == 0
    finally:
        down = run(environment, tmp_path, "down")
    assert down.returncode == 0, down.stderr
    assert run(environment, tmp_path, "ps").returncode == 3
