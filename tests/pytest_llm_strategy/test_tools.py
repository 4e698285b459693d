"""Functions with tools under pytest: recorded from a real server by the real client, replayed without either."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.llm_strategy.loopback import Loopback, Reply, Seen, completion
from tests.pytest_llm_strategy.conftest import Project

SHOP = '''
from llm_strategy import llm_strategy

STOCK = {"lamp": 3}


def stock(name: str) -> int:
    """Tell how many of an article are there."""
    return STOCK[name]


async def price(name: str) -> float:
    """Tell what an article costs."""
    return 2.5


@llm_strategy("openai:loopback", tools=[stock, price], retries=1)
def advise(question: str) -> str:
    """Advise a customer."""
    raise NotImplementedError


@llm_strategy("openai:loopback", tools=[stock, price])
async def advise_later(question: str) -> str:
    """Advise a customer."""
    raise NotImplementedError
'''
TEST = """
import asyncio
import pytest
from shop import advise, advise_later


def test_advise(llm_calls):
    assert advise("lamps?") == "3 for 2.5"
    assert [call.response.finish_reason for call in llm_calls] == ["tool_call", "stop"]


@pytest.mark.parametrize("number", range(4))
def test_later(number):
    assert asyncio.run(advise_later(f"lamps {number}?")) == "3 for 2.5"
