"""What a run removes at its end, what it leaves, and what it keeps on record for `llm-strategy prune`."""

from __future__ import annotations

import json
import signal
from typing import Any

import pytest

from tests.pytest_llm_strategy.conftest import Project

PLAIN = ("-p", "no:langsmith_plugin", "-p", "no:randomly")
RECORD = ".pytest_cache/v/llm-strategy/run"
TWO_CALLS = """
import pytest
from llm_strategy import use_cassette
from shop import shop

def test_find():
    assert shop.find("light")
    assert shop.find("seat")
"""
ONE_CALL = TWO_CALLS.replace('    assert shop.find("seat")\n', "")
OWN = "test_shop/test_find.yaml"
KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # any signal kills a process of Windows

WORKERS = pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["one process", "workers"])


def run(project: Project, *options: str) -> pytest.RunResult:
    """Pytest with its cache."""
    return project.pytester.runpytest_subprocess(*PLAIN, *options)


def record(project: Project) -> Any:
    """What the last complete run has left; None where there was none."""
    path = project.path / RECORD
    return json.loads(path.read_text("utf-8")) if path.exists() else None


def stale(project: Project) -> dict[str, int]:
    said = record(project)
    return {name: len(found["entries"]) for name, found in said["stale"].items()} if said else {}


def held(project: Project) -> list[str]:
    return [reason for found in record(project)["stale"].values() for reason in found["held"]]


def ownerless(project: Project) -> list[str]:
    return list(record(project)["ownerless"])


# A test's own cassette


@WORKERS
def test_workers_leave_pruning_to_their_controller(project: Project, workers: tuple[str, ...]) -> None:
    """The summary counts what was removed once, however many processes there were; plain runs count and remove nothing."""
    project.write(test_shop=TWO_CALLS, test_other=TWO_CALLS.replace("light", "lamp").replace("seat", "chair"))
    project.pytest("--llm-record", *workers).stdout.fnmatch_lines(["model calls: asked 4, reused 0, copied 0"])
    before = project.cassette(OWN)
    project.write(test_shop=ONE_CALL)

    project.pytest(*workers).stdout.fnmatch_lines(["model calls: 3 replayed, 1 stale"])
    project.pytest("--llm-record=dry", *workers).stdout.fnmatch_lines(["model calls: 3 replayed, 1 stale"])
    assert project.cassette(OWN) == before
    project.pytest("--llm-record", *workers).stdout.fnmatch_lines(
        ["model calls: asked 0, reused 3, copied 0, removed 1 stale"]
    )
    assert "seat" not in project.cassette(OWN)
    assert "chair" in project.cassette("test_other/test_find.yaml")


@WORKERS
def test_a_test_that_stopped_making_calls(project: Project, workers: tuple[str, ...]) -> None:
    """Its cassette is stale altogether: counted, then removed, also where the run made no call at all."""
    project.write(test_shop=TWO_CALLS)
    project.pytest("--llm-record")
    project.write(test_shop="def test_find():\n    pass\n")
    project.pytest(*workers).stdout.fnmatch_lines(["model calls: 2 stale"])
    project.pytest("--llm-record", *workers).stdout.fnmatch_lines(["model calls: *removed 2 stale"])
    assert project.cassettes == []


def test_collecting_judges_nothing(project: Project) -> None:
    """`--co` runs no test: nothing is counted, removed or taken back."""
    project.write(test_shop=TWO_CALLS)
    run(project, "--llm-record")
    project.write(test_shop=ONE_CALL)
    run(project)
    before = record(project)
    for options in (("--co", "-q"), ("--co", "-q", "--llm-record"), ("--co", "-q", "-n", "2")):
        run(project, *options).stdout.no_fnmatch_line("*stale*")
        assert record(project) == before
    assert "seat" in project.cassette(OWN)


PARAMETRISED = """
import pytest
from shop import shop

@pytest.mark.parametrize("query", {queries}, ids=["a", "b", "c"])
def test_find(query):
    {body}
"""


