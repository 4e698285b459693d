"""The marker `llm_faults` and the fixture `llm_fault`."""

from __future__ import annotations

import re

import pytest

from tests.pytest_llm_strategy.conftest import Project

TEST = """
import pytest
from llm_strategy import ModelError, ReplyError
from shop import shop

def search(query):
    try:
        return shop.find(query)
    except (ModelError, ReplyError):
        return []

@pytest.mark.llm_faults()
def test_search(llm_fault):
    assert search("light") == ([] if llm_fault else ["answer 1"])
"""

KINDS = ("malformed", "wrong_type", "refusal", "cut_off", "rate_limit", "timeout")


def ids(result: pytest.RunResult) -> list[str]:
    """What `-v` says has passed."""
    return [found[1] for line in result.outlines if (found := re.match(r"[^:]+::(\S+) PASSED", line))]


def contents(project: Project) -> dict[str, str]:
    return {name: project.cassette(name) for name in project.cassettes}


def test_a_variant_for_each_kind_after_the_plain_run(project: Project) -> None:
    """The plain run keeps its id and its cassette; each fault is a test of its own, which asks nobody."""
    project.write(test_shop=TEST)
    recorded = project.pytest("--llm-record", "-v")
    assert ids(recorded) == ["test_search", *(f"test_search[{kind}-call1]" for kind in KINDS)]
    assert project.asked == 1
    assert project.cassettes == ["test_shop/test_search.yaml"]
    assert 'recorded_by: "test_shop.py::test_search"' in project.cassette("test_shop/test_search.yaml")
    replayed = project.pytest("-v")
    assert ids(replayed) == ids(recorded)
    replayed.stdout.no_fnmatch_line("*stale*")


def test_the_marker_needs_no_new_recording(project: Project) -> None:
    """A test that gets the marker replays the cassette that it had."""
    project.write(test_shop=TEST.replace("@pytest.mark.llm_faults()", "").replace("(llm_fault)", "(llm_fault=None)"))
    project.pytest("--llm-record").assert_outcomes(passed=1)
    before = contents(project)
    project.write(test_shop=TEST)
    project.pytest().assert_outcomes(passed=7)
    assert contents(project) == before


@pytest.mark.parametrize("mode", ["", "=all", "=dry", "=replay"])
def test_no_record_mode_writes_a_fault_down(project: Project, mode: str) -> None:
    """Variants never ask a model and never touch a cassette, whatever the mode."""
    project.write(test_shop=TEST)
    project.pytest("--llm-record")
    before, asked = contents(project), project.asked
    variants = project.pytest(f"--llm-record{mode}", "-k", "call1")
    variants.assert_outcomes(passed=6, deselected=1)
    assert (contents(project), project.asked) == (before, asked)


def test_without_a_recording(project: Project) -> None:
    """Plain pytest fails the variants as misses; while recording they are skipped until their plain run has recorded."""
    project.write(test_shop=TEST)
    result = project.pytest("-rs")
    result.assert_outcomes(failed=1, skipped=6)
    result.stdout.fnmatch_lines(["SKIPPED *: test_shop.py::test_search misses a recording; without it*"])
    project.pytest("-k", "call1").assert_outcomes(failed=1, skipped=5, deselected=1)
    result = project.pytest("-rs", "--llm-record", "-k", "call1")
    result.assert_outcomes(skipped=6, deselected=1)
    result.stdout.fnmatch_lines(["SKIPPED *: nothing is recorded yet; test_shop.py::test_search does that"])
    live = project.pytest("-rs", "--llm-record=live")
    live.assert_outcomes(passed=1, skipped=6)
    live.stdout.fnmatch_lines(["SKIPPED *: a fault * --llm-record=live uses none"])
    assert project.cassettes == []


