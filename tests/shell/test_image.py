"""Does an installed copy find its own packages, whatever else is called the same?"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from llmagentos.home import Home
from shell import image


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A site-packages with our wheel in it, and other projects' shell and agents beside it."""
    site = tmp_path / "site"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(image.ROOT / "llmagentos", site / "llmagentos", ignore=ignored)
    shutil.copytree(image.ROOT / "shell", site / "llmagentos/system/shell", ignore=ignored)
    for name in ("shell", "agents"):
        (site / name).mkdir()
        (site / name / "__init__.py").write_text("raise ImportError('not ours')\n")
    return site


def _run(site: Path, code: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-c", f"import sys; sys.path.insert(0, {str(site)!r})\n{code}"],
        capture_output=True, text=True, timeout=60, cwd=cwd,
    )  # fmt: skip


def test_does_the_entry_point_run_the_shell_that_it_carries(installed: Path) -> None:
    code = "sys.argv[1:] = ['--version']\nfrom llmagentos.entry import main\nsys.exit(main())"
    done = _run(installed, code, installed)
    assert (done.returncode, done.stdout, done.stderr) == (0, "llmos 0.1.0\n", "")


def test_does_a_child_get_the_image_on_its_path(installed: Path, home: Home) -> None:
    code = (
        "from llmagentos.entry import main\nsys.argv[1:] = ['--version']\nmain()\n"
        "from shell import image\nfrom llmagentos.home import Home\n"
        "print(image.environment(Home.default())['PYTHONPATH'].split(':')[0])"
    )
    done = _run(installed, code, installed)
    assert done.stdout.splitlines()[-1] == str(installed / "llmagentos/system")


def test_is_a_users_own_folder_not_taken_for_ours(home: Home, tmp_path: Path) -> None:
    (tmp_path / "kernel").mkdir()
    (tmp_path / "kernel/__init__.py").touch()
    (tmp_path / "kernel/__main__.py").write_text("print('not ours')")
    done = subprocess.run(
        [*image.command("kernel"), "--help"], env=image.environment(home), cwd=tmp_path,
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.stdout.startswith("usage: python -m kernel")
