"""Who may start programs, what their hosts hear, and where they are run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kernel.catalog import Catalog
from llmagentos.abi.errors import EINVAL, EPERM
from tests.kernel.rig import FakeHost, Program, Rig, agent

pytestmark = pytest.mark.usefixtures("booted")

RUNS = {"program": ["python", "a.py"]}
SPAWNS = {"allow": ["proc:spawn"]}
BOTH = {"allow": ["proc:spawn", "proc:program"]}


def test_may_the_user_and_a_program_of_the_user_start_one(rig: Rig, host: FakeHost) -> None:
    assert rig.state(rig.spawn(agent(**RUNS))) == "READY"
    made = rig.call("proc.adopt", name="ann")
    body = rig.call("proc.spawn", manifest=agent(**RUNS), session=made["session"])
    assert [a.pid for a in host.assigned][-1] == body["pid"]
    assert host.assigned[-1].manifest["spec"]["program"] == RUNS["program"]


def test_is_it_not_implied_by_the_right_to_spawn(rig: Rig, host: FakeHost) -> None:
    parent = rig.spawn(agent(capabilities=SPAWNS))
    host.child(parent, agent("loop"))
    error = host.error_of(host.act(parent, "proc.spawn", manifest=agent(**RUNS)))
    assert error["code"] == "EPERM"
    assert error["detail"] == {"capability": "proc:program"}
    assert "capabilities: {allow: ['proc:program']}" in error["hint"]
    audited = rig.call("sys.audit")["entries"][-1]
    assert (audited["pid"], audited["action"], audited["verdict"]) == (
        parent, "proc.spawn", "EPERM",
    )  # fmt: skip


def test_has_a_child_it_only_if_its_manifest_names_it_and_its_parent_has_it(
    rig: Rig, host: FakeHost
) -> None:
    able = rig.spawn(agent(capabilities=BOTH))
    host.child(able, agent(**RUNS))
    plain = host.child(able, agent(capabilities=SPAWNS))
    assert host.error_of(host.act(plain, "proc.spawn", manifest=agent(**RUNS)))["code"] == "EPERM"
    named = host.child(able, agent(capabilities=BOTH))
    host.child(named, agent(**RUNS))
    unable = rig.spawn(agent(capabilities=SPAWNS))
    greedy = host.child(unable, agent(capabilities=BOTH))
    error = host.error_of(host.act(greedy, "proc.spawn", manifest=agent(**RUNS)))
    assert error["message"] == "a process above agent has no capability proc:program"


def test_is_a_program_started_by_name_or_as_text_no_way_round(
    rig: Rig, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (
        "apiVersion: llmagentos/v1\nkind: Agent\nmetadata: {name: a}\nspec: {program: [x], "
        "model: m}\n"
    )
    parent = rig.spawn(agent(capabilities=SPAWNS))
    error = host.error_of(host.act(parent, "proc.spawn", source=text, folder="/tmp"))
    assert error["code"] == "EPERM"
    monkeypatch.setattr(Catalog, "named", lambda self, name: self.parsed(text, name))
    error = host.error_of(host.act(parent, "proc.spawn", manifest="shipped"))
    assert error["code"] == "EPERM"
    assert "proc:program" in error["message"]


def test_does_a_right_that_must_be_asked_for_hold_once_it_was_given(rig: Rig) -> None:
    rules = {"allow": ["proc:*", "llm:*"], "ask": ["proc:program"]}
    rig.call("proc.adopt", name="ann", capabilities=rules)
    ann = Program(rig, "ann")
    with pytest.raises(EPERM) as caught:
        ann.call("proc.spawn", manifest=agent(**RUNS))
    assert "cap.request" in caught.value.hint
    request = ann.start("cap.request", capability="proc:program")
    rig.call("cap.decide", approval=1, approve=True)
    assert ann.result(request)["granted"]
    assert ann.call("proc.spawn", manifest=agent(**RUNS))["pid"]


def test_is_no_program_forked(rig: Rig, host: FakeHost) -> None:
    pid = rig.spawn(agent(**RUNS))
    with pytest.raises(EINVAL, match="no running agent"):
        rig.call("proc.fork", pid=pid)


def test_does_a_host_hear_all_signals_of_a_program_and_few_of_a_loop(
    rig: Rig, host: FakeHost
) -> None:
    program, loop = rig.spawn(agent(**RUNS)), rig.spawn()
    for name in ("STOP", "CONT", "INT", "TERM"):
        for pid in (program, loop):
            rig.call("proc.kill", pid=pid, signal=name)
    heard = [(order.pid, order.signal) for order in host.heard("signal")]
    assert [name for pid, name in heard if pid == program] == ["STOP", "CONT", "INT", "TERM"]
    assert [name for pid, name in heard if pid == loop] == ["INT", "TERM"]
    rig.wait(rig.config.term_grace + 1)
    last = host.heard("signal")[-2:]
    assert [(order.signal, order.grace) for order in last] == [("KILL", 0), ("KILL", 0)]


def test_is_a_stopped_program_stopped_on_its_next_host_as_well(rig: Rig, host: FakeHost) -> None:
    pid = rig.spawn(agent(**RUNS))
    rig.call("proc.kill", pid=pid, signal="STOP")
    host.die()
    second = rig.host("second")
    assert [(a.pid, a.name) for a in second.assigned] == [(pid, "agent")]
    assert [(order.pid, order.signal) for order in second.heard("signal")] == [(pid, "STOP")]


def test_is_a_program_that_has_ended_itself_given_time_to_be_gone(rig: Rig, host: FakeHost) -> None:
    program, loop = rig.spawn(agent(**RUNS)), rig.spawn()
    for pid in (program, loop):
        host.act(pid, "proc.exit", answer="done")
    heard = [(order.pid, order.signal, order.grace) for order in host.heard("signal")]
    assert heard == [(program, "KILL", rig.config.term_grace)]


def test_is_a_program_run_where_its_manifest_is(tmp_path: Path) -> None:
    head = "apiVersion: llmagentos/v1\nkind: Agent\nmetadata: {name: a}\n"
    (tmp_path / "here.yaml").write_text(f"{head}spec: {{program: [x]}}\n")
    (tmp_path / "there.yaml").write_text(f"{head}spec: {{program: [x], workdir: sub}}\n")
    (tmp_path / "loop.yaml").write_text(head)
    catalog = Catalog([tmp_path])
    assert catalog.named("here").spec.workdir == str(tmp_path)
    assert catalog.named("there").spec.workdir == str(tmp_path / "sub")
    assert catalog.named("loop").spec.workdir is None
    text = f"{head}spec: {{program: [x], workdir: /else}}\n"
    assert catalog.parsed(text, "", "/some").spec.workdir == "/else"
    assert catalog.parsed(f"{head}spec: {{program: [x]}}\n", "").spec.workdir is None


def test_does_the_folder_of_a_text_reach_the_host(rig: Rig, host: FakeHost) -> None:
    text = "apiVersion: llmagentos/v1\nkind: Agent\nmetadata: {name: a}\nspec: {program: [./x]}\n"
    rig.call("proc.spawn", source=text, file="a.yaml", folder="/some/where")
    assert host.assigned[-1].manifest["spec"]["workdir"] == "/some/where"
    with pytest.raises(EINVAL, match="folder"):
        rig.call("proc.spawn", source=text, folder="not/whole")


@pytest.mark.parametrize(
    "spec",
    [
        {"program": []},
        {"program": "python a.py"},
        {"program": [" "]},
        {"program": ["a\0b"]},
        {"program": ["x"] * 65},
        {"program": ["x" * 4097]},
        {"workdir": "/tmp"},
        {"program": ["x"], "interactive": True},
    ],
)
def test_is_a_senseless_program_refused(rig: Rig, spec: dict[str, Any]) -> None:
    with pytest.raises(EINVAL):
        rig.spawn(agent(**spec))
