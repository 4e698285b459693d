"""`pytest --llm-roundtrip`: for each function that a model implements, a test that its replies can be read.

Loaded with the option only; needs hypothesis.
"""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

import pytest
from hypothesis import settings

from llm_strategy import PromptError
from pytest_llm_strategy.strategies import assert_refused, assert_round_trip
from pytest_llm_strategy.subject import NoValues, function_in

KEYWORD = "llm_roundtrip"
"""What `-k` finds all of these tests by."""


class Member(NamedTuple):
    """A function that a model implements, and where it was found."""

    file: Path
    name: str
    function: FunctionType


class RoundTrips:
    """Adds the tests to those that pytest has collected."""

    def pytest_collect_file(self, file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
        """A file of which an id on the command line names something: perhaps one of these tests."""
        if _ids_only(parent.config) and parent.session.isinitpath(file_path) and file_path.suffix == ".py":
            collector: pytest.Collector = _File.from_parent(parent, path=file_path)
            return collector
        return None

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(
        self, session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        """Whatever part of the project the tests have imported by now is looked through."""
        if _ids_only(config):
            return
        files: dict[Path, _File] = {}
        for member in members(_modules(config.rootpath)):
            if member.file not in files:
                files[member.file] = _File.from_parent(session, path=member.file)
            items.append(_test(files[member.file], member))


def _ids_only(config: pytest.Config) -> bool:
    """Whether every argument names single tests: then nobody asked for more."""
    return bool(config.args) and all("::" in argument for argument in config.args)


class _File(pytest.File):
    """A module's tests."""

    def collect(self) -> Iterator[pytest.Item]:
        root = self.config.rootpath
        if not any(file == self.path for file, _ in _modules(root)):
            # As pytest imports it, under whatever name that gives it.
            module: Any = pytest.Module.from_parent(self.parent, path=self.path)
            assert module.obj
        for member in members(_modules(root)):
            if member.file == self.path:
                yield _test(self, member)


def _test(parent: _File, member: Member) -> pytest.Item:
    name = f"{member.name}[round trip]"
    # The id as text: pytest 9 takes it apart, and would else look for the brackets in the name in vain (--lf).
    test: pytest.Item = _RoundTrip.from_parent(
        parent, name=name, nodeid=f"{parent.nodeid}::{name}", function=member.function
    )
    return test


class _RoundTrip(pytest.Item):
    """Values of one function's return type through their replies, then malformed replies."""

    def __init__(self, *, function: FunctionType, **settings: Any) -> None:
        super().__init__(**settings)
        self.function = function
        self.extra_keyword_matches.add(KEYWORD)

    def runtest(self) -> None:
        refused = _refusal(self.function)
        if refused is not None:
            pytest.skip(refused)
        number = settings().max_examples
        assert_round_trip(self.function, number)
        assert_refused(self.function, number)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, AssertionError | NoValues | PromptError):
            return str(excinfo.value)
        # A validator or a strategy of the user's: what is between it and pytest tells nobody anything.
        entries = [entry for entry in excinfo.traceback if _is_own(Path(entry.path), self.config.rootpath)]
        places = [f"{entry.path}:{entry.lineno + 1}: in {entry.name}\n{entry.statement}" for entry in entries]
        return "\n".join([excinfo.exconly(), *places]) if places else super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        # pytest would print a name that the id ends with otherwise than it is written there.
        return self.path, _line(self.function) - 1, f"round trip of {self.name.partition('[')[0]}"


def _refusal(function: Any) -> str | None:
    """Why a class's member stayed unimplemented, if it did."""
    if function.parse is not function:
        return None
    try:
        function.parse("")
    except PromptError as error:
        return str(error)
    return None


def _written(function: Any) -> FunctionType:
    """What the user has written, without the decorators around it."""
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    return function  # type: ignore[no-any-return]  # innermost is a function


def _line(function: Any) -> int:
    return _written(function).__code__.co_firstlineno


# What there is in the project


def _modules(root: Path) -> list[tuple[Path, ModuleType]]:
    """The modules that are loaded from files of the project, in the order of their paths."""
    found = []
    for module in list(sys.modules.values()):
        if not isinstance(module, ModuleType):
            continue
        # Asked directly: a lazy module would load itself, and one with a __getattr__ could do anything.
        file = object.__getattribute__(module, "__dict__").get("__file__")
        if isinstance(file, str) and _is_own(Path(file), root):
            found.append((Path(file), module))
    return sorted(found, key=lambda pair: (str(pair[0]), pair[1].__name__))


_FOREIGN = {"site-packages", "dist-packages"}


def _is_own(file: Path, root: Path) -> bool:
    standard = (sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"))
    return (
        file.is_relative_to(root)
        and file.suffix == ".py"
        and not _FOREIGN.intersection(file.parts)
        and not any(file.is_relative_to(folder) for folder in standard)
    )


def members(modules: Iterable[tuple[Path, ModuleType]]) -> list[Member]:
    """The functions in modules that a model implements, each once, where it was written if that is among them."""
    modules = list(modules)
    own = {module.__name__ for _, module in modules}
    best: dict[FunctionType, tuple[bool, Member]] = {}
    for file, module in modules:
        for name, function in _functions(module, own):
            written, at_home = _written(function), function.__module__ == module.__name__
            if function.__module__ in own and (written not in best or (at_home and not best[written][0])):
                best[written] = (at_home, Member(file, name, function))
    found: dict[tuple[Path, str], Member] = {}
    for _, member in best.values():
        # A file may be loaded under two names.
        found.setdefault((member.file, member.name), member)
    return sorted(found.values(), key=lambda member: (str(member.file), _line(member.function), member.name))


def _functions(module: ModuleType, own: set[str]) -> Iterator[tuple[str, FunctionType]]:
    """Names and functions in a module, and in the classes of it and of its objects. Nothing is evaluated."""
    waiting: list[type] = []
    for name, thing in list(vars(module).items()):
        function = _implemented(thing, object)
        if function is not None:
            yield name, function
        waiting.append(thing if isinstance(thing, type) else type(thing))
    seen: set[type] = set()
    while waiting:
        kind = waiting.pop(0)
        if kind in seen or kind.__module__ not in own:
            continue
        seen.add(kind)
        for name, thing in list(vars(kind).items()):
            function = _implemented(thing, kind)
            if function is not None:
                yield f"{kind.__qualname__.rpartition('<locals>.')[2]}.{name}", function
            elif isinstance(thing, type):
                waiting.append(thing)
        waiting += kind.__bases__


def _implemented(thing: Any, owner: type) -> FunctionType | None:
    """The function behind what stands in a module or class, where a model implements it."""
    if type(thing).__module__.startswith("llm_strategy.") and hasattr(type(thing), "__get__"):
        # The library's own descriptor, which gives the function.
        thing = thing.__get__(None, owner)
    try:
        return function_in(thing)
    except TypeError:
        return None
