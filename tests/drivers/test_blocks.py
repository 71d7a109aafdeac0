"""Are blocks counted, shared among those who begin alike, and kept as long as there is room?"""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from drivers.edge.blocks import BLOCK, Blocks, NoRoomError, name_of, root


def test_has_what_begins_alike_the_same_name_and_nothing_else() -> None:
    first, second = list(range(BLOCK)), list(range(BLOCK, 2 * BLOCK))
    start = root([])
    one = name_of(start, first)
    assert name_of(root([]), first) == one
    assert name_of(one, second) != name_of(start, second), "what came before counts"
    assert name_of(start, [*first[:-1], 99]) != one
    assert root(["private", "team"]) == root(["team", "private"])
    assert len({root([]), root(["private"]), root(["team"]), root(["private", "team"])}) == 4


def test_is_a_block_that_nobody_has_found_again_until_the_room_is_needed() -> None:
    blocks = Blocks(2)
    old, new = blocks.take(), blocks.take()
    blocks.name(old, b"old")
    blocks.name(new, b"new")
    blocks.leave(old)
    blocks.leave(new)
    assert (blocks.held, blocks.room) == (0, 2)
    assert blocks.share(b"new") == new
    assert blocks.take() == old, "the one that was left longest ago goes first"
    assert blocks.share(b"old") is None
    with pytest.raises(NoRoomError):
        blocks.take()


class Books(RuleBasedStateMachine):
    """Against a counter of who refers to what."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = Blocks(6)
        self.refs: Counter[int] = Counter()
        self.names: dict[bytes, int] = {}

    @rule()
    def take(self) -> None:
        if self.blocks.room:
            block = self.blocks.take()
            assert not self.refs[block]
            self.names = {name: at for name, at in self.names.items() if at != block}
            self.refs[block] = 1
        else:
            with pytest.raises(NoRoomError):
                self.blocks.take()

    @rule(name=st.sampled_from([b"a", b"b", b"c", b"d"]))
    def share(self, name: bytes) -> None:
        block = self.blocks.share(name)
        assert block == self.names.get(name)
        if block is not None:
            self.refs[block] += 1

    @precondition(lambda self: self.refs)
    @rule(data=st.data(), name=st.sampled_from([b"a", b"b", b"c", b"d"]))
    def name(self, data: st.DataObject, name: bytes) -> None:
        block = data.draw(st.sampled_from(sorted(self.refs)))
        if block not in self.names.values() and self.refs[block]:
            self.blocks.name(block, name)
            self.names.setdefault(name, block)

    @precondition(lambda self: any(self.refs.values()))
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        block = data.draw(st.sampled_from(sorted(b for b, n in self.refs.items() if n)))
        self.blocks.leave(block)
        self.refs[block] -= 1

    @invariant()
    def balances(self) -> None:
        held = sum(count > 0 for count in self.refs.values())
        assert (self.blocks.held, self.blocks.room) == (held, 6 - held)
        assert all(self.blocks.has(name) for name in self.names)


TestBooks = Books.TestCase
TestBooks.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
