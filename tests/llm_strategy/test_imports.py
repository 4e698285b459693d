"""What is loaded when, each checked in a process of its own; and the names that `llm_strategy` offers."""

from __future__ import annotations

import ast
import json
import os
import pkgutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

import llm_strategy

ROOT = Path(__file__).parents[2]

PROVIDERS = "openai langchain langchain_core langchain_openai anthropic httpx httpx2".split()
TEST_TOOLS = "syrupy hypothesis vcr xdist".split()
OF_CALLS = "pydantic pydantic_core yaml filelock asyncio".split()
"""What the library uses for calls only."""


def modules_after(program: str, folder: Path, **environment: str) -> set[str]:
    """The names of all modules that a process has loaded when the program has run."""
    listing = "\nimport json, sys\nprint('', json.dumps(sorted(sys.modules)), sep='\\n')"
    settings = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "LLM_STRATEGY_"))}
    settings |= {"PYTHONPATH": str(ROOT), **environment}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program + listing],
        check=False,
        cwd=folder,
        env=settings,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def loaded(modules: Iterable[str], unwanted: Iterable[str]) -> list[str]:
    """Those of the unwanted that are there."""
    return sorted(set(unwanted) & set(modules))


def test_importing_the_library_loads_nothing_else(tmp_path: Path) -> None:
    """`import llm_strategy` loads one module of the library, and none that it uses for calls."""
    modules = modules_after("import llm_strategy", tmp_path)
    assert [name for name in modules if name.startswith("llm_strategy")] == ["llm_strategy"]
    assert loaded(modules, [*PROVIDERS, *TEST_TOOLS, *OF_CALLS, "pytest"]) == []


def test_importing_the_decorators_loads_no_provider_and_no_test_tool(tmp_path: Path) -> None:
    """Decorating with a model named by a string needs no SDK, no cassette file format, no pytest."""
    program = """
import llm_strategy
for name in llm_strategy.__all__:
    getattr(llm_strategy, name)
@llm_strategy.llm_strategy("openai:gpt-5-mini")
def add(a: int, b: int) -> int:
    "Add."
    raise NotImplementedError
add.request(1, 2)
"""
    modules = modules_after(program, tmp_path)
    assert loaded(modules, [*PROVIDERS, *TEST_TOOLS, "yaml", "pytest"]) == []


@pytest.mark.parametrize("option", ["--collect-only", "--quiet"])
def test_the_unused_plugin_loads_next_to_nothing(tmp_path: Path, option: str) -> None:
    """Collecting or running tests that call no model loads neither pydantic nor what cassettes are made of."""
    (tmp_path / "test_empty.py").write_text("def test_nothing() -> None:\n    pass\n")
    program = f"""
import pytest
assert pytest.main(["-p", "pytest_llm_strategy.plugin", "-p", "no:cacheprovider", {option!r}]) == 0
"""
    modules = modules_after(program, tmp_path, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    assert "pytest_llm_strategy.plugin" in modules
    assert loaded(modules, [*PROVIDERS, *TEST_TOOLS, *OF_CALLS]) == []
    assert loaded(modules, [f"llm_strategy.{name}" for name in ("values", "engine", "cassette.store", "schema")]) == []


def test_replaying_loads_no_provider(tmp_path: Path) -> None:
    """A call of a model that is named by a string is replayed without its SDK, and without what only writing needs."""
    (tmp_path / "adder.py").write_text(
        '''
from llm_strategy import ScriptedModel, llm_strategy, use_cassette

def add(a: int, b: int) -> int:
    """Add."""
    raise NotImplementedError

def call(model, mode):
    with use_cassette("adder.yaml", mode):
        assert llm_strategy(model)(add)(1, 2) == 3

def record():
    call(ScriptedModel(['{"return_value": 3}'], name="openai:gpt-5-mini", recorded=True), "new")
'''
    )
    modules_after("import adder; adder.record()", tmp_path, PYTHONPATH=f"{ROOT}{os.pathsep}{tmp_path}")
    replay = "import adder; adder.call('openai:gpt-5-mini', 'replay')"
    modules = modules_after(replay, tmp_path, PYTHONPATH=f"{ROOT}{os.pathsep}{tmp_path}")
    assert loaded(modules, [*PROVIDERS, *TEST_TOOLS, "filelock", "pytest"]) == []


# Public names


def test_the_public_names_are_sorted() -> None:
    """`__all__` is in order, and has each name once."""
    assert llm_strategy.__all__ == sorted(set(llm_strategy.__all__))


@pytest.mark.parametrize("name", llm_strategy.__all__)
def test_each_public_name_can_be_imported(name: str) -> None:
    """Names are found when they are first used, under their own name, and listed by `dir` before."""
    thing = getattr(llm_strategy, name)
    assert name in dir(llm_strategy)
    assert getattr(thing, "__name__", name) in (name, "Annotated")


def test_type_checkers_are_told_the_same_names() -> None:
    """The imports that only type checkers see are the public names, each from the module where it is found."""
    tree = ast.parse(Path(llm_strategy.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    told = {alias.asname: node.module for node in imports for alias in node.names}
    assert sorted(map(str, told)) == llm_strategy.__all__
    for name, module in told.items():
        thing = getattr(llm_strategy, str(name))
        assert getattr(sys.modules[str(module)], str(name)) is thing


def test_an_unknown_name_is_an_attribute_error() -> None:
    """What is misspelled is reported as by any module."""
    with pytest.raises(AttributeError, match="'llm_strategy' has no attribute 'llm_stategy'"):
        llm_strategy.llm_stategy  # noqa: B018  # looking it up is the test


def test_no_module_has_the_name_of_a_public_object() -> None:
    """Else importing the module would put it in the object's place."""
    modules = {module.name for module in pkgutil.iter_modules(llm_strategy.__path__)}
    assert modules & set(llm_strategy.__all__) == set()