@pytest.mark.parametrize(
    ("body", "options"),
    [
        ("assert shop.find(query)", ("-k", "not b")),
        ("assert shop.find(query)", ("test_shop.py::test_find[a]",)),
        ("assert shop.find(query)", ("--deselect", "test_shop.py::test_find[b]")),
        ("assert query != 'first' and shop.find(query)", ()),
        ("query == 'first' and pytest.skip(); assert shop.find(query)", ()),
        ("query == 'first' and pytest.xfail(); assert shop.find(query)", ()),
    ],
    ids=["keyword", "id", "deselected", "failed", "skipped", "xfailed"],
)
def test_parametrised_tests_are_pruned_together_or_not_at_all(
    project: Project, body: str, options: tuple[str, ...]
) -> None:
    """Each may want what is its neighbour's: while one of them has not passed, none loses what it has."""
    project.write(test_shop=PARAMETRISED.format(queries=["first", "second", "third"], body="assert shop.find(query)"))
    project.pytest("--llm-record")
    project.write(test_shop=PARAMETRISED.format(queries=["new", "first", "second"], body=body))
    project.pytest("--llm-record", *options).stdout.fnmatch_lines(["model calls: *kept * stale*"])

    project.write(test_shop=PARAMETRISED.format(queries=["new", "first", "second"], body="assert shop.find(query)"))
    project.pytest("--llm-record").stdout.fnmatch_lines(["model calls: asked 0, *removed 3 stale"])
    assert project.asked == 4


def test_a_run_of_one_test_prunes_its_cassette(project: Project) -> None:
    """As the command at the end of a miss says: the old answer goes when the new one is there."""
    project.write(test_shop=PARAMETRISED.format(queries=["first", "second", "third"], body="assert shop.find(query)"))
    project.pytest("--llm-record")
    project.write(test_shop=PARAMETRISED.format(queries=["x", "y", "z"], body="assert shop.find(query)"))
    project.pytest("--llm-record", "test_shop.py::test_find").stdout.fnmatch_lines(["*removed 3 stale*"])
    project.write(test_other=TWO_CALLS)
    project.pytest("--llm-record")
    project.write(test_other=ONE_CALL)
    project.pytest("--llm-record", "-k", "other").stdout.fnmatch_lines(["*removed 1 stale*"])


@pytest.mark.parametrize(
    ("last", "options"),
    [
        ("assert False", ("-x",)),
        ("pytest.exit('enough', returncode=0)", ()),
        ("raise KeyboardInterrupt", ()),
        ("import os; os._exit(3)", ("-n", "2")),
        (
            f"import os; os.kill(os.getpid(), {int(getattr(signal, 'SIGKILL', signal.SIGTERM))})",
            ("-n", "1", "--max-worker-restart=0"),
        ),
    ],
    ids=["-x", "pytest.exit", "Ctrl-C", "crash", "killed"],
)
def test_a_run_that_was_cut_short_prunes_nothing(project: Project, last: str, options: tuple[str, ...]) -> None:
    """What did not run may want to copy; what a crashed worker did is not known. Nor is there a judgement."""
    project.write(test_shop=TWO_CALLS)
    run(project, "--llm-record")
    before = record(project)
    project.write(
        test_shop=ONE_CALL,
        test_then=f"import pytest\n\ndef test_last():\n    {last}\n\ndef test_more():\n    pass\n",
    )
    run(project, "--llm-record", *options)
    assert "seat" in project.cassette(OWN)
    assert record(project) == before


def test_two_instances_of_a_fixture_share_its_cassette(project: Project) -> None:
    """A module-wide fixture of a conftest is set up for each module: what one instance asks is not stale to the other."""
    project.write(
        conftest="""
import pytest
from shop import shop

@pytest.fixture(scope="module")
def found(request):
    return shop.find(request.module.__name__)
""",
        test_a="def test_it(found):\n    assert found\n",
        test_b="def test_it(found):\n    assert found\n",
    )
    project.pytest("--llm-record")
    project.pytest("--llm-record").stdout.fnmatch_lines(["model calls: asked 0, reused 2, copied 0"])
    project.pytest().stdout.fnmatch_lines(["model calls: 2 replayed"])


