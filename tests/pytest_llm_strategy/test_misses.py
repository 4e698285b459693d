"""A miss fails its test, whatever the code catches, names what changed, and leaves the others alone."""

from __future__ import annotations

import multiprocessing

import pytest

from tests.pytest_llm_strategy.conftest import Project

SHOP = '''
from dataclasses import dataclass
from typing import Annotated
from pydantic import Field
from llm_strategy import ScriptedModel, llm_strategy

MODEL = ScriptedModel(lambda request: '{"return_value": 1}', name="openai:one", recorded=True)


@dataclass
class Item:
    name: str
    price: Annotated[float, Field(description="in euros")]


@llm_strategy(MODEL, temperature=0.0)
def count(item: Item, shop: str) -> int:
    """Count how many are left."""
    raise NotImplementedError


ITEM = Item("lamp", 9.5)
'''
TEST = """
from shop import ITEM, count

def test_count():
    assert count(ITEM, "north") == 1
"""


@pytest.mark.parametrize(
    ("old", "new", "cause"),
    [
        ("Count how many are left.", "Count how many we have left.", "changed: the docstring of count"),
        ("shop: str", "store: str", "changed: the parameter 'shop' of count is now 'store'"),
        ("in euros", "in dollars", "changed: the description of the field Item.price"),
        ('"openai:one"', '"openai:two"', "changed: the model: openai:one -> openai:two"),
        ("temperature=0.0", "temperature=0.5", "changed: the setting temperature: 0.0 -> 0.5"),
        ('"lamp"', '"chair"', "changed: the argument 'item'*"),
    ],
    ids=["docstring", "parameter", "description", "model", "setting", "argument"],
)
def test_a_miss_names_exactly_what_changed(project: Project, old: str, new: str, cause: str) -> None:
    """One change, one cause, with a diff between what was recorded and what is asked now."""
    project.write(shop=SHOP, test_shop=TEST)
    project.pytest("--llm-record").assert_outcomes(passed=1)
    project.edit("shop.py", old, new)
    result = project.pytest()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [cause, "nearest recording: cassettes/test_shop/test_count.yaml:*", "--- recorded", "+++ now"]
    )
    assert result.stdout.str().count("\nchanged: ") == 1
    result.stdout.fnmatch_lines([f"*missed in 1 test: {cause.removeprefix('changed: ')}"])


def test_the_recording_replays_for_another_user(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """User, home folder, time zone, locale and other environment values are no part of what was recorded."""
    project.write(
        shop=SHOP,
        test_shop="""
import os.path
import tempfile
from dataclasses import replace
from shop import ITEM, count

def test_count():
    assert count(replace(ITEM, name=os.path.expanduser("~/goods")), tempfile.mkdtemp()) == 1
""",
    )
    monkeypatch.setenv("HOME", "/home/ada")
    project.pytest("--llm-record").assert_outcomes(passed=1)
    for name, value in {"HOME": "/Users/ben", "USER": "ben", "TZ": "Asia/Tokyo", "LC_ALL": "C", "SHOP": "1"}.items():
        monkeypatch.setenv(name, value)
    project.pytest().assert_outcomes(passed=1)


SWALLOWED = """
import asyncio
import threading
import pytest
from shop import ITEM, count


def test_except_exception():
    try:
        count(ITEM, "a")
    except Exception:
        pass


def test_bare_except():
    try:
        count(ITEM, "b")
    except:
        pass


def test_gather():
    async def main():
        await asyncio.gather(asyncio.to_thread(count, ITEM, "c"), return_exceptions=True)
    asyncio.run(main())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_thread():
    thread = threading.Thread(target=count, args=(ITEM, "d"))
    thread.start()
    thread.join()


def test_fallback_that_fails_later():
    try:
        value = count(ITEM, "e")
    except BaseException:
        value = None
    assert value == 1


@pytest.mark.llm_cassette(expect_miss=True)
def test_expected():
    from llm_strategy import CassetteMiss
    with pytest.raises(CassetteMiss):
        count(ITEM, "f")


def test_untouched():
    pass
"""


def test_no_code_swallows_a_miss(project: Project) -> None:
    """A test that catches everything, or misses in a thread or a gathered task, fails all the same."""
    project.write(shop=SHOP, test_shop=SWALLOWED)
    result = project.pytest()
    result.assert_outcomes(failed=5, passed=2)
    result.stdout.fnmatch_lines(["*model calls that no recording answers*"])
    result.stdout.fnmatch_lines(["model calls: 6 missed"])


def test_an_expected_miss_in_a_block(project: Project) -> None:
    """Nobody is told to record it: a `use_cassette` block in a test that expects misses expects them, too."""
    test = """
import pytest
from llm_strategy import CassetteMiss, use_cassette
from shop import ITEM, count

@pytest.mark.llm_cassette(expect_miss=True)
def test_expected():
    with use_cassette("none.yaml"), pytest.raises(CassetteMiss):
        count(ITEM, "north")
"""
    project.write(shop=SHOP, test_shop=test)
    result = project.pytest()
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["model calls: 1 missed"])
    result.stdout.no_fnmatch_line("*to ask for what was missed*")


