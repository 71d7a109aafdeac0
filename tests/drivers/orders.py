"""Orders for an engine, and what its reports add up to."""

from __future__ import annotations

from typing import Any

from drivers.engine import Engine, Keeper
from llmagentos.abi.driver import Start, StepReport
from llmagentos.abi.manifest import Sampling
from llmagentos.abi.talk import ChatMessage

TEXTS = ["hi", "the quick brown fox " * 3, "ünïcödé 🙂", "a " * 40, "x", "dog " * 25, "naïve", "?"]


def order(
    burst: int,
    text: str,
    *,
    accepted: list[int] | None = None,
    hold: bool = False,
    **sampling: Any,
) -> Start:
    return Start(
        burst=burst,
        attempt=1,
        pid=2,
        model="tiny",
        messages=[ChatMessage(role="user", content=text)],
        sampling=Sampling(**({"max_tokens": 24} | sampling)),
        accepted=accepted or [],
        hold=hold,
    )


class Collected:
    """What the reports of some bursts add up to."""

    def __init__(self, accepted: int = 0) -> None:
        self._accepted = accepted
        self.tokens: dict[int, list[int]] = {}
        self.text: dict[int, str] = {}
        self.finish: dict[int, str] = {}
        self.prompt: dict[int, int] = {}

    def add(self, reports: list[StepReport]) -> None:
        assert len({report.burst for report in reports}) == len(reports)
        for report in reports:
            burst = report.burst
            assert burst not in self.finish, "a report after the finish"
            tokens = self.tokens.setdefault(burst, [])
            assert report.index == self._accepted + len(tokens)
            tokens += report.tokens
            self.text[burst] = self.text.get(burst, "") + report.text
            if report.prompt_tokens is not None:
                assert burst not in self.prompt, "prompt_tokens twice"
                self.prompt[burst] = report.prompt_tokens
            if report.finish:
                self.finish[burst] = report.finish

    def start(self, engine: Engine, order: Start) -> Collected:
        said = engine.start(order)
        self.add([said] if said is not None else [])
        return self

    def run(self, engine: Engine) -> Collected:
        while engine.busy:
            self.add(engine.step())
        return self


def used(engine: Engine) -> tuple[int, int]:
    """Sequences, and bytes of KV beside what the process of these orders has read."""
    keeper: object = engine
    if isinstance(keeper, Keeper):
        keeper.drop(2)
    return engine.stats.active, engine.stats.kv_bytes


def reference(loaded: Any, text: str, count: int = 24) -> list[int]:
    prompt = loaded.tokenizer.apply_chat_template(
        [{"role": "user", "content": text}],
        add_generation_prompt=True,
        return_tensors="pt",
        return_dict=True,
    )
    out = loaded.model.generate(**prompt, max_new_tokens=count, do_sample=False)
    return out[0, prompt["input_ids"].shape[1] :].tolist()
