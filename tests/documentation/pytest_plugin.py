"""Writes docs/reference/pytest.md anew from the plugin: `python -m tests.documentation.pytest_plugin`."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_llm_strategy import plugin
from tests.documentation.runner import CHECKOUT

PAGE = CHECKOUT / "docs" / "reference" / "pytest.md"
COMMAND = "python -m tests.documentation.pytest_plugin"
_MARK = f"<!-- From here on the page is written by `{COMMAND}` -->\n"
_PLUGIN = "pytest_llm_strategy.plugin"
_OPTION = re.compile(r"(?<![`\w])(--[a-z][\w-]+)")
_MARKER = re.compile(r"^@pytest\.mark\.(llm_\w+)\((.*?)\): (.*)$", re.MULTILINE)


def written(text: str) -> str:
    """The page as it should be: its head is kept, the rest says what the plugin adds to pytest."""
    head, mark, _ = text.partition(_MARK)
    assert mark, f"{PAGE.name} has lost its line {_MARK}"
    parser = pytest.Parser(_ispytest=True)
    plugin.pytest_addoption(parser)
    return "\n".join([f"{head}{mark}", *_options(parser), *_settings(parser), *_fixtures(), *_markers()])


def _options(parser: Any) -> Iterator[str]:
    yield "## Options of the command line\n"
    yield from _table("option", "what it does")
    for option in parser.getgroup("llm-strategy").options:
        attributes = option.attrs()
        value = f"={attributes['metavar']}" if attributes["metavar"] else ""
        names = "<br>".join(f"`{name}{value}`" for name in option.names())
        yield f"| {names} | {_cell(attributes['help'])} |"
    yield ""


def _settings(parser: Any) -> Iterator[str]:
    yield "## Settings in the configuration\n"
    yield from _table("setting", "type", "default", "what it does")
    for name, (said, kind, default) in parser._inidict.items():
        shown = str(default).lower() if isinstance(default, bool) else default
        yield f"| `{name}` | {kind} | {f'`{shown}`' if shown not in ('', []) else 'none'} | {_cell(said)} |"
    yield ""


def _fixtures() -> Iterator[str]:
    yield "## Fixtures\n"
    yield from _table("fixture", "what it is")
    for name, value in vars(plugin).items():
        if type(value).__name__ == "FixtureFunctionDefinition":
            yield f"| `{name}` | {_cell(inspect.cleandoc(value.__doc__))} |"
    yield ""


def _markers() -> Iterator[str]:
    """As pytest lists them: they are declared when it is configured."""
    command = [sys.executable, "-m", "pytest", "--markers", "-c", os.devnull, "-p", _PLUGIN]
    alone = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""}
    said = subprocess.run(command, cwd=CHECKOUT, env=alone, capture_output=True, text=True, check=True).stdout
    yield "## Markers\n"
    yield from _table("marker", "takes", "what it does")
    yield from (f"| `{name}` | `{takes}` | {_cell(what)} |" for name, takes, what in _MARKER.findall(said))
    yield ""


def _table(*titles: str) -> Iterator[str]:
    yield f"| {' | '.join(titles)} |"
    yield "|---" * len(titles) + "|"


def _cell(text: str) -> str:
    """A text of the plugin in a table; the names of options stand in it as words."""
    return _OPTION.sub(r"`\1`", " ".join(text.split()).replace("|", "\\|"))


def main(page: Path = PAGE) -> None:
    page.write_text(written(page.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
