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
