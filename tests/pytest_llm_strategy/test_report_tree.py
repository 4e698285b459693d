"""`--llm-report`: where there is more to tell than calls, tests have trees: functions, attempts, calls and tools."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llm_strategy.cli import main
from tests.pytest_llm_strategy.conftest import Project

TEST = """
from llm_strategy import Response, ScriptedModel, llm_strategy
from llm_strategy.values import ToolCallPart

def weather(city: str) -> str:
    \"\"\"The weather.\"\"\"
    return "sunny"

def answer(request):
    if any(message.role == "tool" for message in request.messages):
        return '{"return_value": "sunny"}'
    return Response("", finish_reason="tool_call", tool_calls=(ToolCallPart("1", "weather", {"city": "Paris"}),))

@llm_strategy(ScriptedModel(answer), tools=[weather])
def forecast(question: str) -> str:
    \"\"\"Answer.\"\"\"

@llm_strategy(ScriptedModel(lambda request: '{"return_value": 3}' if len(request.messages) > 2 else "three"))
def retried() -> int:
    \"\"\"Three.\"\"\"

def test_tools():
    assert forecast("q") == "sunny"

def test_retry():
    assert retried() == 3

def test_plain():
    assert retried.with_options(model=ScriptedModel(['{"return_value": 3}']))() == 3
"""


def found_in(project: Project, *options: str) -> dict[str, Any]:
    project.write(test_tree=TEST)
    project.pytest("--llm-report=report.json", *options).assert_outcomes(passed=3)
    data = json.loads((project.path / "report.json").read_text())
    return {test["name"].partition("::")[2]: test for test in data["tests"]}


def outline(test: dict[str, Any]) -> list[tuple[int, Any]]:
    return [(row["depth"], row.get("call", row.get("name"))) for row in test["tree"]]


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["alone", "workers"])
def test_a_tests_tree_is_in_the_data(project: Project, options: tuple[str, ...]) -> None:
    """Rows are functions, tools and calls in order; a refused attempt gives its call an error; calls alone need no tree."""
    tests = found_in(project, *options)
    assert outline(tests["test_tools"]) == [(0, "forecast"), (1, 0), (1, "weather"), (1, 1)]
    assert outline(tests["test_retry"]) == [(0, "retried"), (1, 0), (1, 1)]
    assert tests["test_retry"]["tree"][1]["error"]["type"] == "ReplyError"
    assert "tree" not in tests["test_plain"]
    kinds = [step["kind"] for step in tests["test_tools"]["steps"]]
    assert kinds == ["function", "attempt", "call", "tool", "call"]
    assert [step.get("parent") for step in tests["test_tools"]["steps"]] == [None, 0, 1, 1, 1]


def test_the_command_shows_the_same_tree(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    """`llm-strategy trace report.json` prints the rows test by test, and those of tests that only made calls too."""
    found_in(project)
    assert main(["trace", str(project.path / "report.json")]) == 0
    lines = [line.split("  0.0")[0] for line in capsys.readouterr().out.splitlines()]
    assert "  forecast" in lines
    assert "    tool weather" in lines
    assert "  retried  scripted  unrecorded" in lines
