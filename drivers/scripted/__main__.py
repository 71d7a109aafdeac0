"""A driver without a model: ``python -m drivers.scripted --model fake-model``.

For tests ONLY. It answers with a fixed script, or by turns, or says the last user message back; the
same order always gets the same answer. It can be told to misbehave.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from pydantic import TypeAdapter, ValidationError

from drivers.engine import Announce
from drivers.faults import first_problem
from drivers.options import common_options, run_driver
from drivers.scripted.answer import KV_PER_TOKEN, Turn
from drivers.scripted.engine import Misbehaviour, ScriptedEngine
from llmagentos.abi.cards import ModelCard, Price
from llmagentos.abi.driver import Feature


def main(argv: Sequence[str] | None = None) -> int:
    parser = common_options("drivers.scripted", __doc__ or "", name="scripted", slots=4)
    parser.add_argument("--script", help="the answer to everything; without it, an echo")
    parser.add_argument(
        "--turns",
        help='instead: answers in order, as JSON: [{"text": "…", "calls": [{"name": "…"}]}]',
    )
    parser.add_argument("--delay", type=float, default=0.0, help="seconds for each token")
    parser.add_argument("--load-delay", type=float, default=0.0, help="seconds of loading")
    parser.add_argument("--context-length", type=int, default=8192)
    parser.add_argument("--kind", choices=["edge", "cloud", "node"], default="edge")
    parser.add_argument("--price-prompt", type=float, default=0.0, help="for a million tokens")
    parser.add_argument("--price-completion", type=float, default=0.0, help="the same")
    parser.add_argument("--no-price", action="store_true", help="leave the price unknown")
    parser.add_argument("--embeds", action="store_true", help="offer a model for vectors too")
    parser.add_argument("--embed-model", default="scripted-embed", help="its name (%(default)s)")
    parser.add_argument("--hang-after", type=int, metavar="N", help="hang after N tokens")
    parser.add_argument("--die-after", type=int, metavar="N", help="SIGKILL after N tokens")
    parser.add_argument("--garbage", action="store_true", help="report nonsense")
    options = parser.parse_args(argv)
    features: list[Feature] = ["preempt", "resume_tokens", "resume_text", "count", "tools"]
    try:
        card, embedder = _cards(options)
        turns = TypeAdapter(list[Turn]).validate_json(options.turns) if options.turns else []
    except ValidationError as error:
        parser.error(f"bad option: {first_problem(error)}")
    if embedder is not None:
        features.append("embed")

    def load(announce: Announce) -> ScriptedEngine:
        announce("pretending to load", 0.5)
        time.sleep(options.load_delay)
        plan = Misbehaviour(options.hang_after, options.die_after, options.garbage)
        return ScriptedEngine(
            card, options.slots, options.script, options.delay, plan, embedder, turns
        )

    models = [card] if embedder is None else [card, embedder]
    return run_driver(options, kind=options.kind, models=models, features=features, load=load)


def _cards(options: argparse.Namespace) -> tuple[ModelCard, ModelCard | None]:
    """The model that speaks, and perhaps one that makes vectors; both cost the same."""
    price = None
    if not options.no_price:
        price = Price(prompt=options.price_prompt, completion=options.price_completion)
    card = ModelCard(
        name=options.model,
        context_length=options.context_length,
        dtype="words",
        price=price,
        kv_bytes_per_token=KV_PER_TOKEN,
    )
    if not options.embeds:
        return card, None
    update = {"name": options.embed_model, "embeds": True, "kv_bytes_per_token": 0}
    return card, ModelCard.model_validate(card.model_dump() | update)


if __name__ == "__main__":
    sys.exit(main())
