"""What a function without a body has to say about itself, and what is refused."""

from __future__ import annotations

import importlib.util
import inspect
import json
import re
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import pytest
from pydantic import Field

from llm_strategy import PromptError, ScriptedModel, Volatile, llm_explicit_function, llm_function, llm_strategy
from llm_strategy.body import is_unimplemented
from llm_strategy.signature import Signature
from tests.llm_strategy.answers import scripted
from tests.llm_strategy.programs import interpreters, output

MISSING = [
    "def f() -> int:\n    raise NotImplementedError",
    "def f() -> int: raise NotImplementedError",
    'def f() -> int:\n    """Doc."""\n    raise NotImplementedError',
    'def f() -> int:\n    """Doc."""\n    raise NotImplementedError()',
    'def f(x) -> int:\n    """Doc."""\n    raise NotImplementedError(f"no {x}") from None',
    'def f(x) -> int:\n    """Doc."""\n    raise NotImplementedError(", ".join(str(y) for y in x))',
    'def f(x) -> int:\n    """Doc."""\n    raise NotImplementedError((lambda: x)())',
    "def f() -> int:\n    ...",
    "def f() -> int: ...",
    'def f() -> int:\n    """Doc."""\n    ...',
    'def f() -> int: """Doc."""; ...',
    'def f() -> int:\n    """Doc."""',
    'def f() -> int: """Doc."""',
    'def f() -> int:\n    """The number of days between two dates, both of them included."""',
    'def f() -> int:\n    """Doc.\n\n    More.\n    """',
    'async def f() -> int:\n    """Doc."""\n    raise NotImplementedError',
    'async def f() -> int:\n    """Doc."""\n    ...',
    'async def f() -> int:\n    """Doc."""',
    "async def f() -> int: ...",
    '@staticmethod\ndef f() -> int:\n    """Doc."""\nf = f.__func__',
    'def f(x) -> int:\n    """Doc."""\n    raise NotImplementedError("a" if x else "b")',
    'def f(x) -> int:\n    """Doc."""\n    raise NotImplementedError([y for z in x for y in z if y]) from x',
    'def f(x) -> int:\n    """Doc."""\n    raise NotImplementedError(x or 1, *x, y={a: b for a, b in x}, **x)',
    'def f(x) -> int:\n    """Doc."""\n    pass\n    raise NotImplementedError(1 < x < 3)',
    'def f() -> int:\n    """Doc."""\n    raise NotImplementedError\n    return 5',
    'def f() -> int:\n    """Doc."""\n    ...\n    ...',
    'async def f(x) -> int:\n    """Doc."""\n    raise NotImplementedError(f"{x!r:>{x}} {x.y}", await x)',
    'def outer(z):\n    def f(x) -> int:\n        """Doc."""\n        raise NotImplementedError(z, lambda: x)\n    return f\nf = outer(1)',
]
PRESENT = [
    "def f(): pass",
    "def f():\n    pass",
    'def f():\n    """Doc."""\n    pass',
    'def f():\n    """Doc."""\n    return',
    'def f():\n    """Doc."""\n    return None',
    "def f():\n    return ...",
    "def f():\n    ...\n    return 1",
    'def f(x):\n    """Doc."""\n    x()\n    ...',
    "def f(x):\n    if x:\n        raise NotImplementedError\n    return 1",
    'def f(x):\n    """Doc."""\n    raise NotImplementedError if x else ValueError',
    "def f():\n    try:\n        raise NotImplementedError\n    except NotImplementedError:\n        return 2",
    'def f():\n    """Doc."""\n    raise ValueError',
    'def f():\n    """Doc."""\n    return NotImplementedError',
    'def f():\n    """Doc."""\n    return NotImplemented',
    'def f():\n    """Doc."""\n    NotImplementedError\n    return 5',
    'def f():\n    """Doc."""\n    yield',
    'def f():\n    """Doc."""\n    raise NotImplementedError\n    yield',
    'async def f():\n    """Doc."""\n    pass',
    'async def f():\n    """Doc."""\n    return 1',
    'async def f():\n    """Doc."""\n    yield 1',
    'def f(x):\n    """Doc."""\n    x()\n    raise NotImplementedError',
    'def f():\n    """Doc."""\n    error = NotImplementedError()\n    raise error',
    'def f(x):\n    error = NotImplementedError("a" if x else "b")\n    x(error)\n    raise ValueError',
    "def f(x):\n    with x:\n        raise NotImplementedError",
    "def f(x):\n    try:\n        raise NotImplementedError\n    finally:\n        x()",
    "def f(x):\n    for y in x:\n        raise NotImplementedError",
    'def f(x):\n    return NotImplementedError("a" if x else "b")',
    "def f(x):\n    raise x.NotImplementedError",
    "def f(x):\n    raise NotImplementedError or x",
    "def f():\n    NotImplementedError()",
    "async def f(x):\n    async with x:\n        raise NotImplementedError",
    "async def f(x):\n    try:\n        raise NotImplementedError\n    except x:\n        pass",
    "f = lambda: None",
]
BODIES = [*((source, True) for source in MISSING), *((source, False) for source in PRESENT)]


