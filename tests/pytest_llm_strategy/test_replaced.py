"""What recording again replaces waits for a review, whoever records: one command decides about all of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.llm_strategy.loopback import Loopback
from tests.pytest_llm_strategy.conftest import Project

COMMAND = Path(sys.executable).with_name("llm-strategy")
NINE_TESTS = "from shop import shop\n" + "".join(
    f"""
def test_{number}():
    assert shop.find("a lamp {number}")
    {f'assert shop.find("a chair {number}")' if number < 8 else ""}
"""
    for number in range(9)
)
ONE_TEST = """
from shop import shop

def test_find():
    assert shop.find("light")
"""
CASSETTE = "test_shop/test_find.yaml"


def review(project: Project, *arguments: str, code: int = 0) -> str:
    done = subprocess.run(
        [COMMAND, "review", *arguments], cwd=project.path, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, (done.stdout, done.stderr)
    return done.stdout


def pending(project: Project) -> dict[str, Any]:
    done = subprocess.run([COMMAND, "review", "--json"], cwd=project.path, capture_output=True, check=False)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def contents(project: Project) -> dict[str, str]:
    return {name: project.cassette(name) for name in project.cassettes}


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["one process", "workers"])
def test_one_line_changes_and_one_decision_settles_it(
    workers: tuple[str, ...], http_project: Project, provider: Loopback
) -> None:
    """A line of a prompt that 17 calls in 9 tests share is one cause; then nothing is left to decide, and all replays."""
    project = http_project
    project.write(test_shop=NINE_TESTS)
    project.pytest("--llm-record").assert_outcomes(passed=9)
    before = contents(project)
    project.edit("shop.py", "Find the goods that fit a query.", "Find all goods that fit a query well.")
    project.pytest(*workers, "--llm-record").assert_outcomes(passed=9)
    assert len(provider.requests) == 34

    listed = review(project, "--list", code=1).splitlines()
    assert listed[0] == "1  the docstring of Shop.find: 17 calls in 9 tests"
    assert len(listed) == 18
    assert review(project, "--accept", "1") == "accepted: 17 calls in 9 tests\nnothing is pending\n"
    project.pytest().assert_outcomes(passed=9)
    assert review(project, "--list") == "nothing is pending\n"

    review(project, "--undo")
    review(project, "--reject", "1")
    assert contents(project) == before
    project.pytest().assert_outcomes(failed=9)
    project.edit("shop.py", "Find all goods that fit a query well.", "Find the goods that fit a query.")
    project.pytest().assert_outcomes(passed=9)
    subprocess.run([COMMAND, "verify"], cwd=project.path, check=True, capture_output=True)
    assert len(provider.requests) == 34


def test_all_keeps_what_it_replaces(project: Project) -> None:
    """`--llm-record=all`, twice: the answer that was accepted last is the old one."""
    project.write(test_shop=ONE_TEST)
    for options in ("--llm-record", "--llm-record=all", "--llm-record=all"):
        project.pytest(options).assert_outcomes(passed=1)
    assert "answer 3" in project.cassette(CASSETTE)
    (item,) = pending(project)["pending"]
    assert item["answer"]["fields"] == [{"path": "return_value[0]", "old": "answer 1", "new": "answer 3"}]
    assert item["test"] == "test_shop.py::test_find"
    review(project, "--reject", "all")
    assert "answer 1" in project.cassette(CASSETTE)
    project.pytest().assert_outcomes(passed=1)


def test_a_failed_recording_is_reviewed(project: Project) -> None:
    """Its new answers are adopted, or go, and the summary says how."""
    project.write(test_shop=ONE_TEST)
    project.pytest("--llm-record")
    project.write(test_shop=ONE_TEST.replace("assert", "assert not"))
    left = "cassettes/test_shop/test_find.new.yaml"
    project.pytest("--llm-record=all").stdout.fnmatch_lines([f"*{left}: kept*: llm-strategy review {left}"])
    (item,) = pending(project)["pending"]
    assert (item["source"], item["test"]) == ("left over", "test_shop.py::test_find")
    review(project, left, "--accept", "1")
    assert "answer 2" in project.cassette(CASSETTE)
    assert project.cassettes == [CASSETTE]
    project.write(test_shop=ONE_TEST)
    project.pytest().assert_outcomes(passed=1)


def test_a_shared_cassette(project: Project) -> None:
    """Tests that share a cassette replace their own calls in it, one after the other; each of them is pending."""
    shared = """
import pytest
from shop import shop

@pytest.mark.llm_cassette("shared")
@pytest.mark.parametrize("query", ["a", "b"])
def test_find(query):
    assert shop.find(query)