def test_what_a_block_in_the_tests_own_cassette_asks_is_not_stale(project: Project) -> None:
    """Whoever opens a test's cassette by its path uses it as well."""
    project.write(test_shop=TWO_CALLS)
    run(project, "--llm-record")
    block = f'\ndef test_block():\n    with use_cassette("cassettes/{OWN}"):\n        assert shop.find("seat")\n'
    project.write(test_shop=ONE_CALL + block)
    run(project, "--llm-record").assert_outcomes(passed=2)
    assert "seat" in project.cassette(OWN)
    assert stale(project) == {}


# Shared cassettes

SHARED = """
import pytest
from llm_strategy import use_cassette
from shop import shop

@pytest.mark.llm_cassette("shared")
def test_marked():
    assert {marked}

def test_block():
    with use_cassette("cassettes/block.yaml"):
        assert {block}

def test_other():
    {other}
"""
BOTH = 'shop.find("light") and shop.find("seat")'
ONE = 'shop.find("light")'


def write(project: Project, *, marked: str = ONE, block: str = ONE, other: str = "pass", text: str = SHARED) -> None:
    project.write(test_shop=text.format(marked=marked, block=block, other=other))


@pytest.fixture
def shared(project: Project) -> Project:
    """Two cassettes of two calls each, of which one is asked for."""
    write(project, marked=BOTH, block=BOTH)
    run(project, "--llm-record").assert_outcomes(passed=3)
    assert stale(project) == {}
    write(project)
    return project


@WORKERS
@pytest.mark.parametrize("mode", [(), ("--llm-record",)], ids=["replay", "new"])
def test_a_complete_run_judges_shared_cassettes(
    shared: Project, mode: tuple[str, ...], workers: tuple[str, ...]
) -> None:
    """It removes nothing there, and keeps on record which recordings no test asked for."""
    before = [shared.cassette("shared.yaml"), shared.cassette("block.yaml")]
    run(shared, *mode, *workers).assert_outcomes(passed=3)
    assert stale(shared) == {"cassettes/block.yaml": 1, "cassettes/shared.yaml": 1}
    assert held(shared) == []
    assert record(shared)["tests"] == 3
    assert [shared.cassette("shared.yaml"), shared.cassette("block.yaml")] == before


NARROWED = [
    ("-k", "marked"),
    ("-m", "llm_cassette"),
    ("--deselect", "test_shop.py::test_other"),
    ("--ignore", "elsewhere"),
    ("-o", "python_functions=test_marked"),
    ("test_shop.py",),
    ("test_shop.py::test_marked",),
    ("--lf",),
    ("--sw",),
    ("--llm-record=live",),
    ("--llm-record=dry",),
    ("-p", "no:cacheprovider"),
    ("-n", "2", "-k", "marked"),
]


def test_any_other_run_judges_nothing(shared: Project) -> None:
    """It had not all tests of the project, or did not use their cassettes; an option that leaves none out is no obstacle."""
    shared.write(test_more="def test_more():\n    pass\n")
    before = record(shared)
    for options in NARROWED:
        run(shared, *options)
        assert record(shared) == before, options
    run(shared, "-k", "test")
    assert stale(shared) == {"cassettes/block.yaml": 1, "cassettes/shared.yaml": 1}


PATHS = [
    (None, (), True),
    (None, (".",), True),
    (None, ("tests",), False),
    ("tests", (), True),
    ("tests", (".",), True),
    ("tests", ("tests/sub",), False),
    ("tests more", ("tests",), False),
    ("tests more", ("tests", "more"), True),
    ("t*s", ("tests",), True),
]


def test_paths_make_a_run_complete_or_not(shared: Project) -> None:
    """It has to hold all of testpaths, or the whole of rootdir where there are none."""
    for name in ("tests/sub", "more"):
        (shared.path / name).mkdir(parents=True)
        (shared.path / name / f"test_{name[-3:]}.py").write_text("def test_it():\n    pass\n")
    configuration = (shared.path / "tox.ini").read_text() + "\n"
    for testpaths, options, complete in PATHS:
        (shared.path / RECORD).unlink(missing_ok=True)
        (shared.path / "tox.ini").write_text(configuration + (f"testpaths = {testpaths}\n" if testpaths else ""))
        run(shared, *options)
        assert (record(shared) is not None) == complete, (testpaths, options)


