"""Do the sync and the async client hold what they promise, against the real system?"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from llmagentos import connect_async
from llmagentos.abi import errors
from llmagentos.exchange import Piece, Reply
from llmagentos.stream import Stream
from tests.system.machines import Machines, agent

pytestmark = pytest.mark.usefixtures("no_session")

SAYS = "one two three four"


def test_does_an_agent_given_as_a_dict_stream_its_answer(shared: Machines) -> None:
    with shared.program() as system:
        said = " ".join(["word"] * 200)
        started = system.spawn(agent("talker"), said)
        chunks = list(started.stream())
        assert "".join(chunks) == said
        assert len(chunks) > 1
        record = started.wait()
        assert (record.code, record.answer, record.name) == (0, said, "talker")
        assert (record.usage.prompt_tokens, record.usage.completion_tokens) == (200, 200)
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
        record = started.wait(60)
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
            with shared.held_up():
                slow = await system.spawn(agent(), SAYS)
                with pytest.raises(errors.ETIMEOUT):
                    await slow.wait(0.1)
            assert (await slow.wait(60)).code == 0
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