"""
    project.write(test_shop=shared)
    project.pytest("--llm-record")
    before = project.cassette("shared.yaml")
    project.pytest("--llm-record=all", "-n", "2").assert_outcomes(passed=2)
    found = pending(project)
    assert [cause["cause"] for cause in found["causes"]] == ["asked again, same prompt"]
    assert [item["test"] for item in found["pending"]] == ["cassettes/shared.yaml"] * 2
    review(project, "--reject", "all")
    assert project.cassette("shared.yaml") == before


def test_a_block_outside_pytest(project: Project) -> None:
    """`use_cassette(..., "all")` in a program keeps what it replaces as well."""
    program = "import sys, shop, llm_strategy\nwith llm_strategy.use_cassette('cassettes/x.yaml', sys.argv[1]):\n"
    project.write(program=f"{program}    shop.shop.find('a lamp')\n")
    for mode in ("new", "all"):
        subprocess.run([sys.executable, "program.py", mode], cwd=project.path, check=True)
    review(project, "--reject", "all")
    assert "answer 1" in project.cassette("x.yaml")


def test_a_test_that_makes_a_further_call(project: Project) -> None:
    """A new call replaces nothing: there is nothing to review, and nothing is left beside the cassette."""
    project.write(test_shop=ONE_TEST)
    project.pytest("--llm-record")
    project.write(test_shop=ONE_TEST.replace('shop.find("light")', 'shop.find("light") and shop.find("seat")'))
    project.pytest("--llm-record").assert_outcomes(passed=1)
    assert pending(project)["pending"] == []
    assert not (project.path / "cassettes/test_shop/.replaced").exists()


@pytest.mark.parametrize("mode", ["--llm-record", "--llm-record=all"])
def test_where_nothing_can_be_kept_nothing_is_replaced(mode: str, project: Project) -> None:
    """The test passes all the same, the old recording stays, and a note says so."""
    project.write(test_shop=ONE_TEST)
    project.pytest("--llm-record")
    (project.path / "cassettes/test_shop/.replaced").write_text("in the way")
    project.edit("shop.py", "Find the goods that fit a query.", "Find all goods.")
    result = project.pytest(mode)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            "*cassettes/test_shop/test_find.yaml: *stay*there*"
            if mode == "--llm-record"
            else "*cassettes/test_shop/test_find.yaml: stays as it is, because it cannot be kept for a review*"
        ]
    )
    assert "answer 1" in project.cassette(CASSETTE)


def test_commands_pass_over_it_and_count(project: Project) -> None:
    """`ls` says what waits for a review; `verify` and `prune` see cassettes only."""
    project.write(test_shop=ONE_TEST)
    project.pytest("--llm-record")
    project.pytest("--llm-record=all")
    printed = subprocess.check_output([COMMAND, "ls"], cwd=project.path, text=True)
    assert f"; 1 to review: llm-strategy review cassettes/{CASSETTE}" in printed
    assert "1 file" in printed
    verified = subprocess.check_output([COMMAND, "verify"], cwd=project.path, text=True)
    assert verified == f"cassettes/{CASSETTE}: good\n"
    copied = project.pytest("-p", "cacheprovider", "--llm-record", "--co", "-q")
    copied.stdout.no_fnmatch_line("*.replaced*")


def test_pruning_removes_what_nobody_has_to_decide_about(project: Project) -> None:
    """`--leftovers` deletes what was replaced by what is committed by now, and what belongs to no cassette any more."""
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "core.hooksPath=/dev/null"]
    git = ["git", *identity]
    subprocess.run([*git, "init", "-q"], cwd=project.path, check=True)
    project.write(test_shop=ONE_TEST)
    project.pytest("--llm-record")
    project.pytest("--llm-record=all")
    kept = project.path / "cassettes/test_shop/.replaced/test_find.yaml"
    prune = [COMMAND, "prune", "cassettes", "--leftovers"]
    subprocess.run(prune, cwd=project.path, check=False, capture_output=True)
    assert kept.exists()
    subprocess.run([*git, "add", "."], cwd=project.path, check=True)
    subprocess.run([*git, "commit", "-qm", "new answers"], cwd=project.path, check=True)
    assert ".replaced" not in subprocess.check_output([*git, "ls-files"], cwd=project.path, text=True)
    assert "1 call not listed" in review(project, "--list")
    done = subprocess.run(prune, cwd=project.path, check=False, capture_output=True, text=True)
    assert "what has replaced it is committed, so that there is nothing to review" in done.stdout
    assert not kept.exists()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs permissions that hold for this user")
def test_a_folder_that_cannot_be_written(project: Project) -> None:
    """Plain pytest needs nothing of it."""
    project.write(test_shop=ONE_TEST)
    project.pytest("--llm-record")
    (project.path / "cassettes/test_shop").chmod(0o555)
    project.pytest().assert_outcomes(passed=1)
