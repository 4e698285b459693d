"""`pytest --llm-roundtrip`: a test for each function that a model implements."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.pytest_llm_strategy.conftest import Project

FORMS = '''
import functools
from dataclasses import dataclass
from llm_strategy import ScriptedModel, llm_explicit_function, llm_function, llm_strategy


def answer(request):
    raise SystemExit("a model is asked")


MODEL = ScriptedModel(answer)


@llm_strategy(MODEL)
@dataclass
class Forms:
    goods: list[str]

    def method(self) -> list[str]:
        """Of an object."""
        raise NotImplementedError

    async def amethod(self) -> int | None:
        """In an event loop."""
        raise NotImplementedError

    @property
    def size(self) -> int:
        """A property."""
        raise NotImplementedError

    @functools.cached_property
    def weight(self) -> float:
        """A property that is kept."""
        raise NotImplementedError

    @staticmethod
    def slogan() -> str:
        """Of nobody."""
        raise NotImplementedError

    @classmethod
    def founded(cls) -> bool:
        """Of the class."""
        raise NotImplementedError

    def written(self) -> str:
        return "no model needed"

    class Inner:
        """Not decorated."""

        def method(self) -> str:
            """Not implemented."""
            raise NotImplementedError


forms = Forms([])


class Child(Forms):
    pass


@llm_strategy(MODEL)
def function(a: int) -> int:
    """A function."""
    raise NotImplementedError


@llm_function
def with_model(model, a: int) -> dict[str, int]:
    """A function with its model."""
    raise NotImplementedError


@llm_explicit_function
def explicit(model, forms: Forms) -> tuple[int, str]:
    """An explicit function."""
    raise NotImplementedError


alias = function
half = functools.partial(function, 1)


@llm_strategy(MODEL)
@dataclass
class Single:
    name: str

    def greet(self) -> str:
        """Greet."""
        raise NotImplementedError


single = llm_strategy(MODEL)(Single("a"))


def test_inside():
    @llm_strategy(MODEL)
    def hidden() -> int:
        """Inside a test."""
        raise NotImplementedError
'''

NAMES = [
    "Forms.method",
    "Forms.amethod",
    "Forms.size",
    "Forms.weight",
    "Forms.slogan",
    "Forms.founded",
    "function",
    "with_model",
    "explicit",
    "Single.greet",
]


def collected(result: pytest.RunResult) -> list[str]:
    return [line for line in result.outlines if line.endswith("[round trip]")]


@pytest.mark.parametrize(
    "options",
    [(), ("--import-mode=importlib",), ("-o", "llm_roundtrip=true")],
    ids=["option", "importlib", "ini"],
)
def test_each_function_once(project: Project, options: tuple[str, ...]) -> None:
    """Whatever its form and however often it is imported, under the name that it was written with."""
    project.write(
        forms=FORMS,
        test_one="from forms import *\nimport forms as other\n\ndef test_one():\n    assert forms\n",
        test_two="from forms import Forms, function\n\ndef test_two():\n    assert Forms\n",
        unused=FORMS,
    )
    option = () if "-o" in options else ("--llm-roundtrip",)
    result = project.pytest(*option, *options, "--collect-only", "-q")
    assert collected(result) == [f"forms.py::{name}[round trip]" for name in NAMES]
    assert "test_one.py::test_one" in result.outlines
    project.pytest(*option, *options).assert_outcomes(passed=len(NAMES) + 3)
    assert project.cassettes == []
    project.pytest("--collect-only", "-q").stdout.no_fnmatch_line("*round trip*")


def test_in_test_modules_and_conftest(project: Project) -> None:
    """Functions of test modules and of what `conftest.py` imports count, even where there is no test."""
    project.write(conftest="import shop\n")
    result = project.pytest("--llm-roundtrip", "-v")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["shop.py::Shop.find[[]round trip[]] PASSED*", "shop.py::Shop.afind[[]round trip[]] *"])
    project.write(test_forms=FORMS)
    result = project.pytest("--llm-roundtrip", "--collect-only", "-q")
    assert collected(result)[2:] == [f"test_forms.py::{name}[round trip]" for name in NAMES]


@pytest.mark.parametrize("folders", [("src/pkg",), ("pkg", "tests")], ids=["src", "tests in a package"])
def test_in_packages(project: Project, folders: tuple[str, ...]) -> None:
    """Modules of packages are named by their paths from rootdir; what is installed is left out."""
    for folder in folders:
        (project.path / folder).mkdir(parents=True)
        (project.path / folder / "__init__.py").touch()
    (project.path / folders[0] / "shop.py").write_text((project.path / "shop.py").read_text())
    installed = project.path / ".venv/lib/site-packages"
    installed.mkdir(parents=True)
    (installed / "other_forms.py").write_text(FORMS)
    paths = f"{installed}\n    src\n    ."
    (project.path / "tox.ini").write_text(f"[pytest]\npythonpath =\n    {paths}\n")
    test = "from pkg.shop import shop\nimport other_forms\n\ndef test_shop():\n    assert shop\n"
    (project.path / folders[-1] / "test_shop.py").write_text(test)
    result = project.pytest("--llm-roundtrip", "--collect-only", "-q")
    assert collected(result) == [f"{folders[0]}/shop.py::Shop.{name}[round trip]" for name in ("find", "afind")]


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (("-k", "amethod"), ["Forms.amethod"]),
        (("-k", "llm_roundtrip and Single"), ["Single.greet"]),
        (("--deselect", "forms.py::function[round trip]"), [name for name in NAMES if name != "function"]),
        (("-n", "2"), NAMES),
        (("forms.py::Forms.size[round trip]",), ["Forms.size"]),
        (("forms.py::Forms.size", "forms.py::function[round trip]"), ["Forms.size", "function"]),
        (("forms.py",), NAMES),
        (("test_one.py::test_one",), []),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_selecting(project: Project, options: tuple[str, ...], names: list[str]) -> None:
    """They are chosen as any test is: by words, by id, on workers; an id alone brings no others along."""
    project.write(forms=FORMS, test_one="import forms\n\ndef test_one():\n    assert forms\n")
    result = project.pytest("--llm-roundtrip", "-v", *options)
    passed = sorted(
        {found for line in result.outlines for found in re.findall(r"forms\.py::(\S+)\[round trip\]", line)}
    )
    assert passed == sorted(names)
    assert result.ret == 0


def test_failures_come_again_with_lf(project: Project) -> None:
    """`--lf` runs the one that failed, whose module no test file stands for."""
    project.write(forms=LOSSY, test_one="import forms\n\ndef test_one():\n    assert forms\n")
    options = ("-p", "cacheprovider", "--llm-roundtrip")
    project.pytester.runpytest_subprocess("-p", "no:randomly", *options).assert_outcomes(failed=4, passed=2, skipped=1)
    project.pytester.runpytest_subprocess("-p", "no:randomly", *options, "--lf").assert_outcomes(failed=4, deselected=3)


LOSSY = '''
from typing import Annotated, Any
from pydantic import AfterValidator, BaseModel, PlainSerializer
from llm_strategy import ScriptedModel, llm_strategy


class Lossy(BaseModel):
    ratio: Annotated[int, PlainSerializer(lambda value: value // 2)] = 0


class Opaque:
    def __init__(self, thing):
        self.thing = thing

    @classmethod
    def __get_pydantic_core_schema__(cls, source, handler):
        from pydantic_core import core_schema
        return core_schema.is_instance_schema(cls, serialization=core_schema.to_string_ser_schema()) | {
            "metadata": {"pydantic_js_functions": [lambda *_: {"type": "string"}]}
        }


def broken(value):
    return {"a": 1}[value]


@llm_strategy(ScriptedModel([]))
def lossy() -> Lossy:
    """Lose."""
    raise NotImplementedError


@llm_strategy(ScriptedModel([]))
def opaque() -> Opaque:
    """Nobody knows."""
    raise NotImplementedError


@llm_strategy(ScriptedModel([]))
def fragile() -> Annotated[str, AfterValidator(broken)]:
    """Break."""
    raise NotImplementedError


@llm_strategy(ScriptedModel([]))
def homeless() -> "Nowhere":
    """Nobody has defined it."""
    raise NotImplementedError


@llm_strategy(ScriptedModel([]))
class Undescribed:
    def method(self) -> int:
        raise NotImplementedError

    def other(self) -> int:
        """Documented."""
        raise NotImplementedError
'''


def test_what_fails_says_why(project: Project) -> None:
    """The lost value, its reply and what came back, without tracebacks; a type without strategy says how to register one."""
    project.write(test_forms=LOSSY)
    result = project.pytest("--llm-roundtrip", "-rs")
    result.assert_outcomes(passed=1, failed=4, skipped=1)
    result.stdout.fnmatch_lines(
        [
            "_* round trip of lossy _*",
            "a value of Lossy is lost on its way through a reply",
            "value:     Lossy(ratio=*) (Lossy)",
            'reply:     {"return_value": {"ratio": *}}',
            "came back: Lossy(ratio=*) (Lossy)",
            "_* round trip of opaque _*",
            "no values of Opaque: *hypothesis.strategies.register_type_strategy(Type, strategy)",
            "_* round trip of fragile _*",
            "KeyError*",
            "*test_forms.py:*: in broken",
            "    return {*}[[]value[]]",
            "homeless (*): its annotations use the name 'Nowhere', which is not defined in its module*",
            "SKIPPED *: Undescribed.method * has no docstring: *",
        ]
    )
    result.stdout.no_fnmatch_line("*site-packages*")
    result.stdout.no_fnmatch_line("*hypothesis/core.py*")


def test_a_registered_strategy_is_used(project: Project) -> None:
    """`conftest.py` is the place to register strategies for types of one's own."""
    project.write(
        test_forms=LOSSY,
        conftest="import builtins\nfrom hypothesis import strategies as st\n\n"
        "def pytest_collection_finish(session):\n    from test_forms import Opaque\n"
        "    st.register_type_strategy(Opaque, st.builds(Opaque, st.none()))\n",
    )
    result = project.pytest("--llm-roundtrip", "-k", "opaque")
    result.stdout.fnmatch_lines(["a value of Opaque cannot be written as a reply"])


def test_modules_with_errors(project: Project) -> None:
    """A module that cannot be imported is pytest's error, as without the option."""
    project.write(
        forms=FORMS, test_broken="import forms\nraise ValueError('broken')\n", test_one="def test_one():\n    pass\n"
    )
    result = project.pytest("--llm-roundtrip", "--continue-on-collection-errors")
    result.assert_outcomes(errors=1, passed=1 + len(NAMES))
    result.stdout.no_fnmatch_line("*INTERNALERROR*")
    result = project.pytest("--llm-roundtrip", "nowhere.py::x")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result = project.pytest("--llm-roundtrip", "forms.py::nothing")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*not found: *forms.py::nothing"])


def test_without_hypothesis(project: Project) -> None:
    """The option says what to install before anything is collected."""
    code = (
        "import sys; sys.modules['hypothesis'] = None; import pytest; "
        "sys.exit(pytest.main(['-p', 'pytest_llm_strategy.plugin', '--llm-roundtrip']))"
    )
    environment = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": ":".join(sys.path)}
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=project.path, env=environment
    )
    assert result.returncode == pytest.ExitCode.USAGE_ERROR
    assert '--llm-roundtrip needs hypothesis: pip install "llm-strategy[test]"' in result.stderr
