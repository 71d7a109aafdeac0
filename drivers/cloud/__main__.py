"""``python -m drivers.cloud --endpoint https://…/v1 --model gpt-small=gpt-4o-mini --key-env KEY``.

Registers at once; the library of its API is imported and the endpoint asked for its models while
the driver already beats. It knows nothing about how either is done.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence

from pydantic import ValidationError

from drivers.cloud.api import EXTRAS, api_of
from drivers.cloud.declared import add_options, cards_of, endpoint_of, rates_of
from drivers.cloud.key import find_key
from drivers.cloud.loop import Loop
from drivers.engine import Announce, Engine
from drivers.faults import first_problem
from drivers.options import common_options, run_driver
from llmagentos.abi.errors import ENOSYS, LLMOSError


def main(argv: Sequence[str] | None = None) -> int:
    parser = common_options(
        "drivers.cloud", "Serve the models of an endpoint with OpenAI's API, or Anthropic's.",
        name="cloud", slots=64, model=False,
    )  # fmt: skip
    parser.set_defaults(zone="cloud")
    add_options(parser)
    options = parser.parse_args(argv)
    try:
        endpoint = endpoint_of(options)
        cards = cards_of(options, list(endpoint.upstream))
        key = find_key(options.key_env, options.key_keyring)
    except LLMOSError as error:
        parser.exit(error.exit_status, f"drivers.cloud: {error.message}; {error.hint}\n")
    except ValidationError as error:
        parser.error(f"bad option: {first_problem(error)}")
    rates = rates_of(options)
    # Nothing of the environment is told to the endpoint but the key that was named.
    for name in [name for name in os.environ if name.startswith(("OPENAI_", "ANTHROPIC_"))]:
        del os.environ[name]
    loop = Loop()

    def load(announce: Announce) -> Engine:
        try:
            api_of(endpoint.api)
            from drivers.cloud.loader import load_engine
        except ImportError as error:
            raise ENOSYS(
                f"the cloud driver needs the package {error.name!r}",
                hint=f'install it: pip install "llmagentos[{EXTRAS[endpoint.api]}]"',
            ) from None
        # They would write a line for each request.
        for library in ("httpx2", "openai", "anthropic"):
            logging.getLogger(library).setLevel(logging.WARNING)
        return load_engine(
            endpoint, key, cards, options.slots, rates, loop, announce,
            lengths_known=bool(options.context_length),
        )  # fmt: skip

    try:
        return run_driver(
            options, kind="cloud", models=cards, features=endpoint.features, rates=rates, load=load
        )
    finally:
        loop.close()


if __name__ == "__main__":
    sys.exit(main())
