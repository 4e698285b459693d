"""`llm-strategy trace`: the tree of a trace in the terminal."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from llm_strategy import Response, ScriptedModel, tracing
from llm_strategy.adapters import as_chat_model
from llm_strategy.cli import main
from llm_strategy.values import ToolCallPart
from tests.llm_strategy.traced import add, forecast, retried


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "trace.jsonl"


def shown(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    """What the command prints, with times as 0.000."""
    assert main(["trace", *arguments]) == code
    return re.sub(r"\d+\.\d{3} s", "0.000 s", capsys.readouterr().out)


def test_the_tree_has_a_row_for_all_that_says_something(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Functions with arguments and results, refused attempts with their problems, tools; what is alone is one row."""
    with tracing.trace(path):
        with tracing.span("improve", round=3):
            add(1, 2)
            retried(1)
        forecast("q")
    assert shown(capsys, str(path)) == (
        "improve  round=3  0.000 s\n"
        "  add(a = 1, b = 2) -> 3  scripted  asked  0.000 s\n"
        "  retried(a = 1) -> 3  0.000 s\n"
        '    scripted  asked  0.000 s  ! ReplyError: retried: the reply does not fit; expected int as {"return_value": ...}\n'
        "    scripted  asked  0.000 s\n"
        'forecast(question = "q") -> sunny  0.000 s\n'
        "  scripted  asked  0.000 s\n"
        '  tool weather(city = "Paris") -> sunny, 3 degrees  0.000 s\n'
        "    add(a = 1, b = 2) -> 3  scripted  asked  0.000 s\n"
        '  tool weather(city = "Nowhere")  0.000 s  ! LookupError: no such city\n'
        "  scripted  asked  0.000 s\n"
    )
    assert shown(capsys, "--last", str(path)).startswith("forecast")


def test_a_model_in_a_chain_that_only_calls_tools_says_so(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The tool is one of LangChain, which has no row; an answer that is empty, or no text, is shown as it is."""
    calls = [ToolCallPart("call_1", "weather", {"city": "Paris"}), ToolCallPart("call_2", "weather", {"city": "Rome"})]
    model = ScriptedModel([Response("", finish_reason="tool_call", tool_calls=tuple(calls)), ""])
    with tracing.trace(path):
        as_chat_model(model).invoke("Weather?")
        as_chat_model(model).invoke("Nothing?")
        add.with_options(model=ScriptedModel(['{"return_value": 0}']))(0, 0)
    assert shown(capsys, str(path)) == (
        'as_chat_model -> [calls the tool weather] {"city": "Paris"} [calls the tool weather] {"city": "Rome"}'
        "  scripted  asked  0.000 s\n"
        "as_chat_model ->   scripted  asked  0.000 s\n"
        "add(a = 0, b = 0) -> 0  scripted  asked  0.000 s\n"
    )


def test_as_json_each_span_has_its_children(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--json` prints a list of trees with all that the file says."""
    with tracing.trace(path):
        add(1, 2)
    (function,) = json.loads(shown(capsys, "--json", str(path)))
    (attempt,) = function["children"]
    (call,) = attempt["children"]
    assert (function["kind"], attempt["kind"], call["kind"], call["children"]) == ("function", "attempt", "call", [])
    assert call["messages"][1]["role"] == "user"


def test_what_was_cut_is_passed_over_and_counted(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Half a line, lines of others, a loop of parents and a missing parent hide nothing; the exit code says corrupt."""
    with tracing.trace(path):
        add(1, 2)
    loop = [
        {"id": name, "parent": parent, "kind": "step", "name": name, "began": "now", "seconds": None}
        for name, parent in (("a", "b"), ("b", "a"), ("c", "nobody"))
    ]
    with path.open("a") as file:
        file.write("\n".join(map(json.dumps, loop)) + '\n[1]\n{"id": 1}\n{"id": "half')
    assert main(["trace", str(path)]) == 5
    captured = capsys.readouterr()
    assert captured.err == f"{path}: left out what cannot be read: 3 lines\n"
    rows = captured.out.splitlines()
    assert rows[0].startswith("add(a = 1, b = 2) -> 3")
    assert rows[1:] == ["a  not finished", "b  not finished", "c  not finished"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("hello\n", "its first line does not say"),
        ('{"format": "llm-strategy trace", "version": 2}\n', "of version 2"),
        ('{"format": "llm-strategy report", "tests": [{}]}', "is no whole report"),
        ("[" * 100_000, "its first line does not say"),
    ],
)
def test_what_is_no_trace_is_named(path: Path, text: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Another file, an empty one, a later version: an error that says so, and the exit code of a corrupt file."""
    path.write_text(text)
    assert main(["trace", str(path)]) == 5
    assert said in capsys.readouterr().err
    assert main(["trace", str(path.with_name("none"))]) == 3


def test_nothing_in_a_trace_steers_the_terminal(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Escapes are shown as such, and an older file's secrets are not."""
    with tracing.trace(path):
        add.with_options(model=ScriptedModel(["\x1b[2J", '{"return_value": 3}']))(1, 2)
    key = "sk-proj-" + "Ab3" * 16
    line = {"id": "x", "parent": None, "kind": "step", "name": f"\x1b[31m{key}", "began": "now", "seconds": 1}
    with path.open("a") as file:
        file.write(json.dumps(line) + "\n")
    out = shown(capsys, str(path))
    assert "\x1b" not in out
    assert r"\x1b[31m<openai-key>" in out
