"""What an agent does with its turn, seen from the kernel's side of the socket."""

from __future__ import annotations

import subprocess

import pytest

from tests.agents.scripted_kernel import ScriptedKernel

Process = subprocess.Popen[str]
PROMPT = (("system", "Summarise."), ("user", "A long text."))


def test_does_an_agent_exit_with_the_answer_to_its_context(
    shared_kernel: ScriptedKernel, pid: int
) -> None:
    shared_kernel.assign(pid, "secret-7")
    read = shared_kernel.context(*PROMPT)
    generate = shared_kernel.call("llm.generate")
    assert generate.args == {}, "the kernel is to use the process's own context"
    shared_kernel.generated(generate, "Short.")
    leave = shared_kernel.call("proc.exit")
    assert leave.args == {"code": 0, "answer": "Short."}
    assert {read.session, generate.session, leave.session} == {"secret-7"}


def test_is_an_answer_of_full_length_a_success(shared_kernel: ScriptedKernel, pid: int) -> None:
    shared_kernel.assign(pid)
    shared_kernel.context(*PROMPT)
    shared_kernel.generated(shared_kernel.call("llm.generate"), "And then it", finish="length")
    assert shared_kernel.call("proc.exit").args["code"] == 0


def test_is_half_of_a_json_document_no_answer(shared_kernel: ScriptedKernel, pid: int) -> None:
    shared_kernel.assign(pid, sampling={"grammar": {"json_schema": {"type": "object"}}})
    shared_kernel.context(*PROMPT)
    shared_kernel.generated(shared_kernel.call("llm.generate"), '{"a": [1, 2', finish="length")
    leave = shared_kernel.call("proc.exit").args
    assert leave["error"]["code"] == "EQUOTA"
    assert "cut off" in leave["error"]["message"]


def test_is_an_answer_that_a_dead_host_left_behind_not_made_twice(
    shared_kernel: ScriptedKernel, pid: int
) -> None:
    shared_kernel.assign(pid)
    shared_kernel.context(*PROMPT, ("assistant", "Made before."))
    assert shared_kernel.call("proc.exit").args == {"code": 0, "answer": "Made before."}


def test_does_a_summary_stand_for_the_text_that_an_agent_was_given(
    shared_kernel: ScriptedKernel, pid: int
) -> None:
    shared_kernel.assign(pid)
    read = shared_kernel.call("ctx.read")
    summary = {"id": 9, "role": "system", "content": "In short.", "time": 1.0, "sources": [2, 3]}
    shared_kernel.answer(read, messages=[summary], tokens=0)
    shared_kernel.generated(shared_kernel.call("llm.generate"), "Short.")
    assert shared_kernel.call("proc.exit").args == {"code": 0, "answer": "Short."}


@pytest.mark.parametrize("context", [(), (("system", "Summarise."),)])
def test_is_an_agent_without_a_text_told_so(
    shared_kernel: ScriptedKernel, pid: int, context: tuple[tuple[str, str], ...]
) -> None:
    shared_kernel.assign(pid)
    shared_kernel.context(*context)
    leave = shared_kernel.call("proc.exit").args
    assert leave["code"] == 2
    assert leave["error"]["code"] == "EINVAL"
    assert leave["error"]["message"] == "it was given no text"


@pytest.mark.parametrize(
    ("code", "status"),
    [("ENODRIVER", 1), ("EQUOTA", 4), ("EINVAL", 2), ("ECANCELED", 130), ("ENEWER", 1)],
)
def test_does_an_error_end_up_in_the_exit_record(
    shared_kernel: ScriptedKernel, pid: int, code: str, status: int
) -> None:
    shared_kernel.assign(pid)
    shared_kernel.context(*PROMPT)
    call = shared_kernel.call("llm.generate")
    shared_kernel.fail(call, code, "it did not work", hint="try again", detail={"queue": 3})
    leave = shared_kernel.call("proc.exit").args
    assert leave["code"] == status
    assert leave["error"]["message"] == "it did not work"
    assert leave["error"]["hint"] == "try again"
    assert leave["error"]["detail"] == {"queue": 3}


@pytest.mark.parametrize("code", ["EAUTH", "ESRCH"])
def test_is_a_process_that_is_no_longer_its_own_left_alone(
    shared_kernel: ScriptedKernel, pid: int, code: str
) -> None:
    shared_kernel.assign(pid)
    shared_kernel.context(*PROMPT)
    shared_kernel.fail(shared_kernel.call("llm.generate"), code)
    assert shared_kernel.is_quiet()
    shared_kernel.tell("who")
    assert pid not in shared_kernel.welcome()["running"]


