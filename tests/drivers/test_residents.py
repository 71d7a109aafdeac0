"""Does KV that nobody uses now stay, go, and come back as it should?"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from drivers.edge.archive import Archive
from drivers.edge.blocks import BLOCK, Blocks
from drivers.edge.pool import Pool, Shape
from drivers.edge.residents import Resident, Residents
from drivers.edge.worth import Worth
from llmagentos.abi.errors import EIO, ENOSPC

SHAPE = Shape(2, 2, 4)
MB = 1 << 20


class Rig:
    """A pool of ten blocks, with an archive, and a clock that stands still."""

    def __init__(self, folder: Path, most: int = MB) -> None:
        self.now = 0.0
        self.blocks = Blocks(10)
        self.pool = Pool(SHAPE, 10, torch.float32, torch.device("cpu"))
        self.archive = Archive(folder, "x", most)
        self.worth = Worth()
        clock = lambda: self.now  # noqa: E731
        self.residents = Residents(self.blocks, self.pool, self.archive, self.worth, clock)

    def add(self, pid: int, count: int, back: float | None = None) -> list[int]:
        blocks = [self.blocks.take() for _ in range(count)]
        names = [f"{pid}-{n}".encode().ljust(16) for n in range(count)]
        self.residents.add(Resident(("process", pid), blocks, names, count * BLOCK))
        self.residents.expect(("process", pid), back)
        return blocks

    @property
    def here(self) -> set[int]:
        return {resident.owner[1] for resident in self.residents}


def test_go_those_first_who_come_back_last(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    for pid, back in ((1, 5.0), (2, None), (3, 50.0)):
        rig.add(pid, 3, back)
    assert rig.residents.make_room(4)
    assert rig.here == {1, 3}, "nobody knows when 2 comes back"
    assert rig.residents.make_room(7)
    assert rig.here == {1}
    assert len(list(tmp_path.glob("*"))) == 2


def test_is_nothing_put_away_in_vain(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.add(1, 3)
    taken = [rig.blocks.take() for _ in range(4)]
    assert not rig.residents.make_room(7)
    assert rig.here == {1}
    assert len(taken) == 4


def test_costs_a_fork_nothing_and_outlives_it_its_parent(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    blocks = rig.add(1, 4)
    held = rig.blocks.held
    for child in range(2, 18):
        rig.residents.fork(("process", 1), ("process", child))
    assert rig.blocks.held == held
    rig.residents.remove(("process", 1))
    assert rig.blocks.held == held
    for child in range(2, 18):
        rig.residents.remove(("process", child))
    assert rig.blocks.held == 0
    assert len(blocks) == 4


def test_is_what_is_cheaper_to_compute_than_to_read_dropped(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.worth.computed(1000, 0.001)
    rig.worth.transferred(1, 10.0)
    rig.add(1, 4)
    assert rig.residents.make_room(10)
    assert not list(tmp_path.glob("*"))


def test_is_a_burst_never_dropped(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.worth.computed(1000, 0.001)
    rig.worth.transferred(1, 10.0)
    block, name = rig.blocks.take(), b"x" * 16
    rig.residents.add(Resident(("burst", 1), [block], [name], BLOCK))
    assert rig.residents.make_room(10)
    assert name in rig.archive


def test_comes_what_was_written_back_as_it_was(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    blocks = rig.add(1, 4)
    for layer in rig.pool._layers:
        layer.copy_(torch.randn_like(layer))
    before = rig.pool.copy_out(blocks)
    names = next(iter(rig.residents)).names
    rig.residents.snapshot(("process", 1))
    rig.pool.clear(blocks)
    again = Archive(tmp_path, "x", MB)
    rig.pool.copy_in(blocks, again.read(names))
    assert torch.equal(rig.pool.copy_out(blocks), before)
    assert torch.equal(again.read(names[1:3]), before[:, :, 1:3])
    assert torch.equal(again.read([names[3], names[0]]), before[:, :, [3, 0]])
    assert not Archive(tmp_path, "another model", MB)._places
    assert not list(tmp_path.glob("*")), "nobody could read them any more"


def test_is_what_several_claim_kept_for_the_last_of_them(tmp_path: Path) -> None:
    archive = Archive(tmp_path, "x", MB)
    name = b"a" * 16
    archive.put([name], torch.zeros(2, 4, 1, 64))
    archive.claim("one", [name], firm=True)
    archive.claim("two", [name, b"unknown"], firm=False)
    archive.release("one")
    assert name in archive
    archive.release("two")
    assert name not in archive
    assert archive.bytes == 0
    assert not list(tmp_path.glob("*"))


def test_is_the_disk_bounded_and_the_oldest_that_nobody_claims_given_up(tmp_path: Path) -> None:
    size = 2 * 4 * 64 * 4
    archive = Archive(tmp_path, "x", 2 * size)
    names = [bytes([n]) * 16 for n in range(4)]
    for name in names[:3]:
        archive.put([name], torch.zeros(2, 4, 1, 64))
    assert [name in archive for name in names] == [False, True, True, False]
    archive.claim("me", names[:3], firm=True)
    with pytest.raises(ENOSPC):
        archive.put([names[3]], torch.zeros(2, 4, 1, 64))
    assert archive.bytes == 2 * size


def test_is_a_file_that_somebody_has_spoiled_said_once_and_given_up(tmp_path: Path) -> None:
    archive = Archive(tmp_path, "x", MB)
    name = b"a" * 16
    archive.put([name], torch.zeros(2, 4, 1, 64))
    (file,) = tmp_path.glob("*")
    file.unlink()
    with pytest.raises(EIO):
        archive.read([name])
    assert name not in archive
    (tmp_path / "junk.safetensors").write_bytes(b"junk")
    (tmp_path / "half.part").write_bytes(b"half")
    assert not Archive(tmp_path, "x", MB)._places
    assert not list(tmp_path.glob("*"))


def test_gives_the_disk_up_what_only_processes_claim_before_it_refuses(tmp_path: Path) -> None:
    size = 2 * 4 * 64 * 4
    archive = Archive(tmp_path, "x", 2 * size)
    names = [bytes([n]) * 16 for n in range(4)]
    for name, firm in ((names[0], True), (names[1], False)):
        archive.put([name], torch.zeros(2, 4, 1, 64))
        archive.claim(name, [name], firm=firm)
    archive.put([names[2]], torch.zeros(2, 4, 1, 64))
    assert [name in archive for name in names] == [True, False, True, False]


def test_is_a_process_dropped_where_a_burst_can_not_be_written(tmp_path: Path) -> None:
    rig = Rig(tmp_path, most=1)
    burst = [rig.blocks.take() for _ in range(3)]
    rig.residents.add(Resident(("burst", 1), burst, [b"a" * 16] * 3, 3 * BLOCK, back=5.0))
    rig.add(2, 4, 0.0)
    assert rig.residents.make_room(7)
    assert rig.here == {1}
    with pytest.raises(ENOSPC):
        rig.residents.make_room(10)


def test_is_one_that_should_have_come_long_ago_not_expected_any_more(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.add(1, 3, 0.0)
    rig.now = 1000.0
    rig.add(2, 3, 60.0)
    assert rig.residents.make_room(5)
    assert rig.here == {2}


def test_has_a_fork_of_what_is_on_the_disk_it_too(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.add(1, 4)
    assert rig.residents.make_room(10)
    rig.residents.fork(("process", 1), ("process", 2))
    rig.residents.remove(("process", 1))
    assert len(list(tmp_path.glob("*"))) == 1
    rig.residents.remove(("process", 2))
    assert not list(tmp_path.glob("*"))


def test_hurts_a_disk_that_fails_nobody(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    archive = Archive(tmp_path / "file" / "below", "x", MB)
    with pytest.raises(ENOSPC):
        archive.put([b"a" * 16], torch.zeros(2, 4, 1, 64))
    archive = Archive(tmp_path / "kv", "x", MB)
    archive.put([b"a" * 16], torch.zeros(2, 4, 1, 64))
    archive.claim("me", [b"a" * 16], firm=True)
    (path,) = (tmp_path / "kv").glob("*")
    path.unlink()
    (path / "x").mkdir(parents=True)
    archive.release("me")
    assert archive.bytes == 0


def test_go_files_of_an_earlier_driver_when_they_are_old(tmp_path: Path) -> None:
    for number in range(2):
        Archive(tmp_path, "x", MB).put([bytes([number]) * 16], torch.zeros(2, 4, 1, 64))
    archive = Archive(tmp_path, "x", MB)
    archive.claim("me", [b"\0" * 16], firm=False)
    archive.release("me")
    assert b"\0" * 16 in archive, "others may begin like that"
    for file in archive._files:
        file.written -= 90000
    archive.put([b"z" * 16], torch.zeros(2, 4, 1, 64))
    assert [bytes([n]) * 16 in archive for n in range(2)] == [False, False]
