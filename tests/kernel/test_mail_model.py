"""Do mailboxes and topics behave like plain queues and lists, crashes included?"""

from collections import deque
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from hypothesis.strategies import booleans, integers, sampled_from

from kernel.config import Config
from tests.kernel.rig import MODEL, Program, Rig

SETTINGS = settings(
    max_examples=40,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


class Mailboxes(RuleBasedStateMachine):
    """Three programs that write to each other; the model is a queue for each. Calls in flight when
    the kernel crashes are repeated, as a client does."""

    SIZE = 3

    def __init__(self) -> None:
        super().__init__()
        self.rig = Rig(Config(default_model=MODEL, mailbox=self.SIZE))
        self.people = [Program(self.rig, name, "ipc:*") for name in ("ann", "bob", "eve")]
        self.boxes: list[deque[int]] = [deque() for _ in self.people]
        self.readers: list[deque[tuple[int, int]]] = [deque() for _ in self.people]
        self.senders: list[deque[tuple[int, int, int]]] = [deque() for _ in self.people]
        self.words = 0
        self.taken: dict[tuple[int, int], list[int]] = {}
        """Who, by which call, got what."""
        self.sent: dict[tuple[int, int], tuple[int, int]] = {}
        """Who, by which call, sent what to whom."""

    def post(self, sender: int, to: int, word: int, **args: Any) -> int:
        pid = self.people[to].pid
        return self.people[sender].start("ipc.send", pid=pid, body=word, **args)

    def room(self, who: int) -> None:
        """Let in those who wait."""
        while self.senders[who] and len(self.boxes[who]) < self.SIZE:
            sender, number, word = self.senders[who].popleft()
            self.boxes[who].append(word)
            self.sent[sender, number] = (who, word)

    @rule(sender=integers(0, 2), to=integers(0, 2), waits=booleans())
    def send(self, sender: int, to: int, waits: bool) -> None:
        self.words += 1
        word, program = self.words, self.people[sender]
        number = self.post(sender, to, word, **({"wait": 3600} if waits else {}))
        if len(self.boxes[to]) >= self.SIZE:
            if waits:
                self.senders[to].append((sender, number, word))
            else:
                assert program.reply(number)["error"]["code"] == "EBUSY"
            return
        self.sent[sender, number] = (to, word)
        if self.readers[to]:
            self.taken[to, self.readers[to].popleft()[0]] = [word]
        else:
            self.boxes[to].append(word)

    @rule(who=integers(0, 2), limit=integers(1, 5), block=booleans())
    def recv(self, who: int, limit: int, block: bool) -> None:
        number = self.people[who].start("ipc.recv", limit=limit, block=block)
        box = self.boxes[who]
        if not box and block:
            self.readers[who].append((number, limit))
            return
        self.taken[who, number] = [box.popleft() for _ in range(min(limit, len(box)))]
        self.room(who)

    @rule(who=integers(0, 2))
    def interrupt(self, who: int) -> None:
        self.rig.call("proc.kill", pid=self.people[who].pid, signal="INT")
        self.readers[who].clear()
        for to, waiting in enumerate(self.senders):
            self.senders[to] = deque(one for one in waiting if one[0] != who)

    @rule()
    def crash(self) -> None:
        self.rig.crash()
        for (who, number), (to, word) in self.sent.items():
            self.post(who, to, word, id=number)
        for who, number in self.taken:
            self.people[who].start("ipc.recv", id=number)
        for who, waiting in enumerate(self.readers):
            for number, limit in waiting:
                self.people[who].start("ipc.recv", id=number, limit=limit)
        for to, senders in enumerate(self.senders):
            for who, number, word in senders:
                self.post(who, to, word, wait=3600, id=number)

    @invariant()
    def is_every_letter_where_it_belongs(self) -> None:
        for (who, number), words in self.taken.items():
            mail = self.people[who].result(number)["mail"]
            assert [one["body"] for one in mail] == words
        assert all(self.people[who].result(number)["id"] for who, number in self.sent)
        for who, waiting in enumerate(self.readers):
            assert all(self.people[who].reply(number) is None for number, _ in waiting)
        for waiting in self.senders:
            assert all(self.people[who].reply(number) is None for who, number, _ in waiting)
        for box, program in zip(self.boxes, self.people, strict=True):
            rows = self.rig.store._rows(
                "SELECT body FROM mail WHERE pid = ? ORDER BY id", program.pid
            )
            assert [int(row["body"]) for row in rows] == list(box)
            process = self.rig.machine.table.get(program.pid)
            assert self.rig.machine.mail.length(process) == len(box)


class Followers(RuleBasedStateMachine):
    """The model of a topic is the list of all that was ever published to it."""

    TOPICS = ("a", "b")
    KEPT = 5

    def __init__(self) -> None:
        super().__init__()
        self.rig = Rig(Config(default_model=MODEL, publications_kept=self.KEPT))
        self.people = [Program(self.rig, name, "ipc:*") for name in ("ann", "bob")]
        self.topics: dict[str, list[int]] = {topic: [] for topic in self.TOPICS}
        self.waiting: dict[str, list[tuple[int, int, int]]] = {topic: [] for topic in self.TOPICS}
        self.words = 0

    def told(self, result: dict[str, Any]) -> list[tuple[int, Any]]:
        return [(one["seq"], one["body"]) for one in result["messages"]]

    @rule(who=integers(0, 1), topic=sampled_from(TOPICS), count=integers(1, 4))
    def publish(self, who: int, topic: str, count: int) -> None:
        for _ in range(count):
            self.words += 1
            self.topics[topic].append(self.words)
            made = self.people[who].call("ipc.publish", topic=topic, body=self.words)
            assert made == {"seq": len(self.topics[topic])}
            for reader, number, since in self.waiting[topic]:
                result = self.people[reader].result(number)
                assert self.told(result) == [(since + 1, self.words)]
            self.waiting[topic].clear()

    @rule(who=integers(0, 1), topic=sampled_from(TOPICS), back=integers(0, 9), most=integers(1, 9))
    def read(self, who: int, topic: str, back: int, most: int) -> None:
        there = self.topics[topic]
        since = max(0, len(there) - back)
        number = self.people[who].start("ipc.subscribe", topic=topic, since=since, limit=most)
        if since == len(there):
            self.waiting[topic].append((who, number, since))
            return
        result = self.people[who].result(number)
        first = max(since + 1, result["oldest"])
        expected = [(seq, there[seq - 1]) for seq in range(first, len(there) + 1)]
        assert self.told(result) == expected[:most]
        assert result["next"] == expected[:most][-1][0]
        assert result["latest"] == len(there)
        assert result["oldest"] <= max(1, len(there) - self.KEPT + 1), "too much is gone"

    @rule(who=integers(0, 1))
    def interrupt(self, who: int) -> None:
        self.rig.call("proc.kill", pid=self.people[who].pid, signal="INT")
        for topic, waiting in self.waiting.items():
            self.waiting[topic] = [one for one in waiting if one[0] != who]

    @rule()
    def crash(self) -> None:
        self.rig.crash()
        for topic, waiting in self.waiting.items():
            for who, number, since in waiting:
                self.people[who].start("ipc.subscribe", topic=topic, since=since, id=number)

    @invariant()
    def does_nobody_hear_what_was_not_said(self) -> None:
        for waiting in self.waiting.values():
            assert all(self.people[who].reply(number) is None for who, number, _ in waiting)


Mailboxes.TestCase.settings = SETTINGS
Followers.TestCase.settings = SETTINGS
TestMailboxes = Mailboxes.TestCase
TestFollowers = Followers.TestCase
