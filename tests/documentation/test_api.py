"""The reference of the public names has each of them, in the words of its docstring."""

from __future__ import annotations

import inspect
import re

import pytest

import llm_strategy
from docs.pages import docstring, named
from llm_strategy import tracing
from pytest_llm_strategy import strategies
from tests.documentation.api import COMMAND, PAGE, names, written

TEXT = PAGE.read_text("utf-8")


def test_every_public_name_stands_in_it() -> None:
    """Once; what is not public does not."""
    expected = [f"llm_strategy.{name}" for name in llm_strategy.__all__]
    found = [name for name in names(TEXT) if name.rpartition(".")[0] == "llm_strategy"]
    assert sorted(found) == sorted(expected), f"a table of {PAGE.name} needs a row; its text comes from: {COMMAND}"


def test_all_of_tracing_stands_in_it() -> None:
    """The module that traces is public, too."""
    found = [name.rpartition(".")[2] for name in names(TEXT) if name.startswith("llm_strategy.tracing.")]
    assert sorted(found) == sorted(tracing.__all__)


def test_every_strategy_stands_in_it() -> None:
    """What the plugin offers to tests with hypothesis."""
    public = [
        name
        for name, value in vars(strategies).items()
        if inspect.isfunction(value) and value.__module__ == strategies.__name__ and not name.startswith("_")
    ]
    found = [name.rpartition(".")[2] for name in names(TEXT) if name.startswith(f"{strategies.__name__}.")]
    assert sorted(found) == sorted(public)


def test_the_tables_say_what_the_docstrings_say() -> None:
    """A sentence for each name, which stands at its definition."""
    assert written(TEXT) == TEXT, f"a docstring has changed; write the page anew: {COMMAND}"


@pytest.mark.parametrize("name", llm_strategy.__all__)
def test_every_public_method_says_what_it_does(name: str) -> None:
    """A name that is documented without a word is a question."""
    value = getattr(llm_strategy, name)
    if not inspect.isclass(value) or value is llm_strategy.Model:
        return
    own = [(member, each) for member, each in vars(value).items() if not member.startswith("_")]
    silent = [member for member, each in own if _is_method(each) and not inspect.getdoc(each)]
    assert silent == []


@pytest.mark.parametrize("name", names(TEXT))
def test_no_docstring_on_the_page_holds_a_block_of_code(name: str) -> None:
    """Examples stand in documents, where they are run."""
    members = vars(named(name)) if inspect.isclass(named(name)) else {}
    shown = [member for own, member in members.items() if not own.startswith(("_", "model_")) and _is_method(member)]
    texts = [docstring(name), *(inspect.getdoc(member) or "" for member in shown)]
    assert [text for text in texts if re.search(r"^(?: {4}|```|>>> )", text, re.MULTILINE)] == []


def _is_method(value: object) -> bool:
    return inspect.isfunction(value) or isinstance(value, (property, classmethod, staticmethod))
