"""Does a context outlive its window, whatever dies in between?"""

from __future__ import annotations

from typing import Any, Literal

import pytest

from agents.cut import RECALLED
from llmagentos.abi import errors
from tests.agents.town import PROMPT, WINDOW, Died, Town
from tests.kernel.meaning import Embedder
from tests.kernel.rig import Program

FACT = "The ferry to Aland leaves from pier seventeen."


def turn(number: int) -> str:
    return f"turn {number} has exactly six words"


def talk(town: Town, turns: range) -> None:
    for number in turns:
        assert town.say(turn(number)) == turn(number)


def until_compacted(town: Town) -> None:
    while not town.count("ctx.compact"):
        town.say("so it is as we do")  # words that are too short to be looked for


def full() -> int:
    """So many turns fill a context: the next one is compacted."""
    town = Town()
    for number in range(50):
        talk(town, range(number, number + 1))
        if town.count("ctx.compact"):
            return number
    raise AssertionError("it never was full")


FULL = full()


@pytest.mark.parametrize("rights", [["proc:spawn"], []], ids=["child", "alone"])
def test_is_everything_still_there_when_it_was_compacted(rights: list[str]) -> None:
    town = Town(capabilities={"allow": rights})
    town.say(FACT)
    talk(town, range(50))
    assert town.context()[0]["content"] == PROMPT
    assert sum(len(one["content"].split()) for one in town.context()) < WINDOW
    said = [FACT, *map(turn, range(50))]
    assert [one["content"] for one in town.originals()] == [
        PROMPT,
        *(t for t in said for _ in "ab"),
    ]
    assert any(FACT in row[0] for row in town.rows("context/").values())
    assert town.rows("compaction/") == {}
    # Room was made before a call failed.
    assert "burst.failed" not in [event["type"] for event in town.rig.events]
    assert bool(town.count("proc.spawn")) == bool(rights)
    assert town.rig.call("proc.info", pid=town.pid)["process"]["children"] == []


def test_does_a_summary_name_what_it_stands_for_and_can_it_be_undone() -> None:
    town = Town()
    talk(town, range(FULL))
    before = town.context()
    town.say(turn(FULL))
    summary = town.context()[1]
    first, last = summary["sources"][0], summary["sources"][-1]
    assert f"messages {first} to {last}" in summary["content"]
    assert town.context(source=summary["id"]) == before[1 : 1 + len(summary["sources"])]
    town.rig.call("ctx.restore", pid=town.pid, checkpoint=f"compact:{summary['id']}")
    assert town.context()[:-1] == before


def calls_of_a_compaction() -> int:
    town = Town()
    talk(town, range(FULL))
    before = len(town.log)
    talk(town, range(FULL, FULL + 1))
    return len(town.log) - before


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("crash", [False, True], ids=["host", "kernel"])
def test_does_the_next_host_go_on_wherever_one_dies(
    when: Literal["before", "after"], crash: bool
) -> None:
    whole = Town()
    talk(whole, range(FULL + 2))
    for step in range(calls_of_a_compaction()):
        town = Town()
        talk(town, range(FULL))
        town.dies = len(town.log) + 1 + step, when
        with pytest.raises(Died):
            town.say(turn(FULL))
        town.dies = None
        said = [PROMPT, *(turn(number) for number in range(FULL) for _ in "ab"), turn(FULL)]
        assert [one["content"] for one in town.originals()][: len(said)] == said
        if crash:
            town.crash()
        town.replace_host()
        if town.context()[-1]["role"] != "assistant":
            town.answer()
        talk(town, range(FULL + 1, FULL + 2))
        where = f"it died {when} call {step}"
        assert contents(town) == contents(whole), where
        assert town.rows("context/") == whole.rows("context/"), where
        assert len(children(town)) == len(children(whole)), f"a summary was paid twice: {where}"
        assert town.rig.call("proc.info", pid=town.pid)["process"]["children"] == []
        # What it noted on the way doesn't stay.
        talk(town, range(FULL + 2, 2 * FULL))
        assert town.rows("compaction/") == {}