@pytest.mark.parametrize(
    ("other", "outcome"),
    [("pytest.skip('not here')", "skipped"), ("pytest.xfail('some day')", "xfailed")],
)
@WORKERS
def test_a_test_that_did_not_pass_holds_back_what_it_may_use(
    shared: Project, other: str, outcome: str, workers: tuple[str, ...]
) -> None:
    """Of a block that was not entered nobody knows which file it would have opened; markers are known."""
    write(shared, other=other)
    run(shared, *workers).assert_outcomes(passed=2, **{outcome: 1})
    assert record(shared)["stale"]["cassettes/block.yaml"]["held"] == ["test_shop.py::test_other did not pass"]
    assert record(shared)["stale"]["cassettes/shared.yaml"]["held"] == []
    assert "kept" not in run(shared, *workers).stdout.str()


def test_a_user_that_did_not_pass_holds_back_its_cassette(shared: Project) -> None:
    """The one that a marker names."""
    write(
        shared,
        other=f"pass\n\n@pytest.mark.skip\n@pytest.mark.llm_cassette('shared')\ndef test_skipped():\n    assert {BOTH}",
    )
    run(shared)
    assert set(held(shared)) == {"test_shop.py::test_skipped did not pass"}
    assert stale(shared) == {"cassettes/block.yaml": 1, "cassettes/shared.yaml": 1}


def test_a_module_that_was_skipped_holds_back_what_it_may_use(shared: Project) -> None:
    """And its own cassettes are not without an owner."""
    shared.write(test_module=TWO_CALLS)
    run(shared, "--llm-record")
    shared.write(test_module="import pytest\npytest.importorskip('no_such_module')\n" + TWO_CALLS)
    run(shared)
    assert held(shared) == ["test_module.py did not pass"] * 2
    assert set(stale(shared)) == {"cassettes/block.yaml", "cassettes/shared.yaml"}
    assert ownerless(shared) == []


@WORKERS
@pytest.mark.parametrize("left_out", ["test_module.py", "more"])
def test_what_a_conftest_leaves_out_holds_back_what_it_may_use(
    shared: Project, left_out: str, workers: tuple[str, ...]
) -> None:
    """A module or a folder; not what no test is looked for in."""
    shared.write(test_module="")
    for folder in ("more", "build"):
        (shared.path / folder).mkdir()
    shared.write(conftest=f"collect_ignore = ['setup.py', 'build', {left_out!r}]\n", setup="")
    run(shared, *workers).assert_outcomes(passed=3)
    assert set(held(shared)) == {f"{left_out} did not pass"}
    assert set(stale(shared)) == {"cassettes/block.yaml", "cassettes/shared.yaml"}


def test_a_failed_run_judges_nothing(shared: Project) -> None:
    """Who fails may not have come to all its calls."""
    write(shared, other="assert False")
    before = record(shared)
    run(shared).assert_outcomes(passed=2, failed=1)
    assert record(shared) == before


def test_a_later_run_takes_back_what_it_uses(shared: Project) -> None:
    """Though it is not complete: what was stale and is asked for again must not be removed."""
    run(shared)
    write(shared, marked=BOTH)
    run(shared, "-k", "marked").assert_outcomes(passed=1, deselected=2)
    assert stale(shared) == {"cassettes/block.yaml": 1}
    write(shared, marked=BOTH, block=BOTH, other="assert False")
    run(shared, "-n", "2").assert_outcomes(passed=2, failed=1)
    assert stale(shared) == {}


def test_a_child_process_uses_what_its_blocks_open(shared: Project) -> None:
    """It has no session; the test that started it hears of it."""
    program = f"from llm_strategy import use_cassette; from shop import shop\nwith use_cassette('cassettes/block.yaml'): {BOTH}"
    write(shared, other=f"import subprocess, sys; subprocess.run([sys.executable, '-c', {program!r}], check=True)")
    run(shared).assert_outcomes(passed=3)
    assert stale(shared) == {"cassettes/shared.yaml": 1}


