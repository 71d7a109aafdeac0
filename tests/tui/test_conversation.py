"""Does the conversation with an agent show all that is said, once, and send what is written?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from llmagentos.abi.errors import EBUSY, EQUOTA
from llmagentos.exchange import Piece
from shell.tui.conversation import Bubble
from tests.tui.stage import run, settled, text_of
from tests.tui.talk import MESSAGES, PID, bubbles, detail, link, message, opened, talking


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
