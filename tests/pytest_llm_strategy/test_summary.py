"""What the last lines of a run say of replies that had to be repaired."""

from __future__ import annotations

import pytest

from tests.pytest_llm_strategy.conftest import Project

TEST = """
import subprocess
import sys

import pytest
from shop import shop

@pytest.mark.parametrize("query", ["light", "seat", "clean"])
def test_find(query):
    assert shop.find(query)

def test_in_a_child_process():
    subprocess.run([sys.executable, "-c", "from shop import shop; shop.find('child')"], check=True)
"""


@pytest.fixture
def repaired(project: Project) -> Project:
    """A project whose model puts its replies among other words, but for one."""
    project.edit(
        "shop.py", """'{"return_value": ["answer %d"]}'""", """wrapped(request) + '{"return_value": ["%d"]}'"""
    )
    project.edit(
        "shop.py",
        "def answer",
        'def wrapped(request):\n    return "" if "clean" in request.messages[-1].content else "Here: "\n\n\ndef answer',
    )
    project.write(test_shop=TEST)
    return project


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["one process", "workers"])
def test_repaired_replies_are_counted_by_repair(repaired: Project, options: tuple[str, ...]) -> None:
    """Recorded or replayed, by workers or child processes: each repaired reply counts once, and its repairs are named."""
    for mode in (("--llm-record",), ()):
        result = repaired.pytest(*mode, *options)
        result.assert_outcomes(passed=4)
        result.stdout.fnmatch_lines(["model calls: *", "  3 replies repaired: text around the JSON object (3)"])


def test_one_reply(repaired: Project) -> None:
    """One is no plural, and a run without repairs says nothing of them."""
    result = repaired.pytest("--llm-record", "-k", "light")
    result.stdout.fnmatch_lines(["  1 reply repaired: text around the JSON object (1)"])
    repaired.pytest("--llm-record", "-k", "clean").stdout.no_fnmatch_line("*repaired*")


def test_quiet_runs_leave_it_out(repaired: Project) -> None:
    """`-q` keeps the account of calls and leaves out the repairs."""
    result = repaired.pytest("--llm-record", "-q")
    result.stdout.fnmatch_lines(["model calls: asked 4*"])
    result.stdout.no_fnmatch_line("*repaired*")


MISSING = """
import pytest
from shop import shop

@pytest.mark.parametrize("number", range(12))
def test_find(number):
    shop.find(f"goods {number}")
    shop.find("another")
"""


def summary(result: pytest.RunResult) -> list[str]:
    """The lines of the summary."""
    lines = result.stdout.lines
    first = next((at for at, line in enumerate(lines) if line.startswith("model calls: ")), len(lines))
    return [line for line in lines[first:] if not line.startswith(("=", "FAILED")) and " in " not in line[-12:]]


def test_replaying_quietly_says_nothing(project: Project) -> None:
    """With -q a run in which all is well has no summary; what needs attention stays."""
    project.write(test_shop=MISSING)
    assert summary(project.pytest("--llm-record", "-q"))[0].startswith("model calls: asked 13")
    assert summary(project.pytest("-q")) == []
    project.edit("shop.py", "Find the goods that fit a query.", "Find what fits a query.")
    quiet = summary(project.pytest("-q"))
    assert quiet[0] == "model calls: 12 missed"
    assert quiet[1].startswith("  missed in 12 tests: ")


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["one process", "workers"])
def test_one_cause_has_one_command(project: Project, options: tuple[str, ...]) -> None:
    """The summary ends with the command that records what was missed, and that command does."""
    project.write(test_shop=MISSING)
    project.pytest("--llm-record", *options)
    project.edit("shop.py", "Find the goods that fit a query.", "Find what fits a query.")
    lines = summary(project.pytest(*options))
    assert len([line for line in lines if line.startswith("  missed in ")]) == 1
    assert lines[-1] == "  to ask for what was missed: pytest --llm-record test_shop.py::test_find"
    project.pytest(*lines[-1].partition(": pytest ")[2].split(), *options).assert_outcomes(passed=12)


def test_verbose_runs_cut_nothing(project: Project) -> None:
    """Beyond ten causes the rest is counted; with -v all are listed, each with its tests."""
    project.write(test_shop=MISSING.replace('shop.find("another")', "pass"))
    project.pytest("--llm-record")
    project.edit("test_shop.py", "goods {number}", "goods {'x' * (number + 1)}")
    plain = summary(project.pytest())
    causes = [line for line in plain if line.startswith("  missed in ")]
    if len(causes) == 10:
        assert "more causes (-v shows them)" in plain[11]
    full = summary(project.pytest("-v"))
    assert {line.strip() for line in full if line.startswith("    test_shop.py::")} == {
        f"test_shop.py::test_find[{number}]" for number in range(12)
    }
