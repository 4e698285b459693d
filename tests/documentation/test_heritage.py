"""docs/explanation/heritage.md leaves out no name of version 2.2.0, and says nothing that is not here."""

from __future__ import annotations

import json
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import llm_strategy
from tests.documentation.heritage import NAMES
from tests.documentation.runner import CHECKOUT

PAGE = CHECKOUT / "docs" / "explanation" / "heritage.md"
ROW = re.compile(r"^\| (?!name |behaviour |example |defect |there |---)(.+) \|$", re.MULTILINE)
SECTION = re.compile(r"^## (.+)\n((?:(?!## ).*\n?)*)", re.MULTILINE)
LINK = re.compile(r"\[(test_\w+)\]\(\.\./\.\./(tests/[\w/]+\.py)\)")


def rows() -> Iterator[tuple[str, list[str]]]:
    """The cells of each row, with the heading above it; the table of what had to change in tests has two of them."""
    for heading, text in SECTION.findall(PAGE.read_text(encoding="utf-8")):
        for row in ROW.findall(text):
            yield heading.strip("`"), row.split(" | ")


def named(text: str) -> list[str]:
    """The dotted names in backticks."""
    return re.findall(r"`([A-Za-z_]\w*(?:\.\w+)*)`", text)


def test_every_name_of_the_wheel_is_on_the_page() -> None:
    """Modules as headings, what stands in them as the first cell of a row; and nothing stands there that was not in the wheel."""
    headings = {heading.strip("`") for heading, _ in SECTION.findall(PAGE.read_text(encoding="utf-8"))}
    told = {f"{module}.{name}" for module, cells in rows() if len(cells) == 4 for name in named(cells[0])}
    known = set(json.loads(NAMES.read_text(encoding="utf-8")))
    assert known - told - headings == set()
    # The package gave on what its modules had.
    assert (
        told - known
        == {f"llm_strategy.{name}" for name in ("llm_strategy", "llm_function", "llm_explicit_function")} - known
    )


def test_every_row_has_a_counterpart_and_a_test() -> None:
    """Whatever was dropped says why, and what shows it."""
    for heading, cells in rows():
        if len(cells) > 2:
            assert all(cells), (heading, cells)
            assert LINK.sub("", cells[-1]).strip(", ") == "", (heading, cells)
            assert LINK.search(cells[-1]), (heading, cells)


def counterparts() -> list[str]:
    return sorted({name for _, cells in rows() if len(cells) > 2 for name in named(cells[-2])} - {"None"})


@pytest.mark.parametrize("name", counterparts())
def test_each_counterpart_can_be_imported(name: str) -> None:
    """A name in the column `here` is a public one, or one of its attributes; `function` is what a decorator makes."""

    @llm_strategy.llm_strategy(llm_strategy.ScriptedModel([]))
    def function() -> int:
        """One."""
        raise NotImplementedError

    if name.startswith("llm_strategy."):
        pkgutil.resolve_name(name)
        return
    first, *rest = name.split(".")
    value: Any = function if first == "function" else getattr(llm_strategy, first)
    for attribute in rest:
        # A field of a dataclass is no attribute of the class.
        assert hasattr(value, attribute) or attribute in value.__annotations__
        value = getattr(value, attribute, None)


def test_each_test_on_the_page_is_one_that_runs() -> None:
    """It is collected, under this name, in this file."""
    wanted = {f"{path}::{test}" for test, path in LINK.findall(PAGE.read_text(encoding="utf-8"))}
    files = sorted({test.partition("::")[0] for test in wanted})
    assert [path for path in files if not (CHECKOUT / path).is_file()] == []
    # In a process of its own: a module that another test has loaded would be taken from there.
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *files]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    collected = {line.partition("[")[0] for line in done.stdout.splitlines() if "::" in line}
    assert wanted - collected == set(), done.stderr


def test_the_names_are_those_of_the_wheel(tmp_path: Path) -> None:
    """The script finds modules, classes, functions, fields and operators, and neither tests nor private names."""
    import zipfile

    from tests.documentation.heritage import names_of

    wheel = tmp_path / "a.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("p/__init__.py", "from p.m import f\nT = TypeVar('T')\n")
        archive.writestr(
            "p/m.py", "A = 1\ndef f(): ...\ndef _g(): ...\nclass C:\n    x: int\n    def __call__(self): ...\n"
        )
        archive.writestr("p/tests/test_m.py", "def test(): ...\n")
    assert names_of(wheel) == ["p", "p.m", "p.m.A", "p.m.f", "p.m.C", "p.m.C.x", "p.m.C.__call__"]
