"""The page about the command says what the parser says."""

from __future__ import annotations

from tests.documentation.command_line import COMMAND, PAGE, written


def test_the_page_is_the_help_of_every_command() -> None:
    """Each command, each argument, in the parser's own words."""
    text = PAGE.read_text("utf-8")
    assert text == written(text), f"the parser has changed; write the page anew: {COMMAND}"
