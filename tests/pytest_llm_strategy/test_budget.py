"""`--llm-budget`: recording stops before more is spent, and what was recorded is kept."""

from __future__ import annotations

import re

import pytest

from tests.pytest_llm_strategy.conftest import Project

PRICED = """
def answer(request):
    with open("asked.log", "a") as log:
        log.write(request.key + chr(10))
    return Response('{"return_value": ["an answer"]}', usage=Usage(1000, 100), model="model")


MODEL = ScriptedModel(answer, name="counter:model", recorded=True)
"""
INI = """
[pytest]
asyncio_default_fixture_loop_scope = function
llm_prices =
    counter:model 1000 1000
"""
# A call costs $1.10. Until the first answer, up to 4,096 output tokens are set aside; then 256.

TEST = """
import pytest
from shop import shop

@pytest.mark.parametrize("number", range(8))
def test_find(number):
    assert shop.find(f"goods {number}")
"""


@pytest.fixture
def priced(project: Project) -> Project:
    """A project whose model says what it took, and whose configuration says what that costs."""
    shop = (project.path / "shop.py").read_text()
    before, _, rest = shop.partition("def answer")
    after = rest.partition("recorded=True)\n")[2]
    project.write(shop=before.replace("ScriptedModel,", "ScriptedModel, Usage,") + PRICED + after, test_shop=TEST)
    (project.path / "tox.ini").write_text(INI)
    return project


def not_asked(result: pytest.RunResult) -> int:
    return int(re.search(r"(\d+) calls? (?:was|were) not asked, to stay within --llm-budget", result.stdout.str())[1])  # type: ignore[index]  # or fail


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["one process", "workers"])
def test_recording_stops_before_more_is_spent(priced: Project, options: tuple[str, ...]) -> None:
    """What was asked cost no more than allowed and stays recorded, whoever asked; the run fails and says how many were not."""
    result = priced.pytest("--llm-record", "--llm-budget=8", *options)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    asked = priced.asked
    assert 3 <= asked <= 7
    assert len(priced.cassettes) == asked
    assert not_asked(result) == 8 - asked
    result.stdout.fnmatch_lines(
        ["Shop.find (counter:model) is not asked: the budget of $8.00 (--llm-budget) does not allow it"]
    )
    result.stdout.fnmatch_lines(["spent so far: $*", "this call may cost: up to $*"])

    priced.pytest("--llm-record", "--llm-budget=20", *options).assert_outcomes(passed=8)
    assert priced.asked == 8


def test_without_a_price_nothing_is_asked(project: Project) -> None:
    """A model whose price nobody knows is refused under a budget, with the line that says it."""
    project.write(test_shop=TEST)
    result = project.pytest("--llm-record", "--llm-budget=1")
    result.assert_outcomes(failed=8)
    assert project.asked == 0
    result.stdout.fnmatch_lines(
        [
            "*there is a budget (--llm-budget), and no price is known for counter:model",
            "*llm_prices =",
            "*counter:model 1.00 4.00",
        ]
    )
    (project.path / "tox.ini").write_text("[pytest]\nllm_prices =\n    counter:model 1.00 4.00\nllm_budget = 1\n")
    project.pytest("--llm-record").assert_outcomes(passed=8)


def test_a_budget_of_nothing_replays(priced: Project) -> None:
    """With 0 nothing is recorded; what is recorded is replayed."""
    priced.pytest("--llm-record", "-k", "3")
    result = priced.pytest("--llm-record", "--llm-budget=0")
    result.assert_outcomes(passed=1, failed=7)
    assert priced.asked == 1


def test_what_swallows_errors_does_not_swallow_this(priced: Project) -> None:
    """`except Exception` around a call does not catch it, and a bare `except` does not make the test pass."""
    priced.write(
        test_shop="""
from shop import shop

def test_find():
    for number in range(8):
        try:
            shop.find(f"goods {number}")
        except:
            pass
"""
    )
    priced.pytest("--llm-record", "--llm-budget=0").assert_outcomes(failed=1)


