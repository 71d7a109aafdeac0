"""Does everything in the README work, typed in the order in which it stands there?"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(sh|python|yaml)\n(.*?)^```$", README, re.M | re.S)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    return tmp_path


@pytest.fixture
def environment(folder: Path):
    """A system of its own, with the real model; taken down whatever happens."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    variables = {**os.environ, "LLMOS_HOME": str(folder / "home"), "PATH": path}
    yield variables
    subprocess.run(["llmos", "down"], env=variables, capture_output=True, timeout=120, check=True)


def type_in(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=280,
    )  # fmt: skip
    said = f"{command[-1]}\nended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    # doctor ends with 1 where something of the machine is not as it should be, e.g. no room.
    assert done.returncode == 0 or command[-1] == "llmos doctor", said
    assert "Traceback" not in done.stderr, said
    assert done.stdout.strip(), f"{command[-1]} said nothing"
    return done.stdout


@pytest.mark.model
@pytest.mark.timeout(900)
def test_does_all_of_it_work(folder: Path, environment: dict[str, str]) -> None:
    outputs: dict[str, str] = {}
    for language, text in BLOCKS:
        if language == "yaml":
            name = re.search(r"name: (\w+)", text)
            assert name is not None
            (folder / f"{name[1]}.yaml").write_text(text, encoding="utf-8")
        elif language == "python":
            outputs[text] = type_in([sys.executable, "-c", text], folder, environment)
        else:
            for line in text.splitlines():
                if not line.startswith("make "):
                    outputs[line] = type_in(["bash", "-c", line], folder, environment)
    assert sum(line.startswith("llmos run") for line in outputs) >= 2
    shown = next(text for line, text in outputs.items() if line.startswith("llmos ps"))
    assert "summarise" in shown
    assert "dialogue" in shown


def test_are_its_make_targets_there() -> None:
    make = shutil.which("make")
    assert make is not None
    targets = re.findall(r"^make (\w+)", README, re.M)
    assert set(targets) >= {"run", "test"}
    for target in targets:
        subprocess.run([make, "-n", target], cwd=ROOT, check=True, capture_output=True)


def test_is_every_folder_that_it_names_there() -> None:
    tree = README.split("## What is where")[1]
    names = re.findall(r"^(\w+/) ", tree, re.M)
    assert len(names) >= 9
    for name in names:
        assert (ROOT / name).is_dir(), name
