"""Which cassette a call belongs to: tests, fixtures, threads, tasks, processes, workers, nested blocks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pytest_llm_strategy.conftest import Project

SUITE = """
import asyncio
import multiprocessing
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import pytest

from llm_strategy import use_cassette
from shop import shop


@pytest.fixture(scope="module")
def found():
    yield shop.find("setup of a module fixture")
    assert shop.find("teardown of a module fixture")


@pytest.fixture
def own():
    yield shop.find("setup of a function fixture")
    assert shop.find("teardown of a function fixture")


def test_fixtures(found, own, llm_calls):
    assert shop.find("test")
    assert [call.request.messages[-1].content.count("function fixture") for call in llm_calls] == [1, 0]


def test_module_fixture_again(found, llm_calls):
    assert found
    assert not llm_calls


def test_executor_threads(llm_calls):
    with ThreadPoolExecutor(4) as threads:
        assert len(list(threads.map(shop.find, "abcdefgh"))) == 8
    assert len(llm_calls) == 8


def test_plain_thread():
    thread = threading.Thread(target=shop.find, args=("thread",))
    thread.start()
    thread.join()


def test_tasks_and_to_thread(llm_calls):
    async def main():
        return await asyncio.gather(*map(shop.afind, "abc"), asyncio.to_thread(shop.find, "to_thread"))

    asyncio.run(main())
    assert len(llm_calls) == 4


def test_spawned_processes():
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as processes:
        assert all(processes.map(shop.find, "abcd"))


@pytest.mark.asyncio
async def test_pytest_asyncio(llm_calls):
    assert await shop.afind("asyncio")
    assert len(llm_calls) == 1


def test_nested_block(llm_calls):
    assert shop.find("outside")
    with use_cassette("cassettes/nested.yaml") as cassette:
        assert shop.find("inside")
        assert len(cassette.calls) == 1
    assert len(llm_calls) == 2


def test_without_calls():
    pass
"""

ANYIO = """
import anyio
import pytest

from shop import shop

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module")
async def found(anyio_backend):
    yield await shop.afind("setup of a module fixture")
    assert await shop.afind("teardown of a module fixture")


async def test_one(found, llm_calls):
    assert await shop.afind("one")
    assert len(llm_calls) == 1


async def test_two(found, llm_calls):
    async with anyio.create_task_group() as group:
        group.start_soon(shop.afind, "two")
        group.start_soon(shop.afind, "three")
    assert len(llm_calls) == 2
"""

ASYNCIO = """
import pytest
import pytest_asyncio

from shop import shop

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def found():
    yield await shop.afind("setup of a module fixture")
    assert await shop.afind("teardown of a module fixture")


async def test_one(found, llm_calls):
    assert await shop.afind("one")
    assert len(llm_calls) == 1


async def test_two(found, llm_calls):
    assert await shop.afind("two")
    assert len(llm_calls) == 1
"""


@pytest.fixture
def recorded(project: Project) -> Project:
    """A suite that calls the model in every way, recorded."""
    project.write(test_suite=SUITE, test_anyio=ANYIO, test_asyncio=ASYNCIO)
    project.pytest("--llm-record").assert_outcomes(passed=13)
    return project


def test_every_call_has_its_cassette(recorded: Project) -> None:
    """Each test and each wider fixture owns a file; a test without calls has none."""
    assert recorded.cassettes == [
        "nested.yaml",
        "test_anyio/fixtures/found.yaml",
        "test_anyio/test_one.yaml",
        "test_anyio/test_two.yaml",
        "test_asyncio/fixtures/found.yaml",
        "test_asyncio/test_one.yaml",
        "test_asyncio/test_two.yaml",
        "test_suite/fixtures/found.yaml",
        "test_suite/test_executor_threads.yaml",
        "test_suite/test_fixtures.yaml",
        "test_suite/test_nested_block.yaml",
        "test_suite/test_plain_thread.yaml",
        "test_suite/test_pytest_asyncio.yaml",
        "test_suite/test_spawned_processes.yaml",
        "test_suite/test_tasks_and_to_thread.yaml",
    ]
    assert recorded.cassette("test_suite/fixtures/found.yaml").count("\nkey: ") == 2
    assert recorded.cassette("test_suite/test_fixtures.yaml").count("\nkey: ") == 3
    assert recorded.cassette("test_suite/test_spawned_processes.yaml").count("\nkey: ") == 4


@pytest.mark.parametrize(
    "options", [(), ("-n", "2"), ("-p", "randomly"), ("-k", "module_fixture_again or two or nested")], ids=" ".join
)
def test_replay_however_the_suite_is_run(recorded: Project, options: tuple[str, ...]) -> None:
    """Recorded once, the suite replays in parallel, in random order and in part, without a single new question."""
    asked = recorded.asked
    result = recorded.pytest(*options)
    outcomes = result.parseoutcomes()
    assert outcomes["passed"] == (13 if "-k" not in options else 4)
    assert not {"failed", "errors"} & outcomes.keys()
    assert recorded.asked == asked


def test_recordings_of_child_processes_stay(recorded: Project) -> None:
    """What a test's child processes replayed is not pruned, and nothing is asked again."""
    asked = recorded.asked
    result = recorded.pytest("--llm-record", "-k", "spawned")
    result.assert_outcomes(passed=1, deselected=12)
    result.stdout.fnmatch_lines(["model calls: asked 0, reused 4, copied 0"])
    assert recorded.asked == asked