def module_of(source: str, folder: Path, name: str = "written") -> ModuleType:
    """A module that stands in a file, as users' modules do."""
    path = folder / f"{name}.py"
    path.write_text(source, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("source", "missing"), BODIES)
def test_a_body_is_missing_if_it_only_raises_says_dots_or_documents(source: str, missing: bool, tmp_path: Path) -> None:
    """`raise NotImplementedError`, `...` and a lone docstring are no bodies; `pass` is one."""
    assert is_unimplemented(module_of(source, tmp_path).f) is missing


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_whether_a_body_is_missing_needs_no_source(version: str) -> None:
    """Code typed in a shell, frozen or given with `-c` is judged as code in a file, on every Python."""
    python = dict(interpreters()).get(version)
    if python is None:
        pytest.skip(f"no Python {version} with pydantic, PyYAML and filelock on the PATH or in .venv*")
    program = """
        import json, sys
        from llm_strategy.body import is_unimplemented
        judged = []
        for source in json.loads(sys.argv[1]):
            names = {}
            exec(source, names)
            judged.append(is_unimplemented(names["f"]))
        print(json.dumps(judged))
    """
    judged = json.loads(output(program, json.dumps([source for source, _ in BODIES]), python=python))

    assert [(source, got) for (source, _), got in zip(BODIES, judged, strict=True)] == BODIES


@pytest.mark.parametrize("options", [("-X", "no_debug_ranges"), ("-OO",)])
def test_no_option_of_the_interpreter_hides_a_missing_body(options: tuple[str, ...]) -> None:
    """Without column numbers `...` and `pass` compile alike; whoever promises no value may then mean either."""
    program = """
        import json, sys
        from llm_strategy.body import is_unimplemented
        for source, missing in json.loads(sys.argv[1]):
            names = {}
            exec(source, names)
            if is_unimplemented(names["f"]) is not missing:
                print(source)
    """
    told = [
        (source, missing)
        for source, missing in BODIES
        if missing or not re.search(r"return None$|(pass|return)$", source)
    ]

    assert output(program, json.dumps(told), options=options) == ""


def test_stripped_docstrings_are_told_from_missing_ones() -> None:
    """With -OO there is no docstring, whatever was written; the error says which option took it."""
    program = '''
        from llm_strategy import llm_strategy
        def best(query: str) -> str:
            """Find the best."""
            raise NotImplementedError
        for decorate in (llm_strategy, llm_strategy("stub:")):
            try:
                decorate(best)
            except NotImplementedError as error:
                print(error)
    '''
    printed = output(program, options=("-OO",)).splitlines()

    assert len(printed) == 2
    assert all(
        "best (<string>:3) has no docstring: Python runs with -OO or PYTHONOPTIMIZE=2" in line for line in printed
    )


def test_a_class_given_with_the_option_c_is_implemented() -> None:
    """A one-line script works: nothing reads the source of what it decorates."""
    program = '''
        from dataclasses import dataclass
        from llm_strategy import llm_strategy, ScriptedModel

        @llm_strategy(ScriptedModel(['{"return_value": 7}']))
        @dataclass
        class Shop:
            name: str
            def best(self, query: str) -> int:
                """Find the best."""
                ...
            def close(self): pass

        print(Shop("a").best("x"), Shop("a").close())
    '''

    assert output(program) == "7 None"


def documented(x: int) -> int:
    """Say it."""
    raise NotImplementedError


def no_return(x: int):
    """Say it."""
    raise NotImplementedError


def no_docstring(x: int) -> int:
    raise NotImplementedError


def no_annotation(x: int, y) -> int:
    """Say it."""
    raise NotImplementedError


def with_a_body(x: int) -> int:
    """Say it."""
    return x + 1


def with_pass(x: int) -> None:
    """Say it."""
    pass  # noqa: PIE790  # what this is about


def no_parameter() -> int:
    """Say it."""
    raise NotImplementedError


def one_input(model, x: int) -> int:
    """Say it."""
    raise NotImplementedError


def two_inputs(model, x: int, y: int) -> int:
    """Say it."""
    raise NotImplementedError