def contents(town: Town) -> list[tuple[str, str]]:
    return [(one["role"], one["content"]) for one in town.context()]


def children(town: Town) -> list[dict[str, Any]]:
    """The summarisers that there ever were."""
    rows = town.rig.call("proc.list", history=1000)["processes"]
    return [one for one in rows if one["ppid"] == town.pid]


def test_is_a_call_that_can_not_be_compacted_refused_with_the_reason() -> None:
    town = Town()
    town.failing = {"code": "EDRIVER", "message": "it burns", "hint": "", "detail": {}}
    with pytest.raises(errors.ECONTEXT, match="could not be compacted: EDRIVER: it burns"):
        talk(town, range(50))
    assert not any(one["sources"] for one in town.context())
    town.failing = None
    town.answer()
    assert any(one["sources"] for one in town.context())


@pytest.mark.parametrize("idle", [False, True])
def test_does_int_end_the_child_that_summarises(idle: bool) -> None:
    town = Town()
    talk(town, range(FULL))
    town.idle = idle
    town.refuses["proc.wait"] = errors.ECANCELED("INT came")
    with pytest.raises(errors.ECANCELED):
        town.say(turn(FULL))
    assert children(town)[0]["state"] == "ZOMBIE"
    assert not any(one["sources"] for one in town.context())
    town.idle = False
    assert town.answer() == turn(FULL)
    assert any(one["sources"] for one in town.context())


def test_is_a_child_that_is_gone_a_reason_and_not_the_end() -> None:
    town = Town()
    talk(town, range(FULL))
    town.refuses["proc.wait"] = errors.ESRCH("there is no such process")
    town.refuses["llm.generate"] = errors.ECONTEXT("full")
    with pytest.raises(errors.ECONTEXT, match="is gone"):
        town.say(turn(FULL))


def test_is_an_empty_summary_no_summary() -> None:
    town = Town()
    town.silent = True
    with pytest.raises(errors.ECONTEXT, match="nothing to say"):
        talk(town, range(50))
    assert not any(one["sources"] for one in town.context())


def test_is_a_memory_without_room_a_reason() -> None:
    town = Town(limits={"memory_rows": 2})
    with pytest.raises(errors.ECONTEXT, match="could not be compacted: EQUOTA"):
        talk(town, range(50))


def test_is_a_summary_paid_for_by_the_agents_budget() -> None:
    town = Town(limits={"tokens": 1000})
    with pytest.raises((errors.EQUOTA, errors.ECONTEXT), match="of its 1000 tokens left"):
        talk(town, range(100))
    assert town.count("proc.spawn")
    book = town.rig.call("proc.info", pid=town.pid)["ledger"]["tokens"]
    spent = 0
    for one in town.rig.call("proc.list", history=1000)["processes"]:
        spent += one["usage"]["prompt_tokens"] + one["usage"]["completion_tokens"]
    assert book == {"spent": spent, "reserved": 0, "limit": 1000}
    assert spent <= 1000


def test_does_a_child_that_summarises_have_all_labels_and_few_rights() -> None:
    town = Town(labels=("private",), schedule={"priority": 3})
    cloud = town.rig.driver("sky", kind="cloud", models=[{"name": "m", "context_length": 9999}])
    talk(town, range(FULL + 1))
    assert cloud.started == []
    child = children(town)[0]
    assert child["labels"] == ["private"]
    assert child["priority"] == 10
    assert child["usage"]["turns"] == 1
    assert (child["limits"]["turns"], child["limits"]["children"]) == (3, 0)
    assert child["driver"] == "edge"
    # Whoever reads what a summary stands for has read what is private.
    reader = Program(town.rig, "reader", "*")
    machine = town.rig.machine
    machine.table.move(machine.table.get(town.pid), machine.table.get(reader.pid))
    reader.call("ctx.read", pid=town.pid, source=town.context()[1]["id"])
    assert town.rig.labels(reader.pid) == ["private"]


