"""What the command line declares of an endpoint and its models.

It knows nothing about what becomes of it.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from typing import Final, get_args

from drivers.cloud.api import ApiName
from drivers.cloud.endpoint import EXTRAS, Continues, Endpoint, checked_url
from drivers.options import positive
from llmagentos.abi.cards import ModelCard, Price, Rate
from llmagentos.abi.errors import EINVAL

CONTEXT: Final = 128_000
"""Tokens, where nobody says how many."""


def add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--endpoint", required=True, metavar="URL", help="its base URL, such as https://…/v1")
    add(
        "--api",
        choices=get_args(ApiName),
        default="openai",
        help="which API it has: openai, as most do (default), or anthropic",
    )
    add(
        "--model",
        action="append",
        required=True,
        metavar="NAME[=THEIRS]",
        help="a model that it has, and what it is called there; may be repeated",
    )
    add(
        "--context-length",
        action="append",
        default=[],
        metavar="[MODEL=]TOKENS",
        help=f"default: what the endpoint says, or {CONTEXT:,}",
    )
    for what in ("prompt", "completion"):
        add(
            f"--price-{what}",
            action="append",
            default=[],
            metavar="[MODEL=]PRICE",
            help="for a million tokens; without it, it is refused where money is limited",
        )
    add("--key-env", metavar="VARIABLE", help="the environment variable that has the key")
    add("--key-keyring", metavar="SERVICE/USER", help="the keyring's entry that has the key")
    add(
        "--continues",
        choices=get_args(Continues),
        default="none",
        help="how it is told to go on with a text: prefill (the last message), vllm (and told not "
        "to begin another), prefix (and that message is marked); default: it can't",
    )
    add(
        "--limit-field",
        choices=["max_tokens", "max_completion_tokens"],
        default="max_tokens",
        help="what it calls the most tokens of an answer (%(default)s)",
    )
    add("--seed-field", default="seed", help="what it calls the seed; none: it knows none")
    add(
        "--knows",
        action="append",
        default=[],
        metavar="FIELD[=THEIRS]",
        help=f"it knows this way of sampling: {', '.join(EXTRAS)}; may be repeated",
    )
    add(
        "--own-sampling",
        action="store_true",
        help="its models choose their tokens in their own way, whatever is said of that",
    )
    add("--grammar", action="store_true", help="it keeps to a json_schema")
    add("--no-tools", action="store_true", help="it can't be told of tools")
    add("--requests-per-minute", type=positive, metavar="N", help="the most that it lets through")
    add("--tokens-per-minute", type=positive, metavar="N", help="the most that it lets through")
    times = {
        "patience": (30.0, "ask again for so long, if it refuses (%(default)s)"),
        "connect-timeout": (5.0, "to be reached within (%(default)s)"),
        "first-token": (60.0, "to begin its answer within (%(default)s)"),
        "between-tokens": (30.0, "from one token to the next (%(default)s)"),
    }
    for name, (default, meaning) in times.items():
        add(f"--{name}", type=_seconds, default=default, metavar="SECONDS", help=meaning)


def endpoint_of(options: argparse.Namespace) -> Endpoint:
    knows = dict(_pair(text) for text in options.knows)
    unknown = [name for name in knows if name not in EXTRAS]
    if unknown:
        raise EINVAL(f"--knows {unknown[0]}: there is no such way", hint=", ".join(EXTRAS))
    if options.api == "anthropic":
        _check_foreign(options)
    return Endpoint(
        api=options.api,
        own_sampling=options.own_sampling,
        url=checked_url(options.endpoint),
        upstream=dict(_pair(text) for text in options.model),
        continues=options.continues,
        limit_field=options.limit_field,
        seed=None if options.seed_field == "none" else options.seed_field,
        knows=knows,
        grammar=options.grammar,
        tools=not options.no_tools,
        patience=options.patience,
        connect=options.connect_timeout,
        first_token=options.first_token,
        between=options.between_tokens,
    )


def _check_foreign(options: argparse.Namespace) -> None:
    """Options for what is always the same in this API, or not in it."""
    foreign = {
        "--continues": options.continues not in ("none", "prefill"),
        "--limit-field": options.limit_field != "max_tokens",
        "--seed-field": options.seed_field not in ("seed", "none"),
        "--knows": bool(options.knows),
    }
    for name in [name for name, given in foreign.items() if given]:
        raise EINVAL(f"the API of anthropic has no such {name}", hint="leave it out")


def cards_of(options: argparse.Namespace, models: Sequence[str]) -> list[ModelCard]:
    lengths = _each(options.context_length, models, "--context-length")
    prompt = _each(options.price_prompt, models, "--price-prompt")
    completion = _each(options.price_completion, models, "--price-completion")
    cards = []
    for name in models:
        if (name in prompt) != (name in completion):
            raise EINVAL(
                f"{name} has one price of two", hint="give --price-prompt and --price-completion"
            )
        price = None
        if name in prompt:
            price = Price(prompt=prompt[name], completion=completion[name])
        length = int(lengths.get(name, CONTEXT))
        cards.append(ModelCard(name=name, context_length=length, price=price))
    return cards


def rates_of(options: argparse.Namespace) -> list[Rate]:
    rates = []
    if options.requests_per_minute:
        rates.append(Rate(what="requests", limit=options.requests_per_minute))
    if options.tokens_per_minute:
        rates.append(Rate(what="tokens", limit=options.tokens_per_minute))
    return rates


def _pair(text: str) -> tuple[str, str]:
    name, _, theirs = text.partition("=")
    return name, theirs or name


def _each(given: Sequence[str], models: Sequence[str], option: str) -> Mapping[str, float]:
    """The number for each model: its own, or the one for all."""
    numbers: dict[str, float] = {}
    for text in given:
        model, _, number = text.rpartition("=")
        if model and model not in models:
            raise EINVAL(f"{option} {text}: no such model", hint=f"it has {', '.join(models)}")
        value = _number(number)
        if value is None:
            raise EINVAL(f"{option} {text}: that is no number", hint="[MODEL=]NUMBER")
        for name in [model] if model else [one for one in models if one not in numbers]:
            numbers[name] = value
    return numbers


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 <= number < 1e6:
        raise ValueError
    return number
