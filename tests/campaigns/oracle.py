"""The oracle: what transformers alone would answer, one token after the other.

It knows nothing about engines, batches or KV in blocks.
"""

from __future__ import annotations

from typing import Any

import torch

from drivers.edge.grammar import Grammars
from drivers.edge.loader import LoadedModel
from drivers.edge.sampler import choose, is_plain
from llmagentos.abi.driver import Start


class Oracle:
    """Of one model, in fp32."""

    def __init__(self, loaded: LoadedModel) -> None:
        self.loaded = loaded
        vocabulary = loaded.vocabulary
        size = loaded.model.config.vocab_size
        self._grammars = Grammars(loaded.tokenizer, size, vocabulary.eos, vocabulary.dialect)

    @torch.inference_mode()
    def answer(self, order: Start, prompt: list[int]) -> list[int]:
        """The tokens that this order gets, to the one that ends it."""
        sampling, model = order.sampling, self.loaded.model
        matcher = self._grammars.matcher_for(order)
        if is_plain(sampling) and matcher is None:
            whole = model.generate(
                input_ids=torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt)).long(),
                max_new_tokens=sampling.max_tokens, do_sample=False,
                pad_token_id=min(self.loaded.vocabulary.eos),
            )[0, len(prompt) :].tolist()  # fmt: skip
            return self._until_stop(order, whole)
        answer: list[int] = []
        past: Any = None
        fresh = prompt
        while len(answer) < sampling.max_tokens and not self._ended(order, answer):
            out = model(input_ids=torch.tensor([fresh]), past_key_values=past, use_cache=True)
            past, logits = out.past_key_values, out.logits[0, -1]
            token = choose(
                logits, sampling, seed=order.burst if sampling.seed is None else sampling.seed,
                index=len(answer), prompt=prompt, answer=answer,
                allowed=matcher.allowed() if matcher is not None else None,
            )  # fmt: skip
            if matcher is not None:
                matcher.accept(token)
            answer.append(token)
            fresh = [token]
        return answer

    def text(self, order: Start, answer: list[int]) -> str:
        """What is told of it: up to the first stop string."""
        eos = self.loaded.vocabulary.eos
        whole = self.loaded.vocabulary.decode([one for one in answer if one not in eos])
        return whole[: min((whole.find(one) for one in order.sampling.stop if one in whole),
                           default=len(whole))]  # fmt: skip

    def _until_stop(self, order: Start, whole: list[int]) -> list[int]:
        ends = (count for count in range(len(whole)) if self._ended(order, whole[:count]))
        return whole[: next(ends, len(whole))]

    def _ended(self, order: Start, answer: list[int]) -> bool:
        if answer and answer[-1] in self.loaded.vocabulary.eos:
            return True
        text = self.loaded.vocabulary.decode(answer)
        return any(stop in text for stop in order.sampling.stop)