def test_a_changed_prompt_is_a_miss_with_and_without_fault(project: Project) -> None:
    """A fault does not hide that the prompt has changed."""
    project.write(test_shop=TEST)
    project.pytest("--llm-record")
    project.edit("test_shop.py", '"light"', '"dark"')
    project.pytest("-k", "call1").assert_outcomes(failed=1, skipped=5, deselected=1)


SHORTER = """
import pytest
from llm_strategy import ReplyError
from shop import shop

@pytest.mark.llm_faults("refusal")
def test_shorter():
    try:
        shop.find("light")
    except ReplyError:
        shop.find("lamp")
"""


def test_a_call_that_only_a_fault_leads_to_says_so(project: Project) -> None:
    """The command that records what is missing would not record it."""
    project.write(test_shop=SHORTER)
    result = project.pytest("--llm-record")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "To ask * and keep the answer: pytest --llm-record test_shop.py::test_shorter",
            "If only the refusal in call 1 leads to this call, no run records it: let the test put a ScriptedModel into *",
        ]
    )


SEVERAL = """
import pytest
from shop import shop

@pytest.mark.llm_faults("malformed", "timeout")
def test_twice(llm_fault, llm_calls):
    answers = []
    for query in ("light", "seat"):
        try:
            answers.append(shop.find(query)[0])
        except Exception as error:
            assert type(error) is llm_fault.error
            answers.append(llm_fault.kind)
    expected = ["answer 1", "answer 2"]
    if llm_fault:
        expected[llm_fault.call - 1] = llm_fault.kind
    assert answers == expected
    # The engine asks three times for a reply that fits; a time-out leaves no call.
    assert len(llm_calls) == {None: 2, "malformed": 4, "timeout": 1}[llm_fault and llm_fault.kind]
"""


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["one process", "workers"])
def test_one_call_at_a_time(project: Project, options: tuple[str, ...]) -> None:
    """Each recorded call has its variants, in which the other calls are replayed."""
    project.write(test_shop=SEVERAL)
    project.pytest("--llm-record").assert_outcomes(passed=3)
    project.pytest(*options).assert_outcomes(passed=5)
    collected = project.pytest("--collect-only", "-q")
    named = [f"{kind}-call{call}" for call in (1, 2) for kind in ("malformed", "timeout")]
    assert [line for line in collected.outlines if "::" in line] == [
        "test_shop.py::test_twice",
        *(f"test_shop.py::test_twice[{name}]" for name in named),
    ]
    project.pytest("test_shop.py::test_twice[timeout-call2]").assert_outcomes(passed=1)


def test_failures_come_again_with_lf(project: Project) -> None:
    """`--lf` finds the variants that have failed, and no others."""
    project.write(test_shop=TEST.replace("assert search(", "assert shop.find("))
    options = ("-p", "no:randomly")
    project.pytester.runpytest_subprocess(*options, "--llm-record", "-k", "not call1")
    project.pytester.runpytest_subprocess(*options).assert_outcomes(passed=1, failed=6)
    project.pytester.runpytest_subprocess(*options, "--lf").assert_outcomes(failed=6)


def test_the_errors_are_those_of_real_models(project: Project) -> None:
    """A refusal, a cut-off reply and a failed call are told apart by the attributes of their errors."""
    project.write(
        test_shop="""
import pytest
from shop import shop

@pytest.mark.llm_faults
def test_errors(llm_fault):
    if llm_fault is None:
        assert shop.find("light")
        return
    with pytest.raises(llm_fault.error) as caught:
        shop.find("light")
    error = caught.value
    if llm_fault.kind == "rate_limit":
        assert error.__cause__.status_code == 429
        assert str(error).startswith("counter:model answered 429: Rate limit reached")
    elif llm_fault.kind == "timeout":
        assert isinstance(error.__cause__, TimeoutError)
        assert "did not answer in time" in str(error)
    else:
        reasons = {"refusal": "refusal", "cut_off": "length"}
        assert error.finish_reason == reasons.get(llm_fault.kind, "stop")
        assert error.expected == list[str]
    # Who asks again gets the recorded answer.
    assert shop.find("light") == ["answer 1"]
"""
    )
    project.pytest("--llm-record").assert_outcomes(passed=7)