def test_is_a_message_that_is_too_long_by_itself_refused_as_ever() -> None:
    town = Town()
    with pytest.raises(errors.ECONTEXT, match="don't fit into"):
        town.say("word " * WINDOW)


def test_is_a_long_turn_parted_between_its_steps_only() -> None:
    town = Town(window=200)
    town.append({"role": "user", "content": FACT})
    for number in range(60):
        call = {"id": f"c{number}", "name": "look", "arguments": "{}"}
        town.append(
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "content": turn(number), "tool_call": call["id"]},
        )
        # The model would say something now; here it wants the next call.
        town.answer()
        town.rig.call("ctx.rewind", pid=town.pid, message=town.context()[-2]["id"])
        now = town.context()
        results = {one["tool_call"] for one in now if one["role"] == "tool"}
        assert results == {call["id"] for one in now for call in one["tool_calls"]}
    assert town.count("ctx.compact") > 2
    # What is being answered stays in sight, word for word.
    assert town.context()[1]["content"].endswith(FACT)
    rows = town.rows("context/").values()
    assert any("assistant:  [calls look({})]" in row for row in rows)


def test_do_old_pages_come_back_with_a_message_that_is_about_them() -> None:
    town = Town(window=400, context={"overflow": "compact", "recall": 60})
    town.say(FACT)
    until_compacted(town)
    town.say("When does the ferry leave?")
    asked, recalled, answer = town.context()[-3:]
    assert asked["content"] == "When does the ferry leave?"
    assert recalled["role"] == "user"
    assert recalled["content"].startswith(RECALLED)
    assert f"user: {FACT}" in recalled["content"]
    assert answer["role"] == "assistant"
    # It is there already, so it doesn't come twice; and it is no page of its own later.
    town.say("Is it the ferry to Aland?")
    assert not town.context()[-2]["content"].startswith(RECALLED)
    for number in range(20):
        town.say(turn(number))
    assert town.count("ctx.compact") > 1
    assert not any(RECALLED in text for row in town.rows().values() for text in row)


def test_does_a_rare_word_count_for_more_than_common_ones() -> None:
    town = Town(window=400, context={"overflow": "compact", "recall": 110})
    others = [f"Which of them does have this from {name}?" for name in ("Ann", "Bob", "Carl")]
    for text in (FACT, *others):
        town.say(text)
    until_compacted(town)
    town.say("From which of them does this pier have anything?")
    recalled = next(one for one in reversed(town.context()) if one["role"] == "user")
    assert recalled["content"].count("[context/") == 1
    assert FACT in recalled["content"]


def test_does_nothing_come_back_that_only_means_the_same() -> None:
    town = Town(window=400, context={"overflow": "compact", "recall": 60})
    town.say("A hound of ours.")
    until_compacted(town)
    driver, speaks = Embedder(town.rig), town._speak
    driver.catches_up()
    town._speak = lambda: (speaks(), driver.answers())  # type: ignore[method-assign,assignment]
    town.say("And any puppy?")
    assert not any(one["content"].startswith(RECALLED) for one in town.context())
    town.say("And this hound?")
    assert town.context()[-2]["content"].startswith(RECALLED)


def test_is_there_always_room_for_what_is_recalled() -> None:
    town = Town(window=300, context={"overflow": "compact", "recall": 80})
    town.say(FACT)
    until_compacted(town)
    for _ in range(20):
        town.say("so it is as we do")
        town.say("When does the ferry leave?")
        there = [one["content"] for one in town.context() if FACT in one["content"]]
        assert any(one.startswith(RECALLED) for one in there)


@pytest.mark.parametrize("recall", [0, 5])
def test_does_nothing_come_back_that_does_not_fit(recall: int) -> None:
    town = Town(window=200, context={"overflow": "compact", "recall": recall})
    town.say(FACT)
    until_compacted(town)
    town.say("When does the ferry leave?")
    assert not any(one["content"].startswith(RECALLED) for one in town.context())
