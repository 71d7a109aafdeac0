"""Are names, durations, limits and keys of endpoints read and said right?"""

from __future__ import annotations

import re
import sys
import types
from email.utils import formatdate
from time import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from drivers.cloud.declared import add_options, cards_of, endpoint_of, rates_of
from drivers.cloud.endpoint import checked_url
from drivers.cloud.key import find_key
from drivers.cloud.limits import duration, rates, retry_after
from drivers.cloud.names import Names, outward
from drivers.options import common_options
from llmagentos.abi.cards import Price, Rate
from llmagentos.abi.errors import EAUTH, EINVAL

NAME = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", fullmatch=True) | st.from_regex(
    r"[ab][._]{0,3}[ab]?", fullmatch=True
)


@given(st.sets(NAME, max_size=8))
@example({"a_.b", "a._b", "a___b", "a..b", "a____b", "a.b", "a__b"})
def test_does_each_tool_keep_a_name_of_its_own(names: set[str]) -> None:
    said = {name: outward(name) for name in names}
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", one) for one in said.values())
    assert len(set(said.values())) == len(names)
    back = Names(names)
    assert {name: back.inward(there) for name, there in said.items()} == {n: n for n in names}


def test_are_names_readable_where_they_can_be() -> None:
    assert outward("fs.read") == "fs__read"
    assert outward("fs_read-2") == "fs_read-2"
    assert re.fullmatch(r"what_is_this___[0-9a-f]{16}", outward("what is this?"))
    assert Names(["fs.read"]).inward("invented") == "invented"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1s", 1), ("6m0s", 360), ("12ms", 0.012), ("2m59.56s", 179.56), ("1h", 3600), ("20", 20),
     ("0.5", 0.5), ("", None), ("soon", None), ("5x", None), ("-1", None), ("nan", None)],
)  # fmt: skip
def test_is_a_duration_read(text: str, seconds: float | None) -> None:
    assert duration(text) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "20"}, 20),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "later"}, None),
        ({"retry-after": "1e300"}, 1e7),
        ({"retry-after": formatdate(time() - 100, usegmt=True)}, 0),
    ],
)
def test_is_it_read_when_to_come_again(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


def test_is_a_date_to_come_again_read() -> None:
    wait = retry_after({"retry-after": formatdate(time() + 100, usegmt=True)})
    assert wait is not None
    assert 95 < wait <= 100


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (("60", "59", "1s"), Rate(what="requests", limit=60, left=59)),
        (
            ("14400", "9", "2h"),
            Rate(what="requests", limit=14400, period=14400 * 7200 / 14391, left=9),
        ),
        (("60", None, ""), Rate(what="requests", limit=60)),
        (("60", "99", "x"), Rate(what="requests", limit=60, left=60)),
        (("0", "0", "1s"), None),
        (("many", "1", "1s"), None),
        (("1e400", "1", "1s"), None),
    ],
)
def test_are_limits_read(headers: tuple[str, str | None, str], expected: Rate | None) -> None:
    names = ("limit", "remaining", "reset")
    pairs = zip(names, headers, strict=True)
    given = {f"x-ratelimit-{name}-requests": value for name, value in pairs if value is not None}
    assert rates(given) == ([] if expected is None else [expected])


@pytest.mark.parametrize(
    "url", ["ftp://x", "x", "https://u:secret@x/v1", "https://x/v1?key=secret", "http://"]
)
def test_is_an_address_refused_that_is_none_or_tells_a_secret(url: str) -> None:
    with pytest.raises(EINVAL) as caught:
        checked_url(url)
    assert "secret" not in caught.value.message


def test_is_a_key_found_where_it_is_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", " sk-123456\n")
    assert find_key(env="SOME_KEY").value == "sk-123456"
    assert find_key(env="SOME_KEY").redact("no sk-123456 here") == "no [key] here"
    assert find_key().value is None
    ring, faults = types.ModuleType("keyring"), types.ModuleType("keyring.errors")
    faults.KeyringError = RuntimeError  # type: ignore[attr-defined]
    ring.errors = faults  # type: ignore[attr-defined]
    entries = {("llama", "me"): "sk-abcdef"}
    ring.get_password = lambda *entry: entries.get(entry)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "keyring", ring)
    monkeypatch.setitem(sys.modules, "keyring.errors", faults)
    assert find_key(keyring="llama/me").value == "sk-abcdef"
    with pytest.raises(EAUTH, match="no key in the keyring"):
        find_key(keyring="llama/you")
    with pytest.raises(EINVAL):
        find_key(keyring="llama")
    monkeypatch.setenv("SOME_KEY", "schlüssel")
    with pytest.raises(EAUTH, match="can't be a key"):
        find_key(env="SOME_KEY")


def test_do_options_become_an_endpoint_and_cards() -> None:
    parser = common_options("x", "", name="cloud", slots=1, model=False)
    add_options(parser)
    options = parser.parse_args([
        "--endpoint", "https://x/v1/", "--model", "a=org/a=1", "--model", "b",
        "--context-length", "1000", "--context-length", "b=2000", "--price-prompt", "a=1.5",
        "--price-completion", "a=3", "--knows", "top_k", "--knows", "min_p=minP",
        "--seed-field", "none", "--tokens-per-minute", "90000", "--continues", "vllm",
    ])  # fmt: skip
    endpoint = endpoint_of(options)
    assert endpoint.url == "https://x/v1"
    assert endpoint.upstream == {"a": "org/a=1", "b": "b"}
    assert endpoint.knows == {"top_k": "top_k", "min_p": "minP"}
    assert endpoint.seed is None
    assert endpoint.features == ["tools", "resume_text"]
    first, second = cards_of(options, ["a", "b"])
    assert (first.context_length, first.price) == (1000, Price(prompt=1.5, completion=3))
    assert (second.context_length, second.price) == (2000, None)
    assert rates_of(options) == [Rate(what="tokens", limit=90000)]
    assert (endpoint.api, endpoint.own_sampling) == ("openai", False)
    options.api = "anthropic"
    with pytest.raises(EINVAL, match="no such --continues"):
        endpoint_of(options)
    options.continues, options.knows = "prefill", []
    assert endpoint_of(options).api == "anthropic"
    options.price_completion = []
    with pytest.raises(EINVAL, match="one price of two"):
        cards_of(options, ["a", "b"])