def test_asynchronous_parametrised_and_in_classes(project: Project) -> None:
    """Variants stand behind each parameter's plain run, in classes and in coroutines of both plugins too."""
    project.write(
        test_shop="""
import asyncio
import pytest
from shop import shop

async def search(fault, *queries):
    found = await asyncio.gather(*map(shop.afind, queries), return_exceptions=True)
    failed = [type(each) for each in found if isinstance(each, Exception)]
    assert failed == ([fault.error] if fault else [])

@pytest.mark.llm_faults("refusal", "rate_limit")
class TestSearch:
    @pytest.mark.parametrize("queries", [["light"], ["light", "seat"]], ids=["one", "Two"])
    @pytest.mark.asyncio
    async def test_async(self, queries, llm_fault):
        await search(llm_fault, *queries)

    @pytest.fixture
    def anyio_backend(self):
        return "asyncio"

    @pytest.mark.anyio
    async def test_anyio(self, llm_fault, anyio_backend):
        await search(llm_fault, "light")
"""
    )
    project.pytest("--llm-record").assert_outcomes(passed=9)
    result = project.pytest("-v")
    result.assert_outcomes(passed=11)
    assert [name for name in ids(result) if "Two" in name] == [
        "TestSearch::test_async[Two]",
        "TestSearch::test_async[Two-refusal-call1]",
        "TestSearch::test_async[Two-rate_limit-call1]",
        "TestSearch::test_async[Two-refusal-call2]",
        "TestSearch::test_async[Two-rate_limit-call2]",
    ]


def test_chosen_calls_and_shared_cassettes(project: Project) -> None:
    """`calls` chooses; a variant for a call that another user of the cassette makes is skipped."""
    project.write(
        test_shop="""
import pytest
from shop import shop

@pytest.mark.llm_cassette("goods")
@pytest.mark.llm_faults("timeout")
@pytest.mark.parametrize("query", ["light", "seat"])
def test_shared(query, llm_fault):
    if llm_fault:
        with pytest.raises(llm_fault.error):
            shop.find(query)
    else:
        assert shop.find(query)

@pytest.mark.llm_faults("timeout", calls=[1, 3])
def test_chosen(llm_fault):
    failed = []
    for at, query in enumerate(["a", "b", "c"], start=1):
        try:
            shop.find(query)
        except Exception:
            failed.append(at)
    assert failed == ([llm_fault.call] if llm_fault else [])
"""
    )
    project.pytest("--llm-record").assert_outcomes(passed=7)
    result = project.pytest("-rs")
    result.assert_outcomes(passed=7, skipped=2)
    result.stdout.fnmatch_lines(["SKIPPED *: timeout was to strike call 2, and the test makes 1"])
    assert project.cassettes == ["goods.yaml", "test_shop/test_chosen.yaml"]


def test_a_fault_that_never_strikes_fails(project: Project) -> None:
    """A test whose calls are all made elsewhere has shown nothing, and hears why."""
    project.write(
        test_shop="""
import pytest
from llm_strategy import use_cassette
from shop import shop

@pytest.mark.llm_faults("timeout")
def test_block(llm_fault):
    with use_cassette("block.yaml"):
        assert shop.find("light")
"""
    )
    project.pytest("--llm-record").assert_outcomes(passed=1, skipped=1)
    result = project.pytest()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["timeout was to strike call 1, and the test makes none: calls of wider fixtures, *"])


