"""`docs/reference/forms.md` lists what can be decorated; each row is shown by code that is run."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.documentation.blocks import read_blocks

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "forms.md"


def sections() -> Iterator[tuple[str, str]]:
    """Title and text of each section."""
    for section in PAGE.read_text(encoding="utf-8").split("\n## ")[1:]:
        title, _, text = section.partition("\n")
        yield title, text


def rows() -> Iterator[tuple[str, str, str]]:
    """Section, first cell and last cell of each row of the page's tables."""
    for title, text in sections():
        for line in re.findall(r"^\|.*", text, re.MULTILINE):
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            if cells and not set(line) <= set("|-: ") and cells[-1] != "shown by":
                yield title, cells[0], cells[-1]


def asserted(section: str) -> set[str]:
    """The names that stand in the asserts of a section's Python blocks."""
    blocks = [block.text for title, text in sections() if title == section for block in read_blocks(text)]
    checks = [node for text in blocks for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Assert)]
    names = [node for check in checks for node in ast.walk(check)]
    return {node.id for node in names if isinstance(node, ast.Name)} | {
        node.attr for node in names if isinstance(node, ast.Attribute)
    }


ROWS = list(rows())


@pytest.mark.parametrize(
    ("section", "form", "example"), ROWS, ids=[f"{section} {form}".replace("`", "") for section, form, _ in ROWS]
)
def test_each_form_is_shown_by_code_that_is_run(section: str, form: str, example: str) -> None:
    """The last cell names what an assert of the same section is about; `test_documents.py` runs it."""
    assert example.strip("`") in asserted(section)


def test_the_tables_are_found() -> None:
    """A table that is laid out in another way would be checked by nobody."""
    assert len(ROWS) > 60
    assert len({section for section, *_ in ROWS}) >= 7
