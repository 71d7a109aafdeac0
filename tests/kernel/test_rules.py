"""Do rules say what their authors mean, whatever hostile globs and arguments there are?"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kernel.rules import Rules, expanded, lasting, of_capabilities, of_manifest, written
from llmagentos.abi.manifest import AgentSpec, Capabilities
from tests.kernel.spelling import A_CAPABILITY, A_GLOB, PROPERTY, glob_and_match, wider

# -- what rules say ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "capability", "said"),
    [
        (Rules(), "proc:spawn", "deny"),
        (Rules(allow=("*",)), "proc:spawn", "allow"),
        (Rules(allow=("*",), ask=("proc:*",)), "proc:spawn", "ask"),
        (Rules(ask=("proc:*",)), "proc:spawn", "ask"),
        (Rules(allow=("*",), ask=("*",), deny=("proc:*",)), "proc:spawn", "deny"),
        (Rules(allow=("*",), ask=("*",), approved=("proc:spawn",)), "proc:spawn", "allow"),
        (Rules(deny=("*",), approved=("proc:spawn",)), "proc:spawn", "deny"),
        (Rules(approved=("proc:spawn",)), "proc:spawn", "deny"),
        (Rules(allow=("tool:sh",)), "tool:sh(ls)", "allow"),
        (Rules(allow=("tool:sh(ls *)",)), "tool:sh(ls -l)", "allow"),
        (Rules(allow=("tool:sh(ls *)",)), "tool:sh(rm -l)", "deny"),
        (Rules(allow=("tool:sh",), deny=("tool:sh(rm *)",)), "tool:sh(rm -l)", "deny"),
        (Rules(allow=("tool:sh",), deny=("tool:sh(*rm*)",)), "tool:sh(ls\nrm)", "deny"),
        (Rules(allow=("tool:sh",)), "tool:shell(ls)", "deny"),
        (Rules(allow=("llm:m",)), "llm:m@edge", "allow"),
        (Rules(allow=("llm:m",)), "llm:m@edge@edge", "deny"),
        (Rules(allow=("llm:m@edge",)), "llm:m@cloud", "deny"),
        (Rules(allow=("llm:*",), deny=("llm:*@cloud",)), "llm:m@cloud", "deny"),
        (Rules(allow=("fs:/data:r",)), "fs:/data:r(x:w", "deny"),
    ],
)
def test_which_rule_wins(rules: Rules, capability: str, said: str) -> None:
    assert rules.says(capability) == said


@PROPERTY
@given(
    st.lists(A_GLOB, max_size=3).map(tuple),
    st.lists(A_GLOB, max_size=3).map(tuple),
    st.lists(A_GLOB, max_size=3).map(tuple),
    st.lists(A_GLOB, max_size=3).map(tuple),
    A_CAPABILITY,
)
def test_do_more_rules_of_a_kind_only_go_one_way(
    allow: tuple[str, ...],
    ask: tuple[str, ...],
    deny: tuple[str, ...],
    approved: tuple[str, ...],
    capability: str,
) -> None:
    rank = ["deny", "ask", "allow"]
    said = rank.index(Rules(allow, ask, deny).says(capability))
    assert rank.index(Rules(allow, ask, (*deny, "*")).says(capability)) == 0
    asked = rank.index(Rules(allow, (*ask, "*"), deny).says(capability))
    assert asked == (0 if Rules(deny=deny).denies(capability) else 1)
    silent = rank.index(Rules(allow, ask, deny, approved).says(capability))
    # An approval makes an ask an allow, and nothing else.
    assert silent == said or (said, silent) == (1, 2)


def test_is_rw_written_out() -> None:
    given_ = Capabilities(allow=["fs:/in:rw", "mem:x:r"], deny=["fs:/in/:rw"])
    rules = of_capabilities(given_)
    assert rules.allow == ("fs:/in:r", "fs:/in:w", "mem:x:r")
    assert rules.deny == ("fs:/in/:r", "fs:/in/:w")
    assert [rules.says(f"fs:/in:{mode}") for mode in ("r", "w", "rw")] == ["allow", "allow", "deny"]


# -- giving ------------------------------------------------------------------------------------


@PROPERTY
@given(st.data())
def test_does_nobody_cover_more_than_it_has(data: st.DataObject) -> None:
    glob, text = data.draw(glob_and_match())
    own = data.draw(st.lists(wider(glob) | A_GLOB, min_size=1, max_size=2).map(tuple))
    holder = Rules(allow=own)
    assume(holder.covers(glob))
    # With what follows, the glob may be matched by what comes before the arguments.
    ends = data.draw(st.sampled_from(["", "(a)", "(", "@a", "@a@b"]))
    for capability in (text, text + ends, data.draw(A_CAPABILITY)):
        if Rules(allow=(glob,)).says(capability) == "allow":
            assert holder.says(capability) == "allow"


@pytest.mark.parametrize(
    ("own", "glob", "covered"),
    [
        ("*", "anything*[ab]?", True),
        ("tool:*", "tool:sh(ls *)", True),
        ("tool:sh", "tool:sh(ls *)", True),
        ("tool:sh", "tool:sh(ls -l)", True),
        ("tool:s?", "tool:sh", True),
        ("tool:s?", "tool:s?", True),
        ("tool:s?", "tool:s*", False),
        ("tool:sh(*)", "tool:sh", False),
        ("tool:sh", "tool:sh*", False),
        ("tool:sh", "tool:s*(ls)", False),
        ("tool:s?", "tool:s*(ls)", False),
        ("tool:s[*]", "tool:s*(ls)", False),
        ("fs:/a", "fs:/a(*", False),
        ("llm:m", "llm:m@edge", True),
        ("llm:m@edge", "llm:m", False),
        ("*a]*", "[ba]x", False),
        ("*!*", "[!a]", False),
        ("[ab]", "[ba]", False),
        ("a", "[a]", True),
        ("mem:notes:*", "mem:notes:r", True),
        ("mem:notes:r", "mem:notes:*", False),
    ],
)
def test_what_is_covered(own: str, glob: str, covered: bool) -> None:
    assert Rules(allow=(own,)).covers(glob) == covered


def test_is_only_what_is_allowed_covered() -> None:
    assert not Rules(ask=("*",), approved=("*",)).covers("proc:spawn")


@PROPERTY
@given(st.data())
def test_is_nothing_asked_for_that_may_ask_did_not_see(data: st.DataObject) -> None:
    glob, text = data.draw(glob_and_match())
    capability = data.draw(st.sampled_from(["a", "tool:a", "tool:b", "llm:a", "tool:a(b)"]))
    rules = Rules(allow=("*",), ask=(glob,))
    for full in (capability, f"{capability}(a", f"{capability}@a", f"{capability}({text})", text):
        under = full == capability or full.startswith((f"{capability}(", f"{capability}@"))
        if under and rules.says(full) == "ask":
            assert rules.may_ask(capability)


def test_is_an_ask_for_one_tool_none_for_another() -> None:
    rules = Rules(allow=("*",), ask=("tool:sh", "tool:cat(*)"))
    assert [rules.may_ask(one) for one in ("tool:shell", "tool:sh", "tool:ca", "tool:cat")] == [
        False, True, False, True,
    ]  # fmt: skip
    assert not rules.with_approved(("tool:cat",)).may_ask("tool:cat")


@PROPERTY
@given(st.data())
def test_is_nothing_allowed_that_is_denied_as_a_whole(data: st.DataObject) -> None:
    family, rest = data.draw(st.sampled_from([("tool:", "(*)"), ("llm:", "@*")]))
    bare = family + data.draw(st.text(st.sampled_from("ab-*?"), min_size=1, max_size=3))
    one = st.lists(wider(bare + rest) | A_GLOB, max_size=2).map(tuple)
    rules = Rules(allow=data.draw(one), ask=data.draw(one), deny=data.draw(one))
    inside = data.draw(st.text(st.sampled_from("ab-*?"), max_size=3))
    if rules.denies_all(bare, rest):
        assert rules.says(bare + rest.replace("*", inside)) == "deny"


def test_is_all_denied_that_is_denied_by_its_name() -> None:
    for deny in ("tool:sh", "tool:sh(*)", "tool:s*"):
        assert Rules(allow=("*",), deny=(deny,)).denies_all("tool:sh", "(*)")
    assert Rules(allow=("*",), deny=("llm:a[*]@*",)).denies_all("llm:a*", "@*")
    assert not Rules(allow=("*",), deny=("tool:sh(a)",)).denies_all("tool:sh", "(*)")


def test_is_a_single_odd_deny_not_all() -> None:
    rules = Rules(allow=("llm:*",), deny=("llm:m@?",))
    assert not rules.denies_all("llm:m", "@*")
    assert rules.says("llm:m@x") == "deny"


# -- tools and models --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        {"command": "rm -rf /"},
        {"command": "rm -rf /", "timeout": 5},
        {"command": "rm -rf /", "note": "harmless"},
        {"a": "x", "command": "rm -rf /", "z": [1, {"b": None}]},
    ],
)
def test_does_one_more_argument_not_slip_through(arguments: dict[str, Any]) -> None:
    canonical = json.dumps(arguments, sort_keys=True)
    capability, also = written("sh", arguments, canonical)
    assert Rules(allow=("*",), deny=("tool:sh(rm *)",)).says(capability, also) == "deny"
    assert Rules(allow=("*",), ask=("tool:sh(rm *)",)).says(capability, also) == "ask"
    as_json = Rules(allow=("*",), deny=('tool:sh(*"command": "rm *)',))
    assert as_json.says(capability, also) == "deny"
    # What is allowed must be said of all the arguments together.
    alone = len(arguments) == 1
    said = Rules(allow=("tool:sh(rm *)",)).says(capability, also)
    assert said == ("allow" if alone else "deny")


def test_is_what_was_approved_once_and_for_all_approved_as_it_was_shown() -> None:
    rules = Rules(allow=("*",), ask=("tool:*",)).with_approved(("tool:sh(ls)",))
    assert rules.says(*written("sh", {"command": "ls"}, '{"command": "ls"}')) == "allow"
    with_more = {"command": "ls", "host": "elsewhere"}
    assert rules.says(*written("sh", with_more, json.dumps(with_more))) == "ask"


def test_does_a_manifest_imply_its_models_and_tools() -> None:
    rules = of_manifest(AgentSpec(model=["m", "o*[x]"], tools=["sh", {"mcp": "time"}]))
    assert rules.says("llm:m@edge") == rules.says("llm:o*[x]@edge") == "allow"
    assert rules.says("llm:ox@edge") == rules.says("llm:mm@edge") == "deny"
    assert rules.says("tool:sh(ls)") == rules.says("tool:time.now({})") == "allow"
    assert rules.says("tool:times.now({})") == "deny"


@pytest.mark.parametrize("text", ['{"to": "ann", "x": 1}', 'x "to": "ann"', '"to": "ann"'])
def test_does_a_text_not_pass_for_arguments(text: str) -> None:
    """Somebody may send to ann. A tool that sends to all who are not named takes a text alone."""
    rules = Rules(allow=('tool:send(*"to": "ann"*)',))
    meant = {"text": "x", "to": "ann"}
    assert rules.says(*written("send", meant, json.dumps(meant))) == "allow"
    alone = {"text": text}
    assert rules.says(*written("send", alone, json.dumps(alone))) == "deny"


def test_does_a_tool_or_model_that_is_named_with_more_stay_narrow() -> None:
    allow = ["tool:sh(ls *)", "llm:*@edge"]
    spec = AgentSpec(tools=["sh", "cat"], capabilities=Capabilities(allow=allow), model=["m", "n"])
    rules = of_manifest(spec)
    assert rules.says("tool:sh(ls -l)") == rules.says("tool:cat(x)") == "allow"
    assert rules.says("tool:sh(rm -l)") == "deny"
    assert rules.says("llm:m@edge") == rules.says("llm:n@edge") == "allow"
    assert rules.says("llm:m@cloud") == "deny"


@pytest.mark.parametrize(
    ("question", "also_quiet", "still_asked"),
    [
        ("tool:sh(ls)", "tool:sh(rm)", "tool:shell(ls)"),
        ("llm:m@*", "llm:m@cloud", "llm:mm@cloud"),
        ("llm:m@e@*", "llm:m@e@cloud", "llm:m@e"),
        ("fs:/a*b:w", "fs:/a*b:w", "fs:/axb:w"),
        ("ipc:mail/7:w", "ipc:mail/7:w", "ipc:mail/77:w"),
    ],
)
def test_does_always_mean_this_capability_and_no_other(
    question: str, also_quiet: str, still_asked: str
) -> None:
    rules = Rules(allow=("*",), ask=("*",)).with_approved((lasting(question),))
    assert rules.says(also_quiet) == "allow"
    assert rules.says(still_asked) == "ask"


def test_does_always_not_allow_what_was_never_named() -> None:
    rules = Rules(ask=("tool:sh(git *)",)).with_approved((lasting("tool:sh(git push)"),))
    assert rules.says("tool:sh(git pull)") == "allow"
    assert rules.says("tool:sh(rm -rf /)") == "deny"


def test_is_no_rule_kept_twice() -> None:
    rules = Rules().with_allowed(("a:rw",)).with_allowed(("a:r",)).with_denied(("b", "b"))
    assert (rules.allow, rules.deny) == (("a:r", "a:w"), ("b",))
    assert expanded(("x:rw",)) == ("x:r", "x:w")
    assert rules.size == 3
