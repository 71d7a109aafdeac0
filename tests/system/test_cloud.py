"""Does a real system bear an endpoint that fails, hangs or lies, and keep its key to itself?"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("openai")

from llmagentos import System
from llmagentos.abi import errors
from llmagentos.home import Home
from tests.drivers.cloud.endpoint import Behaviour, MockEndpoint
from tests.system.machines import Machines, eventually

SECRET = "sk-system-secret-987"
PRICES = ("--price-prompt", "1000", "--price-completion", "2000")
AMPLE = ("--patience", "0.2", "--connect-timeout", "30", "--no-parent")
"""A refusal is not asked again, and whatever is answered is heard, however slow the machine is."""
HASTY = ("--first-token", "0.5", "--between-tokens", "0.5")
"""For what does not end by itself."""


@pytest.fixture(scope="module")
def mock() -> Iterator[MockEndpoint]:
    with MockEndpoint() as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory, mock: MockEndpoint) -> Iterator[Machines]:
    """A kernel, a driver for the mock, and a healthy one beside it."""
    machines = Machines(Home(tmp_path_factory.mktemp("cloud") / "h"))
    os.environ["TEST_CLOUD_KEY"] = SECRET
    try:
        machines.start_kernel()
        driver = launch(machines, mock.url, "cloud", "--key-env", "TEST_CLOUD_KEY", *PRICES)
        machines.start_driver("--delay", "0.005", name="edge")
        hasty = launch(machines, mock.url, "hasty", "--key-env", "TEST_CLOUD_KEY", *HASTY)
        machines.await_driver("cloud", driver.pid)
        machines.await_driver("hasty", hasty.pid)
        yield machines
    finally:
        del os.environ["TEST_CLOUD_KEY"]
        machines.close()


def launch(machines: Machines, url: str, model: str, *options: str) -> Any:
    return machines.start(
        "-m", "drivers.cloud", "--name", model, "--endpoint", url, "--model", f"{model}=x",
        *AMPLE, *options,
    )  # fmt: skip


@pytest.fixture
def user(cloud: Machines, mock: MockEndpoint) -> Iterator[System]:
    mock.behaviour = Behaviour()
    mock.gone.clear()
    mock.asked.clear()
    with cloud.program() as program:
        yield program


FAULTS: list[tuple[str, type[errors.LLMOSError]]] = [
    ("hang", errors.ETIMEOUT),
    ("hang after headers", errors.ETIMEOUT),
    ("hang after a word", errors.ETIMEOUT),
    ("close", errors.EDRIVER),
    ("drop", errors.EDRIVER),
    ("garbage", errors.EDRIVER),
    ("huge line", errors.EDRIVER),
    ("huge error", errors.EDRIVER),
    ("500", errors.EDRIVER),
    ("429", errors.ERATE),
    ("401", errors.EAUTH),
    ("400", errors.EINVAL),
]


def test_is_an_answer_from_the_cloud_counted_and_paid_for(user: System) -> None:
    answer = user.generate("hi", model="cloud", max_tokens=10)
    assert (answer.text, answer.finish, answer.driver) == ("Hello, world!", "stop", "cloud")
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (7, 4)
    assert answer.usage.money == pytest.approx((7 * 1000 + 4 * 2000) / 1e6)


@pytest.mark.parametrize(("breaks", "error"), FAULTS)
def test_does_each_fault_end_in_time_with_its_error(
    user: System, mock: MockEndpoint, breaks: str, error: type[errors.LLMOSError]
) -> None:
    if breaks.isdecimal():
        mock.behaviour = Behaviour(status=int(breaks), message="no: {key}")
    else:
        mock.behaviour = Behaviour(breaks=breaks)
    model = "hasty" if error is errors.ETIMEOUT else "cloud"
    with pytest.raises(error) as caught:
        user.generate("hi", model=model, max_tokens=10)
    assert SECRET not in f"{caught.value.to_wire()}"
    mock.behaviour = Behaviour()

    def well() -> bool:
        try:
            return user.generate("hi", model=model, max_tokens=10).text == "Hello, world!"
        except errors.ETIMEOUT:
            assert model == "hasty"
            return False

    eventually(well)


def test_is_what_was_refused_not_paid_for(user: System, mock: MockEndpoint) -> None:
    mock.behaviour = Behaviour(status=400)
    with pytest.raises(errors.EINVAL):
        user.generate("hi", model="cloud", max_tokens=10)
    assert user.info().process.usage.money == 0


def test_is_nobody_held_up_by_a_neighbour_whose_endpoint_hangs(
    cloud: Machines, user: System, mock: MockEndpoint
) -> None:
    mock.behaviour = Behaviour(breaks="hang after a word")
    with cloud.program() as one, cloud.program() as two:
        hung = [other.generate_stream("hi", model="cloud", max_tokens=10) for other in (one, two)]
        # Kept: a loop over an answer that is left cancels it.
        pieces = [iter(stream) for stream in hung]
        assert [next(heard) for heard in pieces] == ["Hel", "Hel"]
        for _ in range(5):
            assert user.generate("one two", model="fake-model", max_tokens=5).text == "one two"
        for other, stream in zip((one, two), hung, strict=True):
            assert other.info().process.state == "RUNNING", "it hangs as before"
            assert not stream.done
    mock.behaviour = Behaviour()
    assert user.generate("hi", model="cloud", max_tokens=10).finish == "stop"


def test_does_a_cancel_close_the_request_upstream(
    cloud: Machines, user: System, mock: MockEndpoint
) -> None:
    mock.behaviour = Behaviour(words=["x"] * 1000, between=0.05)
    with cloud.program() as other:
        stream = other.generate_stream("hi", model="cloud", max_tokens=2000)
        assert next(iter(stream)) == "x"
    # Its process ended with its connection, and its burst with it.
    assert mock.gone.wait(30)
    eventually(lambda: _driver(user, "cloud")["running"] == 0)


def test_does_an_answer_go_on_in_the_cloud_when_its_driver_dies(
    cloud: Machines, user: System, mock: MockEndpoint
) -> None:
    mortal = cloud.start(
        "-m", "drivers.scripted", "--name", "mortal", "--model", "both", "--delay", "0.2",
        "--script", "  word " * 200, "--no-parent",
    )  # fmt: skip
    cloud.await_driver("mortal", mortal.pid)
    stream = user.generate_stream("hi", model="both", max_tokens=500)
    pieces = iter(stream)
    first = next(pieces)
    spare = launch(cloud, mock.url, "both", "--continues", "prefill")
    cloud.await_driver("both", spare.pid)
    mortal.kill()
    rest = "".join(pieces)
    answer = stream.result()
    assert answer["driver"] == "both"
    assert answer["text"] == first + rest
    begun, said = mock.requests[-1]["messages"][-1], answer["text"].removesuffix("Hello, world!")
    assert said != answer["text"]
    assert begun == {"role": "assistant", "content": said}
    spare.terminate()
    assert spare.wait(30) == 0


def test_is_a_long_pause_told_to_the_kernel(cloud: Machines, user: System) -> None:
    with MockEndpoint(Behaviour(status=429, headers={"retry-after": "90"})) as busy:
        driver = launch(cloud, busy.url, "busy", "--requests-per-minute", "100")
        cloud.await_driver("busy", driver.pid)
        with cloud.program() as other:
            other.generate_stream("hi", model="busy", max_tokens=5)
            row = _told(user, "busy", lambda row: (row["retry_in"] or 0) > 40)
        assert row["rates"][0]["limit"] == 100
        assert len(busy.requests) == 1, "it is left alone, as it wished"
        driver.terminate()
        assert driver.wait(30) == 0


def test_does_a_driver_wait_for_an_endpoint_that_is_down(cloud: Machines) -> None:
    with MockEndpoint() as gone:
        url = gone.url
    driver = launch(cloud, url, "late")
    with cloud.user() as user:
        waiting = _told(user, "late", lambda row: "can't be reached" in row["note"])
    assert waiting["state"] == "loading"
    driver.terminate()
    assert driver.wait(30) == 0


def test_does_a_wrong_option_say_so_at_once(cloud: Machines) -> None:
    for wrong in (["--key-env", "NO_SUCH_KEY"], ["--knows", "x"], ["--context-length", "many"]):
        assert launch(cloud, "http://127.0.0.1:1/v1", "wrong", *wrong).wait(60) in (2, 4)
    assert "there is no key in the environment variable NO_SUCH_KEY" in cloud.logged()


def test_is_the_key_nowhere_but_where_it_belongs(
    cloud: Machines, user: System, mock: MockEndpoint
) -> None:
    assert f"Bearer {SECRET}" in mock.keys
    assert SECRET not in str(user.call("drv.info", name="cloud"))
    for file in cloud.home.root.rglob("*"):
        if file.is_file():
            assert SECRET.encode() not in file.read_bytes(), file


def _driver(user: System, name: str) -> dict[str, Any]:
    found: dict[str, Any] = user.call("drv.info", name=name)
    return found


def _told(user: System, name: str, fact: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    def row() -> dict[str, Any] | None:
        rows = user.call("drv.list")["drivers"]
        return next((one for one in rows if one["name"] == name and fact(one)), None)

    found: dict[str, Any] = eventually(row)
    return found