ASYNC = '''
import asyncio
import anyio
import pytest
from llm_strategy import llm_strategy
from shop import MODEL

pytestmark = pytest.mark.anyio


@llm_strategy(MODEL)
async def number(text: str) -> int:
    """Read a number."""
    raise NotImplementedError


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module")
async def first(anyio_backend):
    yield await number("first")
    assert await number("last") == 1
    print("the teardown ran")


async def test_before(first):
    assert await number("before") == 1


async def test_plain_miss(first):
    await number(PLAIN)


async def test_task_group_miss(first):
    async with anyio.create_task_group() as group:
        group.start_soon(number, GROUP)


async def test_gathered_miss(first):
    await asyncio.gather(number(GATHERED), return_exceptions=True)


async def test_thread_miss(first):
    with pytest.raises(BaseException):
        await asyncio.to_thread(lambda: asyncio.run(number(THREAD)))


async def test_after(first):
    assert await number("after") == 1


PLAIN = GROUP = GATHERED = THREAD = "recorded"
'''


@pytest.mark.parametrize("missing", ["PLAIN", "GROUP", "GATHERED"])
def test_a_miss_in_an_asynchronous_module_fails_one_test(project: Project, missing: str) -> None:
    """The runner of a module's fixture survives: later tests and the teardown run."""
    test = ASYNC.replace("    with pytest.raises(BaseException):\n    ", "")
    project.write(shop=SHOP, test_shop=test)
    project.pytest("--llm-record").assert_outcomes(passed=6)
    project.write(test_shop=test + f"\n{missing} = 'not recorded'\n")
    result = project.pytest("-s")
    result.assert_outcomes(failed=1, passed=5)
    result.stdout.fnmatch_lines(["*the teardown ran*"])
    result.stdout.fnmatch_lines(["no recording answers this call of number (test_shop.py:*)"])


def test_a_miss_in_an_asynchronous_fixture_is_a_setup_error(project: Project) -> None:
    """The tests that need the fixture report the miss; the others run."""
    project.write(
        shop=SHOP,
        test_shop=ASYNC.split("async def test_before", maxsplit=1)[0]
        + "async def test_needs(first):\n    pass\n\nasync def test_not(anyio_backend):\n    pass\n",
    )
    result = project.pytest()
    result.assert_outcomes(errors=1, passed=1)
    result.stdout.fnmatch_lines(["no recording answers this call of number (test_shop.py:*)"])


