"""Do the shipped agents run on somebody else's server, when one line of the configuration says so?

The server is llama.cpp's, with the embedded model. What an answer says is the model's affair; that
all of it comes, is counted and goes on from a text is ours.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator

import pytest

pytest.importorskip("openai")
pytest.importorskip("xllamacpp")

from drivers.cloud.endpoint import Endpoint
from drivers.cloud.key import NO_KEY
from drivers.cloud.loader import load_engine
from drivers.cloud.loop import Loop
from llmagentos import connect
from llmagentos.abi.cards import ModelCard
from llmagentos.abi.errors import ECONTEXT
from llmagentos.abi.talk import ToolSpec
from llmagentos.home import Home
from tests.acceptance.llama_server import MODEL, llama_server
from tests.drivers.cloud.driven import Driven
from tests.drivers.orders import order
from tests.shell.standins import run_llmos
from tests.system.machines import eventually

pytestmark = [pytest.mark.model, pytest.mark.timeout(600)]

QUESTION = "What is the capital of France?"
STORY = "Tell me a long story about a fox."
AGENTS = {
    "codegen": "A function that adds two numbers.",
    "dialogue": QUESTION,
    "summarise": "The ferry to the island leaves at nine. It was late today because of the fog.",
    "translate": "Good morning.",
}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with llama_server() as url:
        yield url


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, server: str) -> Iterator[Home]:
    home = Home(tmp_path_factory.mktemp("cloud") / "h")
    home.root.mkdir()
    home.config.write_text(
        f"drivers: [{{name: there, kind: cloud, endpoint: '{server}', models: [{MODEL}], "
        f"continues: prefill, slots: 2}}]\nprices: {{{MODEL}: {{prompt: 1, completion: 2}}}}\n"
    )
    up = run_llmos(home, "up", "--detach")
    try:
        assert up.returncode == 0, up.stderr
        with connect(home=home.root, user=True) as user:
            eventually(
                lambda: any(
                    row["name"] == "there" and row["state"] == "ready"
                    for row in user.call("drv.list")["drivers"]
                ),
                90,
            )
        yield home
    finally:
        run_llmos(home, "down")
        if home.run.parent != home.root:
            shutil.rmtree(home.run, ignore_errors=True)


@pytest.mark.parametrize("agent", AGENTS)
def test_does_each_shipped_agent_run_there(home: Home, agent: str) -> None:
    ran = run_llmos(home, "run", agent, AGENTS[agent], "--max-tokens", "12", "--json")
    assert ran.returncode == 0, ran.stderr
    record = json.loads(ran.stdout)
    assert record["usage"]["prompt_tokens"] > 0
    assert 0 < record["usage"]["completion_tokens"] <= 12
    assert record["usage"]["money"] > 0


def test_is_its_answer_streamed_and_its_usage_the_servers(home: Home) -> None:
    with connect(home=home.root) as program:
        stream = program.generate_stream(STORY, max_tokens=100)
        pieces = list(stream)
        answer = stream.result()
    assert len(pieces) > 1
    assert "".join(pieces) == answer["text"]
    assert answer["driver"] == "there"
    assert answer["usage"]["completion_tokens"] == 100
    assert answer["usage"]["prompt_tokens"] > 20


@pytest.fixture
def driven(server: str) -> Iterator[Driven]:
    endpoint = Endpoint(url=server, upstream={"tiny": MODEL}, continues="prefill", grammar=True)
    card = ModelCard(name="tiny", context_length=4096)
    loop = Loop()
    notes: list[str] = []
    try:
        yield Driven(
            load_engine(
                endpoint, NO_KEY, [card], 2, [], loop,
                lambda note, progress=None: notes.append(note), lengths_known=True,
            )
        )  # fmt: skip
    finally:
        loop.close()


def test_does_it_go_on_from_a_text(driven: Driven) -> None:
    begun = order(1, QUESTION, accepted=[0, 0, 0], max_tokens=12)
    reports = driven.answer(begun.model_copy(update={"text": "The capital of"}), 60)
    text = "".join(report.text for report in reports)
    assert text.startswith(" France is Paris")
    assert reports[0].index == 3


def test_does_it_keep_to_a_schema(driven: Driven) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string", "maxLength": 9}},
              "required": ["city"], "additionalProperties": False}  # fmt: skip
    reports = driven.answer(order(1, QUESTION, grammar={"json_schema": schema}), 60)
    assert reports[-1].finish == "stop"
    assert set(json.loads("".join(report.text for report in reports))) == {"city"}


def test_is_it_told_of_tools(driven: Driven) -> None:
    tools = [ToolSpec(name="time.now", description="The time.")]
    last = driven.answer(order(1, "hi", max_tokens=4).model_copy(update={"tools": tools}), 60)[-1]
    assert last.error is None


def test_is_a_prompt_that_does_not_fit_refused(driven: Driven) -> None:
    (report,) = driven.answer(order(1, "long " * 5000), 60)
    assert report.error is not None
    assert report.error.code == ECONTEXT.__name__
    assert report.prompt_tokens == 0
