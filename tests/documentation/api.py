"""Writes the tables of docs/reference/api.md anew from the docstrings: `python -m tests.documentation.api`.

Which names stand in which table is chosen by hand; what is said of each is the beginning of its docstring.
"""

from __future__ import annotations

import re
from pathlib import Path

from docs.pages import docstring
from tests.documentation.runner import CHECKOUT

PAGE = CHECKOUT / "docs" / "reference" / "api.md"
COMMAND = "python -m tests.documentation.api"
_ROW = re.compile(r"^\| `((?:pytest_)?llm_strategy\.[\w.]+)` \|.*$", re.MULTILINE)
_SENTENCE = re.compile(r".*?(?:\.(?=\s|\Z)|:(?=\n\n))", re.DOTALL)


def names(text: str) -> list[str]:
    """The full names in the tables."""
    return _ROW.findall(text)


def written(text: str) -> str:
    """The page as it should be."""
    return _ROW.sub(lambda row: f"| `{row[1]}` | {_said(row[1])} |", text)


def _said(name: str) -> str:
    """The first sentence; where that ends with a colon, code follows, which a table does not take."""
    sentence = _SENTENCE.match(docstring(name))
    assert sentence, f"{name} has no docstring"
    return " ".join(sentence[0].split()).replace("|", "\\|")


def main(page: Path = PAGE) -> None:
    page.write_text(written(page.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
