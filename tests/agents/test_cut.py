"""Does a cut part nothing that belongs together, whatever the conversation?"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agents.cut import RECALLED, Scale, begins_turn, cut, head, turns
from llmagentos.abi.calls.ctx import ContextMessage
from llmagentos.abi.process import Role
from llmagentos.abi.talk import ToolCall

Context = list[ContextMessage]


class _Builder:
    def __init__(self) -> None:
        self.messages: Context = []
        self.calls = 0

    def add(self, role: Role, words: int, **more: object) -> None:
        id = len(self.messages) + 1
        content = more.pop("begin", "") if "begin" in more else ""
        text = f"{content}{'word ' * words}"
        message = ContextMessage(id=id, role=role, content=text, time=0.0)
        self.messages.append(message.model_copy(update=more))

    def step(self, words: int, results: int, missing: bool) -> None:
        """Some calls, and their results; the last one may still be to come."""
        calls = [ToolCall(id=f"c{self.calls + n}", name="look") for n in range(results)]
        self.calls += results
        self.add("assistant", words, tool_calls=calls)
        for call in calls[: results - missing]:
            self.add("tool", words, tool_call=call.id)


_words = st.integers(0, 40)
_steps = st.lists(st.tuples(_words, st.integers(1, 3)), max_size=4)
_turns = st.lists(st.tuples(_words, st.booleans(), _steps, _words), max_size=8)


@st.composite
def conversations(draw: st.DrawFn) -> Context:
    made = _Builder()
    if draw(st.booleans()):
        made.add("system", draw(_words))
    if draw(st.booleans()):
        made.add("system", draw(_words), sources=[100, 101])
    for asked, recalls, steps, answered in draw(_turns):
        made.add("user", asked)
        if recalls:
            made.add("user", 3, begin=RECALLED)
        for words, results in steps:
            made.step(words, results, False)
        made.add("assistant", answered)
    if draw(st.booleans()):
        made.add("user", draw(_words))
    if draw(st.booleans()):
        made.step(draw(_words), draw(st.integers(1, 3)), draw(st.booleans()))
        if draw(st.booleans()):
            made.add("user", draw(_words))
    return made.messages


_SCALE = Scale([], 0)


@given(conversations(), st.floats(0, 500), st.floats(1, 4))
def test_is_nothing_parted_that_belongs_together(
    context: Context, room: float, factor: float
) -> None:
    at = cut(context, _SCALE, room, room * factor)
    if at is None:
        return
    first = head(context)
    gone, kept = context[first:at], context[at:]
    assert kept, "something stays"
    assert any(not one.sources for one in gone), "a summary alone is not summarised again"
    assert _is_whole(gone)
    assert kept[0].role != "tool"


def _is_whole(some: Context) -> bool:
    """Whether each call has its result among them."""
    wanted = [call.id for one in some for call in one.tool_calls]
    return wanted == [one.tool_call for one in some if one.tool_call is not None]


@given(conversations(), st.floats(0, 500), st.floats(1, 4))
def test_does_as_much_stay_as_fits_in_whole_turns(
    context: Context, room: float, factor: float
) -> None:
    at = cut(context, _SCALE, room, room * factor)
    first = head(context)
    # Where whole turns can stay, whole turns do; and not one more of them would fit.
    ends = [
        place
        for place, one in enumerate(context)
        if begins_turn(one)
        and any(not before.sources for before in context[first:place])
        and _is_whole(context[first:place])
    ]
    fits = [place for place in ends if _SCALE.tokens(*context[place:]) <= room]
    if fits:
        assert at == fits[0]
    elif ends and _SCALE.tokens(*context[ends[-1] :]) <= room * factor:
        assert at is not None
        assert begins_turn(context[at])


@given(conversations())
def test_are_turns_all_of_it_in_order(context: Context) -> None:
    found = turns(context)
    assert [one for turn in found for one in turn] == context
    assert all(turn[0].role == "user" for turn in found[1:])
    assert not any(turn[0].content.startswith(RECALLED) for turn in found[1:])
    assert not any(begins_turn(one) for turn in found for one in turn[1:])


@given(conversations(), st.integers(1, 10_000))
def test_does_a_count_of_the_driver_set_the_scale(context: Context, counted: int) -> None:
    answers = [place for place, one in enumerate(context) if one.role == "assistant"]
    scale = Scale(context, counted)
    if answers:
        assert abs(scale.tokens(*context[: answers[-1] + 1]) - counted) < 1e-6 * counted
        assert Scale([], 0, scale).tokens(*context) == scale.tokens(*context)
