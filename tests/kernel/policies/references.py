"""What each policy should do, told as simply as can be: plain lists, looked through each time."""

from __future__ import annotations

from typing import Any

from tests.kernel.policies.bench import Stub


class Reference:
    """Several queues. ``rank``: least first; of equals the one that was pushed first."""

    def __init__(self, queues: int) -> None:
        self.queues: list[list[Stub]] = [[] for _ in range(queues)]

    def rank(self, burst: Stub, now: float) -> Any:
        raise NotImplementedError

    def yields(self, running: Stub, waiting: Stub, now: float) -> bool:
        raise NotImplementedError

    def first(self, queue: int, now: float) -> Stub | None:
        return min(self.queues[queue], key=lambda burst: self.rank(burst, now), default=None)

    def arrive(self, burst: Stub) -> None: ...

    def push(self, burst: Stub, queue: int) -> None:
        self.queues[queue].append(burst)

    def remove(self, burst: Stub, queue: int) -> None:
        if burst in self.queues[queue]:
            self.queues[queue].remove(burst)

    def leave(self, burst: Stub) -> None: ...

    def start(self, burst: Stub) -> None: ...

    def serve(self, burst: Stub, prompt: int, tokens: int) -> None: ...

    def end(self, burst: Stub) -> None: ...


class FifoReference(Reference):
    def rank(self, burst: Stub, now: float) -> Any:
        return burst.id

    def yields(self, running: Stub, waiting: Stub, now: float) -> bool:
        return False


class RoundRobinReference(Reference):
    def rank(self, burst: Stub, now: float) -> Any:
        return -(now - burst.submitted)

    def yields(self, running: Stub, waiting: Stub, now: float) -> bool:
        return True


class PriorityReference(Reference):
    """Ageing, as it is felt: a level for each 5 s of waiting."""

    def rank(self, burst: Stub, now: float) -> Any:
        return burst.priority * 5 - (now - burst.submitted), burst.id

    def yields(self, running: Stub, waiting: Stub, now: float) -> bool:
        level = waiting.priority
        waited = now - waiting.submitted
        while waited >= 5:
            waited -= 5
            level -= 1
        return level < running.priority


class DeadlineReference(Reference):
    def rank(self, burst: Stub, now: float) -> Any:
        due = burst.admitted + 60 if burst.due is None else max(burst.due, burst.admitted)
        return due, burst.id

    def yields(self, running: Stub, waiting: Stub, now: float) -> bool:
        return bool(self.rank(waiting, now)[0] < self.rank(running, now)[0])


class FairReference(Reference):
    """Every counter is kept for ever; who waits where is looked up in the lists."""

    def __init__(self, queues: int) -> None:
        super().__init__(queues)
        self.clocks = [0.0] * queues
        self.counters: dict[int, float] = {}
        self.floors: dict[int, float] = {}
        self.turns: dict[int, int] = {}
        self.waiting: set[Stub] = set()
        self.running: set[Stub] = set()
        self.fresh: set[int] = set()
        self.stood: dict[int, set[int]] = {}
        self.charged: dict[Stub, float] = {}
        self.most: dict[int, int] = {}
        self.biggest: dict[int, float] = {}
        self.since: dict[tuple[int, int], float] = {}
        """By tree and queue, while the tree has something in there."""

    def place(self, tree: int, queue: int) -> float:
        since = self.since.get((tree, queue), self.clocks[queue])
        reach = self.most.get(tree, 0) * self.biggest.get(tree, 0.0)
        return min(self.counters[tree], since + 1 + reach)

    def first(self, queue: int, now: float) -> Stub | None:
        return min(
            self.queues[queue],
            key=lambda burst: (self.place(burst.tree, queue), burst.id),
            default=None,
        )

    def yields(self, running: Stub, waiting: Stub, now: float) -> bool:
        return all(
            self.place(waiting.tree, queue) < self.place(running.tree, queue)
            for queue in range(len(self.queues))
            if self.first(queue, now) is waiting
        )

    def arrive(self, burst: Stub) -> None:
        self.counters.setdefault(burst.tree, 0.0)
        if not any(other.tree == burst.tree for other in self.waiting):
            self.fresh.add(burst.tree)
            self.stood[burst.tree] = set()
        self.waiting.add(burst)
        self.running.discard(burst)

    def push(self, burst: Stub, queue: int) -> None:
        tree = burst.tree
        if (tree, queue) not in self.since:
            self.since[tree, queue] = self.clocks[queue]
            if tree in self.fresh:
                level = self.clocks[queue] + 1
                self.floors[tree] = max(level, self.floors.get(tree, 0.0))
                self.counters[tree] = max(level, self.counters[tree])
        self.stood[tree].add(queue)
        super().push(burst, queue)

    def remove(self, burst: Stub, queue: int) -> None:
        super().remove(burst, queue)
        if all(other.tree != burst.tree for other in self.queues[queue]):
            self.since.pop((burst.tree, queue), None)

    def leave(self, burst: Stub) -> None:
        self.waiting.remove(burst)
        for queue, bursts in enumerate(self.queues):
            if burst in bursts:
                self.tick(burst.tree, queue)
                self.since[burst.tree, queue] = self.clocks[queue]

    def start(self, burst: Stub) -> None:
        self.fresh.discard(burst.tree)
        self.turns[burst.tree] = 0
        self.running.add(burst)
        ours = sum(other.tree == burst.tree for other in self.running)
        self.most[burst.tree] = max(ours, self.most.get(burst.tree, 0))
        if burst.prompt_tokens == 0 and burst not in self.charged:
            self.charged[burst] = burst.estimate / burst.weight
            self.counters[burst.tree] += self.charged[burst]
            self.weigh(burst)

    def serve(self, burst: Stub, prompt: int, tokens: int) -> None:
        self.weigh(burst)
        cost = (prompt + 2 * tokens) / burst.weight
        if prompt:
            cost -= self.charged.pop(burst, 0.0)
        counter = self.counters[burst.tree] + cost
        self.counters[burst.tree] = max(counter, self.floors.get(burst.tree, 0.0))
        self.turns[burst.tree] += tokens
        if self.turns[burst.tree] >= 32:
            self.turns[burst.tree] = 0
            for queue in self.stood[burst.tree]:
                self.tick(burst.tree, queue)

    def end(self, burst: Stub) -> None:
        self.running.discard(burst)

    def weigh(self, burst: Stub) -> None:
        cost = (burst.prompt_tokens or burst.estimate) + 2 * len(burst.tokens)
        known = self.biggest.get(burst.tree, 0.0)
        self.biggest[burst.tree] = max(known, cost / burst.weight)

    def tick(self, tree: int, queue: int) -> None:
        trees = [tree, *(burst.tree for burst in self.queues[queue])]
        least = min(self.place(other, queue) for other in trees)
        self.clocks[queue] = max(self.clocks[queue], least)
