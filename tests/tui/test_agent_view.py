"""Does the view of one process show what it says and what it may, and do what its keys say?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from llmagentos.abi.errors import EBUSY, EQUOTA
from llmagentos.exchange import Piece
from shell.tui.app import ShellApp
from shell.tui.conversation import Bubble
from tests.tui.stage import StagedLink, process, run, settled, staged, text_of

PID = 6


def message(id: int, role: str, content: str, **more: Any) -> dict[str, Any]:
    return {"id": id, "role": role, "content": content, "time": 1.0e9, "sources": []} | more


MESSAGES = [
    message(1, "system", "Be brief."),
    message(2, "user", "What is a **ferry**?"),
    message(3, "tool", '{"time": "12:00", "place": "[red]harbour"}'),
    message(4, "assistant", "A boat.\n\n- for people\n- for cars"),
]
TALK = {"processes": [], "next": None}


def detail(**more: Any) -> dict[str, Any]:
    row = process(PID, "assistant", "WAITING", reason="mail", limits={"tokens": 2000})
    return {
        "process": row | more,
        "placement": {"chosen": "edge", "considered": {"edge": "chosen", "cloud": "labels"},
                      "time": 1.0},
        "history": [{"time": 1.0e9, "from": "NEW", "to": "READY", "why": "it was assigned"}],
        "spec": {"metadata": {"name": "assistant", "description": ""}, "spec": {"tools": []}},
        "ledger": {"tokens": {"spent": 1500, "reserved": 200, "limit": 2000}},
        "checkpoints": ["start"],
        "mailbox": 2,
    }  # fmt: skip


def talking(folder: Path, messages: list[dict[str, Any]] | None = None, **more: Any) -> ShellApp:
    """The view of an agent, its context, and what else the kernel says."""
    read = {"messages": MESSAGES if messages is None else messages, "tokens": 100}
    given: dict[str, Any] = {
        "proc_info": detail(), "ctx_read": lambda args: read,
        "ctx_checkpoint": {"checkpoint": "c2", "messages": 4}, "ctx_restore": {"messages": 1},
        "ctx_rewind": {"messages": 2}, "proc_fork": {"pid": 9, "name": "cub", "notices": []},
        "proc_limits": {"limits": {}}, "ipc_send": {"id": 1},
    }  # fmt: skip
    return staged(folder, **(given | more))


def link(app: ShellApp) -> StagedLink:
    assert isinstance(app.link, StagedLink)
    return app.link


async def opened(app: ShellApp, pilot: Pilot[int]) -> None:
    app.open_agent(PID)
    await settled(pilot)


def bubbles(app: ShellApp) -> list[tuple[str, str]]:
    return [(one.role, one.text) for one in app.screen.query(Bubble)]


def test_is_the_conversation_shown_and_what_a_tool_said_folded(tmp_path: Path) -> None:
    app = talking(tmp_path)

    async def play(pilot: Pilot[int]) -> None:
        await opened(app, pilot)
        shown = text_of(app)
        assert "What is a **ferry**?" in shown
        assert "A boat." in shown
        assert '"place": "[red]harbour"\n' not in shown
        await pilot.press("e")
        await settled(pilot)
        assert '"place": "[red]harbour"' in text_of(app)

    run(app, play)


def test_are_calls_of_tools_folded_with_their_arguments_and_results(tmp_path: Path) -> None:
    call = {"id": "c1", "name": "time.now", "arguments": '{"timezone": "UTC"}'}
    said = [
        message(1, "user", "How late is it?"),
        message(2, "assistant", "", tool_calls=[call]),
        message(3, "tool", '{"now": "12:00"}', tool_call="c1"),
        message(4, "assistant", "Noon."),
    ]
    app = talking(tmp_path, said)

    async def play(pilot: Pilot[int]) -> None:
        await opened(app, pilot)
        shown = text_of(app)
        assert '▶ → time.now {"timezone": "UTC"}' in shown
        assert '▶ time.now: {"now": "12:00"}' in shown
        assert '  "timezone": "UTC"' not in shown
        await pilot.press("e")
        await settled(pilot)
        shown = text_of(app)
        assert '  "timezone": "UTC"' in shown
        assert '  "now": "12:00"' in shown
        await pilot.press("right_square_bracket")
        await settled(pilot)
        assert '→ time.now {"timezone": "UTC"}' in text_of(app), "in the context as well"

    run(app, play)


def test_are_calls_shown_that_an_answer_ends_with_when_it_was_heard(tmp_path: Path) -> None:
    said = list(MESSAGES[:2])
    app = talking(tmp_path, said, proc_info=detail(state="RUNNING", reason=None))
    link(app).pieces = [Piece(1, "I look.")]

    async def play(pilot: Pilot[int]) -> None:
        await opened(app, pilot)
        call = {"id": "c1", "name": "time.now", "arguments": "{}"}
        said.append(message(3, "assistant", "I look.", tool_calls=[call]))
        link(app).given["proc.info"] = detail(context_messages=4)
        app.screen._stale.set()  # type: ignore[attr-defined]
        await settled(pilot)
        assert text_of(app).count("I look.") == 1
        assert "→ time.now {}" in text_of(app)

    run(app, play)


def test_is_the_beginning_of_an_answer_there_that_was_opened_in_its_middle(tmp_path: Path) -> None:
    said = [*MESSAGES, message(5, "user", "And a bridge?")]
    app = talking(tmp_path, said, proc_info=detail(state="RUNNING", reason=None))
    link(app).pieces = [Piece(2, "It stands "), Piece(2, "still.")]

    async def play(pilot: Pilot[int]) -> None:
        await opened(app, pilot)
        assert bubbles(app)[-1] == ("assistant", "It stands still.")

    run(app, play)


def test_is_an_answer_left_in_its_middle_without_a_fault(tmp_path: Path) -> None:
    app = talking(tmp_path, MESSAGES[:2], proc_info=detail(state="RUNNING", reason=None))
    more = asyncio.Event()

    class Waiting:
        async def pieces(self) -> AsyncIterator[Piece]:
            await more.wait()
            for number in range(20):
                yield Piece(number, "word ")

        async def result(self) -> None:
            await asyncio.Event().wait()

        def close(self) -> None:
            pass

    link(app).open = lambda *_, **__: Waiting()  # type: ignore[method-assign, assignment]

    async def play(pilot: Pilot[int]) -> None:
        await opened(app, pilot)
        more.set()
        app.pop_screen()
        await settled(pilot)
        assert "NAME" in text_of(app)

    run(app, play)


def test_is_a_streamed_answer_there_once_when_it_has_become_a_message(tmp_path: Path) -> None:
    said = list(MESSAGES[:2])
    app = talking(tmp_path, said, proc_info=detail(state="RUNNING", reason=None))
    link(app).pieces = [Piece(1, "A bo"), Piece(1, "at.")]

    async def play(pilot: Pilot[int]) -> None:
        await opened(app, pilot)
        assert bubbles(app)[2:] == [("assistant", "A boat.")]
        said.append(message(3, "assistant", "A boat."))
        link(app).given["proc.info"] = detail()
        app.screen._stale.set()  # type: ignore[attr-defined]
        await settled(pilot)
        assert bubbles(app)[2:] == [("assistant", "A boat.")]
        assert [one.message for one in app.screen.query(Bubble)] == [1, 2, 3]

    run(app, play)


def test_does_an_answer_that_is_made_anew_take_the_place_of_the_old_one(tmp_path: Path) -> None:
    app = talking(tmp_path, MESSAGES[:2], proc_info=detail(state="RUNNING", reason=None))
    link(app).pieces = [Piece(1, "A ca"), Piece(1, "A boat.", anew=True)]

    async def play(pilot: Pilot[int]) -> None:
        await opened(app, pilot)
        assert bubbles(app)[2:] == [("assistant", "A boat.")]

    run(app, play)


def test_does_the_conversation_go_back_when_the_context_does(tmp_path: Path) -> None:
    said = list(MESSAGES)
    app = talking(tmp_path, said)

    async def play(pilot: Pilot[int]) -> None:
        await opened(app, pilot)
        assert len(bubbles(app)) == 4
        said[1:] = [message(7, "user", "Something else")]
        link(app).given["proc.info"] = detail(context_messages=2)
        app.screen._stale.set()  # type: ignore[attr-defined]
        await settled(pilot)
        assert [text for _, text in bubbles(app)] == ["Be brief.", "Something else"]

    run(app, play)


def test_is_what_is_written_sent_and_kept_if_it_could_not_be(tmp_path: Path) -> None:
    app = talking(tmp_path)

    async def play(pilot: Pilot[int]) -> None:
        await opened(app, pilot)
        await pilot.press("i", *"hi", "enter")
        await settled(pilot)
        assert link(app).calls("ipc.send") == [{"pid": PID, "body": "hi"}]
        link(app).given["ipc.send"] = EBUSY("its mailbox is full")
        await pilot.press(*"ho", "enter")
        await settled(pilot)
        assert "its mailbox is full" in text_of(app)
        assert app.screen.query_one("#say").value == "ho"  # type: ignore[attr-defined]

    run(app, play)


def test_are_budget_rights_family_history_and_manifest_told(tmp_path: Path) -> None:
    rules = {"allow": ["llm:*"], "ask": ["tool:shell(*)"], "deny": [], "approved": []}
    caps = {"rules": [rules], "labels": ["private"], "approvals": [], "more": False}
    app = talking(tmp_path, cap_list=caps)

    async def play(pilot: Pilot[int]) -> None:
        await opened(app, pilot)
        for words in (
            ["≈TOKENS", "A boat."],
            ["1,500 + 200 set aside of 2,000"],
            ["private", "ask      tool:shell(*)", "allow    llm:*"],
            ["2 messages wait"],
            ["→ edge: chosen", "cloud: labels", "it was assigned"],
            ["name: assistant"],
        ):
            await pilot.press("right_square_bracket")
            await settled(pilot)
            for word in words:
                assert word in text_of(app), text_of(app)

    run(app, play)


def test_do_checkpoint_rewind_fork_and_limits_call_what_they_say(tmp_path: Path) -> None:
    app = talking(tmp_path)

    async def play(pilot: Pilot[int]) -> None:
        await opened(app, pilot)
        await pilot.press("c", *"mark", "enter")
        await settled(pilot)
        await pilot.press("b", "enter")
        await settled(pilot)
        await pilot.press("b", "j", "enter")
        await settled(pilot)
        await pilot.press("l", *"tokens=5", "enter")
        await settled(pilot)
        await pilot.press("l", *"tokens", "enter")
        await settled(pilot)
        assert "not of the form NAME=VALUE" in text_of(app)
        await pilot.press("f", *"go", "enter")
        await settled(pilot)
        calls = link(app).calls
        assert calls("ctx.checkpoint") == [{"pid": PID, "name": "mark"}]
        assert calls("ctx.restore") == [{"pid": PID, "checkpoint": "start"}]
        assert calls("ctx.rewind") == [{"pid": PID, "message": 3}]
        assert calls("proc.limits") == [{"pid": PID, "limits": {"tokens": 5}}]
        assert calls("proc.fork") == [{"pid": PID, "text": "go"}]
        assert app.screen.target() == 9  # type: ignore[attr-defined]

    run(app, play)


def test_does_escape_leave_the_line_first_and_then_the_view(tmp_path: Path) -> None:
    app = talking(tmp_path)

    async def play(pilot: Pilot[int]) -> None:
        await opened(app, pilot)
        await pilot.press("i", "escape")
        assert app.screen.NAME == "agent"  # type: ignore[attr-defined]
        await pilot.press("escape")
        assert app.screen.NAME == "processes"  # type: ignore[attr-defined]

    run(app, play)


def test_is_an_end_told(tmp_path: Path) -> None:
    record = {
        "pid": PID, "name": "assistant", "code": 4, "signal": None, "answer": "", "usage": {},
        "error": {"code": "EBUDGET", "message": "no tokens are left", "hint": "", "detail": {}},
        "started": 1.0, "ended": 2.0,
    }  # fmt: skip
    app = talking(tmp_path, proc_info=detail(state="ZOMBIE", reason=None, exit=record, ended=2.0))

    async def play(pilot: Pilot[int]) -> None:
        await opened(app, pilot)
        assert "ended with code 4: no tokens are left (EBUDGET)" in text_of(app)

    run(app, play)


def test_does_nothing_that_is_said_command_the_screen(tmp_path: Path) -> None:
    trap = "[@click=app.simulate_key('3')]look[/] [/x] \x1b]0;gone\x07\x9b31m\u202eback"
    record = {
        "pid": PID, "name": "assistant", "code": 4, "signal": None, "answer": "", "usage": {},
        "error": {"code": "EIO", "message": trap, "hint": "", "detail": {}},
        "started": 1.0, "ended": 2.0,
    }  # fmt: skip
    said = [message(n, role, trap) for n, role in enumerate(("system", "user", "tool") * 9, 1)]
    ended = detail(state="ZOMBIE", reason=None, exit=record, ended=2.0)
    app = talking(tmp_path, said, proc_info=ended)

    async def play(pilot: Pilot[int]) -> None:
        await opened(app, pilot)
        shown = text_of(app)
        assert "[@click=app.simulate_key('3')]look[/] [/x]" in shown
        assert not any(sign in shown for sign in "\x1b\x07\x9b\u202e")
        for title in list(app.screen.query("CollapsibleTitle"))[-2:]:
            await pilot.click(title)
        await settled(pilot)
        assert app.current_mode == "processes"

    run(app, play)


def test_is_what_is_too_long_to_be_laid_out_shown_as_it_is(tmp_path: Path) -> None:
    table = "|a|b|\n|-|-|\n" + "|1|2|\n" * 3000
    app = talking(tmp_path, [message(1, "user", "A table."), message(2, "assistant", table)])

    async def play(pilot: Pilot[int]) -> None:
        await opened(app, pilot)
        assert not app.screen.query("Bubble.assistant Markdown")
        assert "|1|2|" in text_of(app)

    run(app, play)


def test_is_a_context_that_is_too_large_read_as_far_as_it_fits(tmp_path: Path) -> None:
    def read(args: dict[str, Any]) -> Any:
        if args["last"] > 2:
            return EQUOTA("the result takes 5,000,361 bytes")
        return {"messages": MESSAGES[-1:], "tokens": 100}

    app = talking(tmp_path, ctx_read=read)

    async def play(pilot: Pilot[int]) -> None:
        await opened(app, pilot)
        assert bubbles(app) == [("assistant", MESSAGES[-1]["content"])]
        await pilot.press(*["right_square_bracket"] * 2)
        await settled(pilot)
        assert "set aside of 2,000" in text_of(app)

    run(app, play)
