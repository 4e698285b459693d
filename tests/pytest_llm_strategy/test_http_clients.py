"""The real clients in a suite of tests, run by two workers, recorded against a server and replayed without it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.llm_strategy.client_calls import ASYNC_CALLS, CALLS, reply
from tests.llm_strategy.providers import Provider

ROOT = Path(__file__).parents[2]
SUITE = """
import asyncio
import os
from pathlib import Path

import pytest

from tests.llm_strategy.client_calls import ASYNC_CALLS, CALLS, no_settings

URL = os.environ["PROVIDER"]
ANSWERS = Path(os.environ["ANSWERS"])
pytestmark = pytest.mark.llm_cassette(http=True)


@pytest.fixture(autouse=True)
def _no_settings():
    with no_settings():
        yield


@pytest.mark.parametrize("name", CALLS)
def test_sync(name):
    keep(f"sync {name}", [CALLS[name](URL, text) for text in ("one", "two", "two")])


@pytest.mark.parametrize("name", ASYNC_CALLS)
def test_async(name):
    async def ask():
        return await asyncio.gather(*(ASYNC_CALLS[name](URL, text) for text in ("one", "two", "two")))

    keep(f"async {name}", asyncio.run(ask()))


def keep(name, answers):
    (ANSWERS / name).write_text(repr(answers))
"""


def test_two_workers(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """What two workers record, two workers replay in a random order, to the last character, with no server there."""
    for name in ("CI", "BUILD_NUMBER", "LLM_STRATEGY_RECORD", "PYTEST_ADDOPTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(pytester.path), str(ROOT)]))
    pytester.makepyfile(test_calls=SUITE)
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")

    def run(url: str, *options: str) -> dict[str, str]:
        folder = pytester.mkdir(f"answers{len(list(pytester.path.glob('answers*')))}")
        monkeypatch.setenv("PROVIDER", url)
        monkeypatch.setenv("ANSWERS", str(folder))
        result = pytester.runpytest_subprocess("-p", "no:langsmith_plugin", "-n", "2", *options)
        result.assert_outcomes(passed=len(CALLS) + len(ASYNC_CALLS))
        return {file.name: file.read_text() for file in folder.iterdir()}

    with Provider(reply) as server:
        recorded = run(server.url, "--llm-record")
    # What one test has asked, another's equal question finds.
    assert len(recorded) < len(server.requests) < 3 * len(recorded)
    assert run(server.url) == recorded
