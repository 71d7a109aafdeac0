"""Do the sync and the async client hold what they promise, against the real system?"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from llmagentos import AsyncSystem, System, connect, connect_async
from llmagentos.abi import errors, wire
from llmagentos.connection import Stream
from llmagentos.exchange import Exchange, Piece, Reply
from llmagentos.home import Home
from tests.system.machines import ROOT, Machines, agent, eventually

SAYS = "one two three four"


@pytest.fixture(autouse=True)
def _no_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LLMOS_SESSION", raising=False)


# -- what a program does with it --------------------------------------------------------------


def test_does_an_agent_given_as_a_dict_stream_its_answer(shared: Machines) -> None:
    with shared.program() as system:
        started = system.spawn(agent("talker"), SAYS)
        chunks = list(started.stream())
        assert "".join(chunks) == SAYS
        assert len(chunks) > 1
        record = started.wait()
        assert (record.code, record.answer, record.name) == (0, SAYS, "talker")
        assert (record.usage.prompt_tokens, record.usage.completion_tokens) == (4, 4)
        assert started.wait() == record


def test_does_an_agent_start_by_name_and_by_path(shared: Machines, tmp_path: Path) -> None:
    text = (
        "apiVersion: llmagentos/v1\nkind: Agent\nmetadata: {name: filed}\n"
        "spec: {model: fake-model}\n"
    )
    (shared.home.manifests / "filed.yaml").write_text(text, encoding="utf-8")
    path = tmp_path / "elsewhere.yaml"
    path.write_text(text.replace("filed", "pathed"), encoding="utf-8")
    with shared.program() as system:
        for manifest, name in (("filed", "filed"), (str(path), "pathed")):
            started = system.spawn(manifest, SAYS)
            assert started.name == name
            assert started.wait().answer == SAYS


def test_does_a_broken_file_name_file_line_field_and_remedy(
    shared: Machines, tmp_path: Path
) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(
        "apiVersion: llmagentos/v1\nkind: Agent\nmetadata: {name: x}\nspec:\n  modle: y\n",
        encoding="utf-8",
    )
    with shared.program() as system:
        with pytest.raises(errors.EINVAL) as caught:
            system.spawn(str(path))
        assert f"{path}, line 5: spec.modle: " in caught.value.message
        assert caught.value.hint == "did you mean model?"
        with pytest.raises(errors.ENOENT) as missing:
            system.spawn(str(tmp_path / "none.yaml"))
        assert "none.yaml" in missing.value.message
        with pytest.raises(errors.ENOENT):
            system.spawn("nonesuch")


def test_can_one_wait_again_after_a_wait_that_took_too_long(shared: Machines) -> None:
    words = " ".join(["word"] * 60)
    with shared.program() as system:
        started = system.spawn(agent(), words)
        begun = time.monotonic()
        with pytest.raises(errors.ETIMEOUT):
            started.wait(0.1)
        assert time.monotonic() - begun < 0.5
        assert started.wait(10).answer == words


def test_is_whoever_only_waits_sent_no_pieces(
    shared: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str] = []
    feed = Exchange.feed

    def listen(self: Exchange, frames: list[bytes]) -> None:
        heard.append(wire.decode(frames).kind)
        feed(self, frames)

    monkeypatch.setattr(Exchange, "feed", listen)
    with shared.program() as system:
        started = system.spawn(agent(), SAYS)
        assert started.wait().answer == SAYS
        assert "stream" not in heard
        # It can be had all the same, and in pieces from whatever has not ended yet.
        assert list(started.stream()) == [SAYS]
        assert list(system.spawn(agent(), "word " * 20).stream())
        assert "stream" in heard


def test_may_one_task_wait_while_another_streams(shared: Machines) -> None:
    async def scenario() -> None:
        async with connect_async(home=shared.home.root, user=True) as system:
            started = await system.spawn(agent(), "word " * 40)
            waiting = asyncio.ensure_future(started.wait())
            await asyncio.sleep(0)  # it waits now
            text = "".join([piece async for piece in started.stream()])
            assert text.split() == ["word"] * 40
            assert (await waiting).answer == text
            assert await started.wait() == await waiting

    asyncio.run(scenario())


def test_does_every_task_that_waits_hear_of_the_end(shared: Machines) -> None:
    async def scenario() -> None:
        async with asyncio.timeout(15), connect_async(home=shared.home.root, user=True) as system:
            started = await system.spawn(agent(), "word " * 40)
            impatient = asyncio.ensure_future(started.wait(0.05))
            records = await asyncio.gather(*(started.wait() for _ in range(3)))
            assert [record.answer for record in records] == ["word " * 40] * 3
            with pytest.raises(errors.ETIMEOUT):
                await impatient
            # Whatever call it is that more than one of them waits for.
            stream = system.open("sys.ping")
            told = await asyncio.gather(*(stream.result() for _ in range(3)))
            assert told == [told[0]] * 3

    asyncio.run(scenario())


def test_does_whoever_waits_take_no_piece_from_who_streams(shared: Machines) -> None:
    async def scenario() -> None:
        async with asyncio.timeout(15), connect_async(home=shared.home.root, user=True) as system:
            started = await system.spawn(agent(), "word " * 40)
            stream = started.stream()
            text = await anext(stream)
            waiting = asyncio.ensure_future(started.wait())
            text += "".join([piece async for piece in stream])
            assert (await waiting).answer == text == "word " * 40

    asyncio.run(scenario())


def test_do_waits_that_took_too_long_leave_no_call_open(shared: Machines) -> None:
    with shared.program() as system:
        started = system.spawn(agent(), LONG, attach=True)
        for _ in range(20):
            with pytest.raises(errors.ETIMEOUT, match="did not end within"):
                started.wait(0)
        # It would be WAITING for its child for as long as one is.
        assert system.info().process.reason is None
        assert started.info().process.exit is None


def test_can_one_wait_again_after_the_kernel_was_away(
    shared: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    with shared.program() as system:

        def lost(_: float) -> None:
            system._connection._exchange.fail_all(errors.ECONNREFUSED("it is not up"))

        for read in (list, None):
            started = system.spawn(agent(), SAYS)
            with monkeypatch.context() as patch:
                patch.setattr(system._connection, "pump", lost)
                with pytest.raises(errors.ECONNREFUSED):
                    read(started.stream()) if read else started.wait()
            assert started.wait().answer == SAYS


def test_is_an_answer_that_is_made_anew_on_a_new_line(shared: Machines) -> None:
    pieces = [Piece(1, "A ca"), Piece(1, "A boat.", anew=True)]
    with shared.program() as system:
        for read in (iter, Stream.ready):
            stream = system.open("sys.ping")
            stream.inbox.extend([*pieces, Reply({})])
            assert list(read(stream)) == ["A ca", "\nA boat."]


def test_does_generate_give_text_usage_and_tokens(shared: Machines) -> None:
    with shared.program() as system:
        reply = system.generate(SAYS, max_tokens=3)
        assert (reply.text, reply.finish) == ("one two three ", "length")
        assert (reply.model, reply.driver) == ("fake-model", "fake")
        assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (4, 3)
        stream = system.generate_stream([{"role": "user", "content": SAYS}])
        assert "".join(stream) == SAYS
        assert stream.result()["text"] == SAYS


def test_does_generate_without_a_prompt_use_the_process_s_own_context(shared: Machines) -> None:
    with shared.program() as system:
        system.call("ctx.append", messages=[{"role": "user", "content": "a b"}])
        assert system.generate().text == "a b"
        assert system.generate("c d", append=True).usage.prompt_tokens == 6
        kept = [m["content"] for m in system.call("ctx.read")["messages"]]
        assert kept == ["a b", "a b", "c d", "c d"]


def test_are_several_agents_followed_at_once(shared: Machines) -> None:
    with shared.program() as system:
        agents = [system.spawn(agent(f"a{n}"), f"x{n} " * 15) for n in range(3)]
        order = []
        texts = dict.fromkeys(agents, "")
        for who, text in system.follow(agents):
            order.append(who)
            texts[who] += text
        assert list(texts.values()) == [f"x{n} " * 15 for n in range(3)]
        assert len(set(order[: len(order) // 2])) == 3  # beside each other, not in turn
        assert [a.wait().code for a in agents] == [0, 0, 0]


def test_does_the_handle_kill_and_tell(shared: Machines) -> None:
    with shared.program() as system:
        started = system.spawn(agent("doomed"), "word " * 500)
        assert started.info().process.name == "doomed"
        assert started.kill("KILL") == [started.pid]
        record = started.wait(5)
        assert (record.signal, record.code) == ("KILL", 137)


# -- the async client -------------------------------------------------------------------------


def test_does_the_async_client_do_the_same(shared: Machines) -> None:
    async def main() -> None:
        async with connect_async(home=shared.home.root) as system:
            started = await system.spawn(agent("talker"), SAYS)
            assert "".join([chunk async for chunk in started.stream()]) == SAYS
            assert (await started.wait()).answer == SAYS
            replies = await asyncio.gather(*(system.generate(f"say {n}") for n in range(6)))
            assert [reply.text for reply in replies] == [f"say {n}" for n in range(6)]
            stream = system.generate_stream(SAYS)
            assert "".join([chunk async for chunk in stream]) == SAYS
            assert (await stream.result())["finish"] == "stop"
            slow = await system.spawn(agent(), "word " * 60)
            with pytest.raises(errors.ETIMEOUT):
                await slow.wait(0.1)
            assert (await slow.wait(10)).code == 0
            assert (await system.info()).process.pid == system.pid
            assert system.pid in [p.pid for p in await system.processes()]
            with pytest.raises(errors.EINVAL):
                await system.call("proc.lsit")

    asyncio.run(main())


def test_does_one_async_connection_carry_many_sessions(shared: Machines) -> None:
    async def main() -> None:
        async with connect_async(home=shared.home.root, user=True) as user:
            made = [await user.call("proc.adopt", name=f"s{n}") for n in range(3)]
            systems = [user.as_session(m["session"], m["pid"]) for m in made]
            infos = await asyncio.gather(*(system.info() for system in systems))
            assert [i.process.pid for i in infos] == [m["pid"] for m in made]
            with pytest.raises(errors.EPERM):
                await systems[0].kill(made[1]["pid"])
            with pytest.raises(errors.EAUTH):
                await user.as_session("0" * 64).info()
            assert await user.kill(made[0]["pid"], "KILL") == [made[0]["pid"]]
            with pytest.raises(errors.EAUTH):
                await systems[0].info()

    asyncio.run(main())


# -- whose process it is ----------------------------------------------------------------------


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
        attached = system.spawn(agent(), "word " * 500, attach=True).pid
        free = system.spawn(agent(), "word " * 500).pid
        assert _there(shared, pid)
    eventually(lambda: not _there(shared, pid), 3)
    eventually(lambda: not _there(shared, attached), 3)
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
    eventually(lambda: not _there(shared, pid), 3)


def test_does_a_nameless_process_that_missed_a_restart_end(kernel: Machines) -> None:
    """Its program died while the kernel was away, so no connection's end is ever seen."""
    system = kernel.program()
    with kernel.program() as other:
        pid, stays = system.pid, other.pid
        kernel.kill_kernel()
        system.close()
        kernel.start_kernel()
        assert other.info().process.pid == stays
        eventually(lambda: not _there(kernel, pid), 14)
        assert other.info().process.pid == stays


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
        pids = [call.result(20)["pid"] for call in spawning]
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
            pids = {(await call.result(20))["pid"] for call in spawning}
            rows = [p.pid for p in await system.processes() if p.kind == "agent"]
            assert (len(pids), sorted(rows)) == (20, sorted(pids))
            assert (await answer).text.split() == ["word"] * 40

    asyncio.run(main())


