"""What JUnit XML says of model calls."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from tests.pytest_llm_strategy.conftest import Project

TEST = """
import os
import subprocess
import sys

import pytest
from shop import shop

@pytest.mark.parametrize("query", ["light", "seat"])
def test_find(query):
    assert shop.find(query) and shop.find(query + " again")

def test_without_calls():
    pass

def test_fails_at_the_end(request):
    request.addfinalizer(lambda: 1 / 0)
    assert shop.find("clean")
"""
XUNIT1 = ("-o", "junit_family=xunit1")
ALONE_OR_SHARED = pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["one process", "workers"])


@pytest.fixture
def tests(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Five calls in three tests, of which one fails in its teardown, and a test without calls."""
    project.edit(
        "shop.py",
        """% len(log.readlines()), model="a counter")""",
        """% len(log.readlines()), model="a counter", usage=Usage(10, 4))""",
    )
    monkeypatch.setenv("LLM_STRATEGY_PRICES", "counter:model 4 5")
    project.edit("shop.py", "Response,", "Response, Usage,")
    project.write(test_shop=TEST)
    return project


def properties(project: Project, *options: str) -> dict[str, dict[str, str]]:
    """The properties of each test in the file that pytest writes, and under the empty name those of the suite."""
    project.pytest("--junitxml=out/junit.xml", *options)
    suite = ET.parse(project.path / "out" / "junit.xml").getroot()[0]
    named = {"": suite, **{case.get("name", ""): case for case in suite.findall("testcase")}}
    return {
        name: {found.get("name", ""): found.get("value", "") for found in element.findall("properties/property")}
        for name, element in named.items()
    }


@ALONE_OR_SHARED
def test_each_test_has_its_figures(tests: Project, options: tuple[str, ...]) -> None:
    """Recorded or replayed, by workers too: calls, tokens and cassette stand in the test, also in one that fails late."""
    for mode, kind in (("--llm-record", "recorded"), ("--llm-record=replay", "replayed")):
        found = properties(tests, *XUNIT1, mode, *options)
        figures = {"llm_calls": "2", "llm_replayed": "0", "llm_recorded": "0", "llm_missed": "0", f"llm_{kind}": "2"}
        said = found["test_find[light]"]
        assert said.items() >= figures.items()
        assert (said["llm_input_tokens"], said["llm_output_tokens"]) == ("20", "8")
        assert said[{"recorded": "llm_price_usd", "replayed": "llm_saved_usd"}[kind]] == "0.000120"
        assert said["llm_cassette"] == "cassettes/test_shop/test_find[light].yaml"
        assert found["test_fails_at_the_end"]["llm_calls"] == "1"


@ALONE_OR_SHARED
def test_the_suite_has_the_totals(tests: Project, options: tuple[str, ...]) -> None:
    """What all workers did is added up, once."""
    totals = {"llm_calls": "5", "llm_recorded": "5", "llm_missed": "0", "llm_input_tokens": "50"}
    assert properties(tests, "--llm-record", *options)[""].items() >= totals.items()
    assert properties(tests, *options)[""].items() >= {"llm_calls": "5", "llm_replayed": "5"}.items()


def test_a_test_without_calls_says_nothing(tests: Project) -> None:
    """Neither the test nor, where no test makes a call, the suite."""
    found = properties(tests, *XUNIT1, "--llm-record")
    assert found["test_without_calls"] == {}
    assert properties(tests, *XUNIT1, "-k", "without_calls") == {"": {}, "test_without_calls": {}}


def test_misses_are_counted_with_their_causes(tests: Project) -> None:
    """A missed test says what changed."""
    tests.pytest("--llm-record")
    tests.edit("shop.py", "Find the goods that fit a query.", "List the goods that fit a query.")
    said = properties(tests, *XUNIT1)["test_find[seat]"]
    assert (said["llm_calls"], said["llm_missed"], said["llm_replayed"]) == ("1", "1", "0")
    assert said["llm_causes"] == "the docstring of Shop.find"


def test_the_default_family_keeps_to_its_schema(tests: Project) -> None:
    """`xunit2` knows properties of the suite only: who checks the schema would refuse the file."""
    found = properties(tests, "--llm-record")
    assert found.pop("")["llm_calls"] == "5"
    assert set(found) == {"test_find[light]", "test_find[seat]", "test_without_calls", "test_fails_at_the_end"}
    assert not any(found.values())


def test_blocks_and_child_processes_count(tests: Project) -> None:
    """What a test records in a block of its own, or in a process that it starts, is its own; an unrecorded model's is not."""
    tests.write(
        test_shop="import subprocess\nimport sys\nfrom llm_strategy import ScriptedModel, override, use_cassette\n"
        "from shop import shop\n\n"
        "def test_all():\n"
        "    shop.find('own')\n"
        "    with use_cassette('block.yaml'):\n"
        "        shop.find('block')\n"
        "    with override(model=ScriptedModel(['{\"return_value\": []}'])):\n"
        "        shop.find('scripted')\n"
        "    subprocess.run([sys.executable, '-c', 'from shop import shop; shop.find(\"child\")'], check=True)\n"
    )
    recorded = properties(tests, *XUNIT1, "--llm-record")["test_all"]
    assert [recorded[f"llm_{name}"] for name in ("calls", "recorded", "replayed", "missed")] == ["4", "3", "0", "0"]
    replayed = properties(tests, *XUNIT1)["test_all"]
    assert [replayed[f"llm_{name}"] for name in ("calls", "recorded", "replayed", "missed")] == ["4", "0", "3", "0"]


def test_an_unknown_price_is_left_out(tests: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is never zero: the tokens are there, what they cost is not."""
    monkeypatch.delenv("LLM_STRATEGY_PRICES")
    found = properties(tests, *XUNIT1, "--llm-record")
    for said in (found[""], found["test_find[seat]"]):
        assert "llm_input_tokens" in said
        assert not {"llm_price_usd", "llm_saved_usd"} & set(said)


def test_no_secret_is_written(tests: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name of a cassette that holds a credential of this machine is scrubbed as everything is."""
    monkeypatch.setenv("SHOP_API_KEY", "hunter2-hunter2-hunter2")
    properties(tests, *XUNIT1, "--llm-cassettes=hunter2-hunter2-hunter2")
    assert "hunter2" not in (tests.path / "out" / "junit.xml").read_text()


def test_it_can_be_left_out(tests: Project) -> None:
    """`-p no:llm-strategy-junit`, as with any plugin."""
    assert not any(properties(tests, *XUNIT1, "--llm-record", "-p", "no:llm-strategy-junit").values())


def test_nothing_is_loaded_without_the_option(tests: Project) -> None:
    """A run that writes no such file does not know the module."""
    tests.write(
        conftest="import sys\ndef pytest_unconfigure():\n    print('pytest_llm_strategy.junit' in sys.modules)\n"
    )
    tests.pytest("-s").stdout.fnmatch_lines(["False"])
    tests.pytest("-s", "--junitxml=junit.xml").stdout.fnmatch_lines(["True"])
