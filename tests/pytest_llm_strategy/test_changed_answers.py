"""What a run says of answers that were asked afresh, beside those that were recorded."""

from __future__ import annotations

import json

import pytest

from tests.pytest_llm_strategy.conftest import Project

SHOP = '''
import json
import sys

from llm_strategy import Response, ScriptedModel, llm_strategy


def answer(request):
    """What `answers.json` says for the query, as it is."""
    query = json.loads(request.messages[-1].content.rpartition("query = ")[2].split(chr(10))[0])
    with open("answers.json") as file:
        return json.load(file)[query]


@llm_strategy(ScriptedModel(answer, name="test:model", recorded=True))
def find(query: str) -> dict[str, float]:
    """The prices of the goods that fit a query."""
    raise NotImplementedError
'''

TEST = """
import pytest
from shop import find

@pytest.mark.parametrize("query", ["light", "seat", "clean", "warm", "wet"])
def test_find(query):
    assert find(query)
"""


def answers(project: Project, **texts: str) -> None:
    """What the model says now, by query."""
    (project.path / "answers.json").write_text(json.dumps(texts))


def recorded(project: Project, test: str = TEST) -> Project:
    project.write(shop=SHOP, test_shop=test)
    reply = '{"return_value": {"lamp": 1, "pot": 2}}'
    answers(project, light=reply, seat=reply, clean=reply, warm=reply, wet=reply)
    assert project.pytest("--llm-record").ret == 0
    return project


@pytest.fixture
def afresh(project: Project) -> Project:
    """A project whose model would answer each query otherwise now."""
    recorded(project)
    answers(
        project,
        light='{"return_value": {"lamp": 1, "pot": 2}}',
        seat='{"return_value":{"pot":2,"lamp":1}}',
        clean='{"return_value": {"lamp": 1.0, "pot": 2}}',
        warm='{"return_value": {"lamp": 1, "pan": 3}}',
        wet="I cannot say.",
    )
    return project


ALL = "answers asked afresh: 1 identical, 1 cosmetic, 1 same value, 1 value changed, 1 no longer parses"


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["one process", "workers"])
def test_all_are_counted_by_verdict(afresh: Project, options: tuple[str, ...]) -> None:
    """Of those that passed, and of one that failed, whose new recording stays beside the old one."""
    result = afresh.pytest("--llm-record=all", *options)
    result.assert_outcomes(passed=4, failed=1)
    result.stdout.fnmatch_lines([ALL, "  to look at them, and accept or reject each: llm-strategy review"])
    result.stdout.fnmatch_lines_random(
        [
            "  with the same prompt:",
            "    test_shop.py::test_find[[]warm], find",
            "      - return_value.pot: 2",
            "      + return_value.pan: 3",
            "    test_shop.py::test_find[[]wet], find, no longer parses",
        ]
    )
    assert result.stdout.str().count("answers asked afresh") == 1
    assert "test_shop/test_find[wet].new.yaml" in afresh.cassettes


def test_quiet_runs_count_only(afresh: Project) -> None:
    """`-q` leaves out what the answers were."""
    result = afresh.pytest("--llm-record=all", "-q")
    result.stdout.fnmatch_lines([ALL])
    result.stdout.no_fnmatch_line("*return_value.pan*")
    result.stdout.no_fnmatch_line("*accept or reject each*")


def test_nothing_is_said_of_what_was_not_asked_again(afresh: Project) -> None:
    """In replay, and where a first recording is made."""
    afresh.pytest().stdout.no_fnmatch_line("*asked afresh*")
    afresh.write(
        test_new="from shop import find\n\ndef test_new():\n    find('light')\n\ndef test_other():\n    find('warm')\n"
    )
    afresh.pytest("--llm-record", "test_new.py").stdout.no_fnmatch_line("*asked afresh*")


def test_a_changed_prompt_has_the_old_answer_beside_it(afresh: Project) -> None:
    """Plain `--llm-record` asks what changed; the recording of the same call is the one that is stale now."""
    afresh.edit("shop.py", "The prices of the goods", "The prices, in euro, of the goods")
    result = afresh.pytest("--llm-record")
    result.stdout.fnmatch_lines([ALL])
    result.stdout.fnmatch_lines_random(["      + return_value.pan: 3"])


