"""What is left after a crash, and who goes on with it?"""

from kernel.effects import Tick
from kernel.table import digest
from tests.kernel.rig import Rig, agent


def crash(rig: Rig) -> None:
    rig.beating.clear()
    rig.crash()


def test_does_a_host_that_lived_on_keep_its_agents(rig: Rig) -> None:
    host = rig.host()
    pid = rig.spawn()
    session = host.session_of(pid)
    crash(rig)
    assert rig.state(pid) == "WAITING(driver)"
    rig.host(running=[pid])
    assert rig.state(pid) == "READY"
    assert rig.call("proc.info", session=session)["process"]["pid"] == pid


def test_does_another_host_take_over_what_nobody_claims(rig: Rig) -> None:
    host = rig.host()
    pid = rig.spawn()
    old = host.session_of(pid)
    crash(rig)
    fresh = rig.host("other")
    assert not fresh.assigned
    rig.wait(rig.config.claim_patience + 1)
    assert [a.pid for a in fresh.assigned] == [pid]
    number = rig.send("proc.info", session=old)
    reply = rig.reply(number)
    assert reply is not None
    assert reply["error"]["code"] == "EAUTH", "the dead host's session still opens doors"


def test_may_a_host_not_claim_what_another_one_got_before_the_boot(rig: Rig) -> None:
    first = rig.host("first")
    pid = rig.spawn()
    second = rig.host("second")
    first.hang()
    rig.wait(rig.config.silence + 5)
    assert [one.pid for one in second.assigned] == [pid]
    session = second.session_of(pid)
    crash(rig)
    late = rig.host("first", running=[pid])
    assert [body.signal for body in late.heard("signal")] == ["KILL"]
    back = rig.host("second", running=[pid])
    assert not back.heard("signal")
    assert rig.call("proc.info", session=session)["process"]["host"] == "second"


def test_may_a_host_not_claim_what_it_was_given_anew_and_never_heard_of(rig: Rig) -> None:
    host = rig.host()
    pid = rig.spawn()
    old = host.session_of(pid)
    host.hang()
    rig.wait(rig.config.silence + 5)
    new = rig.host().session_of(pid)
    crash(rig)
    back = rig.host(running=[pid], sessions=[old])
    assert [body.signal for body in back.heard("signal")] == ["KILL"]
    rig.wait(rig.config.claim_patience + 1)
    latest = back.session_of(pid)
    assert latest not in (old, new)
    crash(rig)
    kept = rig.host(running=[pid], sessions=[latest])
    assert not kept.heard("signal")


def test_does_a_host_keep_its_agents_over_two_crashes_in_a_row(rig: Rig) -> None:
    host = rig.host()
    pid = rig.spawn()
    session = host.session_of(pid)
    for _ in range(3):
        crash(rig)
    back = rig.host(running=[pid], sessions=[session])
    assert not back.heard("signal")
    assert not back.assigned


def test_does_the_work_of_an_orphan_leave_its_collected_parent_as_it_was(rig: Rig) -> None:
    rig.driver()
    host = rig.host()
    parent = rig.spawn(agent("parent", capabilities={"allow": ["proc:spawn"]}))
    made = host.reply(host.act(parent, "proc.spawn", manifest=agent("kid"), text="go"))
    assert made is not None
    kid = made["result"]["pid"]
    rig.call("proc.kill", pid=parent, signal="KILL")
    rig.call("proc.wait", pid=parent)
    for _ in range(2):
        crash(rig)
        driver, host = rig.driver(), rig.host()
        rig.wait(rig.config.claim_patience + 1)
        host.act(kid, "llm.generate")
        driver.answer()
        assert rig.call("proc.info", pid=parent)["process"]["manifest"] == "parent"
        assert len(rig.call("ctx.read", pid=parent)["messages"]) == 1


def test_does_an_attached_zombie_go_with_its_shell_after_a_boot(rig: Rig) -> None:
    host = rig.host()
    pid = rig.spawn(attach=True, peer=b"shell")
    host.act(pid, "proc.exit")
    crash(rig)
    rig.drop_client(b"shell")
    assert rig.machine.table.find(pid) is None


