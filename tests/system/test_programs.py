"""Programs as agents: manifests that name an executable, on a real kernel and a real host."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from llmagentos.abi import errors
from tests.system.machines import ROOT, Machines, agent, eventually

CLERK = """
    from llmagentos import connect

    with connect() as system:
        done = system.mem.get(key="step").value if system.mem.list().rows else 0
        reply = system.generate(append=True)
        system.mem.put(key="step", value=done + 1)
        print(system.pid, system.task(), reply.text, done)
"""
ASYNC = """
    import asyncio
    from llmagentos import connect_async

    async def main():
        async with connect_async() as system:
            print(system.pid, flush=True)
            await system.exit((await system.generate(await system.task())).text.upper())

    asyncio.run(main())
"""


@pytest.fixture(autouse=True)
def _no_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LLMOS_SESSION", raising=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "my agent").mkdir()
    return tmp_path / "my agent"


def manifest(folder: Path, code: str, *, head: str = "", **spec: Any) -> Path:
    """A manifest with this program beside it."""
    (folder / "it.py").write_text(head + textwrap.dedent(code), encoding="utf-8")
    document = agent("it", **{"program": ["python", "it.py"], **spec})
    (folder / "it.yaml").write_text(json.dumps(document), encoding="utf-8")
    return folder / "it.yaml"


def test_does_a_program_act_as_its_process(shared: Machines, folder: Path) -> None:
    with shared.user() as user:
        started = user.spawn(manifest(folder, CLERK), "say this")
        record = started.wait(60)
        assert (record.code, record.error) == (0, None)
        assert record.answer == f"{started.pid} say this say this 0"
        assert (record.usage.turns, record.usage.completion_tokens) == (1, 2)
        detail = user.info(started.pid)
        assert detail.process.name == "it"


def test_does_an_async_program_end_itself_with_an_answer(shared: Machines, folder: Path) -> None:
    with shared.user() as user:
        started = user.spawn(manifest(folder, ASYNC), "loud")
        record = started.wait(60)
        assert (record.code, record.answer) == (0, "LOUD")
        log = shared.home.program_log(started.pid)
        eventually(lambda: "exited 0" in log.read_text(encoding="utf-8"))


def test_is_an_end_that_a_program_has_said_itself_no_refusal(
    shared: Machines, folder: Path
) -> None:
    """Its host doesn't say it once more, with a session that is over."""
    with shared.user() as user:
        for _ in range(2):  # what the first has left behind is there when the second has ended
            started = user.spawn(manifest(folder, ASYNC), "loud")
            assert started.wait(60).code == 0
            log = shared.home.program_log(started.pid)
            eventually(lambda log=log: "exited 0" in log.read_text(encoding="utf-8"))
        entries = user.sys.audit(limit=10_000).entries
        assert [one for one in entries if one.action == "proc.exit"] == []


def test_is_an_executable_run_that_lies_beside_its_manifest(shared: Machines, folder: Path) -> None:
    head = f"#!{sys.executable}\n"
    file = manifest(folder, "print('by itself')", head=head, program=["./it.py"])
    (folder / "it.py").chmod(0o700)
    with shared.user() as user:
        assert user.spawn(file).wait(60).answer == "by itself"


@pytest.mark.parametrize(
    ("capabilities", "says"),
    [({}, "EPERM EPERM"), ({"allow": ["mem:notes:w", "proc:spawn"]}, "ok EPERM")],
)
def test_has_it_the_rights_of_its_manifest_and_no_more(
    shared: Machines, folder: Path, capabilities: dict[str, Any], says: str
) -> None:
    code = """
        from llmagentos import LLMOSError, connect

        def tried(call):
            try:
                call()
            except LLMOSError as error:
                return error.code
            return "ok"

        with connect() as system:
            put = tried(lambda: system.mem.put(space="notes", key="a", value=1))
            print(put, tried(lambda: system.spawn("it.yaml")))
    """
    with shared.user() as user:
        record = user.spawn(manifest(folder, code, capabilities=capabilities)).wait(60)
        assert record.answer == says


def test_is_its_budget_its_own(shared: Machines, folder: Path) -> None:
    code = """
        from llmagentos import connect

        with connect() as system:
            while True:
                system.generate("one two three")
    """
    with shared.user() as user:
        record = user.spawn(manifest(folder, code, limits={"turns": 3})).wait(60)
        assert (record.code, record.usage.turns) == (1, 3)
        assert record.error is not None
        assert "EQUOTA" in record.error.message