"""


def answer(seen: Seen) -> Reply:
    """Both tools at once, then what they gave."""
    results = [message["content"] for message in seen.body["messages"] if message["role"] == "tool"]
    if results:
        return completion(json.dumps({"return_value": " for ".join(results)}))
    functions: list[Any] = [{"name": name, "arguments": '{"name": "lamp"}'} for name in ("stock", "price")]
    calls = [{"id": f"call_{id(seen)}{n}", "type": "function", "function": one} for n, one in enumerate(functions)]
    return completion(None, finish_reason="tool_calls", tool_calls=calls)


@pytest.fixture
def server(project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    project.write(shop=SHOP, test_shop=TEST)
    with Loopback(*[answer] * 100) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "any")
        yield server
    monkeypatch.delenv("OPENAI_BASE_URL")
    monkeypatch.delenv("OPENAI_API_KEY")


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["one process", "workers"])
def test_turns_are_recorded_and_replayed(project: Project, server: Loopback, options: tuple[str, ...]) -> None:
    """Each turn is a call; recording again asks nobody, and a replay needs no server."""
    project.pytest("--llm-record", *options).assert_outcomes(passed=5)
    assert len(server.requests) == 10
    recorded = project.pytest("--llm-record", *options)
    recorded.assert_outcomes(passed=5)
    recorded.stdout.fnmatch_lines(["*reused 10*"])
    replayed = project.pytest(*options)
    replayed.assert_outcomes(passed=5)
    replayed.stdout.fnmatch_lines(["model calls: 10 replayed*"])
    assert len(server.requests) == 10


def test_ids_of_another_run_change_nothing(project: Project, server: Loopback) -> None:
    """The provider makes them anew each time: answers asked afresh are identical but for them."""
    project.pytest("--llm-record").assert_outcomes(passed=5)
    again = project.pytest("--llm-record=all", "-v")
    again.stdout.fnmatch_lines(["answers asked afresh: 10 identical*"])


def test_a_changed_tool_names_itself_once_for_all_tests(project: Project, server: Loopback) -> None:
    """A docstring, and what a tool returns: one cause each, with the command that records what it concerns."""
    project.pytest("--llm-record").assert_outcomes(passed=5)
    project.edit("shop.py", "Tell how many of an article are there.", "Count an article.")
    missed = project.pytest()
    missed.assert_outcomes(failed=5)
    missed.stdout.fnmatch_lines(["*missed in 5 tests*the tool stock (.description)*"])
    project.edit("shop.py", "Count an article.", "Tell how many of an article are there.")
    project.edit("shop.py", '"lamp": 3', '"lamp": 4')
    missed = project.pytest()
    missed.stdout.fnmatch_lines(
        [
            "[-][[]the tool answers[]] 3",
            "[+][[]the tool answers[]] 4",
            "*missed in 5 tests*what the tool stock answered*",
        ]
    )
    project.edit("test_shop.py", "3 for 2.5", "4 for 2.5")
    project.edit("shop.py", '"lamp": 4', '"lamp": 4.0')
    project.edit("shop.py", '"lamp": 4.0', '"lamp": 4')
    asked = len(server.requests)
    project.pytest("--llm-record", "-k", "advise")
    assert len(server.requests) == asked + 1


def test_a_tool_that_fails_a_test_fails_it(project: Project, server: Loopback) -> None:
    """`pytest.fail` and a miss within a tool are no errors for the model."""
    project.edit("shop.py", "    return STOCK[name]", "    import pytest; pytest.fail('not this one')")
    result = project.pytest("--llm-record", "-k", "test_advise")
    result.assert_outcomes(failed=1, deselected=4)
    result.stdout.fnmatch_lines(["*not this one*"])


def test_the_transcript_shows_tools_calls_and_results(project: Project, server: Loopback) -> None:
    """A prompt snapshot of a conversation with tools reads as it went."""
    project.write(
        test_shop="from shop import advise\n"
        "def test_advise(llm_calls, prompt_snapshot):\n"
        "    advise('lamps?')\n"
        "    assert llm_calls == prompt_snapshot\n"
    )
    project.pytest("--llm-record", "--snapshot-update").assert_outcomes(passed=1)
    (path,) = project.path.glob("__snapshots__/test_shop/*.md")
    text = path.read_text("utf-8")
    for told in (
        "Tell how many of an article are there.",
        "calls `stock` (`call_1`)",
        "`call_2` answers:\n\n```text\n2.5\n",
    ):
        assert told in text
    project.pytest().assert_outcomes(passed=1)


def test_faults_strike_turns_with_tools(project: Project, server: Loopback) -> None:
    """Each kind of fault, in the first turn and in the last, is what the program has to bear: no tool runs then."""
    project.write(
        test_shop="import pytest\nfrom llm_strategy import ModelError, ReplyError\nfrom shop import advise\n"
        "@pytest.mark.llm_faults(calls=[1, 2])\n"
        "def test_advise(llm_fault):\n"
        "    try:\n        advise('lamps?')\n"
        "    except (ModelError, ReplyError):\n        assert llm_fault\n"
        "    else:\n        assert not llm_fault\n"
    )
    result = project.pytest("--llm-record")
    assert result.ret == 0, result.stdout.str()
    assert result.parseoutcomes()["passed"] > 8


def test_a_report_shows_the_turns(project: Project, server: Loopback) -> None:
    """Calls and results stand in it; the second turn goes on from the first."""
    project.pytest("--llm-record", "-k", "test_advise", "--llm-report=report.html").assert_outcomes(
        passed=1, deselected=4
    )
    text = (project.path / "report.html").read_text("utf-8")
    assert '{"type":"tool_call","name":"stock"' in text
    assert '"type":"tool_call_response"' in text
    assert '"parent":0' in text


def test_a_budget_counts_each_turn(project: Project, server: Loopback) -> None:
    """Recording stops between two turns where the next, whose conversation is longer, might cost too much."""
    (project.path / "tox.ini").write_text(
        "[pytest]\nasyncio_default_fixture_loop_scope = function\nllm_prices =\n    openai:loopback 1000 0\n"
    )
    # The first turn has about 1,350 bytes, the second 1,730: at most as many tokens, at a tenth of a cent each.
    result = project.pytest("--llm-record", "--llm-budget=1.5", "-k", "test_advise")
    result.assert_outcomes(failed=1, deselected=4)
    assert len(server.requests) == 1
    assert project.cassettes == ["test_shop/test_advise.yaml"]