# -- when nothing is up -----------------------------------------------------------------------


def _assert_refused(error: errors.ECONNREFUSED, home: Home) -> None:
    assert error.message == f"the system in {home.root} is not up"
    assert error.hint == "start it: llmos up --detach"
    assert error.exit_status == 3


def _connected(home: Home, kind: str, **options: Any) -> None:
    if kind == "sync":
        connect(home=home.root, **options).close()
        return

    async def main() -> None:
        async with connect_async(home=home.root, **options):
            pass

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_is_one_refused_quickly_where_nothing_was_ever_up(
    home: Home, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmagentos.aio_connection.CONNECT_PATIENCE", 1.0)
    begun = time.monotonic()
    with pytest.raises(errors.ECONNREFUSED) as caught:
        _connected(home, kind)
    _assert_refused(caught.value, home)
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_is_one_refused_quickly_where_a_kernel_was_killed(
    kernel: Machines, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmagentos.aio_connection.CONNECT_PATIENCE", 1.0)
    kernel.kill_kernel()
    assert (kernel.home.run / "kernel.sock").exists()
    begun = time.monotonic()
    with pytest.raises(errors.ECONNREFUSED) as caught:
        _connected(kernel.home, kind, user=True)
    _assert_refused(caught.value, kernel.home)
    assert time.monotonic() - begun < 5


def test_does_a_call_lose_patience_with_a_kernel_that_stays_away(kernel: Machines) -> None:
    with kernel.program(patience=1.0) as system:
        waiting = system.open("proc.wait", pid=1)
        assert system.call("sys.ping")
        kernel.kill_kernel()
        begun = time.monotonic()
        with pytest.raises(errors.ECONNREFUSED) as caught:
            system.info()
        assert 0.9 < time.monotonic() - begun < 4
        _assert_refused(caught.value, kernel.home)
        with pytest.raises(errors.LLMOSError):
            waiting.result(5)
        with pytest.raises(errors.ECONNREFUSED):
            system.call("sys.ping", within=5)
        kernel.start_kernel()
        assert eventually(lambda: _answers(system), 5)


def _answers(system: System) -> bool:
    try:
        return bool(system.call("sys.ping", within=2))
    except errors.ECONNREFUSED:
        return False


@pytest.mark.parametrize("late", [False, True])
def test_does_the_async_client_lose_patience_too(kernel: Machines, late: bool) -> None:
    """``late``: a call that is made when patience was lost before."""

    async def main() -> None:
        async with connect_async(home=kernel.home.root, patience=0.5) as system:
            kernel.kill_kernel()
            with pytest.raises(errors.ECONNREFUSED) as caught:
                await system.call("sys.ping", within=5)
            _assert_refused(caught.value, kernel.home)
            if late:
                with pytest.raises(errors.ECONNREFUSED):
                    await system.call("sys.ping", within=3)

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_may_one_close_twice(shared: Machines, kind: str) -> None:
    if kind == "sync":
        with shared.program() as system:
            system.close()
        return

    async def main() -> None:
        async with connect_async(home=shared.home.root) as system:
            await system.close()

    asyncio.run(main())


def test_is_a_wrong_key_refused_and_left_at_that(shared: Machines) -> None:
    with pytest.raises(errors.EAUTH):
        connect(home=shared.home.root, key="0" * 64)
    with pytest.raises(errors.EAUTH), connect(home=shared.home.root, session="nonsense") as system:
        system.info()


# -- what is given up ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_does_a_call_that_took_too_long_stay_ended(shared: Machines, kind: str) -> None:
    if kind == "sync":
        with shared.program() as system:
            stream = system.open("proc.wait", pid=system.spawn(agent(), "word " * 300).pid)
            for use in (lambda: stream.result(0.1), stream.result, lambda: list(stream)):
                with pytest.raises(errors.ETIMEOUT, match=r"within 0\.1 s"):
                    use()
        return

    async def main() -> None:
        async with asyncio.timeout(10), connect_async(home=shared.home.root) as system:
            started = await system.spawn(agent(), "word " * 300)
            stream = system.open("proc.wait", pid=started.pid)
            for within in (0.1, None):
                with pytest.raises(errors.ETIMEOUT, match=r"within 0\.1 s"):
                    await stream.result(within)
            with pytest.raises(errors.ETIMEOUT):
                [text async for text in stream]

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_is_a_closed_connection_refused(shared: Machines, kind: str) -> None:
    if kind == "sync":
        system = shared.program()
        waiting = system.open("proc.wait", pid=system.pid)
        system.close()
        for use in (system.info, waiting.result, lambda: list(system.generate_stream("x"))):
            with pytest.raises(errors.ECONNREFUSED, match="this connection was closed"):
                use()
        return

    async def main() -> None:
        system = await connect_async(home=shared.home.root)
        await system.close()
        with pytest.raises(errors.ECONNREFUSED, match="this connection was closed"):
            await asyncio.wait_for(system.info(), 3)

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
            out, _ = program.communicate(timeout=15)
        finally:
            program.kill()
    assert out.splitlines() == ["connect again in the child", "True", "True"]


LONG = "word " * 2000


@pytest.mark.parametrize("way", ["close", "with", "break", "interrupt", "timeout"])
def test_is_an_answer_that_nobody_reads_cancelled(
    shared: Machines, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with shared.program() as system:
        stream = system.generate_stream(LONG, max_tokens=2000)
        next(stream.pieces())
        if way == "close":
            stream.close()
        elif way == "with":
            with stream:
                pass
        elif way == "break":
            for _ in stream:
                break
        elif way == "timeout":
            with pytest.raises(errors.ETIMEOUT):
                stream.result(0.1)
        else:
            stream.inbox.clear()
            with monkeypatch.context() as patch:
                patch.setattr(system._connection, "pump", _interrupt)
                with pytest.raises(KeyboardInterrupt):
                    list(stream)
        # Nothing is left to cancel: that is what this call would say.
        assert system.call("llm.cancel") == {"cancelled": 0}
        with pytest.raises((errors.ECANCELED, errors.ETIMEOUT)):
            stream.result()
        assert system.generate(SAYS).text == SAYS


def _interrupt(_: float) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("way", ["cancel", "cancel loop", "break", "close", "timeout"])
def test_is_an_answer_that_no_task_reads_cancelled(shared: Machines, way: str) -> None:
    async def read(system: AsyncSystem, *, some: bool = False) -> None:
        async for _ in system.generate_stream(LONG, max_tokens=2000):
            if some:
                break

    async def main() -> None:
        async with asyncio.timeout(15), connect_async(home=shared.home.root) as system:
            if way == "close":
                system.generate_stream(LONG, max_tokens=2000).close()
            elif way == "break":
                await read(system, some=True)
            elif way == "timeout":
                with pytest.raises(errors.ETIMEOUT):
                    await system.generate_stream(LONG, max_tokens=2000).result(0.2)
            else:
                work = read(system) if "loop" in way else system.generate(LONG, max_tokens=2000)
                task = asyncio.create_task(work)
                await asyncio.sleep(0.3)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            await asyncio.sleep(0.1)
            assert await system.call("llm.cancel") == {"cancelled": 0}
            assert (await system.generate(SAYS)).text == SAYS

    asyncio.run(main())


def test_may_a_wait_that_was_cancelled_be_taken_up_again(shared: Machines) -> None:
    async def main() -> None:
        async with connect_async(home=shared.home.root) as system:
            started = await system.spawn(agent(), "word " * 40)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(started.wait(), 0.1)
            assert (await started.wait(10)).code == 0

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["threads", "tasks"])
def test_do_programs_of_one_name_become_one_process(shared: Machines, kind: str) -> None:
    pids: list[int | None] = []
    name = f"fresh-{kind}"

    def one() -> None:
        with shared.program(name=name) as system:
            pids.append(system.info().process.pid)

    async def other() -> None:
        async with connect_async(home=shared.home.root, name=name) as system:
            pids.append((await system.info()).process.pid)

    async def main() -> None:
        await asyncio.gather(*(other() for _ in range(12)))

    if kind == "tasks":
        asyncio.run(main())
    else:
        threads = [threading.Thread(target=one) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert (len(pids), len(set(pids))) == (12, 1)


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_is_a_name_that_is_a_path_refused(shared: Machines, kind: str) -> None:
    for name in ("../x", "n" * 64, ""):
        with pytest.raises(errors.EINVAL, match="can't be a program's name"):
            _connected(shared.home, kind, name=name)
    assert not (shared.home.root / "x").exists()


def test_is_what_can_not_be_sent_no_raw_exception(shared: Machines) -> None:
    with shared.program() as system:
        for use in (
            lambda: system.info(2**70),
            lambda: system.generate("\udcff"),
            lambda: system.spawn("/dev/zero"),
        ):
            with pytest.raises(errors.EINVAL):
                use()


def test_does_a_message_that_can_not_be_taken_in_fail_the_calls(
    shared: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Any) -> None:
        raise RuntimeError("odd")

    async def main() -> None:
        async with connect_async(home=shared.home.root) as system:
            with monkeypatch.context() as patch:
                patch.setattr(system._connection._exchange, "feed", broken)
                with pytest.raises(errors.EPROTO):
                    await asyncio.wait_for(system.info(), 3)
            assert (await system.info()).process.pid == system.pid

    asyncio.run(main())
