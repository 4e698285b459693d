"""`llm-strategy diff`: what has changed between recordings, in words and as JSON."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from llm_strategy import Cassette, ChatChain, Response, ScriptedModel, llm_strategy, use_cassette
from llm_strategy.cli import main
from tests.llm_strategy.answers import argument, reply

Printed = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def record(path: str, answers: Mapping[str, Any], *, name: str = "find", doc: str = "Find a product.") -> Path:
    """A cassette with a call per query."""

    def find(query: str) -> Any:
        raise NotImplementedError

    find.__name__, find.__qualname__, find.__doc__ = name, name, doc
    model = ScriptedModel(lambda request: reply(answers[argument(request, "query")]), name="test:m", recorded=True)
    function = llm_strategy(model)(find)
    with use_cassette(path, "new"):
        for query in answers:
            function(query)
    return Path(path)


def say(path: str, prompt: str, answer: str | Response) -> None:
    with use_cassette(path, "new"):
        ChatChain(ScriptedModel([answer], name="test:m", recorded=True)).query(prompt)


def diff(*arguments: str | Path) -> int:
    return main(["diff", *map(str, arguments)])


def test_equal_cassettes_are_equal(capsys: Printed) -> None:
    """Code 0. The order of calls, and how a file is laid out, is no difference."""
    record("a.yaml", {"lamp": 1, "pot": 2})
    record("b.yaml", {"pot": 2, "lamp": 1})
    text = Path("b.yaml").read_bytes()
    Path("b.yaml").write_bytes(text.replace(b"\n", b"\r\n"))
    assert diff("a.yaml", "b.yaml") == 0
    assert capsys.readouterr().out == "a.yaml -> b.yaml: equal\n"


def test_answers_that_changed_are_shown_field_by_field(capsys: Printed) -> None:
    """Items that only moved are not; a long text is shown by its lines."""
    long = "A lamp for the garden.\nIt is warm."
    record("a.yaml", {"lamp": [{"name": "a", "price": 1}, {"name": "b", "text": long}]})
    new = [{"name": "new"}, {"name": "a", "price": 2.5}, {"name": "b", "text": long.replace("warm", "cold")}]
    record("b.yaml", {"lamp": new})
    assert diff("a.yaml", "b.yaml") == 1
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "a.yaml -> b.yaml: 1 answer changed"
    assert printed[2].startswith("answer changed: find (a.yaml:7 -> b.yaml:7), key ")
    assert '+ return_value[2]: {"name": "b", "text": "A lamp for the garden.\\nIt is cold."}' in printed

    record("c.yaml", {"lamp": [*new[:2], {"name": "b", "text": long}]})
    assert diff("b.yaml", "c.yaml") == 1
    assert capsys.readouterr().out.splitlines()[3:] == [
        "  return_value[2].text:",
        "    @@ -1,2 +1,2 @@",
        "     A lamp for the garden.",
        "    -It is cold.",
        "    +It is warm.",
        "",
    ]


def test_other_answers_are_compared_by_lines_with_what_came_beside_them(capsys: Printed) -> None:
    """The finish reason, the model that answered, and the tokens too."""
    say("a.yaml", "Hello", Response("one\ntwo\nthree", model="m-1"))
    say("b.yaml", "Hello", Response("one\n2\nthree", finish_reason="length", model="m-1"))
    assert diff("a.yaml", "b.yaml") == 1
    assert capsys.readouterr().out.splitlines()[3:-1] == [
        "@@ -1,3 +1,3 @@",
        " one",
        "-two",
        "+2",
        " three",
        '  finish_reason: "stop" -> "length"',
    ]


def test_prompts_that_changed_are_paired_with_their_old_recordings(capsys: Printed) -> None:
    """Each with the most alike call of the same function; what is new is added, with its arguments and answer."""
    record("a.yaml", {"lamp for the garden": 1, "pot for the kitchen": 2})
    record("b.yaml", {"pot for the bathroom": 2, "lamp for the garden": 1, "something else": 3})
    assert diff("a.yaml", "b.yaml") == 1
    printed = capsys.readouterr().out
    assert printed.startswith("a.yaml -> b.yaml: 1 call added, 1 prompt changed\n")
    assert "  changed: the argument 'query' of find\n" in printed
    assert '-query = "pot for the kitchen"\n+query = "pot for the bathroom"\n' in printed
    assert '+ query = "something else"\n+ -> {"return_value": 3}\n' in printed
    assert "the answer:" not in printed


def test_a_renamed_function_is_the_same_call(capsys: Printed) -> None:
    """Where its prompt is otherwise as it was; two functions with little in common are two calls."""
    record("a.yaml", {"lamp": 1})
    record("b.yaml", {"lamp": 2}, name="search")
    assert diff("a.yaml", "b.yaml") == 1
    printed = capsys.readouterr().out
    assert "changed: the function find is now search" in printed
    assert "\nthe answer:\n  return_value: 1 -> 2\n" in printed

    say("c.yaml", "Something that is altogether different.", "yes")
    assert diff("a.yaml", "c.yaml") == 1
    assert capsys.readouterr().out.startswith("a.yaml -> c.yaml: 1 call added, 1 call removed\n")


def test_the_nth_equal_call_belongs_to_the_nth(capsys: Printed) -> None:
    """Equal requests are paired in their order."""
    for path, answers in {"a.yaml": ["1", "2"], "b.yaml": ["1", "3", "4"]}.items():
        with use_cassette(path, "new"):
            for answer in answers:
                ChatChain(ScriptedModel([answer], name="test:m", recorded=True)).query("Again?")
    assert diff("a.yaml", "b.yaml") == 1
    printed = capsys.readouterr().out
    assert printed.startswith("a.yaml -> b.yaml: 1 call added, 1 answer changed\n")
    assert "-2\n+3\n" in printed


def test_folders_are_compared_by_path(capsys: Printed) -> None:
    """With what only one of them has; what failed recordings have left is no part of it."""
    record("a/shop/x.yaml", {"lamp": 1})
    shutil.copytree("a", "b")
    record("a/old.yaml", {"lamp": 1})
    record("b/new.yaml", {"lamp": 1})
    shutil.copy("b/new.yaml", "b/new.new.yaml")
    assert diff("a", "b") == 1
    assert capsys.readouterr().out == "only in b: new.yaml\nonly in a: old.yaml\n1 equal, 2 differ\n"
    assert diff("a", "a") == 0


def test_what_a_failed_recording_left_is_compared_with_its_cassette(capsys: Printed) -> None:
    """The cassette's name is in the file's. What was not asked afresh, as the test failed before, is no difference."""
    record("cassettes/x.yaml", {"lamp": 1, "pot": 2})
    record("cassettes/x.new.yaml", {"lamp": 3})
    assert diff("cassettes/x.new.yaml") == 1
    assert capsys.readouterr().out.startswith("cassettes/x.yaml -> cassettes/x.new.yaml: 1 answer changed\n")
    Path("cassettes/x.new.yaml").rename("cassettes/x.earlier.new.yaml")
    assert diff("cassettes") == 1
    assert capsys.readouterr().out.startswith("cassettes/x.yaml -> cassettes/x.earlier.new.yaml: 1 answer changed\n")
    Path("cassettes/x.yaml").unlink()
    assert diff("cassettes/x.earlier.new.yaml") == 3
    assert "there is no cassette at cassettes/x.yaml" in capsys.readouterr().err


def test_keys_are_compared(capsys: Printed) -> None:
    """Two recordings wherever they stand; a copy in another cassette is the same recording."""
    path = record("cassettes/x.yaml", {"lamp": 1, "pot": 2})
    shutil.copy(path, "cassettes/copy.yaml")
    one, other = (call.key for call in Cassette(path))
    assert diff(one[:8], other[:10]) == 1
    printed = capsys.readouterr().out
    assert printed.startswith(f"{one[:8]} -> {other[:10]}: 1 prompt changed\n")
    assert '-query = "lamp"\n+query = "pot"\n' in printed
    assert diff(one, one) == 0
    assert diff(one, "f" * 64, "--in", "cassettes") == 3


def test_json_is_for_programs(capsys: Printed) -> None:
    """An object per pair of files."""
    record("a/x.yaml", {"lamp": 1, "pot for flowers": 2})
    record("b/x.yaml", {"lamp": 4, "pot for tea": 2, "a": 3})
    record("a/y.yaml", {"lamp": 1})
    assert diff("--json", "a", "b") == 1
    compared, only = map(json.loads, capsys.readouterr().out.splitlines())
    assert only == {"old": "a/y.yaml", "only": "old"}
    answer, prompt, added = compared["changes"]
    assert (answer["change"], prompt["change"], added["change"]) == ("answer changed", "prompt changed", "added")
    assert answer["answer"] == {"fields": [{"path": "return_value", "old": 1, "new": 4}], "diff": ""}
    assert prompt["prompt"]["causes"] == ["the argument 'query' of find"]
    assert prompt["old"]["key"] != prompt["new"]["key"]
    assert "old" not in added
    assert added["new"]["occurrence"] == 1


def test_no_credential_is_printed(capsys: Printed) -> None:
    """What was written into a file by hand is scrubbed before it is shown; that it differs is said."""
    keys = [f"sk-proj-{letter * 40}" for letter in "abc"]
    for name, key in zip("ab", keys, strict=False):
        path = record(f"{name}.yaml", {"lamp": "KEY", f"pot {name}": f"a pot {name}"})
        path.write_text(path.read_text().replace("KEY", key).replace("pot " + name, f"pot {key}"))
        assert main(["verify", "--accept", str(path)]) == 5
    capsys.readouterr()
    for options in ([], ["--json"]):
        assert diff("a.yaml", "b.yaml", *options) == 5
        captured = capsys.readouterr()
        assert not any(key in captured.out + captured.err for key in keys)

    for name, key in zip("cd", keys, strict=False):
        path = record(f"{name}.yaml", {"lamp": "KEY"})
        path.write_text(path.read_text().replace("KEY", key))
        assert main(["verify", "--accept", str(path)]) == 0
    capsys.readouterr()
    assert diff("c.yaml", "d.yaml") == 1
    printed = capsys.readouterr().out
    assert "must not be shown" in printed
    assert not any(key in printed for key in keys)


def test_long_differences_are_bounded(capsys: Printed) -> None:
    """A reply of a thousand changed fields is shown in part."""
    record("a.yaml", {"lamp": dict.fromkeys(map(str, range(1000)), 1)})
    record("b.yaml", {"lamp": dict.fromkeys(map(str, range(1000)), 2)})
    assert diff("a.yaml", "b.yaml") == 1
    printed = capsys.readouterr().out
    assert printed.count("\n") < 80
    assert "more lines" in printed


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [
        ("[" * 900 + "]" * 900, "[" * 900 + "1" + "]" * 900, "answer changed"),
        ('{"a": 1}', '{"a":1}', '-{"a": 1}'),
        ('{"a": 1}', '{"a": 1.0}', "  a: 1 -> 1.0"),
        ('{"a b": [1, 2, 3]}', '{"a b": [1, 3]}', '- ["a b"][1]: 2'),
        ('{"a": {}}', '{"a": []}', "  a: {} -> []"),
        ("[1]", '{"a": 1}', '  the whole reply: [1] -> {"a": 1}'),
        ("plain", '{"a": 1}', "-plain"),
        ("", "x", "+x"),
        ("caf\u00e9", "cafe\u0301", "? 'caf\\xe9' -> 'cafe\\u0301'"),
        ("red", "\x1b[31mred", "+\\x1b[31mred"),
        ("\ud800", "\udfff", "\\ud800"),
    ],
)
def test_any_reply_is_compared(old: str, new: str, shown: str, capsys: Printed) -> None:
    """Deep ones, those that look alike, and what a terminal would obey."""
    say("a.yaml", "Hello", old)
    say("b.yaml", "Hello", new)
    assert diff("a.yaml", "b.yaml") == 1
    assert shown in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["a.yaml"], 2, "a.yaml is to be compared with what?"),
        (["."], 2, "no file in . ends in .new.yaml"),
        (["a.yaml", "."], 2, "a.yaml is a file and . is a folder"),
        (["a.yaml", "0123456789"], 2, "0123456789 is a key"),
        (["a.yaml", "none.yaml"], 3, "there is no file or folder none.yaml"),
        (["x.new.yaml"], 3, "there is no cassette at x.yaml"),
        (["a.yaml", "bad.yaml"], 5, "conflict markers"),
        (["a.yaml", "damaged.yaml"], 5, "does not agree with its digest"),
        pytest.param(
            ["a.yaml", "/dev/null"],
            5,
            "no ordinary file",
            marks=pytest.mark.skipif(sys.platform == "win32", reason="Windows has no /dev/null"),
        ),
    ],
)
def test_what_cannot_be_compared_is_said(arguments: list[str], code: int, says: str, capsys: Printed) -> None:
    """2 for wrong usage, 3 for what is missing, 5 for what is damaged."""
    path = record("a.yaml", {"lamp": 1})
    Path("bad.yaml").write_text("<<<<<<< HEAD\n")
    Path("damaged.yaml").write_text(path.read_text().replace('{"return_value": 1}', '{"return_value": 2}'))
    assert diff(*arguments) == code
    assert says in capsys.readouterr().err


def test_damage_is_found_on_both_sides(capsys: Printed) -> None:
    """Two files that are damaged alike are not called equal."""
    path = record("a.yaml", {"lamp": 1})
    path.write_text(path.read_text().replace('{"return_value": 1}', '{"return_value": 2}'))
    shutil.copy(path, "b.yaml")
    assert diff("a.yaml", "b.yaml") == 5
