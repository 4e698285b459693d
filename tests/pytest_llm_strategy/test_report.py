"""`--llm-report`: what stands in the data of the report, and where it is written."""

from __future__ import annotations

import json
import os
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.pytest_llm_strategy.conftest import Project

TEST = """
import subprocess
import sys

import pytest
from llm_strategy import ScriptedModel, llm_strategy, use_cassette
from shop import shop

@pytest.fixture(scope="module")
def wide():
    return shop.find("wide")

def test_find(wide):
    assert shop.find("light")

def test_block():
    shop.find("before")
    with use_cassette("cassettes/shared.yaml"):
        shop.find("inside")
    shop.find("after")

def test_child():
    subprocess.run([sys.executable, "-c", "from shop import shop; shop.find('child')"], check=True)

def test_scripted():
    @llm_strategy(ScriptedModel(['nothing', '{"return_value": 1}']))
    def one() -> int:
        \"\"\"One.\"\"\"
    assert one() == 1

def test_without_calls():
    pass

def test_failing():
    shop.find("wrong")
    assert "sk-" + "proj-" + "Ab3" * 16 == ""
"""


@pytest.fixture
def suite(project: Project) -> Project:
    project.write(test_shop=TEST)
    return project


def data_of(project: Project, *options: str, outcomes: dict[str, int] | None = None) -> dict[str, Any]:
    result = project.pytest("--llm-report=report.json", *options)
    if outcomes is not None:
        result.assert_outcomes(**outcomes)
    result.stdout.fnmatch_lines(["report: report.json"])
    data: dict[str, Any] = json.loads((project.path / "report.json").read_text())
    return data


def by_name(data: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {test["name"].partition("::")[2]: test for test in data["tests"]}


def states(test: dict[str, Any]) -> list[str]:
    return [call["state"] for call in test["calls"]]


def text_of(data: dict[str, Any], call: dict[str, Any]) -> str:
    parts = [part for number in call["messages"] for part in data["messages"][number]["parts"]]
    return "\n".join(data["texts"][part] for part in parts)


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["one process", "workers"])
def test_every_call_has_its_place(suite: Project, options: tuple[str, ...]) -> None:
    """Recorded and replayed, by workers too: tests, wide fixtures, blocks and child processes with file and line."""
    outcomes = {"passed": 5, "failed": 1}
    recorded = by_name(data_of(suite, "--llm-record", *options, outcomes=outcomes))
    replayed = by_name(data_of(suite, *options, outcomes=outcomes))
    for tests, state in ((recorded, "recorded"), (replayed, "replayed")):
        assert states(tests["test_find"]) == states(tests["wide"]) == states(tests["test_child"]) == [state]
        assert states(tests["test_block"]) == [state] * 3
        assert tests["wide"]["kind"] == "fixture"
        assert tests["test_child"]["calls"][0]["process"] == "child"
        places = [call["cassette"] for call in tests["test_block"]["calls"]]
        assert places[1] == str(Path("cassettes/shared.yaml"))
        assert places[0] == places[2] == str(Path("cassettes/test_shop/test_block.yaml"))
        for test in tests.values():
            for call in test["calls"]:
                if call["state"] == state:
                    lines = (suite.path / call["cassette"]).read_text().splitlines()
                    assert lines[call["line"]] == f'key: "{call["key"]}"'


def test_a_retry_goes_on_from_the_call_before(suite: Project) -> None:
    """Calls whose messages go on from an earlier one's name it; those that no cassette has are said to be unrecorded."""
    calls = by_name(data_of(suite, "--llm-record"))["test_scripted"]["calls"]
    assert [(call["state"], call.get("parent")) for call in calls] == [("unrecorded", None), ("unrecorded", 0)]


def test_what_passed_without_calls_is_a_number(suite: Project) -> None:
    """Tests that passed and called no model are counted, not listed; those that failed are listed."""
    data = data_of(suite, "--llm-record")
    assert data["others"] == {"passed": 1}
    assert "test_without_calls" not in by_name(data)
    assert by_name(data)["test_failing"]["outcome"] == "failed"


def test_texts_are_kept_once(suite: Project) -> None:
    """Equal texts, such as system prompts and schemas, stand in the data once."""
    data = data_of(suite, "--llm-record")
    assert len(data["texts"]) == len(set(data["texts"]))
    systems = {call["messages"][0] for test in data["tests"] for call in test["calls"]}
    assert len(systems) == 1


def test_misses_are_told_with_their_difference(suite: Project) -> None:
    """A changed prompt is a miss with cause, diff and the prompt as it is now."""
    data_of(suite, "--llm-record")
    suite.edit("shop.py", "Find the goods that fit a query.", "Find goods, best first.")
    data = data_of(suite)
    (call,) = by_name(data)["test_block"]["calls"]
    assert call["state"] == "missed"
    assert call["miss"]["causes"] == ["the docstring of Shop.find"]
    assert "+Find goods, best first." in call["miss"]["diff"].splitlines()
    assert "--llm-record" in call["miss"]["command"]
    assert "Find goods, best first." in text_of(data, call)


def test_a_failure_is_shown_as_pytest_shows_it(suite: Project) -> None:
    """Its first line is indented as the others are."""
    shown = by_name(data_of(suite, "--llm-record"))["test_failing"]["error"]
    assert shown.startswith("    def test_failing():\n        shop.find(")


