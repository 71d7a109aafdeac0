"""Does "Write your first agent" work, typed in as it stands there?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import Page


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    page = Page("first-agent.md", tmp_path)
    # In place of the small model, which takes long to load.
    page.save("# LLMOS_HOME/config.yaml\ndrivers:\n  - {name: edge, kind: edge}\n")
    yield page
    page.leave()


def test_does_all_of_it_work(page: Page) -> None:
    saved = []
    for language, text in page.blocks:
        if language == "sh":
            for line in text.splitlines():
                page.type_in(line)
        else:
            file = page.save(text)
            assert file is not None, text
            saved.append(file.name)
    assert saved == [
        "poet.yaml", "config.yaml", "watch.yaml", "digest.py", "digest.yaml", "test_agents.py",
    ]  # fmt: skip
    said = page.outputs
    assert said['llmos run ./poet.yaml "the sea"'] == "the sea\n"
    assert "poet" in said["llmos ps --all"]
    watch = next(text for line, text in said.items() if "watch.yaml" in line)
    assert watch == "It is high time.\n"
    digest = next(text for line, text in said.items() if "digest.yaml" in line)
    assert digest.splitlines() == [
        "Say it in five words: The ferry leaves at nine.",
        "Say it in five words: It was late because of the fog.",
    ]
    assert "2 passed" in said["python -m pytest -q test_agents.py"]
