"""Fair shares between the trees of processes, in proportion to their weights (the default).

It is the Virtual Token Counter of Sheng et al., "Fairness in Serving Large Language Models" (OSDI
2024), for trees instead of clients: an agent that spawns fifty children gets one share. Every
tree has a counter of the service that it had, on all drivers together, divided by its weight: 2 for
each token of an answer, and for each token of a prompt that was computed what its driver measures
beside that, 1 at most. The waiting tree with the least counter is next, and of its bursts the
oldest. A burst whose quantum is over gives its slot to a tree with a smaller counter. A prompt is
charged by its estimate when a burst gets its first slot, and corrected when its driver has counted
it and found what it had read before.

**No credit for idling.** Each queue has a clock, which goes along with what is served from it and
never passes a tree that waits. A tree that had nothing waiting and comes back is lifted to the
clock, or keeps what it owes. The paper's clock is the least counter of those that wait. That
would take from an agent that makes one call after the other, with each call, all by which it is
behind: it would get as many turns as its competitor, whatever the turns are worth. So our clock
is what the tree that was served last had *before* its turn, as in start-time fair queueing. A
turn is a burst's start, or another quantum of the same tree; so a tree that runs alone owes no
more than its last turn for it.

**The bound** is the paper's. While two trees f and g of equal weight always have bursts waiting
in the one queue that there is, the services W that they had meanwhile differ by

    |W_f - W_g| <= 2 * max(1 * L, 2 * M)

at most: L is the longest prompt, and M the most tokens, of prompts and answers, that can be in
all the slots together (where an estimate was too high, it counts instead of the prompt). For no
tree is ever further ahead of the clock than that: it gets a slot only as the least, and grows
from there by that prompt and by what its running bursts still bring. If drivers can preempt,
prompts are estimated right, and after each step all the bursts are asked whose quanta are over,
it is at most L + 2 * (slots + 1) * quantum: the turn that brought it ahead, and a quantum in each
slot until they are given away.

**Nobody starves.** New trees come in a step above the clock: without end as they may come, of n
that wait at a time no more than n pass an old one for each step by which it is ahead. And with
several drivers, a tree that has had a lot elsewhere counts in a queue as ahead by no more than
its bursts could have brought it from there, so it has its turn before long.

It knows nothing about drivers: they are queues without names.
"""

from __future__ import annotations

from kernel.burst import Burst
from kernel.policies.heap import Heap, Key

COMPLETION = 2.0
"""What a token of an answer costs. One of a prompt costs as much less as its driver says."""

_STEP = 1.0
"""How far above the clock a tree comes in."""


class _Account:
    """The books of one tree. ``floor``: what it was lifted to last; ``turn``: tokens that it had
    since its turn began; ``fresh``: it began to wait and got no slot since; ``queues``: those that
    it stood in since it began to wait; ``most``: of its bursts that ran at once; ``biggest``: what
    one of them cost."""

    def __init__(self, tree: int) -> None:
        self.tree = tree
        self.counter = self.floor = self.biggest = 0.0
        self.turn = self.most = 0
        self.fresh = False
        self.bursts: set[int] = set()
        self.waiting: set[int] = set()
        self.running: set[int] = set()
        self.queues: dict[FairQueue, None] = {}

    def lift(self, level: float) -> None:
        self.floor = max(self.floor, level)
        self.counter = max(self.counter, level)

    def charge(self, cost: float, burst: Burst, prompt: int) -> None:
        self.biggest = max(self.biggest, _cost(burst, prompt, len(burst.tokens)))
        # Taking back what was charged too much brings back no credit that a lift took.
        self.counter = max(self.counter + cost, self.floor)
        if cost < 0:
            for queue in self.queues:
                queue.moved(self)


class _Line:
    """The bursts of one tree in one queue. ``since``: what the clock was when it had its last turn
    from here, or began to wait."""

    def __init__(self, since: float) -> None:
        self.bursts: Heap[Burst] = Heap()
        self.since = since

    @property
    def head(self) -> Burst:
        top = self.bursts.first()
        assert top is not None
        return top[1]