def test_is_a_host_told_to_drop_what_is_no_longer_its_own(rig: Rig) -> None:
    host = rig.host()
    pid = rig.spawn()
    host.act(pid, "proc.exit")
    crash(rig)
    back = rig.host(running=[pid, 4711])
    assert [(body.pid, body.signal) for body in back.heard("signal")] == [
        (pid, "KILL"),
        (4711, "KILL"),
    ]


def test_does_a_dead_hosts_agent_go_on_from_its_last_committed_step(rig: Rig) -> None:
    driver, host = rig.driver(slots=1), rig.host()
    pid = rig.spawn()
    host.act(pid, "llm.generate")
    host.die()
    assert rig.state(pid) == "WAITING(driver)"
    assert len(driver.heard("cancel")) == 1, "the dead host's burst must not answer too"
    other = rig.host("other")
    other.act(pid, "llm.generate")
    driver.answer("once")
    told = [m["content"] for m in rig.call("ctx.read", pid=pid)["messages"]]
    assert told == ["hello", "once"]


def test_do_stopped_and_ended_processes_stay_what_they_were(rig: Rig) -> None:
    host = rig.host()
    stopped, ended = rig.spawn(), rig.spawn()
    rig.call("proc.kill", pid=stopped, signal="STOP")
    host.act(ended, "proc.exit", code=7, answer="bye")
    crash(rig)
    assert rig.state(stopped) == "STOPPED"
    record = rig.call("proc.wait", pid=ended)
    assert (record["code"], record["answer"]) == (7, "bye")


def test_do_limits_usage_and_books_survive(rig: Rig) -> None:
    driver, host = rig.driver(), rig.host()
    pid = rig.spawn(agent(limits={"tokens": 1000, "wall": "1h"}))
    host.act(pid, "llm.generate")
    driver.answer("a b c", prompt=7)
    before = rig.call("proc.info", pid=pid)["process"]
    crash(rig)
    after = rig.call("proc.info", pid=pid)["process"]
    for field in ("limits", "usage", "started", "name", "context_tokens"):
        assert after[field] == before[field]
    assert rig.machine.table.get(pid).account("tokens").spent == 10
    assert rig.machine.table.init.account("tokens").spent == 10
    rig.wait(3601)
    assert rig.call("proc.wait", pid=pid)["error"]["code"] == "EQUOTA"


def test_do_pids_messages_and_events_never_repeat(rig: Rig) -> None:
    host = rig.host()
    first = rig.spawn()
    host.act(first, "proc.exit")
    rig.call("proc.wait", pid=first)
    latest = rig.machine.journal.seq
    crash(rig)
    assert rig.spawn() > first
    seqs = [e["seq"] for e in rig.call("sys.events")["events"]]
    assert seqs == list(range(1, len(seqs) + 1))
    assert seqs[-1] > latest


def test_does_one_that_is_new_outlive_the_end_of_the_wait_for_those_of_before(rig: Rig) -> None:
    rig.now += 10.001
    _, session = rig.program()
    rig.put_in(Tick())
    assert rig.call("proc.info", session=session)["process"]["state"] == "READY"


def test_does_an_attached_agent_end_when_its_shell_does_not_come_back(rig: Rig) -> None:
    rig.host()
    gone, back = rig.spawn(attach=True, peer=b"gone"), rig.spawn(attach=True, peer=b"back")
    crash(rig)
    rig.call("sys.info", peer=b"back")
    rig.wait(11)
    assert rig.call("proc.info", pid=gone)["process"]["exit"] is not None
    assert rig.call("proc.info", pid=back)["process"]["exit"] is None