def test_workers_ask_once_for_what_they_share(project: Project) -> None:
    """Under pytest-xdist a session fixture's call is asked by one worker, the other waits and replays it."""
    project.write(
        conftest="""
import pytest
from shop import shop

@pytest.fixture(scope="session")
def found():
    return shop.find("session")
""",
        test_shop="""
import pytest

@pytest.mark.parametrize("n", range(6))
def test_found(found, n):
    assert found == ["answer 1"]
""",
    )
    project.pytest("--llm-record", "-n", "2").assert_outcomes(passed=6)
    assert project.asked == 1
    assert project.cassettes == ["conftest/fixtures/found.yaml"]


def test_parametrised_fixtures_have_a_cassette_per_parameter(project: Project) -> None:
    """The file is named after fixture and parameter, not after the test that came first."""
    project.write(
        test_shop="""
import pytest
from shop import shop

@pytest.fixture(scope="module", params=["red", "blue"])
def found(request):
    return shop.find(request.param)

def test_one(found):
    assert found

def test_two(found):
    assert found
"""
    )
    project.pytest("--llm-record").assert_outcomes(passed=4)
    assert project.asked == 2
    assert project.cassettes == ["test_shop/fixtures/found[blue].yaml", "test_shop/fixtures/found[red].yaml"]
    project.pytest("-k", "two and blue").assert_outcomes(passed=1, deselected=3)


CLASSES = """
import unittest
import pytest
from shop import shop

def setup_module(module):
    shop.find("{0} module")

class TestUnit(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        shop.find("{0} unittest")

    def test_it(self):
        pass

class TestPlain:
    @classmethod
    def setup_class(cls):
        shop.find("{0} plain")

    def test_it(self):
        pass
"""


def test_setups_of_classes_belong_to_their_module(project: Project) -> None:
    """Classes of one name in two modules have a cassette each, which a run of one module leaves alone in the other."""
    project.write(test_a=CLASSES.format("a"), test_b=CLASSES.format("b"))
    project.pytest("--llm-record").assert_outcomes(passed=4)
    folders = [Path(name).parent.as_posix() for name in project.cassettes]
    assert folders == ["test_a/fixtures"] * 3 + ["test_b/fixtures"] * 3
    project.pytest("--llm-record", "test_a.py").assert_outcomes(passed=2)
    project.pytest("--llm-record=all", "test_b.py").assert_outcomes(passed=2)
    project.pytest().assert_outcomes(passed=4)


@pytest.mark.parametrize("mode", ["new", "all"])
def test_a_run_of_some_keeps_what_a_fixture_asks_for_others(project: Project, mode: str) -> None:
    """A fixture that is set up for several modules or classes loses no recording when it is set up for one of them."""
    project.write(
        conftest="""
import pytest
from shop import shop

@pytest.fixture(scope="module")
def found(request):
    return shop.find(request.module.__name__)
""",
        test_a="def test_it(found):\n    assert found\n",
        test_b="""
import pytest
from shop import shop

@pytest.fixture(scope="class")
def of_class(request):
    return shop.find(request.cls.__name__)

class TestOne:
    def test_it(self, found, of_class):
        assert found and of_class

class TestTwo:
    def test_it(self, found, of_class):
        assert found and of_class
""",
    )
    project.pytest("--llm-record").assert_outcomes(passed=3)
    project.pytest(f"--llm-record={mode}", "test_b.py::TestTwo").assert_outcomes(passed=1)
    asked = project.asked
    project.pytest().assert_outcomes(passed=3)
    assert project.asked == asked