@pytest.mark.parametrize(
    ("mode", "advice"),
    [
        ("live", "Nothing that is asked here is recorded, *: allow more with --llm-budget=USD"),
        ("all", "those that it names: pytest TESTS --llm-record=all --llm-budget=8"),
    ],
)
def test_other_modes_count(priced: Project, mode: str, advice: str) -> None:
    """Whatever asks spends: afresh, or without cassettes. Neither goes on by itself, and the message says what to do."""
    result = priced.pytest(f"--llm-record={mode}", "--llm-budget=8")
    assert 3 <= priced.asked <= 7
    assert not_asked(result) == 8 - priced.asked
    result.stdout.fnmatch_lines([advice])


def test_child_processes_threads_and_coroutines_share_it(priced: Project) -> None:
    """Each of them sets aside what it may spend, in one ledger."""
    priced.write(
        test_shop="""
import asyncio
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from shop import shop

def test_children():
    program = "from shop import shop; shop.find(str({}))"
    for number in range(4):
        subprocess.run([sys.executable, "-c", program.format(number)])

def test_threads():
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: shop.find(f"thread {number}"), range(4)))

def test_coroutines():
    async def all():
        await asyncio.gather(*(shop.afind(f"task {number}") for number in range(4)))
    asyncio.run(all())
"""
    )
    result = priced.pytest("--llm-record", "--llm-budget=8")
    assert 3 <= priced.asked <= 7
    assert not_asked(result) >= 1
    assert result.ret == pytest.ExitCode.TESTS_FAILED


@pytest.mark.parametrize("value", ["-1", "nan", "inf", "much", ""])
@pytest.mark.parametrize("place", ["option", "ini"])
def test_what_is_no_amount_is_a_usage_error(project: Project, value: str, place: str) -> None:
    """A budget that is no number of dollars stops pytest before any test, and says what one looks like."""
    project.write(test_shop=TEST)
    if place == "ini":
        if not value:
            return
        (project.path / "tox.ini").write_text(f"[pytest]\nllm_budget = {value}\n")
    result = project.pytest("--llm-record", *([f"--llm-budget={value}"] if place == "option" else []))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*llm_budget: '{value}' is no amount of US dollars: write --llm-budget=0.50*"])


def test_what_is_no_price_is_a_usage_error(project: Project) -> None:
    """A line of `llm_prices` that is none stops pytest, too."""
    (project.path / "tox.ini").write_text("[pytest]\nllm_prices =\n    counter:model cheap\n")
    result = project.pytest()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*llm_prices: 'counter:model cheap' is no price: write a model*"])


STREAMS = """
import asyncio
from collections.abc import AsyncIterator, Iterator

from llm_strategy import llm_strategy
from shop import MODEL

@llm_strategy(MODEL)
def tell(query: str) -> Iterator[str]:
    "Tell something."

@llm_strategy(MODEL)
def atell(query: str) -> AsyncIterator[str]:
    "Tell something."

def test_stream():
    assert list(tell("a"))

def test_asynchronous_stream():
    async def read():
        return [piece async for piece in atell("a")]
    assert asyncio.run(read())
"""


def test_streams_count(priced: Project) -> None:
    """A stream is refused when its first piece is wanted, and what was read of one is spent."""
    priced.write(test_shop=STREAMS)
    result = priced.pytest("--llm-record", "--llm-budget=0")
    result.assert_outcomes(failed=2)
    assert priced.asked == 0
    assert not_asked(result) == 2
    priced.pytest("--llm-record", "--llm-budget=20").assert_outcomes(passed=2)


def test_calls_at_import_count(priced: Project) -> None:
    """Live calls that belong to no test are refused as well."""
    priced.write(
        test_shop="from shop import shop\n\nFOUND = shop.find('light')\n\ndef test_found():\n    assert FOUND\n"
    )
    result = priced.pytest("--llm-record=live", "--llm-budget=0")
    result.assert_outcomes(errors=1)
    assert priced.asked == 0
    priced.pytest("--llm-record=live", "--llm-budget=20").assert_outcomes(passed=1)