def strategy(function: Any) -> Any:
    return llm_strategy(ScriptedModel([]))(function)


@pytest.mark.parametrize(
    ("decorate", "function", "cure"),
    [
        (strategy, no_return, "has no return annotation: add one, such as `-> str`"),
        (strategy, no_docstring, "has no docstring: say in one what it returns"),
        (strategy, no_annotation, "the parameter 'y' has no annotation: add one, such as `y: str`"),
        (strategy, with_a_body, "has a body of its own"),
        (strategy, with_pass, "has a body of its own"),
        (llm_function, no_parameter, "has no parameter for the model: write it as the first one"),
        (llm_function, with_a_body, "let the body be a docstring and `raise NotImplementedError`"),
        (llm_explicit_function, two_inputs, "takes 3 parameters; an explicit function takes two"),
        (llm_explicit_function, no_parameter, "takes 0 parameters; an explicit function takes two"),
    ],
)
def test_what_no_prompt_can_be_made_from_is_refused_when_it_is_decorated(
    decorate: Callable[[Any], Any], function: Any, cure: str
) -> None:
    """The error names the function, says what is missing and how to add it; old code may catch NotImplementedError."""
    with pytest.raises(PromptError) as raised:
        decorate(function)

    assert function.__name__ in str(raised.value)
    assert cure in str(raised.value)
    assert isinstance(raised.value, NotImplementedError)


def test_a_refusal_says_where_the_function_stands() -> None:
    """File and line lead there with one click."""
    with pytest.raises(PromptError, match=rf"test_signature\.py:{no_docstring.__code__.co_firstlineno}\)"):
        strategy(no_docstring)


THINGS: dict[str, Any] = {
    "built-in": len,
    "number": 3,
    "text": "text",
    "property": property(lambda self: 1),
    "class method": classmethod(lambda cls: 1),
}


@pytest.mark.parametrize("thing", THINGS.values(), ids=THINGS)
def test_what_is_no_function_and_no_class_cannot_be_decorated(thing: Any) -> None:
    """A built-in function, a value or a lone descriptor is refused with a TypeError."""
    with pytest.raises(TypeError, match="decorate"):
        strategy(thing)


def test_an_unannotated_parameter_needs_a_default() -> None:
    """With a default, a parameter may stay unannotated: its value says enough."""

    @llm_strategy(scripted(1))
    def count(text: str, limit=3) -> int:
        """Count."""
        raise NotImplementedError

    assert "def count(text: str, limit: Any) -> int" in count.request("a").messages[-1].content
    assert "limit = 3" in count.request("a").messages[-1].content


def test_annotations_are_evaluated_at_the_first_call(tmp_path: Path) -> None:
    """A type may be defined below the function that returns it, and be named in quotes."""
    source = '''
        from llm_strategy import llm_strategy

        @llm_strategy("openai:any")
        def pick(name: "Name") -> "list[Result]":
            """Pick."""
            raise NotImplementedError

        from dataclasses import dataclass
        Name = str

        @dataclass
        class Result:
            value: int
    '''
    pick = module_of(textwrap.dedent(source), tmp_path).pick

    assert "def pick(name: str) -> list[Result]" in pick.request("a").messages[-1].content


def test_the_future_import_changes_nothing(tmp_path: Path) -> None:
    """With `from __future__ import annotations` and without, a function has one key."""
    source = '''
        from typing import Optional
        from llm_strategy import llm_strategy

        @llm_strategy("openai:any")
        def pick(name: Optional[str], counts: dict[str, list[int]]) -> int | None:
            """Pick."""
            raise NotImplementedError
    '''
    plain = textwrap.dedent(source)
    without = module_of(plain, tmp_path, "without").pick
    future = module_of("from __future__ import annotations\n" + plain, tmp_path, "future").pick

    assert without.request("a", {}).key == future.request("a", {}).key


def test_a_type_that_exists_only_for_type_checkers_is_named(tmp_path: Path) -> None:
    """Without the type there is neither a schema nor a check, so the call is refused with the type's name."""
    source = '''
        from __future__ import annotations
        from typing import TYPE_CHECKING
        from llm_strategy import llm_strategy
        if TYPE_CHECKING:
            from decimal import Decimal

        @llm_strategy("openai:any")
        def price(text: str) -> Decimal:
            """Find the price."""
            raise NotImplementedError
    '''
    price = module_of(textwrap.dedent(source), tmp_path).price

    with pytest.raises(PromptError, match="use the name 'Decimal', which is not defined in its module"):
        price("a")


