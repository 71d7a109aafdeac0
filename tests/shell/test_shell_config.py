"""Does a configuration say what runs, and a wrong one what is wrong with it and where?"""

from __future__ import annotations

import pytest

from llmagentos.abi.errors import EINVAL, EIO
from llmagentos.home import Home
from shell import config
from shell.config import load
from shell.plan import kernel_program


def _words(home: Home) -> dict[str, str]:
    return {program.name: " ".join(program.command[3:]) for program in load(home).programs()}


def _write(home: Home, text: str | bytes) -> None:
    home.root.mkdir(exist_ok=True)
    home.config.write_bytes(text.encode() if isinstance(text, str) else text)


@pytest.mark.parametrize("text", [None, "", "# nothing but a comment\n", "{}"])
def test_does_it_do_without_settings(home: Home, text: str | None) -> None:
    if text is not None:
        _write(home, text)
    embedding = "drivers.embedding --name embedding --model all-minilm-l6-v2 --label private"
    assert _words(home) == {
        "edge": "drivers.edge --name edge --model smollm2-135m-instruct --label private",
        "embedding": embedding,
        "host": "agents --name host",
    }
    assert kernel_program(home).command[3:] == ["kernel"]


def test_is_there_no_embedding_driver_where_it_is_not_installed(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "find_spec", lambda name: None if name == "onnxruntime" else name)
    assert set(_words(home)) == {"edge", "host"}


def test_is_an_embedding_driver_configured_like_others(home: Home) -> None:
    _write(
        home,
        "drivers:\n  - {name: meaning, kind: embedding, model: mine, threads: 1, labels: []}\n",
    )
    program = "drivers.embedding --name meaning --model mine --threads 1"
    assert _words(home)["meaning"] == program
    _write(home, "drivers:\n  - {name: meaning, kind: embedding, dtype: float32}\n")
    with pytest.raises(EINVAL, match="embedding driver has no dtype"):
        load(home)


def test_is_the_scheduling_policy_passed_on(home: Home) -> None:
    _write(home, "policy: rr\n")
    assert kernel_program(home).command[3:] == ["kernel", "--policy=rr"]
    _write(home, "policy: lottery\n")
    with pytest.raises(EINVAL, match="policy"):
        load(home)


def test_is_the_address_for_nodes_passed_on_and_only_tcp(home: Home) -> None:
    _write(home, "listen: tcp://0.0.0.0:7667\n")
    assert load(home).listen == "tcp://0.0.0.0:7667"
    assert kernel_program(home).command[3:] == ["kernel", "--listen=tcp://0.0.0.0:7667"]
    for wrong in ("ipc:///tmp/x", "tcp://0.0.0.0", "tcp://0.0.0.0:0", "tcp://:7667", "'7667'"):
        _write(home, f"listen: {wrong}\n")
        with pytest.raises(EINVAL, match="line 1: listen"):
            load(home)


def test_are_tool_drivers_without_a_model(home: Home) -> None:
    _write(home, "drivers: [{name: clock, kind: clock, slots: 2}]\n")
    assert _words(home)["clock"] == "drivers.clock --name clock --slots 2"
    _write(home, "drivers: [{name: box, kind: sandbox, options: {memory: 64, unconfined: true}}]\n")
    assert (
        _words(home)["box"] == "drivers.sandbox --name box --label private --memory=64 --unconfined"
    )
    _write(home, "drivers: [{name: clock, kind: clock, model: m}]\n")
    with pytest.raises(EINVAL, match="a clock driver has no model"):
        load(home)


