"""Does anything that a command tries reach what is outside?"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from drivers.sandbox.seccomp import BARRED
from drivers.tool import Job
from tests.drivers.sandbox.attempts import ATTEMPTS, Attempt
from tests.drivers.sandbox.conftest import PID, Box, World


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda attempt: attempt.name.replace(" ", "-"))
def test_is_the_attempt_without_effect(world: World, attempt: Attempt) -> None:
    job = Job(1, PID)
    result = world.box.python(attempt.code(world.names()), job=job)
    assert result["stdout"].startswith("held"), result
    assert result["exit_code"] == 0
    assert not attempt.seen or attempt.seen in result["denied"]
    kinds = [one.what for one in job.denied]
    assert attempt.kind in kinds if attempt.kind else kinds == []
    world.is_unharmed()
    world.box.works()


@pytest.mark.parametrize(
    "name",
    [
        "read the user's key", "read by going up", "a symlink out", "the driver's root",
        "write outside", "read the machine's /tmp", "see others", "any other device",
        "TCP to a listener", "UDP", "the kernel's door", "an abstract socket",
        "memory that is in no process", "stop its parent", "the driver's namespaces",
    ],
)  # fmt: skip
def test_would_the_attempt_do_it_if_nothing_held_it(
    tmp_path: Path, world: World, name: str
) -> None:
    """Else all of this would prove nothing. Only what hurts nobody is tried."""
    own = World(tmp_path)
    try:
        attempt = next(one for one in ATTEMPTS if one.name == name)
        loose = Box(own.home.root / "sandbox" / "loose", confined=False)
        code = attempt.code(own.names()).replace("SIGSTOP", "SIGCONT")
        assert loose.python(code)["stdout"].startswith("ESCAPED")
    finally:
        own.close()


def test_is_every_barred_call_refused_and_named(world: World) -> None:
    column = int(os.uname().machine == "aarch64")
    numbers = {name: both[column] for name, both in BARRED.items() if both[column] >= 0}
    result = world.box.python(
        f"import ctypes; libc = ctypes.CDLL(None, use_errno=True)\n"
        f"for name, number in {numbers}.items():\n"
        f"    assert libc.syscall(number, 0, 0, 0, 0, 0, 0) == -1, name\n"
        f"    assert ctypes.get_errno() == 1, (name, ctypes.get_errno())\n"
    )
    assert result["exit_code"] == 0, result
    assert result["denied"] == list(numbers)
    world.is_unharmed()


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="other processors have one table")
@pytest.mark.parametrize(
    "code",
    [
        "import ctypes; ctypes.CDLL(None).syscall(0x40000000 + 39)",
        "import ctypes, mmap\n"
        "page = mmap.mmap(-1, 4096, prot=7)\n"
        "page.write(bytes.fromhex('b814000000cd80c3'))\n"
        "ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()",
    ],
)
def test_is_a_call_by_another_table_deadly(world: World, code: str) -> None:
    result = world.box.python(f"{code}\nprint('ESCAPED')")
    assert (result["signal"], result["stdout"]) == ("SIGSYS", "")
    assert result["denied"] == ["a system call of another architecture"]
    world.box.works()


@pytest.mark.parametrize(
    "daemon",
    [
        "(LIVE) &",
        "setsid sh -c 'LIVE' & sleep 0.1",
        "nohup setsid sh -c '(trap \"\" TERM HUP INT; LIVE) & exit' & sleep 0.1",
    ],
)
def test_does_nothing_outlive_its_call(world: World, daemon: str) -> None:
    lives = "while :; do date +%s.%N > lived; sleep 0.1; done"
    result = world.box.shell(daemon.replace("LIVE", lives))
    assert result["exit_code"] == 0
    assert any("left behind" in what for what in result["denied"])
    assert world.box.is_still("lived")


def test_does_a_folder_with_traps_hurt_nobody(world: World) -> None:
    """Links that lead out, and a folder without rights, when the folder is next used and swept."""
    trap = f"ln -s {world.outside} out; ln -s {world.home.user_key_file} key; chmod 0 /work"
    assert world.box.shell(trap)["exit_code"] == 0
    world.box.works()
    world.is_unharmed()
