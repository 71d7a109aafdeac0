"""Lodgers: processes and their bursts in one edge engine, and all that may happen to them.

Each act is one thing that a kernel, a disk or a death may do at that moment, made from a seed of
its own, so that a story can be played again with acts left out. After each one every token, text
and count is compared with what transformers alone would say, and the books of KV are read. It
knows nothing about how many acts there are.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from drivers.edge.blocks import BLOCK
from drivers.edge.engine import EdgeEngine
from drivers.edge.paged import PagedRunner
from drivers.edge.prompt import prompt_tokens
from drivers.edge.runners import make_runner
from llmagentos.abi.driver import Start, StepReport
from llmagentos.abi.errors import ECONTEXT
from llmagentos.abi.talk import ChatMessage
from tests.campaigns import wishes
from tests.campaigns.kv_books import unbalanced
from tests.campaigns.oracle import Oracle
from tests.campaigns.stay import Stay, Wrong
from tests.campaigns.troubles import damaged, stumbling

_MANY: Final = 12
"""Bursts that live at once."""
_PATIENCE: Final = 3000
"""Steps in which all that is left ends, or somebody waits for ever."""


@dataclass(slots=True)
class _Lodger:
    """A process: what it has said and heard, and who may see it."""

    labels: list[str]
    said: list[ChatMessage] = field(default_factory=list)


class House:
    """``theme``: a seed, which says how large it is and what happens in it."""

    def __init__(self, oracle: Oracle, folder: Path, theme: str) -> None:
        chance = random.Random(theme)
        self._oracle = oracle
        self._loaded = oracle.loaded
        self._folder = folder
        self._slots = chance.choice([1, 2, 4, 8])
        self._chunk = chance.choice([5, 16, 21, 40, 64, 256])
        self._lodgers: dict[int, _Lodger] = {}
        self._stays: dict[int, Stay] = {}
        self._numbers = 0
        self._read: dict[tuple[str, ...], list[list[int]]] = defaultdict(list)
        """What was read by those with the same labels."""
        self._worn = False
        """The disk has lost something: what was on it may be computed again."""
        self._short = False
        """The disk is too small for all."""
        self.done: Counter[str] = Counter()
        self.story: list[str] = []
        self._open(chance)

    def act(self, seed: str) -> None:
        chance = random.Random(seed)
        act = chance.choices([act for act, _ in _ACTS], [weight for _, weight in _ACTS])[0]
        act(self, chance)
        self._look()

    def close(self) -> None:
        """All go on to their end; and then nothing may be left of anybody."""
        for _ in range(_PATIENCE):
            for burst in [burst for burst, stay in self._stays.items() if stay.held]:
                if self._engine.stats.active < self._slots:
                    self._resume(burst)
            if not self._stays:
                break
            self._step()
            self._look()
        else:
            raise Wrong(f"bursts {sorted(self._stays)} never end")
        for pid in list(self._lodgers):
            self._drop(pid)
        self._look()  # nobody lives, so whatever is left is lost

    # -- what happens ------------------------------------------------------------------------

    def _open(self, chance: random.Random) -> None:
        """An engine, with a pool and a disk of some size."""
        size = BLOCK * self._loaded.card.kv_bytes_per_token
        blocks, disk = chance.choice([10, 14, 20, 30, 200]), chance.choice([20, 60, 1000, 1000])
        runner = make_runner(
            self._loaded, self._slots, blocks * size, self._folder / "kv", disk * size
        )
        assert isinstance(runner, PagedRunner)
        self._short = disk < 1000
        self._runner = runner
        self._engine = EdgeEngine(self._loaded, self._slots, self._chunk, runner=runner)
        forward = runner.forward

        def watched(decoding: Sequence[Any], reading: Sequence[Any]) -> Any:
            logits = forward(decoding, reading)
            for sequence, count in [*((one, 1) for one in decoding), *reading]:
                self._stays[sequence.burst].fed += count
            return logits

        runner.forward = watched  # type: ignore[method-assign]
        self._tell(f"an engine of {blocks} blocks, {disk} on the disk, {self._slots} slots")

    def _start(self, chance: random.Random) -> None:
        if len(self._stays) >= _MANY:
            return
        if not self._lodgers or chance.random() < 0.3:
            labels = chance.choice([[], [], ["private"], ["private", "team"]])
            self._lodgers[self._number()] = _Lodger(labels)
        pid = chance.choice(list(self._lodgers))
        lodger = self._lodgers[pid]
        said = [*lodger.said, ChatMessage(role="user", content=wishes.text(chance, str(pid)))]
        order = Start(
            burst=self._number(), attempt=1, pid=pid, model=self._loaded.card.name,
            messages=said, sampling=wishes.sampling(chance), labels=lodger.labels,
            hold=chance.random() < 0.2 or self._engine.stats.active >= self._slots,
        )  # fmt: skip
        try:
            prompt = prompt_tokens(self._loaded.tokenizer, order, 1 << 20)
            if 0 < (most := self._runner.most - len(prompt)) < 100 and chance.random() < 0.2:
                all_of_it = order.sampling.model_copy(update={"max_tokens": most})
                order = order.model_copy(update={"sampling": all_of_it})
            self._begin(Stay(order, prompt, [], order.hold))
        except ECONTEXT:
            lodger.said = []

    def _begin(self, stay: Stay) -> None:
        order = stay.order
        said = self._engine.start(order)
        if not stay.right:
            stay.right = self._oracle.answer(order, stay.prompt)
        self._stays[order.burst] = stay
        self._tell(
            f"{order.burst} of {order.pid} starts: {len(stay.prompt)} + {order.sampling.max_tokens}"
            f" tokens, {len(order.accepted)} accepted{', held' if stay.held else ''}"
            f" {order.sampling.model_dump(exclude_defaults=True)}"
        )
        self._hear([said] if said is not None else [])

    def _step(self, chance: random.Random | None = None) -> None:
        for _ in range(chance.choice([1, 1, 2, 5]) if chance else 1):
            self._hear(self._engine.step())

    def _preempt(self, chance: random.Random) -> None:
        for burst in self._some(chance, held=False):
            self._engine.preempt(burst)
            self._stays[burst].held = True
            self._tell(f"{burst} is held")

    def _go_on(self, chance: random.Random) -> None:
        for burst in self._some(chance, held=True):
            if self._engine.stats.active < self._slots:
                self._resume(burst)

    def _resume(self, burst: int) -> None:
        self._engine.resume(burst)
        self._stays[burst].held = False
        self._tell(f"{burst} goes on")

    def _cancel(self, chance: random.Random) -> None:
        for burst in self._some(chance)[:1]:
            self._engine.cancel(burst)
            self._note_read(self._stays.pop(burst))
            self._tell(f"{burst} is cancelled")

    def _snapshot(self, chance: random.Random) -> None:
        for burst in self._some(chance, held=True):
            self._engine.snapshot(burst)
            self._tell(f"a snapshot of {burst}")

    def _expect(self, chance: random.Random) -> None:
        for pid in self._lodgers:
            if chance.random() < 0.3:
                self._engine.expect(pid, chance.choice([None, 0.0, 5.0, 100.0]))

    def _fork(self, chance: random.Random) -> None:
        if self._lodgers:
            pid, child = chance.choice(list(self._lodgers)), self._number()
            parent = self._lodgers[pid]
            self._engine.fork(pid, child)
            self._lodgers[child] = _Lodger(parent.labels, list(parent.said))
            self._tell(f"{child} is a fork of {pid}")

    def _exit(self, chance: random.Random) -> None:
        if self._lodgers:
            self._drop(chance.choice(list(self._lodgers)))

    def _drop(self, pid: int) -> None:
        """In the order in which a kernel says it."""
        for burst in [burst for burst, stay in self._stays.items() if stay.order.pid == pid]:
            self._engine.cancel(burst)
            self._note_read(self._stays.pop(burst))
        self._engine.drop(pid)
        del self._lodgers[pid]
        self._tell(f"{pid} exits")

    def _crash(self, chance: random.Random) -> None:
        """The driver is killed: another one goes on, from the tokens that were reported."""
        self._tell("killed with -9")
        self._open(chance)
        stays, self._stays = self._stays, {}
        for stay in stays.values():
            self._note_read(stay)
            hold = stay.held or self._engine.stats.active >= self._slots
            update = {"accepted": list(stay.tokens), "hold": hold, "attempt": 2}
            order = stay.order.model_copy(update=update)
            again = Stay(order, stay.prompt, stay.right, hold, stay.tokens, stay.text)
            try:
                self._begin(again)
            except ECONTEXT:  # the new one is smaller
                self._stays.pop(order.burst, None)

    def _forget(self, chance: random.Random) -> None:
        """The line to the kernel is a new one."""
        self._engine.clear()
        for stay in self._stays.values():
            self._note_read(stay)
        self._stays = {}
        self._tell("all is forgotten")

    def _wear(self, chance: random.Random) -> None:
        """A file on the disk is damaged."""
        if damaged(self._folder / "kv", chance):
            self._worn = True
            self._tell("a file is damaged")

    def _stumble(self, chance: random.Random) -> None:
        """One forward for several fails; not for each alone."""
        with stumbling(self._runner, chance) as name:
            self._step()
        self._tell(f"{name} stumbles")

    # -- what must be ------------------------------------------------------------------------

    def _hear(self, reports: list[StepReport]) -> None:
        if len({report.burst for report in reports}) != len(reports):
            raise Wrong("two reports of one burst in a step")
        for report in reports:
            stay = self._stays.get(report.burst)
            if stay is None:
                raise Wrong("a report of one that is over")
            self._check(stay, report)
            if report.finish is not None:
                del self._stays[report.burst]
                self._note_read(stay)
                lodger, answer = self._lodgers[stay.order.pid], stay.text or "-"
                lodger.said = [*stay.order.messages, ChatMessage(role="assistant", content=answer)]
                self._tell(f"{report.burst} ends: {report.finish}")
                self.done[report.finish] += 1
        for stay in self._stays.values():  # from now on others may share it
            if stay.fed:
                self._note_read(stay)

    def _check(self, stay: Stay, report: StepReport) -> None:
        if report.error is not None:
            if not (report.error.code == "ENOSPC" and self._short):
                raise Wrong(f"a burst fails: {report.error.message}")
            return
        stay.hear(report)
        if report.cached_tokens > stay.in_common(self._read[tuple(stay.order.labels)]):
            raise Wrong("found what nobody with the same labels has read")
        if report.finish is not None:
            stay.end(self._oracle.text(stay.order, stay.right), once=not self._worn)

    def _note_read(self, stay: Stay) -> None:
        self._read[tuple(stay.order.labels)].append(stay.known)

    def _look(self) -> None:
        if wrong := unbalanced(self._runner, self._stays, self._lodgers):
            raise Wrong(wrong[0])

    def _some(self, chance: random.Random, *, held: bool | None = None) -> list[int]:
        found = [burst for burst, stay in self._stays.items() if held in (None, stay.held)]
        return chance.sample(found, min(len(found), chance.choice([1, 1, 2, 8])))

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers

    def _tell(self, what: str) -> None:
        self.story.append(what)


_ACTS: Final[list[tuple[Callable[[House, random.Random], None], int]]] = [
    (House._step, 30), (House._start, 25), (House._preempt, 15), (House._go_on, 14),
    (House._snapshot, 5), (House._cancel, 3), (House._expect, 3), (House._fork, 4),
    (House._exit, 2), (House._crash, 1), (House._forget, 1), (House._wear, 1), (House._stumble, 2),
]  # fmt: skip
