"""Where a miss belongs, and how the misses of a session are told together."""

from __future__ import annotations

import json
import linecache
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest

from llm_strategy import CassetteMiss, ChatChain, ScriptedModel, Session, llm_strategy, use_cassette
from llm_strategy.cassette.account import Account
from llm_strategy.cassette.missed import Group, Missed, groups
from llm_strategy.cassette.recording_command import one_command
from llm_strategy.cassette.source import docstring_place

MODEL = ScriptedModel(lambda request: '{"return_value": 1}', name="test:model", recorded=True)

SOURCE = '''
def plain(a: int) -> int:
    """It."""


async def later(
    a: dict[str, int] = {"a:": 1},  # a comment: with a colon
    *, b: "x:y" = lambda: 1,
) -> list[int]:
    # why

    r"""\\d and
    more."""


class Shop:
    @staticmethod
    @decorated(lambda: 1, "def no():")
    def find() -> int:
        """It."""

    @property
    def name(self) -> str: "It."

    def open(self):
        return 1

    class Inner:
        def deep(self):
            def deepest():
                (
                    """It."""
                )
            return deepest


def template():
    f"""no docstring"""
'''
PLACES = {"plain": 3, "later": 12, "find": 20, "name": 23, "open": 25, "deepest": 32, "template": 37}


def compiled(source: str, file: str) -> dict[str, FunctionType]:
    names: dict[str, Any] = {"decorated": lambda *_: lambda function: function}
    exec(compile(source, file, "exec"), names)  # noqa: S102  # as a notebook does
    shop = names["Shop"]
    found = [
        names["plain"],
        names["later"],
        shop.find,
        shop.name.fget,
        shop.open,
        shop.Inner().deep(),
        names["template"],
    ]
    return {function.__name__: function for function in found}


@pytest.mark.parametrize("name", PLACES)
def test_a_docstring_is_found_in_a_file(name: str, tmp_path: Path) -> None:
    """Of any function: below decorators, comments and a head of many lines; without one, `def` stands for it."""
    file = tmp_path / "shop.py"
    file.write_text(SOURCE)
    assert docstring_place(compiled(SOURCE, str(file))[name]) == (str(file), PLACES[name])


def test_a_docstring_is_found_where_there_is_no_file() -> None:
    """In the cells of a notebook, whose lines the interpreter keeps."""
    file = "<cell 1>"
    linecache.cache[file] = (len(SOURCE), None, SOURCE.splitlines(keepends=True), file)
    try:
        assert docstring_place(compiled(SOURCE, file)["find"]) == (file, 20)
    finally:
        del linecache.cache[file]


@pytest.mark.parametrize("text", [None, "", "def other():\n    'It.'\n" * 9, "(" * 9 + "\n" * 40, "\0def plain"])
def test_without_the_source_the_function_itself_says_where(text: str | None, tmp_path: Path) -> None:
    """Where there is none, or another one by now."""
    file = tmp_path / "gone.py"
    if text is not None:
        file.write_text(text)
    for function in compiled(SOURCE, str(file)).values():
        assert docstring_place(function) == (str(file), function.__code__.co_firstlineno)


@llm_strategy(MODEL)
def count(text: str) -> int:
    """Count the words."""
    raise NotImplementedError


def missed(function: Callable[[], object], path: Path) -> CassetteMiss:
    with use_cassette(path, "replay"), pytest.raises(CassetteMiss) as caught:
        function()
    return caught.value


def test_a_miss_says_where_its_prompt_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A decorated function's in its docstring, that of a chain in the line of the call; and what is nearest."""
    monkeypatch.chdir(Path(__file__).parent)
    miss = missed(lambda: count("a b"), tmp_path / "x.yaml")
    assert (miss.file, miss.line) == (
        "test_missed.py",
        linecache.getlines(__file__).index('    """Count the words."""\n') + 1,
    )
    assert (miss.diff, miss.nearest) == ("", None)
    assert miss.command.startswith("pytest --llm-record ")
    assert miss.command.endswith("test_missed.py::test_a_miss_says_where_its_prompt_is_written")
    with use_cassette(tmp_path / "x.yaml", "new"):
        count("a b")
        ChatChain(MODEL).query("How many?")
    miss = missed(lambda: count("a c"), tmp_path / "x.yaml")
    assert miss.nearest is not None
    assert f"nearest recording: {miss.nearest}\n\n{miss.diff}\n" in str(miss)
    assert miss.diff.startswith("--- recorded\n+++ now\n")

    def ask() -> None:
        ChatChain(MODEL).query("How few?")

    miss = missed(ask, tmp_path / "x.yaml")
    assert (miss.file, miss.line) == ("test_missed.py", ask.__code__.co_firstlineno + 1)


def miss(test: str, *causes: str, file: str | None = "a.py", line: int = 1, command: str | None = None) -> Missed:
    return Missed(test, "f", causes, file, line, f"pytest --llm-record {test}" if command is None else command, "k")