def test_no_secret_stands_in_it(suite: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prompts that are not recorded, and what a failed test shows, are scrubbed as recordings are."""
    monkeypatch.setenv("SHOP_API_KEY", "a-secret-of-this-machine")
    suite.write(
        test_secret="""
        import os
        import pytest
        from llm_strategy import ScriptedModel, llm_strategy
        from shop import shop

        @llm_strategy(ScriptedModel(lambda request: '{"return_value": "%s"}' % os.environ["SHOP_API_KEY"]))
        def echo(text: str) -> str:
            \"\"\"Echo the text.\"\"\"

        @pytest.mark.parametrize("key", [os.environ["SHOP_API_KEY"]])
        def test_secret(key):
            assert echo(key + " sk-proj-" + "Ab3" * 16) == ""

        @pytest.mark.parametrize("key", [os.environ["SHOP_API_KEY"]])
        def test_missed(key):
            shop.find(key)
        """.replace("\n        ", "\n")
    )
    suite.pytest("--llm-report=report.html")
    page = (suite.path / "report.html").read_text()
    assert "test_secret[" in page
    assert "test_missed[" in page
    assert "a-secret-of-this-machine" not in page
    # pytest has cut one of them already.
    assert "Ab3" * 16 not in page


def test_a_crashed_worker_leaves_what_arrived(suite: Project) -> None:
    """Where a worker crashes, its tests that had come to their end are in the report, and the one that crashed it."""
    suite.write(
        test_crash="""
import os
from shop import shop

def test_before():
    shop.find("before the crash")

def test_crash():
    shop.find("and then")
    os._exit(3)
"""
    )
    tests = by_name(data_of(suite, "--llm-record", "-n", "1", "test_crash.py"))
    assert states(tests["test_before"]) == ["recorded"]
    assert tests["test_crash"]["outcome"] == "failed"
    assert "crashed" in tests["test_crash"]["error"]


def test_a_module_that_cannot_be_collected_is_told(suite: Project) -> None:
    """What fails before any test is in the report too."""
    suite.write(test_broken="import nothing_of_this_name\n")
    (broken,) = [test for test in data_of(suite, "--llm-record")["tests"] if test["kind"] == "collection"]
    assert broken["outcome"] == "error"
    assert "nothing_of_this_name" in broken["error"]


def test_the_file_may_be_named_in_the_configuration(suite: Project) -> None:
    """`llm_report` names it relative to rootdir; the option goes before it, and folders are made."""
    suite.pytester.makeini("[pytest]\nllm_report = out/from-ini.html\nasyncio_default_fixture_loop_scope = function\n")
    suite.pytest("--llm-record").stdout.fnmatch_lines(["report: out/from-ini.html"])
    assert (suite.path / "out/from-ini.html").read_text().startswith("<!doctype html>")
    suite.pytest("--llm-report=deep/er/report.html").stdout.fnmatch_lines(["report: deep/er/report.html"])
    assert (suite.path / "deep/er/report.html").exists()


def test_a_path_that_cannot_be_written_is_told_at_the_start(suite: Project) -> None:
    """No test runs where the report could not be written."""
    (suite.path / "file").write_text("")
    (suite.path / "folder").mkdir()
    for name in ("file/report.html", "folder"):
        result = suite.pytest("--llm-record", f"--llm-report={name}")
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines([f"ERROR: --llm-report: *{name} cannot be written: *"])
    assert suite.asked == 0


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_a_pipe_or_a_link_stays_what_it_is(suite: Project) -> None:
    """What is no file of its own, as a device is none, is written through and never replaced by a file."""
    link, pipe, read = suite.path / "latest.json", suite.path / "pipe.json", list[bytes]()
    link.symlink_to("kept.json")
    os.mkfifo(pipe)
    reader = Thread(target=lambda: read.append(pipe.read_bytes()), daemon=True)
    reader.start()
    suite.pytest("--llm-record", f"--llm-report={link}")
    suite.pytest(f"--llm-report={pipe}")
    reader.join(30)
    assert (link.is_symlink(), pipe.is_fifo()) == (True, True)
    assert all(json.loads(text)["tests"] for text in [(suite.path / "kept.json").read_bytes(), *read])
    assert read


def test_without_the_option_nothing_is_loaded(suite: Project) -> None:
    """A run without a report loads nothing of it, and says nothing."""
    suite.write(
        conftest="""
import sys

def pytest_unconfigure(config):
    print("loaded:", [name for name in sys.modules if "report" in name and "llm_strategy" in name])
"""
    )
    result = suite.pytest("--llm-record")
    result.stdout.fnmatch_lines(["loaded: ['pytest_llm_strategy.reports']"])
    result.stdout.no_fnmatch_line("report: *")


def test_answers_that_changed(suite: Project) -> None:
    """Recording afresh tells of each answer what became of it, with old and new."""
    data_of(suite, "--llm-record")
    tests = by_name(data_of(suite, "--llm-record=all"))
    (changed,) = tests["test_find"]["changed"]
    assert changed["verdict"] == "value changed"
    assert changed["function"] == "Shop.find"
    assert any("answer" in line for line in changed["lines"])
    assert all("changed" not in call for call in tests["test_find"]["calls"])


def test_an_interrupted_run_has_a_report(suite: Project) -> None:
    """What had ended before Ctrl-C is in the report, even where a fixture then fails to end."""
    suite.write(
        test_interrupted="""
import pytest
from shop import shop

@pytest.fixture(scope="session")
def failing():
    yield
    raise ValueError("it does not end")

def test_before(failing):
    shop.find("before")

def test_interrupt():
    shop.find("and then")
    raise KeyboardInterrupt
"""
    )
    suite.pytest("--llm-record", "--llm-report=report.json", "test_interrupted.py")
    tests = by_name(json.loads((suite.path / "report.json").read_text()))
    assert states(tests["test_before"]) == ["recorded"]
