"""Is the tree of errors what its docstring draws, and does an error survive the wire?"""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmagentos.abi import errors
from llmagentos.abi.errors import BY_CODE, LLMOSError, from_wire

DESIGN = {
    "EPERM", "ENOENT", "ESRCH", "EINVAL", "EQUOTA", "ECONTEXT", "EBUDGET", "ERATE", "ELABEL",
    "ENODRIVER", "EDRIVER", "ETIMEOUT", "ECANCELED", "EBUSY", "EPROTO", "EAUTH", "EIO", "ENOSPC",
}  # fmt: skip


def _drawn() -> dict[str, str]:
    """Each leaf of the docstring's tree, and the category above it."""
    found, category = {}, ""
    for line in (errors.__doc__ or "").splitlines():
        if branch := re.match(r" {4}[├└]── (\w+)", line):
            category = branch[1]
        elif leaf := re.match(r" {4}(?:│   |    )[├└]── (\w+) +\S", line):
            found[leaf[1]] = category
    return found


def test_does_the_docstring_draw_the_tree_as_it_is() -> None:
    assert _drawn() == {code: kind.__mro__[1].__name__ for code, kind in BY_CODE.items()}


def test_are_all_codes_of_the_design_there() -> None:
    assert set(BY_CODE) >= DESIGN


def test_is_every_exception_of_the_module_in_the_tree() -> None:
    kinds = {v for v in vars(errors).values() if isinstance(v, type) and issubclass(v, LLMOSError)}
    inner = {LLMOSError, *LLMOSError.__subclasses__()}
    assert kinds - inner == set(BY_CODE.values())


@pytest.mark.parametrize(
    ("category", "status"),
    [("UsageError", 2), ("DeniedError", 4), ("LimitError", 4), ("ComputeError", 1),
     ("UnreachableError", 3)],
)  # fmt: skip
def test_what_does_the_command_end_with(category: str, status: int) -> None:
    leaves = [kind for kind in BY_CODE.values() if kind.__mro__[1].__name__ == category]
    assert leaves
    assert {kind.exit_status for kind in leaves} == {status}


@pytest.mark.parametrize("code", sorted(BY_CODE))
def test_does_each_error_survive_the_wire(code: str) -> None:
    sent = BY_CODE[code]("It went wrong.", hint="try again", detail={"pid": 3})
    come = from_wire(sent.to_wire())
    assert type(come) is BY_CODE[code]
    assert come.to_wire() == sent.to_wire() == {
        "code": code, "message": "It went wrong.", "hint": "try again", "detail": {"pid": 3},
    }  # fmt: skip
    assert str(come) == f"It went wrong. ({code})"


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=9) | st.sampled_from(sorted(BY_CODE)),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["code", "message", "hint", "detail"]), inner)
        ),
    )
)
def test_does_any_body_become_an_error(body: Any) -> None:
    assert isinstance(from_wire(body), LLMOSError)


def test_is_an_unknown_code_kept_as_a_plain_error() -> None:
    assert type(from_wire({"code": "EWHATEVER", "message": "new"})) is LLMOSError
    assert type(from_wire({"code": "LLMOSError"})) is LLMOSError
    assert type(from_wire({"code": "UsageError"})) is LLMOSError


def test_do_errors_not_share_their_details() -> None:
    detail = {"a": 1}
    one, two = errors.EIO("x", detail=detail), errors.EIO("y")
    one.detail["b"] = 2
    assert (detail, two.detail) == ({"a": 1}, {})


def test_does_an_error_not_carry_a_whole_argument_back() -> None:
    sent = errors.ENOENT("there is no " + "x" * 10_000, hint="y" * 10_000).to_wire()
    assert sent["message"].endswith("x…")
    assert len(sent["message"]) + len(sent["hint"]) < 5000
