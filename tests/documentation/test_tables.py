"""The tables in docs/reference say what happens: each of their rows is executed."""

from __future__ import annotations

import json
import pickle
import sys
import types
from typing import Any

import pytest

from llm_strategy import ReplyError, ScriptedModel, call_log, llm_strategy
from tests.documentation.tables import code, document, names, rows

TYPES = document("reference/types.md")
REPLIES = document("reference/replies.md")
CARRIED = rows(TYPES, "| return type | value | in the reply |")
UNDERSTOOD = rows(REPLIES, "| return type | the model sends | value | `call.repairs` |")
REFUSED = rows(REPLIES, "| return type | the model sends | the error says |")


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What the documents define; as a module, so that values pickle."""
    module = types.ModuleType("document")
    sys.modules["document"] = module
    for text in (TYPES, REPLIES):
        module.__dict__.update(names(text, tmp_path_factory.mktemp("blocks")))
    yield module.__dict__
    del sys.modules["document"]


def function(annotation: Any, *replies: str, **options: Any) -> Any:
    def answer() -> Any:
        """Answer."""
        raise NotImplementedError

    answer.__annotations__["return"] = annotation
    return llm_strategy(ScriptedModel(list(replies)), retries=0, **options)(answer)


def sent(cell: str) -> str:
    return code(cell).replace("⏎", "\n").replace("\\ufeff", "\ufeff")


def equal(one: Any, other: Any) -> bool:
    return type(one) is type(other) and (one == other or (one != one and other != other))


def test_the_tables_are_found() -> None:
    """A table with another header would be a table that nobody checks."""
    assert (len(CARRIED) > 40, len(UNDERSTOOD) > 25, len(REFUSED) > 10) == (True, True, True)


@pytest.mark.parametrize("row", CARRIED, ids=lambda row: " ".join(row[:2]))
def test_types_are_carried_as_the_table_says(row: list[str], classes: dict[str, Any]) -> None:
    """The value's reply is the one in the table, and reading it gives the value."""
    annotation, value = (eval(code(cell), classes) for cell in row[:2])  # noqa: S307  # our own documentation
    answer = function(annotation)
    text = f'{{"return_value": {code(row[2])}}}'

    assert json.loads(answer.reply(value)) == json.loads(text)
    assert equal(answer.parse(text), value)
    assert equal(pickle.loads(pickle.dumps(answer.parse(text))), value)  # noqa: S301  # our own pickle


@pytest.mark.parametrize("row", UNDERSTOOD, ids=lambda row: row[1])
def test_replies_are_understood_as_the_table_says(row: list[str], classes: dict[str, Any]) -> None:
    """The reply has the value and the repairs in the table; with `strict_replies` it has an error."""
    annotation, value = (eval(code(cell), classes) for cell in (row[0], row[2]))  # noqa: S307  # our own documentation
    repairs = tuple(row[3].split("; ")) if row[3] else ()
    with call_log() as calls:
        got = function(annotation, sent(row[1]))()

    assert equal(got, value)
    assert calls[0].repairs == repairs
    strictly = function(annotation, sent(row[1]), strict_replies=True)
    if not repairs:
        assert equal(strictly(), value)
        return
    with pytest.raises(ReplyError) as raised:
        strictly()
    assert raised.value.repairs == repairs


@pytest.mark.parametrize("row", REFUSED, ids=lambda row: row[1])
def test_replies_are_refused_as_the_table_says(row: list[str], classes: dict[str, Any]) -> None:
    """The error says why."""
    answer = function(eval(code(row[0]), classes), sent(row[1]))  # noqa: S307  # our own documentation
    with pytest.raises(ReplyError) as raised:
        answer()

    assert row[2] in str(raised.value)
