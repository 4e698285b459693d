"""The examples as their users run them: as programs, from a terminal, without a key."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from examples.customer_database import QUERIES
from examples.research import stand_in_writer
from examples.stand_in import running
from llm_strategy import Cassette

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "examples" / "customer_database.py"
CASSETTE = ROOT / "cassettes" / "examples" / "customer_database.yaml"


def run(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a shell that has no key and no model, and where the library is not yet installed."""
    dropped = ("OPENAI_", "LLM_STRATEGY_", "PYTEST_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    environment |= {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", **variables}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", check=False)


def keys(output: str) -> list[str]:
    """The keys of the customers in a table."""
    return re.findall(r"^  (c\d+) ", output, re.MULTILINE)


def mock_customers() -> list[dict[str, Any]]:
    """The customers that the cassette's model made up."""
    made = next(call for call in Cassette(CASSETTE) if str(call.function).endswith("create_mock_customers"))
    customers: list[dict[str, Any]] = json.loads(made.response.content)["return_value"]
    return customers


def test_search_brings_the_right_customers() -> None:
    """A search prints those customers, and only those, whose data fit the query."""
    done = run(PROGRAM, "born in 1990")
    expected = [customer["key"] for customer in mock_customers() if customer["birthdate"].startswith("1990")]
    assert expected
    assert keys(done.stdout) == expected, done.stderr
    assert done.returncode == 0


def test_replay_says_so() -> None:
    """Without a key the program says that it replays, and who answered when it was recorded."""
    assert run(PROGRAM, QUERIES[0]).stdout.startswith(
        "Replaying customer_database.yaml, answered by local stand-in: no model is asked.\n"
    )


def test_two_searches_differ() -> None:
    """Different searches find different customers."""
    found = [tuple(keys(run(PROGRAM, query).stdout)) for query in QUERIES[:2]]
    assert all(found)
    assert found[0] != found[1]


def test_recorded_queries() -> None:
    """Without a query the program runs all those that are recorded."""
    done = run(PROGRAM)
    assert done.returncode == 0, done.stderr
    assert [line.removesuffix(":") for line in done.stdout.splitlines() if line.endswith(":")] == QUERIES


def test_ages_are_computed() -> None:
    """Each customer in the table has the age that the birthdate gives on the day in the docstring."""
    rows = re.findall(r"(\d{4})-(\d\d-\d\d) +(\d+) ", run(PROGRAM).stdout)
    assert rows
    # On the first of January only who was born on that day has completed the year.
    assert all(int(age) == 2026 - int(year) - (day != "01-01") for year, day, age in rows)


def test_letters_that_the_output_does_not_have() -> None:
    """A pipe on Windows has not every letter of a name: such a one becomes a question mark, and all rows are printed."""
    done = run(PROGRAM, "born in 1990", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert "Hanna W?jcik" in done.stdout


def test_query_that_is_not_recorded() -> None:
    """A query without a recording is answered with what to do, not with a traceback."""
    done = run(PROGRAM, "who likes tea")
    assert done.returncode == 1
    assert "'who likes tea'" in done.stderr
    assert "OPENAI_API_KEY" in done.stderr
    assert "Traceback" not in done.stderr


def test_model_is_asked_where_one_is_given() -> None:
    """With a provider in the environment any query is answered, and the cassette stays as it is."""
    before = CASSETTE.read_bytes()
    with running() as base_url:
        done = run(PROGRAM, "the two youngest", OPENAI_BASE_URL=base_url, OPENAI_API_KEY="unused")
    youngest = sorted(mock_customers(), key=lambda customer: str(customer["birthdate"]))[-1:-3:-1]
    assert keys(done.stdout) == [customer["key"] for customer in youngest], done.stderr
    assert "Asking openai:gpt-5-mini (OPENAI_BASE_URL is set)." in done.stdout
    assert CASSETTE.read_bytes() == before


def test_unreachable_model() -> None:
    """A provider that cannot be reached is told in a line."""
    done = run(PROGRAM, QUERIES[0], OPENAI_BASE_URL="http://127.0.0.1:9/v1", OPENAI_API_KEY="unused")
    assert done.returncode == 1
    assert "openai:gpt-5-mini cannot be reached" in done.stderr
    assert "Traceback" not in done.stderr


def test_recording_another_query(tmp_path: Path) -> None:
    """`--record` asks for what the cassette lacks; afterwards it is replayed without a key."""
    program = tmp_path / "examples" / PROGRAM.name
    program.parent.mkdir()
    shutil.copy(PROGRAM, program)
    cassette = shutil.copytree(CASSETTE.parent, tmp_path / "cassettes" / "examples") / CASSETTE.name
    before = len(Cassette(cassette))
    with running() as base_url:
        recorded = run(program, "--record", "the two youngest", OPENAI_BASE_URL=base_url, OPENAI_API_KEY="unused")
    replayed = run(program, "the two youngest")
    assert recorded.returncode == replayed.returncode == 0, recorded.stderr + replayed.stderr
    assert len(keys(replayed.stdout)) == 2
    assert keys(replayed.stdout) == keys(recorded.stdout)
    assert run(program, QUERIES[0]).returncode == 0
    # One search and what ages were lacking; the mock customers were recorded before.
    assert before < len(Cassette(cassette)) <= before + 3


@pytest.mark.parametrize("path", sorted((ROOT / "cassettes" / "examples").rglob("*.yaml")), ids=lambda path: path.stem)
def test_cassettes_say_who_answered(path: Path) -> None:
    """The headers of the examples' cassettes say that a stand-in answered, and which."""
    named = stand_in_writer.MODEL if path.stem == "meta_optimization" else "local stand-in"
    assert Cassette(path).header["answered_by"] == named
