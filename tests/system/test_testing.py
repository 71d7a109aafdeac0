"""Does what we offer for tests of agents do what it says?"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llmagentos import connect, connect_async
from llmagentos.abi import errors
from llmagentos.abi.talk import ChatMessage
from llmagentos.testing import Call, Running, Say, running

AGENT: dict[str, Any] = {
    "apiVersion": "llmagentos/v1", "kind": "Agent", "metadata": {"name": "a"},
}  # fmt: skip


def agent(**spec: Any) -> dict[str, Any]:
    return {**AGENT, "spec": spec}


@pytest.fixture(scope="module")
def echo() -> Iterator[Running]:
    """One system for all who need no script of their own."""
    with running(lambda messages: f"{len(messages)}: {messages[-1].content}") as system:
        yield system


def test_are_answers_given_in_their_order_and_what_was_asked_is_known() -> None:
    with running(["one", Say("two words"), errors.EINVAL("no such luck")], host=False) as system:
        assert system.generate("a", max_tokens=9).text == "one"
        assert list(system.generate_stream("b")) == ["two", " words"]
        with pytest.raises(errors.EINVAL, match="no such luck"):
            system.generate("c")
        with pytest.raises(errors.EINVAL, match="the script has 3 answers"):
            system.generate("d")
        asked = system.script.asked
        assert [order.messages[-1].content for order in asked] == ["a", "b", "c", "d"]
        assert asked[0].sampling.max_tokens == 9


def test_is_nothing_of_it_left() -> None:
    before = {**os.environ}, {*threading.enumerate()}
    with running("x", host=False, tools={"t": lambda: 1}) as system:
        home = system.home
        assert os.environ["LLMOS_HOME"] == str(home)
        with connect() as other:
            assert other.pid != system.pid
    assert not home.exists()
    after = {*threading.enumerate()}
    assert {**os.environ} == before[0]
    assert {one for one in after - before[1] if one.name.startswith("llmos")} == set()


def test_does_what_fails_in_a_test_come_out_as_it_is() -> None:
    homes = []

    def fail() -> None:
        with running(host=False) as system:
            homes.append(system.home)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not homes[0].exists()


def test_can_a_function_answer(echo: Running) -> None:
    assert echo.generate("hello").text == "1: hello"
    started = echo.spawn(agent(prompt="Be kind.", limits={"tokens": 1000}), "hi")
    assert started.wait(60).answer == "2: hi"
    assert echo.script.asked[-1].pid == started.pid


def test_is_an_answer_cut_at_its_most_tokens_and_told_so(echo: Running) -> None:
    reply = echo.generate("a b c", max_tokens=2)
    assert (reply.text, reply.finish, reply.usage.completion_tokens) == ("1: a", "length", 2)


def test_is_a_function_that_fails_told_to_who_asked() -> None:
    def broken(messages: list[ChatMessage]) -> str:
        return {}[messages[0].content]

    with running(broken, host=False) as system:
        with pytest.raises(errors.EINVAL, match="the script failed: KeyError: 'x'"):
            system.generate("x")
        with pytest.raises(errors.EINVAL, match="the script failed"):
            system.generate("x")


def test_can_a_call_be_cancelled_in_the_middle_of_a_slow_answer() -> None:
    with running([Say("one two three", delay=0.05), "fast"], host=False) as system:
        stream = system.generate_stream("x")
        assert next(iter(stream)) == "one"
        assert system.generate("y").text == "fast", "a slow one holds nobody up"
        system.llm.cancel()
        with pytest.raises(errors.ECANCELED):
            stream.result()


def weather(city: str, days: int = 1) -> dict[str, Any]:
    """What the weather is like."""
    if city == "Nowhere":
        raise errors.ENOENT("there is no such city")
    if city == "Atlantis":
        raise RuntimeError("wet")
    return {"city": city, "days": days}


def test_are_functions_tools() -> None:
    calls = [Call("weather", city="Oslo", days=2), Call("weather", city="Nowhere")]
    with running([Say("let me see", calls=calls), "rain"], tools={"weather": weather}) as system:
        (card,) = system.tool.list(names=["weather"]).tools
        assert (card.name, card.description) == ("weather", "What the weather is like.")
        assert card.parameters["required"] == ["city"]
        for city, error in (("Nowhere", errors.ENOENT), ("Atlantis", errors.EDRIVER)):
            with pytest.raises(error):
                system.tool.call(name="weather", arguments={"city": city})
        with pytest.raises(errors.EINVAL, match="days"):
            system.tool.call(name="weather", arguments={"city": "x", "days": "many"})
        started = system.spawn(agent(tools=["weather"]), "is it wet?")
        assert started.wait(60).answer == "rain"
        first, second = system.script.asked
        assert [tool.name for tool in first.tools] == ["weather"]
        told = [message for message in second.messages if message.role == "tool"]
        assert "Oslo" in told[0].content
        assert "there is no such city" in told[1].content


def test_is_a_program_run_in_it(tmp_path: Path) -> None:
    (tmp_path / "it.py").write_text(
        "from llmagentos import connect\n"
        "with connect() as system:\n    print(system.generate(system.task()).text)\n"
    )
    (tmp_path / "it.yaml").write_text(
        "apiVersion: llmagentos/v1\nkind: Agent\nmetadata: {name: it}\n"
        "spec: {model: mine, program: [python, it.py]}\n"
    )
    with running("fine", models=["mine"]) as system:
        record = system.spawn(tmp_path / "it.yaml", "how are you?").wait(60)
        assert (record.answer, record.error) == ("fine", None)
        assert system.script.asked[0].messages[0].content == "how are you?"


def test_has_the_async_client_all_of_it_too(echo: Running) -> None:
    async def talk() -> list[str]:
        async with connect_async() as system:
            both = await asyncio.gather(system.generate("a"), system.generate("b"))
            assert (await system.mem.put(key="k", value=1)).created
            assert (await system.sys.ping()).uptime > 0
            return [reply.text for reply in both]

    assert asyncio.run(talk()) == ["1: a", "1: b"]


def test_can_nobody_be_told_nothing(echo: Running) -> None:
    with pytest.raises(errors.ENOENT, match="was told nothing"):
        echo.task()
    echo.ctx.append(messages=[{"role": "user", "content": "this"}])
    echo.ctx.append(messages=[{"role": "assistant", "content": "yes"}])
    assert echo.task() == "this"


def _fails(*_: Any) -> Any:
    pytest.fail("as a test says it")


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (_fails, "the script failed: Failed: as a test says it"),
        (["\ud83d"], "no model could say"),
        (["x" * 5_000_000], "no model could say"),
        ([Say(calls=[Call("t", when=object())])], "object is not JSON serializable"),
    ],
)
def test_is_an_answer_that_no_model_could_give_told_at_once(answer: Any, says: str) -> None:
    asked = {"messages": [{"role": "user", "content": "a"}]}
    with running(answer, host=False) as system, pytest.raises(errors.EINVAL, match=says):
        system.call("llm.generate", within=60, **asked)


def test_is_a_function_that_gives_nothing_that_can_be_sent_told_at_once() -> None:
    tools = {"fails": _fails, "half": lambda: "\ud83d", "large": lambda: "x" * 5_000_000}
    with running(host=False, tools=tools) as system:
        for name, says in (("fails", "as a test"), ("half", "be sent"), ("large", "be sent")):
            with pytest.raises(errors.EDRIVER, match=says):
                system.call("tool.call", within=60, name=name)
