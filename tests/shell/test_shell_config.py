"""Does a configuration say what runs, and a wrong one what is wrong with it and where?"""

from __future__ import annotations

import pytest

from llmagentos.abi.errors import EINVAL, EIO
from llmagentos.home import Home
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
    assert _words(home) == {
        "edge": "drivers.edge --name edge --model smollm2-135m-instruct",
        "host": "agents --name host",
    }
    assert kernel_program(home).command[3:] == ["kernel"]


def test_is_the_scheduling_policy_passed_on(home: Home) -> None:
    _write(home, "policy: rr\n")
    assert kernel_program(home).command[3:] == ["kernel", "--policy=rr"]
    _write(home, "policy: lottery\n")
    with pytest.raises(EINVAL, match="policy"):
        load(home)


def test_are_tool_drivers_without_a_model(home: Home) -> None:
    _write(home, "drivers: [{name: clock, kind: clock, slots: 2}]\n")
    assert _words(home)["clock"] == "drivers.clock --name clock --slots 2"
    _write(home, "drivers: [{name: box, kind: sandbox, options: {memory: 64, unconfined: true}}]\n")
    assert _words(home)["box"] == "drivers.sandbox --name box --memory=64 --unconfined"
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
          - {name: a, slots: 2, dtype: bfloat16, threads: 1}
          - name: b
            kind: scripted
            model: other
            options: {delay: 0.5, garbage: true}
        """,
    )
    assert _words(home) == {
        "a": "drivers.edge --name a --model small --slots 2 --dtype bfloat16 --threads 1",
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