def test_does_one_agents_failure_leave_the_others_alone(
    kernel: ScriptedKernel, host: Process
) -> None:
    kernel.assign(7)
    kernel.context(*PROMPT)
    healthy = kernel.call("llm.generate")
    kernel.assign(8)
    kernel.answer(kernel.call("ctx.read"), messages="these are no messages", tokens=0)
    leave = kernel.call("proc.exit")
    assert leave.session == "session-8"
    assert leave.args["code"] == 1
    assert leave.args["error"]["code"] == "EIO"
    kernel.answer(leave)
    kernel.generated(healthy, "Still here.")
    assert kernel.call("proc.exit").args["answer"] == "Still here."
    host.terminate()
    _, log = host.communicate(timeout=60)
    assert "Traceback" in log
    assert "summarise (pid 8)" in log


def test_is_mail_that_came_while_it_answered_answered_too(
    shared_kernel: ScriptedKernel, pid: int
) -> None:
    shared_kernel.assign(pid)
    shared_kernel.context(*PROMPT)
    shared_kernel.generated(shared_kernel.call("llm.generate"), "Short.")
    look = shared_kernel.call("ipc.recv")
    assert look.args == {"append": True, "block": False}
    shared_kernel.mail(look, "And shorter?")
    shared_kernel.generated(shared_kernel.call("llm.generate"), "S.")
    assert shared_kernel.call("proc.exit").args["answer"] == "S."


@pytest.mark.parametrize("context", [(("system", "Help."),), (*PROMPT, ("assistant", "Before."))])
def test_does_an_interactive_agent_wait_for_mail_when_it_owes_no_answer(
    shared_kernel: ScriptedKernel, pid: int, context: tuple[tuple[str, str], ...]
) -> None:
    shared_kernel.assign(pid, interactive=True)
    shared_kernel.context(*context)
    look = shared_kernel.call("ipc.recv")
    assert look.args == {"append": True, "block": True}
    shared_kernel.mail(look, "Hello")
    shared_kernel.generated(shared_kernel.call("llm.generate"), "Hello yourself.")
    shared_kernel.call("ipc.recv")
    shared_kernel.signal(pid, "TERM")
    assert shared_kernel.call("proc.exit").args["code"] == 143


def test_does_int_end_an_interactive_agents_answer_only(
    shared_kernel: ScriptedKernel, pid: int
) -> None:
    shared_kernel.assign(pid, interactive=True)
    shared_kernel.context(*PROMPT)
    shared_kernel.fail(shared_kernel.call("llm.generate"), "ECANCELED")
    noted = shared_kernel.call("ctx.append")
    assert noted.args["messages"] == [{"role": "assistant", "content": "(interrupted)"}]
    shared_kernel.answer(noted, ids=[4])
    shared_kernel.mail(shared_kernel.call("ipc.recv"), "Never mind. Hello?")
    shared_kernel.generated(shared_kernel.call("llm.generate"), "Hello.")
    shared_kernel.call("ipc.recv")
    shared_kernel.signal(pid, "KILL")


def test_does_int_leave_an_interactive_agent_that_waits_alone(
    shared_kernel: ScriptedKernel, pid: int
) -> None:
    shared_kernel.assign(pid, interactive=True)
    shared_kernel.context(("system", "Help."))
    shared_kernel.fail(shared_kernel.call("ipc.recv"), "ECANCELED")
    assert shared_kernel.call("ipc.recv").args == {"append": True, "block": True}
    shared_kernel.signal(pid, "KILL")


def test_is_a_message_that_is_too_long_taken_back_and_told(
    shared_kernel: ScriptedKernel, pid: int
) -> None:
    shared_kernel.assign(pid, interactive=True)
    shared_kernel.context(*PROMPT)
    shared_kernel.fail(shared_kernel.call("llm.generate"), "ECONTEXT", "it is too long")
    shared_kernel.context(*PROMPT)
    back = shared_kernel.call("ctx.rewind")
    assert back.args == {"message": 1}
    shared_kernel.answer(back, messages=1)
    noted = shared_kernel.call("ctx.append")
    assert "it is too long" in noted.args["messages"][0]["content"]
    shared_kernel.answer(noted, ids=[4])
    assert shared_kernel.call("ipc.recv").args["block"] is True
    shared_kernel.signal(pid, "KILL")