# Files without an owner


def test_files_without_an_owner_are_on_record(project: Project) -> None:
    """Those of a test that is gone, and those that no test has used; what re-recordings left is something else."""
    project.write(test_shop=TWO_CALLS, test_gone=TWO_CALLS)
    run(project, "--llm-record")
    for name in ("program.yaml", "test_shop/test_find.new.yaml"):
        (project.path / "cassettes" / name).write_text(project.cassette(OWN).replace("recorded_by", "x_recorded_by"))
    (project.path / "test_gone.py").unlink()
    run(project)
    assert {name: found["recorded_by"] for name, found in record(project)["ownerless"].items()} == {
        "cassettes/program.yaml": None,
        "cassettes/test_gone/test_find.yaml": "test_gone.py::test_find",
    }
    run(project, "--llm-record")
    assert len(project.cassettes) == 4


def test_a_fixture_whose_tests_were_skipped_is_held_back(project: Project) -> None:
    """It was not set up: that it is gone nobody knows."""
    project.write(
        conftest="import pytest\nfrom shop import shop\n\n@pytest.fixture(scope='session')\ndef found():\n    return shop.find('x')\n",
        test_a="def test_it(found):\n    assert found\n",
    )
    run(project, "--llm-record")
    project.write(test_a="import pytest\n\n@pytest.mark.skip\ndef test_it(found):\n    assert found\n")
    run(project)
    found = record(project)["ownerless"]["cassettes/conftest/fixtures/found.yaml"]
    assert (found["recorded_by"], found["held"]) == ("conftest.py::found", ["test_a.py::test_it did not pass"])


def test_a_project_without_cassettes_has_no_record(project: Project) -> None:
    """The plugin leaves nothing where there is nothing of its own."""
    project.write(test_a="def test_a():\n    pass\n")
    run(project)
    assert record(project) is None


def test_a_record_that_cannot_be_read_is_no_obstacle(project: Project) -> None:
    """A complete run makes a new one; any other leaves it alone."""
    project.write(test_shop=ONE_CALL)
    run(project, "--llm-record")
    for content in ("", "[]", '{"version": 99}'):
        (project.path / RECORD).write_text(content)
        run(project, "test_shop.py").assert_outcomes(passed=1)
        assert (project.path / RECORD).read_text() == content
    run(project).assert_outcomes(passed=1)
    assert record(project)["tests"] == 1


def test_a_cache_that_cannot_be_written_is_no_obstacle(project: Project) -> None:
    """Pytest itself says so, of its own records; of this one nobody needs to hear."""
    project.write(test_shop=ONE_CALL)
    (project.path / "file").write_text("")
    result = run(project, "--llm-record", "-o", "cache_dir=file/cache")
    result.assert_outcomes(passed=1)
    assert "llm-strategy/run" not in result.stdout.str()
    assert record(project) is None


@pytest.mark.parametrize("options", ["--setup-plan", "--setup-only", "--co"])
def test_a_run_that_only_shows_its_tests_removes_nothing(project: Project, options: str) -> None:
    """No test is called there, and in a plan not even a fixture."""
    project.write(
        conftest="import pytest\nfrom shop import shop\n\n@pytest.fixture(scope='session')\ndef found():\n    return shop.find('x')\n",
        test_a="def test_it(found):\n    assert found\n",
    )
    run(project, "--llm-record")
    before = record(project), project.cassettes
    run(project, "--llm-record", options)
    assert (record(project), project.cassettes) == before


def test_a_run_that_ends_while_tests_are_collected_judges_nothing(project: Project) -> None:
    """Though it ends well, and has run all the tests that it had: none."""
    project.write(test_shop=ONE_CALL)
    run(project, "--llm-record")
    before = record(project)
    project.write(test_shop="import pytest\npytest.exit('enough', returncode=0)\n")
    run(project, "--llm-record")
    assert (record(project), project.cassettes) == (before, [OWN])
