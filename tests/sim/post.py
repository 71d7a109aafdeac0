"""Post: was each letter received once, and has each topic what was published, without a gap?

It knows nothing about who may write to whom.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from itertools import pairwise
from typing import Any

from kernel.machine import Machine
from tests.sim.callers import Sent
from tests.sim.disk import Disk
from tests.sim.markers import first
from tests.sim.violation import must


class Post:
    """Letters and publications by their markers."""

    def __init__(self) -> None:
        self._sent: dict[int, dict[int, str]] = defaultdict(dict)
        """What was acknowledged, by mailbox and id."""
        self._taken: dict[int, str] = {}
        self._last: dict[int, int] = defaultdict(int)
        self._reading: dict[int, set[int]] = defaultdict(set)
        """By mailbox: calls that may have taken letters out, and are not answered."""
        self._topics: dict[str, dict[int, str]] = defaultdict(dict)

    def applied(self, sent: Sent) -> None:
        if sent.name == "ipc.recv":
            self._reading[sent.pid].add(sent.id)

    def answered(self, sent: Sent, result: dict[str, Any], *, late: bool) -> None:
        marker = first(str(sent.args.get("body")))
        if sent.name == "ipc.send":
            box = self._sent[sent.args["pid"]]
            must(result["id"] not in box, "letter {} was sent twice", result["id"])
            box[result["id"]] = marker
        elif sent.name == "ipc.recv":
            self._reading[sent.pid].discard(sent.id)
            for letter in result["mail"]:
                self._take(sent.pid, letter["id"], first(str(letter["body"])), late=late)
        elif sent.name == "ipc.publish":
            # Who waits for it is answered before the one who publishes.
            known = self._topics[sent.args["topic"]].setdefault(result["seq"], marker)
            must(known == marker, "seq {} was given twice", result["seq"])
        elif sent.name == "ipc.subscribe":
            self._followed(sent, result)

    def refused(self, sent: Sent) -> None:
        self._reading[sent.pid].discard(sent.id)

    def _take(self, pid: int, id: int, marker: str, *, late: bool) -> None:
        must(id not in self._taken, "letter {} was received twice", id)
        must(marker not in self._taken.values(), "a letter came twice: {}", marker)
        must(late or id > self._last[pid], "process {} has letter {} too late", pid, id)
        known = self._sent[pid].get(id, marker)
        must(known == marker, "letter {} was {}, and is {}", id, known, marker)
        self._taken[id] = marker
        self._last[pid] = max(id, self._last[pid])

    def _followed(self, sent: Sent, result: dict[str, Any]) -> None:
        seqs = [one["seq"] for one in result["messages"]]
        must(all(b == a + 1 for a, b in pairwise(seqs)), "a topic has gaps: {}", seqs)
        since = sent.args.get("since")
        if seqs and since is not None and since + 1 >= result["oldest"]:
            must(seqs[0] == since + 1, "after {} of a topic comes {}", since, seqs[0])
        known = self._topics[sent.args["topic"]]
        for one in result["messages"]:
            marker = first(str(one["body"]))
            same = known.setdefault(one["seq"], marker)
            must(same == marker, "seq {} was {}, and is {}", one["seq"], same, marker)

    def check(self, machine: Machine, disk: Disk) -> None:
        """The whole tables."""
        boxes: dict[int, dict[int, str]] = defaultdict(dict)
        for id, pid, body in disk.rows("SELECT id, pid, body FROM mail"):
            boxes[pid][id] = first(body)
        there = Counter(self._taken.values())
        for box in boxes.values():
            there.update(box.values())
        must(max(there.values(), default=0) <= 1, "a letter is there twice: {}", there)
        for process in machine.table:
            pid, box = process.pid, boxes.pop(process.pid, {})
            length = machine.mail.length(process) if process.alive else 0
            must(length == len(box), "{} counts {} letters, there are {}", pid, length, box)
            if process.alive and not self._reading[pid]:
                lost = self._sent[pid].keys() - box.keys() - self._taken.keys()
                must(not lost, "letters to process {} were lost: {}", pid, lost)
        must(not boxes, "there is mail for processes that are not there: {}", boxes)
        self._check_topics(disk)

    def _check_topics(self, disk: Disk) -> None:
        kept: dict[str, dict[int, str]] = defaultdict(dict)
        for topic, seq, body in disk.rows("SELECT topic, seq, body FROM publications"):
            kept[topic][seq] = first(json.loads(body)["text"])
        for topic, known in self._topics.items():
            found = kept[topic]
            whole = not found or sorted(found) == list(range(min(found), max(found) + 1))
            must(whole, "topic {} has gaps: {}", topic, sorted(found))
            must(len(set(found.values())) == len(found), "{} is there twice", topic)
            for seq, marker in known.items():
                lost = found and seq >= min(found) and found.get(seq) != marker
                must(
                    not lost and (found or not known), "seq {} of {} is not {}", seq, topic, marker
                )
