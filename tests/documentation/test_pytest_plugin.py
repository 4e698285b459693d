"""The page about the pytest plugin says what the plugin adds to pytest."""

from __future__ import annotations

import re

from tests.documentation.pytest_plugin import COMMAND, PAGE, written
from tests.documentation.runner import CHECKOUT
from tests.documentation.tables import rows

_VARIABLE = re.compile(r"""["'](LLM_STRATEGY_[A-Z_]+)["']""")


def test_the_page_is_what_pytest_knows_of_the_plugin() -> None:
    """Each option, setting, fixture and marker, in the plugin's own words."""
    text = PAGE.read_text("utf-8")
    assert text == written(text), f"the plugin has changed; write the page anew: {COMMAND}"


def test_each_kind_is_found() -> None:
    """A list that pytest keeps in another way would be an empty table that nobody misses."""
    text = PAGE.read_text("utf-8")
    assert "| `--llm-budget=USD` |" in text
    assert "| `llm_cassettes` | string | `cassettes` |" in text
    assert "| `llm_calls` |" in text
    assert "| `llm_cassette` | `name=None, " in text


def test_each_environment_variable_is_named() -> None:
    """The table has the variables that the code names, and no others of that kind."""
    modules = [path for name in ("llm_strategy", "pytest_llm_strategy") for path in (CHECKOUT / name).rglob("*.py")]
    named = {name for path in modules for name in _VARIABLE.findall(path.read_text("utf-8"))}
    table = rows(PAGE.read_text("utf-8"), "| variable | what it says |")
    assert named == {name for cell, _ in table for name in re.findall("LLM_STRATEGY_[A-Z_]+", cell)}