def test_misses_are_grouped_by_cause() -> None:
    """Each cause once, those of most tests first, where most of its misses belong."""
    told = [
        miss("t.py::a", "x", line=2),
        miss("t.py::a", "y"),
        miss("t.py::b", "y", "x", line=3),
        miss("t.py::c", "x", line=3),
        miss("t.py::c", "z", file=None, command=""),
    ]
    assert groups(told) == [
        Group("x", 3, ("t.py::a", "t.py::b", "t.py::c"), "a.py", 3, "pytest --llm-record t.py::a t.py::b t.py::c"),
        Group("y", 2, ("t.py::a", "t.py::b"), "a.py", 1, "pytest --llm-record t.py::a t.py::b"),
        Group("z", 1, ("t.py::c",), None, None, ""),
    ]


RECORD = "pytest --llm-record"
COMMANDS: list[tuple[list[str], str]] = [
    ([], ""),
    ([""], ""),
    ([f"{RECORD} a.py::b"], f"{RECORD} a.py::b"),
    ([f"{RECORD} 'a.py::b[x y]'"], f"{RECORD} 'a.py::b[x y]'"),
    ([f"{RECORD} 'a.py::b[{n} y]'" for n in range(9)], f"{RECORD} a.py::b"),
    (
        [f"{RECORD} 'a.py::C::b[x y]'", f"{RECORD} a.py::C::b[z]", f"{RECORD} a.py::c[z]"],
        f"{RECORD} a.py::C::b 'a.py::c[z]'",
    ),
    ([f"{RECORD} 'a[b]/c.py::d[{n}]'" for n in range(2)], f"{RECORD} 'a[b]/c.py::d'"),
    ([f"{RECORD} a.py::b{n}" for n in range(9)], f"{RECORD} a.py"),
    ([f"{RECORD} 'a b.py::b{n}'" for n in range(9)], f"{RECORD} 'a b.py'"),
    (
        [f"{RECORD} '{n}.py::b['\"'\"'{n} and much more]'" for n in range(5)],
        f"{RECORD} 0.py::b 1.py::b 2.py::b 3.py::b 4.py::b",
    ),
    ([f"{RECORD} a{n}.py::b" for n in range(9)], RECORD),
    ([f"{RECORD} {'a' * 100}{n}.py::b" for n in range(2)], RECORD),
    ([f"{RECORD} {'a' * 300}.py::b"], f"{RECORD} {'a' * 300}.py::b"),
    ([f"{RECORD} a.py::b", RECORD], RECORD),
    (
        [f"{RECORD} a/b.py::C::d", f"{RECORD} a/b.py::C", f"{RECORD} 'a/b.py::e[x/y]'"],
        f"{RECORD} a/b.py::C 'a/b.py::e[x/y]'",
    ),
    ([f"{RECORD} a/b.py::c", f"{RECORD} a", f"{RECORD} a/b.py"], f"{RECORD} a"),
    ([f"{RECORD} a.py::b", f"{RECORD}=all a.py::c"], f"{RECORD}=all a.py::b a.py::c"),
    ([f"{RECORD} '--llm-cassettes=x y' a.py::b{n}" for n in range(9)], f"{RECORD} '--llm-cassettes=x y' a.py"),
]


@pytest.mark.parametrize(("commands", "expected"), COMMANDS)
def test_one_command_does_the_work_of_many(commands: list[str], expected: str) -> None:
    """By the names of few tests, without their parameters where these are several, by files, or for all tests."""
    assert one_command(commands) == expected


def test_what_another_process_missed_is_told_once(tmp_path: Path) -> None:
    """Workers that share a fixture miss the same; and a rerun of a test does."""
    account, other = Account(), Account()
    for told in (account, other):
        told.miss(miss("t.py::a", "x"))
        told.miss(miss("t.py::a", "x"))
    other.miss(miss("t.py::b", "x"))
    account.add(json.loads(json.dumps(other.to_json())))
    assert [told.test for told in account.missed_calls] == ["t.py::a", "t.py::b"]
    assert [group.calls for group in account.groups] == [2]


def test_a_session_knows_what_its_scopes_missed(tmp_path: Path) -> None:
    """With the command that the runner has given, which a scope that refuses to record has not."""
    session = Session(tmp_path)
    try:
        for number, refusal in enumerate((None, "random prompts")):
            mode = "new" if refusal else None
            session.mode = "new" if refusal else "replay"
            opened = session.open(
                tmp_path / f"{number}.yaml",
                owner=f"t.py::{number}",
                command=f"{RECORD} t.py",
                refusal=refusal,
                mode=mode,
            )
            session.enter(opened)
            with pytest.raises(CassetteMiss):
                count("a")
            session.leave(opened)
            session.close(opened, passed=False)
        told = session.account.missed_calls
        assert [(one.test, one.function, one.causes, one.command) for one in told] == [
            ("t.py::0", "count", ("nothing recorded yet",), f"{RECORD} t.py"),
            ("t.py::1", "count", ("random prompts",), ""),
        ]
        assert told[0].key == count.request("a").key
    finally:
        session.finish()
