"""What a run says of the tokens and the price of what it recorded, and of what replaying saved."""

from __future__ import annotations

import pytest

from tests.llm_strategy.loopback import Loopback
from tests.pytest_llm_strategy.conftest import Project

SHOP = '''
from llm_strategy import Response, ScriptedModel, Usage, llm_strategy


def model(name, answered):
    answer = Response('{"return_value": ["lamp"]}', usage=Usage(100_000, 10_000), model=answered)
    return ScriptedModel(lambda _request: answer, name=name, recorded=True)


@llm_strategy(model("openai:gpt-5-mini", "gpt-5-mini-2025-08-07"))
def find(query: str) -> list[str]:
    """Find the goods that fit a query."""
    raise NotImplementedError


@llm_strategy(model("ollama:my-model", None))
def guess(query: str) -> list[str]:
    """Guess the goods that fit a query."""
    raise NotImplementedError
'''
# A call takes 100,000 input and 10,000 output tokens, and one of gpt-5-mini costs $0.045.

TESTS = """
import subprocess
import sys

import pytest
from llm_strategy import use_cassette
from shop import find, guess

@pytest.fixture(scope="session")
def lamp():
    return find("in a wide fixture")

def test_find(lamp):
    assert find("light")

def test_find_again(lamp):
    assert find("lamp")

def test_in_a_block():
    with use_cassette("block.yaml"):
        find("in a block")
        with use_cassette("inner.yaml"):
            find("in an inner block")

def test_in_a_child():
    program = "from shop import find; from llm_strategy import use_cassette; find('in a child')"
    program += "; block = use_cassette('child.yaml', 'new'); block.__enter__(); find('in its block'); block.__exit__(None, None, None)"
    subprocess.run([sys.executable, "-c", program], check=True)
"""


@pytest.fixture
def priced(project: Project) -> Project:
    project.write(shop=SHOP, test_shop=TESTS)
    return project


def summary(result: pytest.RunResult) -> list[str]:
    """The lines from the first one on model calls."""
    lines = result.stdout.lines
    first = next((at for at, line in enumerate(lines) if line.startswith("model calls: ")), len(lines))
    return [line for line in lines[first:] if not line.startswith("=")]


@pytest.mark.parametrize("options", [(), ("-n", "2", "--dist", "loadfile")], ids=["one process", "workers"])
def test_every_call_counts_once(priced: Project, options: tuple[str, ...]) -> None:
    """In tests, wide fixtures, blocks, children and their blocks: what was asked, and then what replaying saved."""
    lines = summary(priced.pytest("--llm-record", *options))
    assert lines[0] == "model calls: asked 6, reused 0, copied 0, 700,000 input and 70,000 output tokens"
    assert lines[1] == "  asking cost $0.3150"
    lines = summary(priced.pytest(*options))
    assert lines[1] == "  replaying saved 700,000 input and 70,000 output tokens: $0.3150"


def test_what_is_unknown_is_said(priced: Project) -> None:
    """A model without a list price is named as unknown beside the sum of the others, and `llm_prices` makes it known."""
    priced.write(test_shop="from shop import find, guess\n\ndef test_find():\n    assert find('a') == guess('a')\n")
    recorded = summary(priced.pytest("--llm-record"))
    assert recorded[1] == "  asking cost $0.0450 and an unknown price for ollama:my-model"
    (priced.path / "tox.ini").write_text("[pytest]\nllm_prices =\n    ollama:* 1 2\n    openai:gpt-5-mini 0 0\n")
    tokens = "replaying saved 200,000 input and 20,000 output tokens"
    assert summary(priced.pytest())[1] == f"  {tokens}: $0.1200"
    assert summary(priced.pytest("-n", "2", "-v"))[1:] == [
        f"  {tokens}: $0.1200",
        "    openai:gpt-5-mini-2025-08-07: 1 call, 100,000 input and 10,000 output tokens, $0",
        "    ollama:my-model: 1 call, 100,000 input and 10,000 output tokens, $0.1200",
    ]


def test_without_price_lists(priced: Project) -> None:
    """Where genai-prices is not installed all else is said, and what to install."""
    priced.write(genai_prices="raise ModuleNotFoundError(__name__, name=__name__)")
    lines = summary(priced.pytest("--llm-record", "-k", "find_again"))
    named = "openai:gpt-5-mini-2025-08-07"
    assert lines[1] == f'  asking cost an unknown price for {named} (pip install "llm-strategy[prices]")'
    refused = priced.pytest("--llm-record", "--llm-budget=1", "-k", "block")
    refused.stdout.fnmatch_lines(["To ask it, install the price lists: pip install *prices*"])


def test_a_server_that_says_no_tokens(priced: Project) -> None:
    """Calls whose tokens nobody counted make a sum unknown, and are counted with -v."""
    priced.edit("shop.py", "usage=Usage(100_000, 10_000)", "usage=None")
    assert len(summary(priced.pytest("--llm-record", "-k", "again"))) == 1
    lines = summary(priced.pytest("-k", "again", "-v"))
    assert lines[2].endswith(": 2 calls, 2 of them without a count of tokens, 0 input and 0 output tokens, unknown")


def test_dry_runs_say_what_it_may_cost(priced: Project) -> None:
    """At most, up to each test's first call that is missing."""
    lines = summary(priced.pytest("--llm-record=dry", "-k", "again"))
    assert lines[1].startswith("  asking for each test's first would cost $0.00")
    assert lines[1].endswith(" at most")


def test_names_of_models_are_shown_as_text(priced: Project) -> None:
    """What a server calls its model cannot paint the terminal."""
    priced.edit("shop.py", '"ollama:my-model", None', '"ollama:my-model", "x\\x1b[31m\\nred"')
    priced.write(test_shop="from shop import guess\n\ndef test_guess():\n    assert guess('a')\n")
    lines = summary(priced.pytest("--llm-record"))
    assert lines[1] == r"  asking cost an unknown price for ollama:my-model (answered by x\x1b[31m\nred)"


def test_calls_over_http(http_project: Project, provider: Loopback) -> None:
    """Direct calls count, by what the provider's answer says; what failed does not."""
    http_project.write(
        test_direct="""
import os
from openai import OpenAI

def test_direct(llm_calls):
    client = OpenAI()
    for query in ("a", "b"):
        asked = [{"role": "user", "content": f'query = "{query}"'}]
        client.chat.completions.create(model="gpt-5-mini", messages=asked)
    assert all(call.seconds is None for call in llm_calls) == ("REPLAYED" in os.environ)
"""
    )
    (http_project.path / "tox.ini").write_text(
        "[pytest]\nllm_http = true\nllm_prices =\n    openai:gpt-5-mini 1000 1000\n"
    )
    recorded = summary(http_project.pytest("--llm-record", "--llm-budget=100"))
    assert recorded[1] == "  asking cost $0.0360"
    http_project.write(conftest="import os\nos.environ['REPLAYED'] = '1'\n")
    assert summary(http_project.pytest())[1] == "  replaying saved 22 input and 14 output tokens: $0.0360"
    http_project.edit("test_direct.py", '("a", "b")', '("c", "d")')
    refused = http_project.pytest("--llm-record", "--llm-budget=0.01")
    refused.assert_outcomes(failed=1)
    refused.stdout.fnmatch_lines(["a model (openai:gpt-5-mini) is not asked: the budget of $0.0100 *"])
