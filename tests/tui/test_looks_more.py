"""Do the approvals, the drivers and the models look as they did when somebody last looked at them?

``pytest --snapshot-update tests/tui/test_looks_more.py`` takes what there is now for right: look at
it first.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tui.inbox import asking, inbox, writing
from tests.tui.stage import LOOKS, SIZES
from tests.tui.test_looks import Compare, pressing
from tests.tui.test_view_drivers import garage
from tests.tui.test_view_models import HERE, KNOWN, StagedStore, library

APPROVALS = {
    "empty": ((), ()),
    "call": ((asking, writing), ()),
    "file": ((asking, writing), ("j",)),
}

looks = pytest.mark.parametrize(("size", "theme"), LOOKS)


@looks
@pytest.mark.parametrize("scene", APPROVALS)
def test_approvals(
    snap_compare: Compare, tmp_path: Path, scene: str, size: str, theme: str
) -> None:
    rows, keys = APPROVALS[scene]
    app = inbox(tmp_path, *(row() for row in rows), theme=theme)
    assert snap_compare(app, run_before=pressing(*keys), terminal_size=SIZES[size])


@looks
def test_drivers(snap_compare: Compare, tmp_path: Path, size: str, theme: str) -> None:
    app = garage(tmp_path, theme=theme)
    assert snap_compare(app, run_before=pressing("j", "j"), terminal_size=SIZES[size])


@looks
def test_models(
    snap_compare: Compare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: str, theme: str
) -> None:
    app = library(tmp_path, monkeypatch, StagedStore(HERE, KNOWN), theme=theme)
    assert snap_compare(app, run_before=pressing("j", "p"), terminal_size=SIZES[size])
