"""Whose process is a program, and what becomes of it and its calls when somebody dies?"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time

import pytest

from llmagentos import connect_async
from llmagentos.home import Home
from tests.system.machines import ROOT, Machines, agent, eventually

pytestmark = pytest.mark.usefixtures("no_session")


def test_does_a_named_program_come_back_as_the_same_process(kernel: Machines) -> None:
    said = [{"role": "user", "content": "remember"}]
    with kernel.program(name="collector") as system:
        pid, session = system.pid, system.session
        system.call("ctx.append", messages=said)
    with kernel.program(name="collector") as system:
        assert (system.pid, system.session) == (pid, session)
    kernel.kill_kernel()
    kernel.start_kernel()
    with kernel.program(name="collector") as system:
        assert system.pid == pid
        assert [m["content"] for m in system.call("ctx.read")["messages"]] == ["remember"]
        assert [p.name for p in system.processes()] == ["collector"]
    kept = kernel.home.sessions / "collector"
    assert kept.stat().st_mode & 0o777 == 0o600

    async def main() -> int | None:
        async with connect_async(home=kernel.home.root, name="collector") as system:
            return system.pid

    assert asyncio.run(main()) == pid


def test_does_a_named_program_outlive_the_loss_of_its_token(shared: Machines) -> None:
    with shared.program(name="forgetful") as system:
        pid = system.pid
    (shared.home.sessions / "forgetful").unlink()
    with shared.program(name="forgetful") as system:
        assert system.pid == pid
    (shared.home.sessions / "forgetful").write_text("nonsense", encoding="ascii")
    with shared.program(name="forgetful") as system:
        assert system.pid == pid


def _there(machines: Machines, pid: int | None) -> bool:
    with machines.user() as user:
        return pid in [p.pid for p in user.processes() if p.state != "ZOMBIE"]


def test_does_a_nameless_process_end_with_its_connection(shared: Machines) -> None:
    with shared.program() as system:
        pid = system.pid
        attached = system.spawn(agent(), "word " * 2000, attach=True).pid
        free = system.spawn(agent(), "word " * 2000).pid
        assert _there(shared, pid)
    eventually(lambda: not _there(shared, pid))
    eventually(lambda: not _there(shared, attached))
    assert _there(shared, free)
    with shared.user() as user:
        user.kill(free, "KILL")


_PROGRAM = """
import sys, time
from llmagentos import connect
system = connect(home=sys.argv[1])
print(system.pid, flush=True)
system.generate("word " * 100000, max_tokens=100000)
"""


def _program(home: Home, script: str, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, str(home.root), *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_does_a_nameless_process_end_when_its_program_is_killed(shared: Machines) -> None:
    with _program(shared.home, _PROGRAM) as program:
        try:
            assert program.stdout is not None
            pid = int(program.stdout.readline())
            assert _there(shared, pid)
        finally:
            program.kill()
    eventually(lambda: not _there(shared, pid))


def test_does_a_nameless_process_that_missed_a_restart_end(kernel: Machines) -> None:
    """Its program died while the kernel was away, so no connection's end is ever seen. One that is
    there and says nothing is no such program, until it has gone."""
    system = kernel.program()
    with kernel.program() as other, kernel.program() as silent, kernel.program() as slow:
        pid, stays = system.pid, other.pid
        kernel.kill_kernel()
        system.close()
        kernel.start_kernel()
        assert other.info().process.pid == stays
        eventually(lambda: not _there(kernel, pid))
        assert other.info().process.pid == stays
        assert _there(kernel, silent.pid)
        silent.close()
        eventually(lambda: not _there(kernel, silent.pid), 3)
        # One that speaks at last does so over a connection that it makes anew.
        assert slow.info().process.pid == slow.pid
        time.sleep(0.5)
        assert _there(kernel, slow.pid)


# -- when the kernel dies ---------------------------------------------------------------------


def test_do_calls_in_flight_take_effect_once_over_a_kill(kernel: Machines) -> None:
    kernel.start_driver("--delay", "0.02")
    with kernel.program() as system:
        pid = system.pid
        stream = system.generate_stream("word " * 40)
        heard = [next(stream.pieces()).text for _ in range(3)]
        # Not pumped: the kernel dies with these underway, answered or not.
        spawning = [system.open("proc.spawn", manifest=agent(f"s{n}")) for n in range(30)]
        kernel.kill_kernel()
        system._connection.pump(0.2)
        kernel.start_kernel()
        pids = [call.result(60)["pid"] for call in spawning]
        assert len(set(pids)) == 30
        rows = [p for p in system.processes() if p.kind == "agent"]
        assert sorted(p.pid for p in rows) == sorted(pids)
        # What was being generated is generated again, and none of it is heard twice.
        rest = [piece.text for piece in stream.pieces()]
        assert "".join(heard + rest).split() == ["word"] * 40
        assert stream.result()["text"].split() == ["word"] * 40
        assert system.info().process.pid == pid
        assert system.info().process.usage.turns == 1


def test_does_the_async_client_repeat_its_calls_too(kernel: Machines) -> None:
    kernel.start_driver("--delay", "0.02")

    async def main() -> None:
        async with connect_async(home=kernel.home.root) as system:
            answer = asyncio.create_task(system.generate("word " * 40))
            await asyncio.sleep(0.3)
            spawning = [system.open("proc.spawn", manifest=agent()) for _ in range(20)]
            kernel.kill_kernel()
            await asyncio.sleep(0.1)
            await asyncio.to_thread(kernel.start_kernel)
            pids = {(await call.result(60))["pid"] for call in spawning}
            rows = [p.pid for p in await system.processes() if p.kind == "agent"]
            assert (len(pids), sorted(rows)) == (20, sorted(pids))
            assert (await answer).text.split() == ["word"] * 40

    asyncio.run(main())


_FORK = """
import os, sys
from llmagentos import connect
from llmagentos.abi import errors
system = connect(home=sys.argv[1])
if os.fork() == 0:
    try:
        system.info()
    except errors.EINVAL as error:
        print(error.hint, flush=True)
    system.close()
    with connect(home=sys.argv[1]) as own:
        print(own.pid != system.pid and own.info().process.pid == own.pid, flush=True)
    os._exit(0)
os.wait()
print(system.info().process.pid == system.pid, flush=True)
"""


def test_does_a_fork_need_a_connection_of_its_own(shared: Machines) -> None:
    with _program(shared.home, _FORK) as program:
        try:
            out, _ = program.communicate(timeout=60)
        finally:
            program.kill()
    assert out.splitlines() == ["connect again in the child", "True", "True"]
