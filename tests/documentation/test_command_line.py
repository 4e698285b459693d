"""The page about the command says what the parser says."""

from __future__ import annotations

import re

import pytest

from llm_strategy.cli import main
from tests.documentation.command_line import COMMAND, PAGE, written


def test_the_page_is_the_help_of_every_command() -> None:
    """Each command, each argument, in the parser's own words."""
    text = PAGE.read_text("utf-8")
    assert text == written(text), f"the parser has changed; write the page anew: {COMMAND}"


def test_each_heading_is_a_command_that_can_be_typed(capsys: pytest.CaptureFixture[str]) -> None:
    """What the page calls a command is what the command line knows it by, `import` too, which is a keyword of Python."""
    names = re.findall("^## `llm-strategy (.*)`$", PAGE.read_text("utf-8"), re.MULTILINE)
    assert "import" in names
    for name in names:
        with pytest.raises(SystemExit) as ended:
            main([name, "--help"])
        assert ended.value.code == 0
        assert capsys.readouterr().out.startswith(f"usage: llm-strategy {name} ")


def test_the_help_keeps_names_as_they_are_written(capsys: pytest.CaptureFixture[str]) -> None:
    """What is said of a command begins small, and names in it keep their capitals."""
    main([])
    said = " ".join(capsys.readouterr().out.split())
    assert "import recordings of vcrpy" in said
    assert "LangChain's cache" in said