def test_do_settings_become_programs(home: Home) -> None:
    _write(
        home,
        """
        default_model: small
        durability: full
        hosts: 2
        drivers:
          - {name: a, slots: 2, dtype: bfloat16, threads: 1, labels: [team, private]}
          - name: b
            kind: scripted
            model: other
            labels: []
            options: {delay: 0.5, garbage: true}
        """,
    )
    assert _words(home) == {
        "a": "drivers.edge --name a --model small --slots 2 --dtype bfloat16 --threads 1"
        " --label team --label private",
        "b": "drivers.scripted --name b --model other --delay=0.5 --garbage",
        "host": "agents --name host",
        "host-2": "agents --name host-2",
    }
    assert kernel_program(home).command[3:] == [
        "kernel", "--default-model=small", "--durability=full",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "line", "said", "remedy"),
    [
        ("hosts: 1\ncolour: red\n", 2, "colour: there is no such field", "default_model, drivers"),
        ("\nhosts: many\n", 2, "hosts: input should be a valid integer", "mend hosts"),
        ("hosts: -1", 1, "hosts: input should be greater", "mend hosts"),
        ("drivers:\n  - name: a\n    slot: 3\n", 3, "drivers[0].slot: there is", "name, kind"),
        ("drivers:\n  - kind: edge\n", 2, "drivers[0].name: field required", "add name"),
        ("drivers:\n  - {name: host}\n", 2, "the name host is taken", "choose another"),
        (
            "drivers:\n- {name: a}\n- {name: a}\n",
            3,
            "drivers[1].name: the name a is taken",
            "choose another",
        ),
        ("drivers:\n- {name: a, kind: scripted, threads: 2}\n", 2, "has no threads", "mend"),
        ("- a list\n", 1, "it must be a map", "default_model"),
        ("hosts: [1\nx: 2", 2, "is not YAML", "mend it"),
        (b"hosts: 1 # \xff", None, "is not UTF-8 text (byte 11)", "UTF-8"),
        ("x: " + "y" * 300_000, None, "the most is 262,144", ""),
    ],
)
def test_does_a_mistake_name_its_place_and_remedy(
    home: Home, text: str | bytes, line: int | None, said: str, remedy: str
) -> None:
    _write(home, text)
    with pytest.raises(EINVAL) as caught:
        load(home)
    assert str(home.config) in caught.value.message
    assert said in caught.value.message
    assert remedy in caught.value.hint
    if line is not None:
        assert f"line {line}" in caught.value.message


def test_is_an_unreadable_file_told_of(home: Home) -> None:
    home.config.mkdir(parents=True)
    with pytest.raises(EIO, match="can't be read"):
        load(home)
    assert kernel_program(home).command[3:] == ["kernel"]


def test_is_an_endpoint_a_driver_with_its_prices(home: Home) -> None:
    _write(
        home,
        """
        prices:
          gpt-small: {prompt: 0.15, completion: 0.6}
          other: {prompt: 1, completion: 2}
        drivers:
          - name: openai
            kind: cloud
            endpoint: https://api.openai.com/v1
            key: OPENAI_API_KEY
            models: {gpt-small: gpt-4o-mini, gpt-large: gpt-4o}
            context_length: {gpt-small: 128000}
            requests_per_minute: 500
            options: {grammar: true, first-token: 20}
          - {name: here, kind: cloud, endpoint: "http://127.0.0.1:8080/v1", models: [tiny],
             key: keyring:llama/me, zone: device, continues: prefill, slots: 4}
          - {name: other, kind: cloud, endpoint: "https://x/v1", api: anthropic, models: [m]}
        """,
    )
    assert _words(home)["openai"] == (
        "drivers.cloud --name openai --endpoint https://api.openai.com/v1 "
        "--model gpt-small=gpt-4o-mini --price-prompt gpt-small=0.15 "
        "--price-completion gpt-small=0.6 --model gpt-large=gpt-4o --key-env OPENAI_API_KEY "
        "--context-length gpt-small=128000 --requests-per-minute 500 --grammar --first-token=20"
    )
    assert _words(home)["here"] == (
        "drivers.cloud --name here --slots 4 --endpoint http://127.0.0.1:8080/v1 --model tiny "
        "--key-keyring llama/me --zone device --continues prefill"
    )
    assert _words(home)["other"] == (
        "drivers.cloud --name other --endpoint https://x/v1 --model m --api anthropic"
    )


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ("endpoint: 'http://x/v1'", "a cloud driver needs models"),
        ("endpoint: 'http://x/v1', models: [m], api: gemini", "'openai' or 'anthropic'"),
        (
            "endpoint: 'http://x/v1', models: [m], api: anthropic, continues: vllm",
            "continues: vllm is not in the API of anthropic",
        ),
        ("endpoint: 'http://x/v1', models: [m], options: {api: anthropic}", "field of its own"),
        ("models: [m]", "a cloud driver needs endpoint"),
        ("models: [m], endpoint: x", "give its base URL"),
        ("models: [m], endpoint: 'http://x', key: sk-1-secret", "name an environment variable"),
        ("models: [m], endpoint: 'http://x', model: m", "has models, not a model"),
        ("models: [m], endpoint: 'http://x', threads: 1", "has no threads"),
    ],
)
def test_does_a_mistake_in_an_endpoint_say_what_is_wrong(
    home: Home, fields: str, said: str
) -> None:
    _write(home, f"drivers: [{{name: a, kind: cloud, {fields}}}]\n")
    with pytest.raises(EINVAL) as caught:
        load(home)
    assert said in caught.value.message
    assert "secret" not in f"{caught.value.message} {caught.value.hint}"