def test_replies_of_other_forms(project: Project) -> None:
    """Where any text or any JSON will do, only the faults that are ones are tried; a scripted fallback is not struck."""
    project.write(
        test_chat="""
from typing import Any
import pytest
from llm_strategy import ChatChain, ModelError, ScriptedModel, llm_strategy
from shop import MODEL

@llm_strategy(ScriptedModel(['{"return_value": "nothing"}'] * 9))
def fallback() -> str:
    "Say nothing."
    raise NotImplementedError

@pytest.mark.llm_faults
def test_query(llm_fault):
    try:
        assert ChatChain(MODEL).query("hello")[0]
    except ModelError:
        assert fallback() == "nothing"
        assert llm_fault.kind in ("timeout", "rate_limit")

@llm_strategy(MODEL)
def anything() -> Any:
    "Anything."
    raise NotImplementedError

@pytest.mark.llm_faults
def test_anything(llm_fault):
    if llm_fault is None:
        assert anything()
        return
    with pytest.raises(llm_fault.error):
        anything()
"""
    )
    project.pytest("--llm-record", "-k", "not call1").assert_outcomes(passed=2)
    result = project.pytest("-v")
    result.assert_outcomes(passed=1 + 2 + 1 + 5)
    assert "test_anything[wrong_type-call1]" not in ids(result)


def test_a_failing_variant_says_what_was_put_in(project: Project) -> None:
    """The report of a variant names its fault, since the error looks like a model's."""
    project.write(test_shop=TEST.replace("assert search(", "assert shop.find("))
    project.pytest("--llm-record", "-k", "not call1")
    result = project.pytest("-k", "refusal")
    result.assert_outcomes(failed=1, deselected=6)
    result.stdout.fnmatch_lines(["*the model refused*", "*llm_faults*", "refusal in call 1: put in by the marker*"])


@pytest.mark.parametrize(
    ("marker", "problem"),
    [
        (
            "'malformd'",
            "unknown fault 'malformd'; the faults are malformed, wrong_type, refusal, cut_off, rate_limit, *",
        ),
        ("'timeout', call=1", "it takes kinds of faults and calls=, not call"),
        ("calls=0", "calls are numbered from 1, not 0"),
        ("calls='1'", "calls are numbered from 1, not '1'"),
        ("[]", "unknown fault [[][]]; *"),
    ],
)
def test_wrong_arguments_are_named(project: Project, marker: str, problem: str) -> None:
    """What the marker cannot mean is the error of its test, which has no variants then; other tests run."""
    project.write(
        test_shop=TEST.replace("llm_faults()", f"llm_faults({marker})") + "\ndef test_other():\n    assert search\n"
    )
    result = project.pytest("--llm-record")
    result.assert_outcomes(errors=1, passed=1)
    result.stdout.fnmatch_lines([f"*test_search: the marker llm_faults cannot be used: {problem}"])


@pytest.mark.parametrize(
    ("test", "problem"),
    [
        ("@pytest.mark.llm_cassette(http=True)\n@pytest.mark.llm_faults\ndef test_it():\n    pass", "*an HTTP call*"),
        ("@pytest.mark.llm_faults\n@given(st.none())\ndef test_it(n):\n    pass", "*under @given*"),
        (
            "class TestIt(unittest.TestCase):\n    @pytest.mark.llm_faults\n    def test_it(self):\n        pass",
            "*for test functions*",
        ),
    ],
    ids=["http", "given", "unittest"],
)
def test_where_it_cannot_stand(project: Project, test: str, problem: str) -> None:
    """Tests that cannot have faults say so instead of passing without."""
    project.write(test_it=f"import unittest\nimport pytest\nfrom hypothesis import given, strategies as st\n\n{test}\n")
    result = project.pytest()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"*the marker llm_faults cannot be used: {problem}"])


def test_it_is_listed(project: Project) -> None:
    """`pytest --markers` and `pytest --fixtures` say what there is."""
    project.pytest("--markers").stdout.fnmatch_lines(["@pytest.mark.llm_faults(*kinds, calls=None): *"])
    project.pytest("--fixtures").stdout.fnmatch_lines(["llm_fault*", "*The fault that the marker*"])
