"""Writes docs/reference/command-line.md anew from the parser: `python -m tests.documentation.command_line`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from llm_strategy.cli import COMMANDS
from tests.documentation.runner import CHECKOUT

PAGE = CHECKOUT / "docs" / "reference" / "command-line.md"
COMMAND = "python -m tests.documentation.command_line"
_MARK = f"<!-- From here on the page is written by `{COMMAND}` -->\n"


def written(text: str) -> str:
    """The page as it should be: its head is kept, the rest says what each command takes."""
    head, mark, _ = text.partition(_MARK)
    assert mark, f"{PAGE.name} has lost its line {_MARK}"
    return "\n".join([f"{head}{mark}", *(line for name, module in COMMANDS.items() for line in _section(name, module))])


def _section(name: str, module: ModuleType) -> Iterator[str]:
    parser = argparse.ArgumentParser(f"llm-strategy {name}", add_help=False)
    module.add(parser)
    # How argparse lays out its help differs between the versions of Python; what it knows does not.
    actions = parser._actions
    yield f"## `llm-strategy {name}`\n"
    yield f"{(module.__doc__ or '').strip().splitlines()[0]}\n"
    if actions:
        yield "| argument | what it does |"
        yield "|---|---|"
        yield from (f"| `{_shown(action)}` | {_help(action)} |" for action in actions)
        yield ""


def _shown(action: argparse.Action) -> str:
    names = ", ".join(action.option_strings)
    value = str(
        action.metavar or "{" + ",".join(map(str, action.choices)) + "}" if action.choices else action.metavar or ""
    )
    if not names:
        value = str(action.metavar or action.dest).upper()
        return {"*": f"[{value} ...]", "?": f"[{value}]", "+": f"{value} ..."}.get(str(action.nargs), value)
    takes = value or ("" if action.nargs == 0 else action.dest.upper())
    return f"{names} {takes}".strip()


def _help(action: argparse.Action) -> str:
    return ((action.help or "") % vars(action)).replace("|", "\\|")


def main(page: Path = PAGE) -> None:
    page.write_text(written(page.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