class FairQueue:
    """A heap of the trees that have a line here. A tree whose counter grew is put in its place
    when it surfaces; only one whose counter fell must be moved at once."""

    def __init__(self, policy: Fair, clock: float) -> None:
        self.clock = clock
        self._policy = policy
        self._trees: Heap[_Account] = Heap()
        self._lines: dict[_Account, _Line] = {}
        self._size = 0

    def push(self, burst: Burst) -> None:
        account = self._policy.account(burst)
        account.queues[self] = None
        if account not in self._lines:
            self._lines[account] = _Line(self.clock)
            if account.fresh:
                account.lift(self.clock + _STEP)
        line = self._lines[account]
        self._size += burst not in line.bursts
        line.bursts.push(burst, (burst.id,))
        if line.head is burst:
            self.moved(account)

    def remove(self, burst: Burst) -> None:
        account = self._policy.account(burst)
        line = self._lines.get(account)
        if line is None or burst not in line.bursts:
            return
        self._size -= 1
        line.bursts.remove(burst)
        if not line.bursts:
            del self._lines[account]
            self._trees.remove(account)

    def first(self, now: float) -> Burst | None:
        account = self._least()
        return self._lines[account].head if account is not None else None

    def __len__(self) -> int:
        return self._size

    def place(self, account: _Account) -> float:
        """Its counter, as far as that counts here."""
        line = self._lines.get(account)
        since = self.clock if line is None else line.since
        return min(account.counter, since + _STEP + account.most * account.biggest)

    def moved(self, account: _Account) -> None:
        """It may have to stand further to the front."""
        if account in self._lines:
            self._trees.push(account, self._key(account))

    def tick(self, account: _Account) -> None:
        """A tree that stands here, or did, begins a turn."""
        least = self._least()
        places = [self.place(other) for other in (account, least) if other is not None]
        self.clock = max(self.clock, min(places))

    def leaves(self, account: _Account, burst: Burst) -> None:
        """One of its bursts is about to go."""
        line = self._lines.get(account)
        if line is not None and burst in line.bursts:
            self.tick(account)
            line.since = self.clock

    def _least(self) -> _Account | None:
        while (top := self._trees.first()) is not None:
            key, account = top
            if key == self._key(account):
                return account
            self._trees.push(account, self._key(account))
        return None

    def _key(self, account: _Account) -> Key:
        return (self.place(account), self._lines[account].head.id)


class Fair:
    """``remembered``: how many trees that have no bursts are kept in the books. Beyond that the one
    that has been idle for longest is forgotten: it is no better off then than a new tree, which
    anybody could have instead."""

    def __init__(self, quantum: int = 32, remembered: int = 1000) -> None:
        self.quantum = quantum
        self._remembered = remembered
        self._accounts: dict[int, _Account] = {}
        self._idle: dict[int, None] = {}
        self._estimates: dict[int, float] = {}
        """What was charged for the prompts that nobody has counted yet, by burst."""
        self._clock = 0.0
        """The one that is furthest of all: a new queue's start."""

    def queue(self) -> FairQueue:
        return FairQueue(self, self._clock)

    def account(self, burst: Burst) -> _Account:
        account = self._accounts.get(burst.tree)
        if account is None:
            account = self._accounts[burst.tree] = _Account(burst.tree)
            self._rest(account)
        return account

    def arrive(self, burst: Burst, now: float) -> None:
        account = self.account(burst)
        self._idle.pop(account.tree, None)
        if not account.waiting:
            account.fresh = True
            account.queues.clear()
        account.bursts.add(burst.id)
        account.waiting.add(burst.id)
        account.running.discard(burst.id)

    def leave(self, burst: Burst, now: float) -> None:
        account = self.account(burst)
        account.waiting.discard(burst.id)
        for queue in account.queues:
            queue.leaves(account, burst)
            self._clock = max(self._clock, queue.clock)

    def start(self, burst: Burst, now: float) -> None:
        account = self.account(burst)
        account.fresh = False
        account.turn = 0
        account.running.add(burst.id)
        account.most = max(account.most, len(account.running))
        if not burst.prompt_tokens and burst.id not in self._estimates:
            self._estimates[burst.id] = cost = _cost(burst, burst.estimate, 0)
            account.charge(cost, burst, burst.estimate)

    def serve(self, burst: Burst, prompt_tokens: int, tokens: int, now: float) -> None:
        account = self.account(burst)
        cost = _cost(burst, prompt_tokens, tokens)
        if prompt_tokens:
            cost -= self._estimates.pop(burst.id, 0.0)
        account.charge(cost, burst, burst.prompt_tokens or burst.estimate)
        account.turn += tokens
        if account.turn >= self.quantum:
            account.turn = 0
            for queue in account.queues:
                queue.tick(account)

    def end(self, burst: Burst, now: float) -> None:
        self._estimates.pop(burst.id, None)
        account = self.account(burst)
        for bursts in (account.bursts, account.waiting, account.running):
            bursts.discard(burst.id)
        if not account.bursts:
            self._rest(account)

    def yields(self, running: Burst, waiting: Burst, now: float) -> bool:
        ours, theirs = self.account(running), self.account(waiting)
        if ours is theirs:
            return False
        queues = [queue for queue in theirs.queues if queue.first(now) is waiting]
        return all(queue.place(theirs) < queue.place(ours) for queue in queues)

    def _rest(self, account: _Account) -> None:
        self._idle[account.tree] = None
        if len(self._idle) > self._remembered:
            oldest = next(iter(self._idle))
            del self._idle[oldest], self._accounts[oldest]


def _cost(burst: Burst, prompt_tokens: int, tokens: int) -> float:
    return COMPLETION * (burst.prefill_weight * prompt_tokens + tokens) / burst.weight
