"""Do the shipped agents run behind Anthropic's API, when one line of the configuration says so?"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator

import pytest

pytest.importorskip("anthropic")

from llmagentos import connect
from llmagentos.home import Home
from tests.drivers.cloud.endpoint import Behaviour
from tests.drivers.cloud.messages import MessagesEndpoint
from tests.shell.standins import run_llmos
from tests.system.machines import eventually

AGENTS = ["cloud-first", "codegen", "dialogue", "summarise", "translate"]
SECRET = "sk-ant-secret-987"


@pytest.fixture(scope="module")
def mock() -> Iterator[MessagesEndpoint]:
    with MessagesEndpoint() as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, mock: MessagesEndpoint) -> Iterator[Home]:
    home = Home(tmp_path_factory.mktemp("messages") / "h")
    home.root.mkdir()
    home.config.write_text(
        "drivers:\n"
        f"  - name: there\n    kind: cloud\n    endpoint: {mock.url}\n    key: MESSAGES_KEY\n"
        "    models: {smollm2-135m-instruct: there/model}\n    options: {own-sampling: true}\n"
        "    api: anthropic\n"
        "prices: {smollm2-135m-instruct: {prompt: 1, completion: 2}}\n"
    )
    patch = pytest.MonkeyPatch()
    patch.setenv("MESSAGES_KEY", SECRET)
    up = run_llmos(home, "up", "--detach")
    try:
        assert up.returncode == 0, up.stderr
        with connect(home=home.root, user=True) as user:
            eventually(
                lambda: any(
                    row["name"] == "there" and row["state"] == "ready"
                    for row in user.call("drv.list")["drivers"]
                ),
                60,
            )
        yield home
    finally:
        run_llmos(home, "down")
        patch.undo()
        if home.run.parent != home.root:
            shutil.rmtree(home.run, ignore_errors=True)


def test_does_each_shipped_agent_run_there(home: Home, mock: MessagesEndpoint) -> None:
    for agent in AGENTS:
        ran = run_llmos(home, "run", agent, "Good morning.", "--json")
        assert ran.returncode == 0, (agent, ran.stderr)
        record = json.loads(ran.stdout)
        assert record["usage"]["prompt_tokens"] == 7
        assert record["usage"]["money"] == pytest.approx((7 * 1 + 4 * 2) / 1e6)
    talk = run_llmos(home, "run", "assistant", "Good morning.")
    assert (talk.returncode, talk.stdout) == (0, "Hello, world!\n"), talk.stderr
    assert mock.keys[-1] == f"Bearer {SECRET}"


def test_does_an_agent_call_its_tools_there(home: Home, mock: MessagesEndpoint) -> None:
    manifest = home.root / "clock.yaml"
    manifest.write_text(
        "apiVersion: llmagentos/v1\nkind: Agent\nmetadata: {name: clock}\n"
        "spec: {tools: [fs.write], prompt: 'Take notes.'}\n"
    )
    note = {"id": "toolu_1", "name": "fs__write", "input": ['{"path": "note", ', '"text": "noon"}']}
    mock.requests.clear()
    mock.plans = [Behaviour(words=[], tools=[note], finish="tool_use")]
    ran = run_llmos(home, "run", str(manifest), "note it", "--json")
    assert ran.returncode == 0, ran.stderr
    first, second = mock.requests
    assert [tool["name"] for tool in first["tools"]] == ["fs__write"]
    call, result = second["messages"][-2:]
    assert call["content"][0]["input"] == {"path": "note", "text": "noon"}
    assert result["content"][0]["tool_use_id"] == "toolu_1"
    assert json.loads(ran.stdout)["usage"]["tool_calls"] == 1


def test_is_an_overloaded_endpoint_a_typed_error(home: Home, mock: MessagesEndpoint) -> None:
    mock.plans = [Behaviour(breaks="error event")]
    ran = run_llmos(home, "run", "dialogue", "hi")
    assert ran.returncode != 0
    assert "Overloaded" in ran.stderr
    assert SECRET not in ran.stderr + ran.stdout


def test_is_it_shown_as_any_endpoint(home: Home) -> None:
    (row,) = [r for r in json.loads(run_llmos(home, "drivers", "--json").stdout)["drivers"]
              if r["name"] == "there"]  # fmt: skip
    assert (row["kind"], row["models"][0]["context_length"]) == ("cloud", 4096)
    doctor = run_llmos(home, "doctor").stdout
    assert "key of there" in doctor
    assert SECRET not in doctor
