"""Does the page for tool authors work, typed in as it stands there?"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgpack
import pytest
import yaml
import zmq

from llmagentos import connect
from llmagentos.abi.manifest import Manifest
from llmagentos.abi.wire import Message, encode
from tests.docs.pages import Page
from tests.system.machines import eventually


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    page = Page("tools.md", tmp_path)
    yield page
    for line, said in page.outputs.items():
        if line.endswith("echo $!"):
            os.kill(int(said), signal.SIGKILL)
    page.leave()


def offered(page: Page, tool: str) -> bool:
    with connect(home=page.home, user=True) as user:
        return any(one.name == tool and one.up for one in user.tool.list().tools)


def test_does_all_of_it_work(page: Page) -> None:
    saved = []
    for language, text in page.blocks:
        if language != "sh":
            file = page.save(text.replace("/path/to", str(page.folder)))
            assert file is not None, text
            saved.append(file)
            continue
        for line in text.splitlines():
            if line.startswith("python try.py"):
                tool = line.split()[2]
                eventually(lambda tool=tool: offered(page, tool), 30)
            page.type_in(line)
    names = ["try.py", "shelf.py", "config.yaml", "dice.py", "butler.yaml"]
    assert [file.name for file in saved] == names
    said = {line: text.splitlines()[-1] for line, text in page.outputs.items() if "try.py" in line}
    found, missing, rolled, refused, shell = said.values()
    assert "'result': 1" in found
    assert missing.startswith("EINVAL ")
    assert "there is no book 'The Cat'; there are The Sea" in missing
    assert "'rolled': " in rolled
    assert refused == "EINVAL sides is a whole number from 2 to 100"
    check = subprocess.run([sys.executable, "-m", "drivers.sandbox", "--check"])
    assert ("6 times 7 is 42" in shell) == (check.returncode == 0), shell
    assert "dice.roll of dice parallel" in page.outputs[list(said)[2]]
    butler = Manifest.model_validate(yaml.safe_load(saved[-1].read_text(encoding="utf-8")))
    assert [ref.pattern for ref in butler.spec.tool_refs] == ["shelf.*", "dice.roll", "shell"]


def test_is_a_repeat_of_a_call_answered_with_the_first_result(tmp_path: Path) -> None:
    """The page's driver, alone with somebody who plays the kernel."""
    page = Page("tools.md", tmp_path)
    for _, text in page.blocks:
        if "# dice.py" in text:
            page.save(text)
    (page.home / "run").mkdir(parents=True)
    (page.home / "service.key").write_text("key")
    with zmq.Context() as context, context.socket(zmq.ROUTER) as kernel:
        kernel.setsockopt(zmq.LINGER, 0)
        kernel.bind(f"ipc://{page.home}/run/drivers.sock")
        driver = subprocess.Popen(
            [sys.executable, "dice.py"], cwd=page.folder, env=page.environment
        )
        try:
            rolled = []
            peer, header, card = kernel.recv_multipart()
            assert msgpack.unpackb(header)["t"] == "register"
            assert msgpack.unpackb(card)["tools"][0]["name"] == "dice.roll"
            for job, key in enumerate(["a", "a", "b", "a"], 1):
                body = {"job": job, "key": key, "pid": 2, "tool": "dice.roll",
                        "arguments": {"sides": 100}}  # fmt: skip
                kernel.send_multipart([peer, *encode(Message("call", body=body))])
                result = {}
                while "job" not in result:
                    assert kernel.poll(30_000)
                    result = msgpack.unpackb(kernel.recv_multipart()[2])
                assert result["job"] == job
                rolled.append(result["content"])
            assert rolled[0] == rolled[1] == rolled[3]
        finally:
            driver.kill()
            driver.wait()