@pytest.mark.parametrize("strict", [False, True])
def test_a_miss_is_no_expected_failure(project: Project, strict: bool) -> None:
    """What xfail expects to fail is the test: a missing recording fails it."""
    project.write(
        shop=SHOP,
        test_shop=f"import pytest\n{TEST.replace('def test', f'@pytest.mark.xfail(strict={strict})' + chr(10) + 'def test')}",
    )
    project.pytest().assert_outcomes(failed=1)


def test_the_line_that_made_the_call(project: Project) -> None:
    """A miss says where the test made the call; library frames are no part of any failure's traceback."""
    project.write(shop=SHOP, test_shop=TEST + "\ndef test_type():\n    count(ITEM, 3)\n")
    result = project.pytest()
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["made at test_shop.py:5"])
    result.stdout.fnmatch_lines(["E*TypeError: count() argument 'shop' must be str, not int*"])
    assert "implementation.py" not in result.stdout.str()


def test_a_miss_in_a_child_process_fails_the_test(project: Project) -> None:
    """A child process that hides its miss does not hide it from the test."""
    project.write(
        shop=SHOP,
        test_shop="""
import subprocess, sys

def test_child():
    code = "import shop\\ntry: shop.count(shop.ITEM, 'north')\\nexcept BaseException: pass"
    subprocess.run([sys.executable, "-c", code], check=True)
""",
    )
    result = project.pytest()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["no recording answers this call of count (*shop.py:*)"])


SHARED_MISSES = """
import unittest
import pytest
from shop import ITEM, count

@pytest.fixture(scope="module")
def counted():
    return count(ITEM, "{0}")

@pytest.fixture(scope="module")
def yielded():
    yield count(ITEM, "{0}")

class TestPlain:
    @classmethod
    def setup_class(cls):
        count(ITEM, "{0}")

    def test_one(self):
        pass

    def test_two(self):
        pass

def test_one(counted):
    assert counted == 1

def test_two(counted):
    assert counted == 1

def test_three(yielded):
    assert yielded == 1

def test_four(yielded):
    assert yielded == 1

class TestUnit(unittest.TestCase):
    def test_it(self):
        count(ITEM, "{0}")

@pytest.mark.asyncio
async def test_async():
    count(ITEM, "{0}")
"""


def test_a_miss_is_the_same_wherever_it_is_met(project: Project) -> None:
    """Each test that shares the fixture shows it, unittest and asynchronous tests as shortly as others; dry skips all."""
    project.write(shop=SHOP, test_shop=SHARED_MISSES.format("north"))
    project.pytest("--llm-record").assert_outcomes(passed=8)
    project.write(test_shop=SHARED_MISSES.format("south"))
    result = project.pytest()
    result.assert_outcomes(failed=2, errors=6)
    shown = result.stdout.str()
    assert shown.count("\nno recording answers this call of count") == 8
    result.stdout.no_fnmatch_line("*CassetteMiss*")
    result.stdout.no_fnmatch_line("*AssertionError*")
    project.pytest("--llm-record=dry").assert_outcomes(skipped=8)


@pytest.mark.parametrize("options", [(), ("--llm-record", "--llm-budget=0.5")], ids=["missed", "too dear"])
@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_a_pool_of_processes_does_not_wait_for_what_was_missed(
    project: Project, start: str, options: tuple[str, ...]
) -> None:
    """A worker of `multiprocessing.Pool` hands the miss back, or the refusal of a budget; the test fails with it."""
    if start not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this platform cannot {start}")
    project.write(
        shop='from llm_strategy import llm_strategy\n\n@llm_strategy("stub:")\ndef find(a: int) -> int:\n    """Find it."""\n',
        test_shop=f"""
import multiprocessing
from shop import find

def test_pool():
    with multiprocessing.get_context("{start}").Pool(2) as pool:
        pool.map(find, range(3))
""",
    )
    result = project.pytest(*options)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines_random(["*is not asked*" if options else "no recording answers this call of find*"])
    result.stdout.fnmatch_lines(["model calls: * missed*"])