def test_a_test_that_fails_because_of_the_new_answer_shows_it(afresh: Project) -> None:
    """What was asked first is compared, though the test did not come to its end."""
    afresh.edit("test_shop.py", "assert find(query)", "assert 'pot' in find(query)")
    afresh.edit("shop.py", "The prices of the goods", "The prices, in euro, of the goods")
    result = afresh.pytest("--llm-record", "-k", "warm")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "answers asked afresh: 1 value changed",
            "  because of the docstring of find:",
            "    test_shop.py::test_find[[]warm]",
        ]
    )


def test_what_is_asked_by_blocks_children_and_wide_fixtures(project: Project) -> None:
    """Each call once, whoever asks: a block that two tests open, a process that a test starts, a fixture of the session."""
    test = """
import subprocess
import sys

import pytest
from llm_strategy import use_cassette
from shop import find

@pytest.fixture(scope="session")
def seats():
    return find("seat")

def test_a(seats):
    with use_cassette("cassettes/ours.yaml"):
        assert find("light")

def test_b(seats):
    with use_cassette("cassettes/ours.yaml"):
        assert find("light")
        assert find("clean")

def test_child():
    subprocess.run([sys.executable, "-c", "from shop import find; find('warm')"], check=True)

@pytest.mark.llm_cassette("ours too")
def test_shared():
    assert find("wet")
"""
    recorded(project, test)
    for mode, old, new in (("all", 1, 5), ("new", 5, 6)):
        reply = f'{{"return_value": {{"lamp": {new}, "pot": 2}}}}'
        answers(project, light=reply, seat=reply, clean=reply, warm=reply, wet=reply)
        result = project.pytest(f"--llm-record={mode}", "-v")
        result.stdout.fnmatch_lines(["answers asked afresh: 5 value changed"])
        assert result.stdout.str().count(f"return_value.lamp: {old} -> {new}") == 5
        if mode == "all":
            # Makes each of them stale.
            project.edit("shop.py", "The prices", "All prices")


def test_another_call_in_a_shared_cassette_replaces_none(project: Project) -> None:
    """What one test asks in addition is compared with nothing: the recordings that it did not ask for are others'."""
    test = """
import pytest
from shop import find

@pytest.mark.llm_cassette("ours")
def test_a():
    find("light")

@pytest.mark.llm_cassette("ours")
def test_b():
    find("seat")
"""
    recorded(project, test)
    answers(project, wet='{"return_value": {"soap": 1}}')
    project.edit("test_shop.py", 'find("seat")', 'find("seat")\n    find("wet")')
    result = project.pytest("--llm-record")
    result.stdout.fnmatch_lines(["model calls: asked 1*"])
    result.stdout.no_fnmatch_line("*asked afresh*")


def test_many_answers_and_long_ones_are_cut(project: Project) -> None:
    """The first five answers and the first lines of each; `-v` shows all."""
    names = [f"q{number}" for number in range(7)]
    test = TEST.replace('["light", "seat", "clean", "warm", "wet"]', str(names))
    project.write(shop=SHOP, test_shop=test)
    for price in (1, 2):
        reply = json.dumps({"return_value": {f"item{at}": price for at in range(10)}})
        answers(project, **dict.fromkeys(names, reply))
        result = project.pytest("--llm-record=all")
    result.stdout.fnmatch_lines(["      and 4 more lines (-v shows all)", "  and 2 more answers (-v shows all)"])
    assert result.stdout.str().count("1 -> 2") == 30
    answers(project, **dict.fromkeys(names, reply.replace(": 2", ": 3")))
    result = project.pytest("--llm-record=all", "-v")
    assert result.stdout.str().count("2 -> 3") == 70


def test_an_answer_cannot_steer_the_terminal(project: Project) -> None:
    """Escape sequences are shown as text."""
    test = "from shop import find\n\ndef test_one():\n    find('light')\n"
    recorded(project, test)
    answers(project, light='{"return_value": {"\\u001b[31mred": 1}}')
    result = project.pytest("--llm-record=all")
    result.stdout.fnmatch_lines(["answers asked afresh: 1 value changed"])
    assert "\x1b[31mred" not in result.stdout.str()
