"""`--llm-prompt-snapshots`: the prompts of every test that makes calls, compared without the fixture."""

from __future__ import annotations

import pytest

from tests.pytest_llm_strategy.conftest import Project
from tests.pytest_llm_strategy.snapshot_project import files, lighten, read, write

OPTION = "--llm-prompt-snapshots"
INI = "llm_prompt_snapshots = true"
AGAIN = """
from _pytest.runner import runtestprotocol

def pytest_runtest_protocol(item, nextitem):
    for last in False, True:
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
        if last or not any(report.failed for report in reports):
            for report in reports:
                item.ihook.pytest_runtest_logreport(report=report)
            return True
"""
"""What plugins do that give failed tests another try."""
FAILS = "    assert not os.environ.get('FAIL')"


@pytest.fixture
def project(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    return lighten(project, monkeypatch, INI)


def accept(project: Project, *options: str, **outcomes: int) -> list[str]:
    """Accept all prompts, see them pass, and list the transcripts."""
    project.pytest("--snapshot-update", *options).assert_outcomes(**outcomes)
    project.pytest(*options).assert_outcomes(**outcomes)
    return files(project)


# Which tests


def test_every_test_that_makes_calls(project: Project) -> None:
    """Functions, methods, parameters and unittest classes have a transcript each; a test without calls has none."""
    write(
        project,
        "import unittest",
        "def test_find():",
        "    season(1)",
        "class TestC:",
        "    @pytest.mark.parametrize('month', [2, 3])",
        "    def test_month(self, month):",
        "        month == 3 and season(month)",
        "class TestUnit(unittest.TestCase):",
        "    def setUp(self):",
        "        season(4)",
        "    def test_unit(self):",
        "        season(5)",
        "def test_without():",
        "    assert season.request(1).messages",
    )
    assert accept(project, passed=5) == ["TestC.test_month[3].md", "TestUnit.test_unit.md", "test_find.md"]
    assert [read(project, "TestUnit.test_unit.md").count(f"month = {month}\n") for month in (4, 5)] == [1, 1]


def test_the_option_does_what_the_setting_does(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the command line it holds for one run; without either nothing is compared."""
    lighten(project, monkeypatch)
    write(project, "def test_find():", "    season(1)")
    project.pytest("--snapshot-update").assert_outcomes(passed=1)
    assert files(project) == []
    assert accept(project, OPTION, passed=1) == ["test_find.md"]
    project.edit("it.py", "season of", "seasons of")
    result = project.pytest(OPTION)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"To accept: pytest {OPTION} --snapshot-update test_it.py::test_find"])


def test_asynchronous_tests_and_subtests(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests of pytest-asyncio and anyio, and what subtests ask, are compared too."""
    lighten(
        project, monkeypatch, INI, "asyncio_default_fixture_loop_scope = function", plugins="-p no:hypothesispytest"
    )
    project.write(conftest="import pytest\n@pytest.fixture\ndef anyio_backend():\n    return 'asyncio'\n")
    write(
        project,
        "from llm_strategy import llm_strategy",
        "@llm_strategy(it.MODEL)",
        "async def soon(month: int) -> str:",
        "    '''Name the season of a month, soon.'''",
        "@pytest.mark.asyncio",
        "async def test_asyncio():",
        "    await soon(1)",
        "@pytest.mark.anyio",
        "async def test_anyio():",
        "    await soon(2)",
        "def test_subtests(subtests):",
        "    for month in (3, 4):",
        "        with subtests.test(month=month):",
        "            season(month)",
    )
    project.pytest("--snapshot-update").assert_outcomes(passed=3)
    assert files(project) == ["test_anyio.md", "test_asyncio.md", "test_subtests.md"]
    project.edit("test_it.py", "of a month, soon", "of that month, soon")
    project.edit("it.py", "of a month", "of that month")
    project.pytest().assert_outcomes(failed=3, passed=0)


def test_calls_of_fixtures(project: Project) -> None:
    """What function-scoped fixtures ask in their setup is in; wider fixtures, and what a teardown asks, are not."""
    write(
        project,
        "@pytest.fixture(scope='module')",
        "def wide():",
        "    season(1)",
        "@pytest.fixture",
        "def own():",
        "    season(2)",
        "    yield",
        "    season(3)",
        "def test_find(wide, own):",
        "    season(4)",
    )
    assert accept(project, passed=1) == ["test_find.md"]
    assert [read(project).count(f"month = {month}\n") for month in (1, 2, 3, 4)] == [0, 1, 0, 1]


def test_tests_that_use_the_fixture(project: Project) -> None:
    """They are compared once, as they say; one that has the fixture and compares nothing is compared like the others."""
    write(
        project,
        "def test_find(llm_calls, prompt_snapshot):",
        "    season(1), season(2)",
        "    assert llm_calls[1:] == prompt_snapshot(name='second')",
        "def test_other(prompt_snapshot):",
        "    season(3)",
    )
    assert accept(project, passed=2) == ["test_find[second].md", "test_other.md"]


def test_what_is_left_out(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random prompts of @given, and what is asked after a fault, have no transcript; nor has a test about misses only."""
    lighten(project, monkeypatch, INI, plugins="-p no:asyncio -p no:anyio")
    project.write(
        test_it="""
import pytest
from hypothesis import given, settings, strategies
from llm_strategy import CassetteMiss
from shop import shop

@settings(derandomize=True, max_examples=3, database=None, deadline=None)
@given(strategies.sampled_from(["a", "b"]))
def test_given(query):
    shop.find(query)

@pytest.mark.llm_faults("malformed")
def test_faults():
    try:
        shop.find("light")
    except Exception:
        pass

@pytest.mark.llm_faults("malformed")
def test_with_fixture(llm_calls, prompt_snapshot):
    try:
        shop.find("light")
    except Exception:
        pass
    assert llm_calls == prompt_snapshot

@pytest.mark.llm_cassette(expect_miss=True)
def test_missing():
    with pytest.raises(CassetteMiss):
        shop.find("seat")
"""
    )
    project.pytest("--llm-record", "--snapshot-update").assert_outcomes(passed=6)
    assert files(project) == ["test_faults.md", "test_with_fixture.md"]
    project.pytest("--snapshot-update").assert_outcomes(passed=6)
    project.pytest().assert_outcomes(passed=6)
    assert files(project) == ["test_faults.md", "test_with_fixture.md"]
    project.pytest("-k", "malformed").assert_outcomes(passed=2)


def test_a_test_that_is_expected_to_fail(project: Project) -> None:
    """Its transcript is neither asked for nor taken for unused."""
    write(project, "import os", "@pytest.mark.xfail", "def test_find():", "    season(1)", FAILS)
    project.pytest("--snapshot-update").assert_outcomes(xpassed=1)
    assert files(project) == ["test_find.md"]
    project.pytester.makeconftest("import os; os.environ['FAIL'] = 'yes'")
    project.pytest("--snapshot-update").assert_outcomes(xfailed=1)
    assert files(project) == ["test_find.md"]
    (project.path / "__snapshots__/test_it/test_find.md").unlink()
    result = project.pytest()
    result.assert_outcomes(xfailed=1)
    result.stdout.no_fnmatch_line("*snapshot*failed*")


def test_a_second_try(project: Project) -> None:
    """Where a plugin runs a failed test again, the last try is compared, without what the first has asked."""
    project.write(conftest=AGAIN)
    write(project, "import itertools", "TRIES = itertools.count()", "def test_find():", "    n = next(TRIES)")
    with (project.path / "test_it.py").open("a") as file:
        file.write("\n    season(n)\n    assert n\n")
    assert accept(project, passed=1) == ["test_find.md"]
    assert "month = 1" in read(project)
    assert "month = 0" not in read(project)


# Comparing


@pytest.mark.parametrize("options", [[], ["-n", "2"]], ids=["one process", "xdist"])
def test_a_changed_prompt_fails_the_test(project: Project, options: list[str]) -> None:
    """The failure names the file, what has changed and the command, and shows the lines; the command accepts them."""
    write(project, "def test_find():", "    season(1)", "def test_other():", "    season(2)")
    accept(project, *options, passed=2)
    project.edit("it.py", "of a month", "that a month is in")
    result = project.pytest(*options)
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        [
            "the prompts of this test are not those in __snapshots__/test_it/test_find.md",
            "changed: the docstring of season",
            "To accept: pytest --snapshot-update test_it.py::test_find",
            "... 15 equal lines · season, user",
            "- Name the season of a month.",
            "+ Name the season that a month is in.",
            "... 9 equal lines",
            "2 snapshots failed.",
        ]
    )
    result = project.pytest("--snapshot-update", "test_it.py::test_find", *options)
    result.stdout.fnmatch_lines(["1 snapshot updated."])
    project.pytest(*options).assert_outcomes(passed=1, failed=1)


def test_the_transcript_is_named_from_where_pytest_was_started(project: Project) -> None:
    """A test that goes to another folder does not change how its transcript is named."""
    write(project, "def test_find(monkeypatch, tmp_path):", "    monkeypatch.chdir(tmp_path)", "    season(1)")
    accept(project, passed=1)
    project.edit("it.py", "of a month", "that a month is in")
    result = project.pytest()
    result.stdout.fnmatch_lines(["the prompts of this test are not those in __snapshots__/test_it/test_find.md"])


def test_a_test_without_a_transcript_fails(project: Project) -> None:
    """What nobody has accepted is no pass; a test that no longer makes calls has an unused transcript."""
    write(project, "def test_find():", "    season(1)")
    result = project.pytest()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["Snapshot 'test_find' does not exist!", "To accept: pytest *", "+ Name the season of*"]
    )
    accept(project, passed=1)
    project.edit("test_it.py", "season(1)", "pass")
    result = project.pytest()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["1 snapshot unused."])
    project.pytest("--snapshot-update")
    assert files(project) == []


def test_a_failed_test_is_told_only_of_prompts_that_have_changed(project: Project) -> None:
    """Calls that it did not come to are not missed; a changed prompt may be why it fails, and the report says so."""
    write(project, "import os", "def test_find():", "    season(1)", FAILS, "    season(2)")
    accept(project, passed=1)
    before = read(project)
    project.pytester.makeconftest("import os; os.environ['FAIL'] = 'yes'")
    result = project.pytest("--snapshot-update")
    result.assert_outcomes(failed=1)
    result.stdout.no_fnmatch_line("*prompt snapshot*")
    result.stdout.no_fnmatch_line("*snapshot*failed*")
    project.edit("it.py", "of a month", "that a month is in")
    result = project.pytest("--snapshot-update")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*- prompt snapshot test_find -*", "changed: the docstring of season", "+ Name the season*"]
    )
    result.stdout.no_fnmatch_line("*removed*")
    assert read(project) == before


@pytest.mark.parametrize("how", ["raised", "swallowed", "in a unittest"])
def test_a_missed_test(project: Project, how: str) -> None:
    """It fails by its miss; only prompts before the miss are compared, and nothing is written or deleted."""
    lines = {
        "raised": ["def test_find():", "    [shop.find(query) for query in QUERIES]"],
        "swallowed": [
            "def test_find():",
            "    for query in QUERIES:",
            "        try:",
            "            shop.find(query)",
            "        except BaseException:",
            "            pass",
        ],
        "in a unittest": [
            "import unittest",
            "class TestUnit(unittest.TestCase):",
            "    def test_find(self):",
            "        [shop.find(query) for query in QUERIES]",
        ],
    }
    project.write(test_it="\n".join(["from shop import shop", "QUERIES = 'one', 'two', 'three'", *lines[how]]))
    project.pytest("--llm-record", "--snapshot-update").assert_outcomes(passed=1)
    [name] = files(project)
    text = read(project, name)
    project.edit("test_it.py", "'two'", "'2'")
    result = project.pytest("--snapshot-update")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["changed: the argument 'query' of Shop.find"])
    result.stdout.no_fnmatch_line("*prompt snapshot*")
    assert read(project, name) == text
    (project.path / "__snapshots__/test_it" / name).write_text(text.replace("fit a query", "suit a query", 1))
    result = project.pytest("--snapshot-update")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*- prompt snapshot *", "changed: the docstring of Shop.find", "- *suit*", "+ *fit*"])
    project.pytest("--llm-record", "--snapshot-update").assert_outcomes(passed=1)
    assert read(project, name) == text.replace('"two"', '"2"')


def test_after_recording_afresh_the_command_records_afresh(project: Project) -> None:
    """A failed run with --llm-record=all replaces no recording: what accepts the prompts has to ask again."""
    project.write(test_it="from shop import shop\ndef test_find():\n    shop.find('light')\n")
    project.pytest("--llm-record", "--snapshot-update").assert_outcomes(passed=1)
    project.edit("shop.py", "fit a query", "suit a query")
    result = project.pytest("--llm-record=all")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["To accept: pytest --llm-record=all --snapshot-update test_it.py::test_find"])


def test_a_run_that_stops_early_deletes_nothing(project: Project) -> None:
    """With `-x` the transcripts of tests that never ran stay, also where `--snapshot-update` is given."""
    write(project, "import os", "def test_first():", FAILS, "def test_find():", "    season(1)")
    accept(project, passed=2)
    project.pytester.makeconftest("import os; os.environ['FAIL'] = 'yes'")
    for options in ["-x"], ["-x", "-n", "2"]:
        project.pytest("--snapshot-update", *options)
        assert files(project) == ["test_find.md"]


# Without syrupy


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("-p", "block", "-p", "no:syrupy"), '*--llm-prompt-snapshots needs syrupy: pip install "llm-strategy?test?"'),
        (("-p", "no:syrupy"), "*--llm-prompt-snapshots needs the plugin of syrupy, which is switched off*"),
    ],
    ids=["absent", "off"],
)
def test_without_syrupy(project: Project, options: tuple[str, ...], said: str) -> None:
    """It is a usage error, before any test runs."""
    write(project, "def test_find():", "    season(1)")
    project.write(block="import sys\nsys.modules['syrupy'] = None\n")
    result = project.pytest(*options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([said])