def test_does_what_is_attached_stay_with_a_client_that_is_there_and_silent(rig: Rig) -> None:
    pid, _ = rig.program(peer=b"silent")
    agent = rig.spawn(attach=True, peer=b"silent")
    rig.silent.add(b"silent")
    rig.crash()
    rig.wait(600)
    alive = {p["pid"] for p in rig.call("proc.list")["processes"] if p["state"] != "ZOMBIE"}
    assert {pid, agent} <= alive
    rig.drop_client(b"silent")
    left = {p["pid"] for p in rig.call("proc.list")["processes"] if p["state"] != "ZOMBIE"}
    assert not {pid, agent} & left


def test_is_an_answer_that_its_host_died_under_made_again_as_the_same_turn(rig: Rig) -> None:
    driver, host = rig.driver(), rig.host()
    pid = rig.spawn(agent(limits={"turns": 1}))
    watching = rig.send("proc.wait", pid=pid, stream=True)
    host.act(pid, "llm.generate")
    driver.report(driver.started[-1], "one ", prompt=3)
    rig.drop_client(b"host")
    host.die()
    other = rig.host("other")
    call = other.act(pid, "llm.generate")
    driver.report(driver.started[-1], "one two", finish="stop", prompt=3)
    reply = other.reply(call)
    assert reply is not None
    assert reply["ok"], "the death of a host cost the agent its turn"
    heard = [m.body["burst"] for m in rig.inbox[b"user"] if m.id == watching]
    assert set(heard) == {1}, "a reader would take it for a second answer"


def test_can_a_host_that_was_given_up_not_answer_beside_its_successor(rig: Rig) -> None:
    driver, host = rig.driver(), rig.host()
    pid = rig.spawn()
    old = host.session_of(pid)
    crash(rig)
    driver = rig.driver()
    rig.send("llm.generate", session=old, peer=b"host", id=4)
    other = rig.host("other")
    rig.wait(rig.config.claim_patience + 1)
    other.act(pid, "llm.generate")
    for start in driver.started[-1:]:
        driver.report(start, "once", finish="stop", prompt=1)
    told = [m["role"] for m in rig.call("ctx.read", pid=pid)["messages"]]
    assert told == ["user", "assistant"]
    reply = rig.reply(4, b"host")
    assert reply is not None
    assert not reply["ok"]


def test_do_term_and_drain_survive(rig: Rig) -> None:
    rig.driver()
    rig.host()
    pid = rig.spawn()
    rig.call("proc.kill", pid=pid)
    rig.call("drv.drain", name="edge")
    crash(rig)
    host = rig.host(running=[pid])
    assert [body.signal for body in host.heard("signal")] == ["TERM"]
    rig.driver()
    assert rig.call("drv.info", name="edge")["state"] == "draining"
    rig.wait(rig.config.term_grace + 1)
    assert rig.call("proc.wait", pid=pid)["signal"] == "KILL"


def test_is_nothing_kept_for_a_session_that_is_gone(rig: Rig) -> None:
    host = rig.host()
    pid = rig.spawn()
    scope = digest(host.session_of(pid))
    call = host.act(pid, "ctx.append", messages=[{"role": "user", "content": "x"}])
    assert rig.machine.replays.find(scope, call) is not None
    host.die()
    assert rig.machine.replays.find(scope, call) is None
    rig.crash()
    assert rig.machine.replays.find(scope, call) is None


def test_is_a_manifest_of_an_older_version_readable_and_without_rights(rig: Rig) -> None:
    rig.driver()
    host = rig.host()
    ended = rig.spawn(agent("ended"))
    host.act(ended, "proc.exit", code=0)
    rig.call("proc.wait", pid=ended)
    pid = rig.spawn(agent("older"))
    rig.store._connection.execute(
        "UPDATE manifests SET text = json_set(text, '$.spec.tools', json('[{\"odd\": \"x\"}]'))"
    )
    rig.crash()
    names = [row["name"] for row in rig.call("proc.list", history=10)["processes"]]
    assert sorted(names) == ["ended", "init", "older"]
    host = rig.host()
    rig.wait(10)
    number = host.act(pid, "llm.generate")
    body = host.reply(number)
    assert body is not None
    assert body["error"]["code"] == "EPERM"