@pytest.mark.parametrize(
    ("annotation", "cause"), [("list[int", "SyntaxError"), ("re.Nothing", "AttributeError"), ("Any[int]", "TypeError")]
)
def test_annotations_that_cannot_be_evaluated_say_whose_they_are(annotation: str, cause: str) -> None:
    """As a string they are read at the first call only, far from where they stand."""

    def best(query: str) -> str:
        """Find the best."""
        raise NotImplementedError

    best.__annotations__["query"] = annotation
    with pytest.raises(PromptError, match=rf"best \(.*its annotations cannot be evaluated, because of {cause}: "):
        llm_strategy(scripted())(best)("a")


def test_a_return_type_that_no_json_can_become_is_refused_before_the_model_is_asked() -> None:
    """Money is not spent on an answer that cannot be read."""
    model = scripted(1)

    @llm_strategy(model)
    def stream(text: str) -> inspect.Signature:
        """Make it."""
        raise NotImplementedError

    with pytest.raises(PromptError, match=r"stream: no reply can be turned into its return type.*: return plain data"):
        stream("a")
    assert model.requests == []


@pytest.mark.parametrize(
    ("args", "kwargs", "problem"),
    [
        ((), {}, "missing a required argument: 'text'"),
        (("a", 1, 2), {}, "too many positional arguments"),
        (("a",), {"limt": 1}, "unexpected keyword argument 'limt'"),
        (("a",), {"text": "b"}, "multiple values for argument 'text'"),
    ],
)
def test_arguments_that_do_not_fit_the_signature_are_a_type_error(
    args: tuple[Any, ...], kwargs: dict[str, Any], problem: str
) -> None:
    """As with every Python function; the message names the function."""
    model = scripted(1)

    @llm_strategy(model)
    def count(text: str, limit: int = 3) -> int:
        """Count."""
        raise NotImplementedError

    with pytest.raises(TypeError) as raised:
        count(*args, **kwargs)
    assert str(raised.value).startswith("count() ")
    assert problem in str(raised.value)
    assert model.requests == []


def test_every_kind_of_parameter_is_bound() -> None:
    """Positional-only, keyword-only, `*args` and `**kwargs` arrive as in any function."""

    @llm_strategy("openai:any")
    def count(text: str, /, limit: int = 3, *numbers: int, strict: bool, **options: str) -> int:
        """Count."""
        raise NotImplementedError

    prompt = count.request("a", 4, 5, 6, strict=True, unit="m").messages[-1].content

    assert "def count(text: str, /, limit: int, *numbers: int, strict: bool, **options: str) -> int" in prompt
    assert 'limit = 4\nnumbers = [5, 6]\nstrict = true\noptions = {"unit": "m"}' in prompt


class Documentation:
    """As PEP 727 describes it."""

    def __init__(self, documentation: str) -> None:
        self.documentation = documentation


def described(
    query: Annotated[str, Field(description="what to look for")],
    place: Annotated[str, Documentation("where to look")],
    limit: int = Field(10, description="how many at most"),
) -> int:
    """Count."""
    raise NotImplementedError


def test_parameters_are_described_by_pydantic_or_by_a_documentation_object() -> None:
    """A description may stand in `Field` or in a `Doc`, in the annotation or as the default."""
    prompt = strategy(described).request("a", "b").messages[-1].content

    assert (
        "Parameters:\n\nquery: what to look for\nplace: where to look\nlimit: how many at most\n\nArguments:" in prompt
    )


def test_a_default_written_as_a_field_stands_for_its_value() -> None:
    """`limit: int = Field(10, ...)` means 10, not the `Field`."""
    assert "limit = 10" in strategy(described).request("a", "b").messages[-1].content


def test_a_signature_is_kept() -> None:
    """Editors, `inspect` and documentation tools see the function that was written."""
    implemented = strategy(described)

    assert inspect.signature(implemented) == inspect.signature(described)
    assert inspect.getdoc(implemented) == "Count."
    assert (implemented.__name__, implemented.__qualname__, implemented.__module__) == (
        described.__name__,
        described.__qualname__,
        described.__module__,
    )
    assert implemented.__wrapped__ is described


def test_names_in_a_prompt_do_not_say_where_the_code_stands() -> None:
    """Neither module nor enclosing function is part of a function's name."""

    class Inner:
        def find(self) -> int:
            """Find."""
            raise NotImplementedError

    assert Signature(Inner.find, binding="instance").name == "Inner.find"


def test_a_volatile_parameter_is_known_as_such() -> None:
    """`Volatile[T]` marks the parameter and leaves its type alone."""

    def at(now: Volatile[float], text: str) -> int:
        """Say it."""
        raise NotImplementedError

    signature = Signature(at)

    assert [parameter.volatile for parameter in signature.parameters] == [True, False]
