"""Does ``llmos logs -f`` show all that is said, and that once, whenever it is said?

With a real machine, and a connection to it on which things happen between two questions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from shell.cli import main
from shell.commands import logs
from tests.kernel.rig import FakeDriver, FakeHost, Rig, agent, said
from tests.shell.line import Event, Line


class Scene:
    """An agent that is told things and answers, word by word."""

    def __init__(self, rig: Rig, **spec: Any) -> None:
        self.rig = rig
        self.host: FakeHost = rig.host()
        self.driver: FakeDriver = rig.driver("first", features=[])
        self.pid = rig.spawn(agent(**spec), text="hello")
        self._made = 0

    def tell(self, text: str) -> None:
        said = [{"role": "user", "content": text}]
        self.host.act(self.pid, "ctx.append", messages=said)

    def begin(self, words: str = "", **more: Any) -> None:
        self.host.act(self.pid, "llm.generate", **more)
        self._made = 0
        if words:
            self.say(words)

    def say(self, words: str, **more: Any) -> None:
        """More of the answer that was begun last."""
        self.driver.report(self.driver.started[-1], words, index=self._made, **more)
        self._made += len(words.split())

    def finish(self) -> None:
        self.say("", finish="stop", prompt=3)

    def fail_over(self) -> None:
        """Its driver dies, and no other can go on with its answer."""
        dead, self.driver = self.driver, self.rig.driver("second", features=[])
        dead.die()
        self._made = 0

    def answer(self, *parts: str) -> None:
        self.begin(*parts[:1])
        for part in parts[1:]:
            self.say(part)
        self.finish()

    def end(self) -> None:
        self.host.act(self.pid, "proc.exit")


@pytest.fixture
def scene() -> Scene:
    return Scene(Rig())


@pytest.fixture
def follow(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[str, str]]:
    """What ``logs -f`` shows, and says on stderr."""

    def run(scene: Scene, *later: Event, **before: list[Event]) -> tuple[str, str]:
        line = Line(scene.rig)
        line.later = [*later, scene.end]
        line.before = {name.replace("_", "."): events for name, events in before.items()}
        monkeypatch.setattr(logs, "open_system", line.system)
        assert main(["logs", str(scene.pid), "-f"]) == 0
        return capsys.readouterr()

    return run


Follow = Callable[..., tuple[str, str]]


def shown(*messages: tuple[str, str]) -> str:
    return "".join(f"── {role} ──\n{text}\n" for role, text in [("user", "hello"), *messages])


def test_is_an_answer_shown_once_that_ends_between_the_two_questions(
    scene: Scene, follow: Follow
) -> None:
    scene.begin("one ")

    def ends() -> None:
        scene.say("two")
        scene.finish()

    assert follow(scene, ctx_read=[ends]) == (shown(("assistant", "one two")), "")


def test_is_an_answer_shown_once_that_is_begun_and_ends_between_them(
    scene: Scene, follow: Follow
) -> None:
    ends = [lambda: scene.answer("one ", "two")]
    assert follow(scene, ctx_read=ends) == (shown(("assistant", "one two")), "")


def test_is_one_shown_that_only_begins_as_one_of_before(scene: Scene, follow: Follow) -> None:
    scene.answer("yes")
    scene.tell("sure?")
    scene.begin("yes")
    early = [("assistant", "yes"), ("user", "sure?")]
    told = follow(scene, lambda: scene.say(", I am"), scene.finish)
    assert told == (shown(*early, ("assistant", "yes, I am")), "")


def test_is_one_shown_that_is_the_same_as_one_of_before(scene: Scene, follow: Follow) -> None:
    scene.answer("yes")
    scene.tell("sure?")
    scene.begin("yes")
    every = [("assistant", "yes"), ("user", "sure?"), ("assistant", "yes")]
    assert follow(scene, scene.finish) == (shown(*every), "")


@pytest.mark.parametrize("quick", [True, False])
def test_are_answers_and_what_is_told_between_them_in_their_order(
    scene: Scene, follow: Follow, quick: bool
) -> None:
    """``quick``: an answer is over when its first piece is heard."""
    steps: list[Event] = []
    every = []
    for number in range(4):
        words = (f"answer {number} ", "goes on")
        if quick:
            steps.append(lambda w=words: scene.answer(*w))  # type: ignore[misc]
        else:
            steps += [lambda w=words: scene.begin(w[0]), lambda: scene.say("goes on"), scene.finish]
        steps.append(lambda n=number: scene.tell(f"more {n}"))  # type: ignore[misc]
        every += [("assistant", "".join(words)), ("user", f"more {number}")]
    assert follow(scene, *steps) == (shown(*every), "")


def test_is_what_was_shown_void_when_an_answer_is_made_anew(follow: Follow) -> None:
    scene = Scene(Rig(), placement={"failover": "restart"})
    begins = [lambda: scene.begin("one two "), scene.fail_over]
    told = follow(
        scene, *begins, lambda: scene.say("three "), lambda: scene.say("four"), scene.finish
    )
    assert told == (
        shown(("assistant", "one two \nthree four")),
        "llmos: the answer had to be made anew; here it is from its start\n",
    )


@pytest.mark.parametrize("over", [True, False])
def test_is_nothing_shown_of_what_was_void_before_it_could_be(follow: Follow, over: bool) -> None:
    """``over``: what came in its place is a message by then."""
    scene = Scene(Rig(), placement={"failover": "restart"})

    def anew() -> None:
        scene.fail_over()
        scene.say("three ")
        if over:
            scene.say("four")
            scene.finish()

    rest = [] if over else [lambda: scene.say("four"), scene.finish]
    told = follow(scene, lambda: scene.begin("one two "), *rest, ctx_read=[lambda: None, anew])
    assert told == (shown(("assistant", "three four")), "")


def test_are_answers_that_become_no_messages_shown(scene: Scene, follow: Follow) -> None:
    scene.begin("to the ", messages=said())
    told = follow(scene, lambda: scene.say("program"), scene.finish)
    assert told == (shown(("assistant", "to the program")), "")