def test_a_fixture_of_an_installed_package_goes_by_its_module(project: Project) -> None:
    """Where the environment lies inside of the project, no cassette's path names it or the version of Python."""
    plugin = project.path / ".venv/lib/python3/site-packages/wide_plugin.py"
    plugin.parent.mkdir(parents=True)
    plugin.write_text(
        "import pytest\nfrom shop import shop\n\n"
        "@pytest.fixture(scope='session')\ndef found():\n    return shop.find('wide')\n"
    )
    project.write(
        conftest=f"import sys\nsys.path.append({str(plugin.parent)!r})\npytest_plugins = ['wide_plugin']\n",
        test_a="def test_it(found):\n    assert found\n",
    )
    project.pytest("--llm-record").assert_outcomes(passed=1)
    assert project.cassettes == ["wide_plugin/fixtures/found.yaml"]


def test_a_call_at_import_is_a_miss(project: Project) -> None:
    """While modules are collected no model is asked, not even when recording."""
    project.write(
        test_shop='from shop import shop\nFOUND = shop.find("import")\n\ndef test_found():\n    assert FOUND\n'
    )
    result = project.pytest("--llm-record")
    assert project.asked == 0
    assert result.ret != 0
    (result.stdout if "called outside" in result.stdout.str() else result.stderr).fnmatch_lines(
        ["*Shop.find is called outside every test and fixture*"]
    )


def test_scripted_models_answer_without_a_cassette(project: Project) -> None:
    """A ScriptedModel answers in replay too, touches no file, and its calls are in `llm_calls`."""
    project.edit("shop.py", "recorded=True", "recorded=False")
    project.write(
        test_shop="""
from shop import shop

def test_found(llm_calls):
    assert shop.find("light") == ["answer 1"]
    assert len(llm_calls) == 1
"""
    )
    project.pytest().assert_outcomes(passed=1)
    assert project.cassettes == []


@pytest.mark.parametrize(
    ("name", "cassette"),
    [
        ("test_shop.py", "test_shop/TestShop.test_find[p].yaml"),
        ("tests/deep/test_shop.py", "tests/deep/test_shop/TestShop.test_find[p].yaml"),
    ],
)
def test_the_path_of_a_cassette(project: Project, name: str, cassette: str) -> None:
    """A cassette lies where its test does, below the folder of the cassettes."""
    path = project.path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        """
import pytest
from shop import shop

class TestShop:
    @pytest.mark.parametrize("p", ["p"])
    def test_find(self, p):
        assert shop.find(p)
"""
    )
    project.pytest("--llm-record").assert_outcomes(passed=1)
    assert project.cassettes == [cassette]


def test_the_fixture_llm_cassette(project: Project) -> None:
    """`llm_cassette` tells the path of the test's file and its calls so far."""
    project.write(
        test_shop="""
from shop import shop

def test_find(llm_cassette):
    assert not llm_cassette.path.exists()
    shop.find("light")
    assert llm_cassette.path.exists()
    assert [call.replayed for call in llm_cassette.calls] == [False]
"""
    )
    project.pytest("--llm-record").assert_outcomes(passed=1)


@pytest.mark.parametrize(("options", "asked"), [((), 1), (("--llm-record=replay",), 0)], ids=["plain", "forced"])
def test_a_block_with_a_mode_of_its_own(project: Project, options: tuple[str, ...], asked: int) -> None:
    """A block that says mode="new" records under plain pytest too; `--llm-record=replay` forces replay everywhere."""
    project.write(
        test_shop="""
from llm_strategy import use_cassette
from shop import shop

def test_block():
    with use_cassette("block.yaml", mode="new"):
        shop.find("light")
"""
    )
    project.pytest(*options).assert_outcomes(passed=asked, failed=1 - asked)
    assert project.asked == asked
