"""A line now and then while many calls are recorded."""

from __future__ import annotations

import re

import pytest

from tests.pytest_llm_strategy.conftest import Project

MANY = """
import pytest
from shop import shop

@pytest.mark.parametrize("number", range(12))
def test_find(number):
    print("the test says", number)
    for query in range(10):
        assert shop.find(f"{number} {query}")
"""


@pytest.fixture
def many(project: Project) -> Project:
    """A project that asks 120 times, in twelve tests."""
    project.write(test_many=MANY)
    return project


def told(result: pytest.RunResult) -> list[int]:
    return [
        int(number) for number in re.findall(r"^  (\d+) model calls asked so far$", result.stdout.str(), re.MULTILINE)
    ]


@pytest.mark.parametrize("options", [(), ("-v",), ("-s",), ("-n", "2"), ("-n", "2", "-v")], ids=" ".join)
def test_recording_tells_how_far_it_is(many: Project, options: tuple[str, ...]) -> None:
    """After about fifty calls, between two tests, on a line of its own; workers are added up."""
    result = many.pytest("--llm-record", *options)
    result.assert_outcomes(passed=12)
    numbers = told(result)
    assert len(numbers) == 2
    assert 50 <= numbers[0] < 100 <= numbers[1]


def test_replaying_and_quiet_runs_tell_nothing(many: Project) -> None:
    """What is replayed needs no patience, and who asked for quiet gets it."""
    assert told(many.pytest("--llm-record", "-q")) == []
    assert told(many.pytest()) == []
    assert told(many.pytest("--llm-record")) == []


def test_output_of_failed_tests_is_theirs_alone(many: Project) -> None:
    """The line does not stand among what a test printed."""
    many.edit("test_many.py", "        assert shop", "        assert number != 4 or query < 9\n        assert shop")
    result = many.pytest("--llm-record")
    result.assert_outcomes(passed=11, failed=1)
    output = result.stdout.str()
    assert len(told(result)) == 2
    assert output.rindex("asked so far") < output.index("the test says 4")
