"""Faults that a session puts into recorded calls."""

from __future__ import annotations

import datetime
import enum
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest
from pydantic import BaseModel
from typing_extensions import TypedDict

from llm_strategy import Fault, ModelError, ReplyError, ScriptedModel, Session, llm_strategy


class Color(enum.Enum):
    RED = "red"
    BLUE = 2


class Point(NamedTuple):
    x: int
    y: int = 0


class Options(TypedDict, total=False):
    size: int


class Tree(BaseModel):
    name: str = ""
    children: list[Tree] = []


@dataclass
class Item:
    name: str
    price: Decimal | None = None


VALUES: list[tuple[Any, str]] = [
    (int, "1"),
    (float, "0.5"),
    (bool, "true"),
    (str, '"text"'),
    (type(None), "null"),
    (int | str, "1"),
    (list[str], '["a", "b"]'),
    (set[int], "[1]"),
    (tuple[int, ...], "[1]"),
    (dict[str, str], '{"a": "b"}'),
    (dict[str, int] | list[int], "[1]"),
    (dict[str, int] | list[int] | str, "[1]"),
    (Literal["a", 1], '"a"'),
    (Color, '"red"'),
    (Point, "[1, 2]"),
    (Options, '{"size": 1}'),
    (Tree, '{"name": "a", "children": [{"name": "b"}]}'),
    (Item, '{"name": "a"}'),
    (Item | None, "null"),
    (datetime.date, '"2020-01-01"'),
]


def returning(kind: Any, model: ScriptedModel) -> Any:
    """A decorated function that returns the type."""

    def function() -> Any:
        """Return something."""
        raise NotImplementedError

    function.__annotations__["return"] = kind
    return llm_strategy(model)(function)


def recorded(kind: Any, value: str, folder: Path) -> Any:
    """A function whose one call stands in the cassette of `test_x.py::test_y`."""
    replies = [f'{{"return_value": {value}}}']
    function = returning(kind, ScriptedModel(replies, name="any:model", recorded=True))
    session = Session(folder, mode="new")
    opened = session.open(session.test_path("test_x.py::test_y"))
    session.enter(opened)
    function()
    session.leave(opened)
    session.close(opened, passed=True)
    session.finish()
    return function


@pytest.mark.parametrize("kind", Fault.KINDS)
@pytest.mark.parametrize(("annotation", "value"), VALUES, ids=str)
def test_a_fault_is_an_error_for_every_type(annotation: Any, value: str, kind: str, tmp_path: Path) -> None:
    """No return type takes a faulty reply for a value, and who asks again gets the recorded one."""
    function = recorded(annotation, value, tmp_path)
    fault = Fault(kind)
    session = Session(tmp_path)
    opened = session.open(session.test_path("test_x.py::test_y"), fault=fault)
    assert fault.fits(function.request())
    session.enter(opened)
    try:
        with pytest.raises(fault.error):
            function()
        assert function() == function.parse(f'{{"return_value": {value}}}')
    finally:
        session.leave(opened)
        session.close(opened, passed=True)
        session.finish()
    assert [call.response.content for call in opened.scope.calls][-1] == f'{{"return_value": {value}}}'


@pytest.mark.parametrize(
    ("annotation", "kind", "fits"),
    [
        (Any, "wrong_type", False),
        (Any, "malformed", True),
        (list[int] | dict[str, int] | str | float, "wrong_type", False),
        (list[int] | dict[str, int] | str, "wrong_type", True),
    ],
    ids=str,
)
def test_what_allows_everything_has_no_wrong_type(annotation: Any, kind: str, fits: bool) -> None:
    """`fits` tells the faults that a call can have from those that would be none."""
    assert Fault(kind).fits(returning(annotation, ScriptedModel([])).request()) is fits


def test_the_errors_of_faults() -> None:
    """A reply that is at fault raises ReplyError, a call that fails ModelError."""
    failed = {kind for kind in Fault.KINDS if Fault(kind).error is ModelError}
    assert failed == {"rate_limit", "timeout"}
    assert {Fault(kind).error for kind in set(Fault.KINDS) - failed} == {ReplyError}


@pytest.mark.parametrize(
    ("kind", "call", "message"),
    [
        (
            "slow",
            1,
            "unknown fault 'slow'; the faults are malformed, wrong_type, refusal, cut_off, rate_limit, timeout",
        ),
        ("timeout", 0, "calls are numbered from 1, not 0"),
        ("timeout", True, "calls are numbered from 1, not True"),
    ],
)
def test_what_is_no_fault(kind: str, call: int, message: str) -> None:
    """A wrong name lists the right ones."""
    with pytest.raises(ValueError, match=message):
        Fault(kind, call)


def test_recording_sessions_replay_where_a_fault_is(tmp_path: Path) -> None:
    """Whatever the session's mode, a scope with a fault asks nobody and leaves its cassette alone."""
    recorded(int, "1", tmp_path)
    path = tmp_path / "test_x/test_y.yaml"
    before = path.read_bytes()
    for mode in ("new", "all", "live", "dry"):
        session = Session(tmp_path, mode=mode)
        opened = session.open(path, fault=Fault("timeout"))
        session.enter(opened)
        function = returning(int, ScriptedModel([], name="any:model", recorded=True))
        with pytest.raises(ModelError):
            function()
        assert function() == 1
        session.leave(opened)
        session.close(opened, passed=True)
        session.finish()
        assert (path.read_bytes(), session.account.stale) == (before, 0)
