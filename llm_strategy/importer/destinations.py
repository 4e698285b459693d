"""Where an imported recording has to lie, so that the test that it belongs to finds it."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from llm_strategy.cassette.naming import SUFFIX, named_cassette, test_cassette

_FOLDER = "cassettes"
"""Beside the tests: where pytest-recording, pytest-vcr, promptecho and others of the kind put their files."""
_TEST_MODULE = re.compile(r"test_.*|.*_test")
_ROOTS = ("pyproject.toml", "pytest.ini", "tox.ini", "setup.cfg", ".git")


class Destination(NamedTuple):
    """The path of a cassette below the folder of all cassettes, and the test that owns it, if one does."""

    path: PurePosixPath
    owner: str | None


def destination(file: Path, given: Path) -> Destination:
    """Where what was recorded in a file goes. `given` is the file itself, or the folder in which it was found."""
    root, place = _place(file, given)
    *folders, name = place.parts
    stem = PurePosixPath(name).stem if PurePosixPath(name).suffix else name
    at = max((at for at, folder in enumerate(folders) if folder == _FOLDER), default=None)
    node = None if at is None else _node(root, folders[:at], folders[at + 1 :], stem)
    if node is not None:
        return Destination(test_cassette(node), node)
    return Destination(_named([*folders, stem]), None)


def _place(file: Path, given: Path) -> tuple[Path, PurePosixPath]:
    """The folder that the ids of tests are relative to, and the file's path in it."""
    # Without `..`, which only looks as if it led on below here.
    path, here = Path(os.path.abspath(file)), Path.cwd()
    around = Path(os.path.abspath(given)) if given.is_dir() else path.parent
    marked = (folder for folder in path.parents if any((folder / name).exists() for name in _ROOTS))
    root = here if path.is_relative_to(here) else next(marked, around)
    return root, PurePosixPath(path.relative_to(root).as_posix())


def _named(parts: list[str]) -> PurePosixPath:
    """The path that a recording without a test keeps; a folder of the same name as ours is not doubled."""
    kept = [part.lstrip(".") or "x" for part in parts]
    if len(kept) > 1 and kept[0] == _FOLDER:
        kept = kept[1:]
    return named_cassette("/".join(kept) + SUFFIX)


def _node(root: Path, folders: list[str], below: list[str], stem: str) -> str | None:
    """The id of the test that a recorder has named a file for."""
    if len(below) == 1:
        module = "/".join([*folders, f"{below[0]}.py"])
        known = (root / module).is_file()
        if (known or _TEST_MODULE.fullmatch(below[0])) and _may_be_test(root / module, stem):
            return f"{module}::{_test(root / module, stem, strict=False)}"
    if not below:
        # The file is not named for the module: whichever has the only such test.
        modules = sorted({*root.joinpath(*folders).glob("test_*.py"), *root.joinpath(*folders).glob("*_test.py")})
        found = [(path, test) for path in modules if (test := _test(path, stem, strict=True)) is not None]
        if len(found) == 1:
            ((path, test),) = found
            return f"{path.relative_to(root).as_posix()}::{test}"
    return None


def _may_be_test(module: Path, stem: str) -> bool:
    """Whether a file is named for a test: one that several share (`default_cassette`) has any name."""
    name = stem.partition("[")[0].rpartition(".")[2]
    return name.startswith("test") or _test(module, stem, strict=True) is not None


def _test(module: Path, stem: str, *, strict: bool) -> str | None:
    """The name of a test in its module, from that of its file; `strict` wants to see it in the source."""
    name, bracket, parameters = stem.partition("[")
    names = name.split(".")
    tests = [test for test in _tests(module) if test.split("::")[-len(names) :] == names]
    if len(tests) > 1 and not strict:
        # Of a test outside of classes the name says all.
        tests = [test for test in tests if test == name] or tests[:1]
    if len(tests) == 1:
        return tests[0] + bracket + parameters
    return None if strict else "::".join(names) + bracket + parameters


@cache
def _tests(module: Path) -> tuple[str, ...]:
    """The functions of a module that may be tests, with the classes around them."""
    try:
        tree = ast.parse(module.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return ()
    return tuple(_named_in(tree, ""))


def _named_in(node: ast.AST, around: str) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield around + child.name
        elif isinstance(child, ast.ClassDef):
            yield from _named_in(child, f"{around}{child.name}::")
        elif isinstance(child, ast.If | ast.Try | ast.With):
            yield from _named_in(child, around)