def test_is_an_endpoint_of_no_other_kind_of_driver(home: Home) -> None:
    _write(home, "drivers: [{name: a, endpoint: 'http://x'}]\n")
    with pytest.raises(EINVAL, match="edge driver has no endpoint"):
        load(home)


def test_is_an_mcp_server_a_driver_with_a_command_or_a_url(home: Home) -> None:
    _write(
        home,
        """
        drivers:
          - {name: time, kind: mcp, command: [mcp-server-time, --tz, "a b"], labels: [x]}
          - name: far
            kind: mcp
            url: https://mcp.example.org/mcp
            token: FAR_TOKEN
            result_labels: [web]
            options: {patience: 120}
          - {name: own, kind: mcp, command: [server], env: [API_KEY]}
        """,
    )
    words = _words(home)
    assert words["time"] == ("drivers.mcp --name time --stdio mcp-server-time --tz 'a b' --label x")
    assert words["far"] == (
        "drivers.mcp --name far --url https://mcp.example.org/mcp --token-env FAR_TOKEN "
        "--result-label web --patience=120"
    )
    assert words["own"] == "drivers.mcp --name own --stdio server --env API_KEY"


def test_does_each_program_get_its_own_keys_only(home: Home) -> None:
    _write(
        home,
        """
        drivers:
          - {name: a, kind: cloud, endpoint: "http://a", models: [m], key: FIRST}
          - {name: b, kind: cloud, endpoint: "http://b", models: [n], key: "keyring:b/me"}
          - {name: c, kind: mcp, url: "http://c", token: THIRD_TOKEN}
          - {name: d, kind: mcp, command: [server], env: [GITHUB_TOKEN, HTTPS_PROXY]}
        """,
    )
    mine = {"a": {"FIRST"}, "c": {"THIRD_TOKEN"}, "d": {"GITHUB_TOKEN"}}
    every = frozenset[str]().union(*mine.values())
    programs = [kernel_program(home), *load(home).programs()]
    withheld = {program.name: program.withheld & every for program in programs}
    assert withheld == {
        name: every - mine.get(name, set()) for name in ("kernel", "a", "b", "c", "d", "host")
    }
    assert not any("HTTPS_PROXY" in program.withheld for program in programs)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ("kind: mcp", "needs either a command or a url"),
        ("kind: mcp, command: [a], url: 'http://b'", "needs either a command or a url"),
        ("kind: mcp, command: []", "at least 1 item"),
        ("kind: mcp, url: b", "give the server's URL"),
        ("kind: mcp, url: 'http://b', env: [A]", "env is for a server with a command"),
        ("kind: mcp, command: [a], token: A", "token is for a server with a url"),
        ("kind: mcp, command: [a], env: ['A=1']", "should match pattern"),
        ("kind: mcp, command: [a], model: m", "an? mcp driver has no model"),
        ("kind: clock, command: [a]", "a clock driver has no command"),
    ],
)
def test_is_a_wrong_mcp_server_told_of(home: Home, fields: str, said: str) -> None:
    _write(home, "drivers: [{name: m, " + fields + "}]\n")
    with pytest.raises(EINVAL, match=said):
        load(home)