def test_is_one_that_does_not_heed_term_there_until_it_is_killed(
    shared: Machines, folder: Path
) -> None:
    code = """
        import signal, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("deaf", flush=True)
        time.sleep(60)
    """
    with shared.user() as user:
        started = user.spawn(manifest(folder, code))
        log = shared.home.program_log(started.pid)
        eventually(lambda: log.exists() and "deaf" in log.read_text(encoding="utf-8"))
        started.kill("TERM")
        with pytest.raises(errors.ETIMEOUT):
            started.wait(0.5)
        started.kill("KILL")
        assert started.wait(60).code == 137


def test_does_it_go_on_on_another_host_by_what_it_has_kept(
    kernel: Machines, host: Any, scripted: Any, folder: Path
) -> None:
    code = """
        import os, time
        from llmagentos import connect

        with connect() as system:
            system.mem.put(key=f"life-{os.getpid()}", value=1)
            lives = len(system.mem.list().rows)
            if lives == 1:
                time.sleep(60)
            print(lives, system.task())
    """
    with kernel.user() as user:
        started = user.spawn(manifest(folder, code), "go on")
        eventually(lambda: user.mem.list(pid=started.pid).rows)
        row = user.mem.list(pid=started.pid).rows[0]
        first = int(row.key.removeprefix("life-"))
        host.kill()
        kernel.start_host("second")
        assert started.wait(60).answer == "2 go on"
        assert not Path(f"/proc/{first}").exists()


def test_is_one_that_fails_begun_again_as_its_manifest_says(shared: Machines, folder: Path) -> None:
    restart = {"strategy": "on-failure", "intensity": 2, "period": "60s"}
    with shared.user() as user:
        started = user.spawn(manifest(folder, "raise SystemExit(9)", restart=restart))
        record = started.wait(60)
        assert record.code == 9
        assert record.error is not None
        assert record.error.code == "EFAILED"
        assert len(record.error.detail["reasons"]) == 3


def test_does_it_live_through_a_restart_of_the_kernel(
    kernel: Machines, host: Any, folder: Path
) -> None:
    code = """
        import time
        from llmagentos import connect

        with connect() as system:
            system.mem.put(key="up", value=1)
            print(system.ipc.recv().mail[0].body)
    """
    with kernel.user() as user:
        started = user.spawn(manifest(folder, code))
        eventually(lambda: user.mem.list(pid=started.pid).rows)
        kernel.kill_kernel()
        kernel.start_kernel()
        user.ipc.send(pid=started.pid, body="still there")
        assert started.wait(60).answer == "still there"


def test_do_logs_show_what_it_wrote(shared: Machines, folder: Path) -> None:
    with shared.user() as user:
        started = user.spawn(manifest(folder, "print('from the program')"), "the task")
        started.wait(60)
        environment = {"LLMOS_HOME": str(shared.home.root), "PATH": "/usr/bin"}
        for options in ([], ["-f"]):
            done = subprocess.run(
                [sys.executable, "-m", "shell", "logs", str(started.pid), *options],
                cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            assert "the task\n── output ──\n" in done.stdout
            assert "\nfrom the program\n" in done.stdout


def test_does_a_shipped_manifest_run_a_module_of_the_system(
    machines: Machines, tmp_path: Path
) -> None:
    """As in an installed copy: the system's packages are in a folder of their own, and a user's
    program doesn't see them."""
    image = tmp_path / "site" / "llmagentos" / "system"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "llmagentos", image.parent, ignore=ignored)
    for name in ("agents", "kernel"):
        shutil.copytree(ROOT / name, image / name, ignore=ignored)
    (image / "agents" / "apps").mkdir(exist_ok=True)
    (image / "agents" / "apps" / "tiny.py").write_text(
        "import sys\nfrom agents.arguments import __doc__ as told\nprint(bool(told), *sys.argv[1:])"
    )
    document = (
        "apiVersion: llmagentos/v1\nkind: Agent\nmetadata: {name: %s}\n"
        "spec: {model: m, program: %s}\n"
    )
    for folder, name, program in (
        (image / "manifests", "tiny", "[python, -m, agents.apps.tiny, hello]"),
        (machines.home.manifests, "mine", "[python, -c, 'import sys; print(sys.path)']"),
    ):
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.yaml").write_text(document % (name, program))
    path = f"{image}:{image.parent.parent}"
    run = ["env", "-C", str(tmp_path), f"PYTHONPATH={path}"]
    machines.start_kernel(within=run)
    machines.start("-P", "-m", "agents", "--name", "host", "--no-parent", within=run)
    with machines.user() as user:
        record = user.spawn("tiny").wait(60)
        assert (record.answer, record.code) == ("True hello", 0), record
        record = user.spawn("mine").wait(60)
        assert str(image) not in record.answer, "another project's agents would not be found"
