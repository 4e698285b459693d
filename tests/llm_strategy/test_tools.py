"""What a tool is: how a function is told to a model, and what is refused."""

from __future__ import annotations

import functools
import os
import pickle
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

import pytest
from pydantic import BaseModel, Field

from llm_strategy import PromptError, ScriptedModel, Volatile, llm_explicit_function, llm_function, llm_strategy
from llm_strategy.tools import Tool, WrongCall, tools_of


def weather(city: str, days: Annotated[int, Field(ge=1, le=7)] = 1) -> dict[str, int]:
    """Forecast the temperature at noon.

    Args:
        city: its name in English
        days: how many days to look ahead
    """
    return {city: days}


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Size(TypedDict):
    width: int


@dataclass
class Box:
    label: str
    parts: list[Box]

    def fits(self, size: Size) -> bool:
        """Whether the box is wide enough."""
        return size["width"] < 10

    async def __call__(self, color: Color) -> str:
        """Paint the box."""
        return f"{self.label} {color.name}"


class Sum(BaseModel):
    terms: list[Decimal]


def parameters(function: Callable[..., Any]) -> Any:
    return Tool(function).described["parameters"]


def given(function: Callable[..., Any], arguments: Any) -> Any:
    return Tool(function).bind(arguments)()


def test_a_tool_is_told_by_name_docstring_and_the_schema_of_its_parameters() -> None:
    """Descriptions come from the docstring, bounds from Field, defaults from the signature."""
    assert dict(Tool(weather).described) == {
        "type": "function",
        "name": "weather",
        "description": "Forecast the temperature at noon.",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "its name in English"},
                "days": {
                    "type": "integer",
                    "description": "how many days to look ahead",
                    "default": 1,
                    "minimum": 1,
                    "maximum": 7,
                },
            },
            "required": ["city"],
            "additionalProperties": False,
        },
    }


def test_a_description_in_field_wins() -> None:
    """What an annotation or a default says of a parameter stands before what the docstring says."""

    def near(
        a: Annotated[str, Field(description="from Field")], b: int = Field(3, description="from the default")
    ) -> str:
        """Find.

        Args:
            a: from the docstring
        """
        return f"{a}{b}"

    described = parameters(near)["properties"]
    assert [described[name]["description"] for name in "ab"] == ["from Field", "from the default"]
    assert given(near, {"a": "x"}) == "x3"


def test_names_that_pydantic_has_for_itself_are_parameters_like_others() -> None:
    """A parameter may be called `schema`, `model_config`, `json` or `copy`."""

    def odd(schema: int, model_config: int, json: int, copy: int) -> list[int]:
        """Sum up."""
        return [schema, model_config, json, copy]

    assert list(parameters(odd)["properties"]) == ["schema", "model_config", "json", "copy"]
    assert given(odd, {"schema": 1, "model_config": 2, "json": 3, "copy": 4}) == [1, 2, 3, 4]


def test_parameters_of_every_kind() -> None:
    """Dataclasses, enums, TypedDicts, unions, recursive types; positional-only and keyword-only parameters."""

    def pack(box: Box, /, color: Color, *, size: Size | None = None, how: Literal["fast", "slow"] = "fast") -> Any:
        """Pack."""
        return box, color, size, how

    arguments = {"box": {"label": "a", "parts": [{"label": "b", "parts": []}]}, "color": "red"}
    assert given(pack, arguments) == (Box("a", [Box("b", [])]), Color.RED, None, "fast")
    assert given(pack, {**arguments, "size": {"width": 1}, "how": "slow"})[2:] == ({"width": 1}, "slow")
    assert parameters(pack)["required"] == ["box", "color"]


def test_numbers_stay_exact() -> None:
    """A Decimal is what the model wrote, digit by digit, and so are large integers."""

    def add(sum: Sum, more: int) -> str:
        """Add."""
        return f"{sum.terms} {more}"

    text = given(add, {"sum": {"terms": ["0.10", "3.00"]}, "more": 2**80})
    assert text == f"[Decimal('0.10'), Decimal('3.00')] {2**80}"


def test_bytes_travel_as_base64() -> None:
    """The schema says so, and the function gets bytes."""

    def save(content: bytes) -> int:
        """Save."""
        return len(content)

    assert parameters(save)["properties"]["content"]["contentEncoding"] == "base64"
    assert given(save, {"content": "AAEC/w=="}) == 4


def test_private_parameters_with_a_default_are_not_told() -> None:
    """A parameter whose name begins with an underscore belongs to the program; the model cannot set it."""

    def search(query: str, _limit: int = 5) -> str:
        """Search."""
        return f"{query} {_limit}"

    assert list(parameters(search)["properties"]) == ["query"]
    assert given(search, {"query": "a"}) == "a 5"
    with pytest.raises(WrongCall, match="_limit: Extra inputs are not permitted"):
        given(search, {"query": "a", "_limit": 6})


def test_a_default_without_a_form_in_json_is_not_told() -> None:
    """Leaving the argument out gives the default all the same."""
    nothing = Box("nothing", [])

    def label(box: Box | None = nothing, path: Path = Path("a") / "b", of: Any = object) -> Any:
        """Label."""
        return box, of

    assert "default" not in parameters(label)["properties"]["of"]
    assert given(label, {}) == (nothing, object)


def test_methods_partials_and_objects_are_tools() -> None:
    """A bound method has its object; a partial lacks what it gives already; an object with __call__ has its class's name."""
    box = Box("a", [])
    assert Tool(box.fits).name == "fits"
    assert given(box.fits, {"size": {"width": 3}}) is True
    assert (Tool(box).name, Tool(box).is_asynchronous) == ("Box", True)
    tomorrow = functools.partial(weather, days=1)
    assert Tool(tomorrow).name == "weather"
    assert Tool(tomorrow).described["description"] == "Forecast the temperature at noon."
    oslo = functools.partial(weather, "Oslo")
    oslo.__name__ = "weather_in_oslo"  # type: ignore[attr-defined]  # which users write
    oslo.__doc__ = "Forecast for Oslo."
    tool = Tool(oslo)
    assert (tool.name, tool.described["description"]) == ("weather_in_oslo", "Forecast for Oslo.")
    assert list(tool.described["parameters"]["properties"]) == ["days"]
    assert tool.bind({"days": 2})() == {"Oslo": 2}


def test_decorated_functions_are_tools() -> None:
    """What functools.wraps leaves behind is read through."""

    def loud(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def called(*args: Any, **kwargs: Any) -> Any:
            return str(function(*args, **kwargs)).upper()

        return called

    assert given(loud(weather), {"city": "Oslo"}) == "{'OSLO': 1}"


def test_functions_of_a_model_are_tools() -> None:
    """Another strategy function, and a method of an implemented object, is told and called like any function."""

    @llm_strategy(ScriptedModel(['{"return_value": "hei"}', '{"return_value": "hei hei"}']))
    @dataclass
    class Norwegian:
        formal: bool

        def translate(self, text: str) -> str:
            """Translate.

            Args:
                text: in English
            """
            raise NotImplementedError

    tool = Tool(Norwegian(True).translate)
    assert tool.name == "translate"
    assert tool.described["parameters"]["properties"] == {"text": {"type": "string", "description": "in English"}}
    assert tool.bind({"text": "hello"})() == "hei"
    assert tools_of([Norwegian(True).translate])[0].bind({"text": "hi"})() == "hei hei"


async def numbers() -> AsyncIterator[int]:
    """Count."""
    yield 1


def without_docstring(a: int) -> int:
    return a


def without_annotation(a, b: int) -> int:  # type: ignore[no-untyped-def]  # which is what is refused
    """Add."""
    return int(a + b)


def any_number(*words: str) -> int:
    """Count."""
    return len(words)


def any_names(**words: str) -> int:
    """Count."""
    return len(words)


def größe(a: int) -> int:  # noqa: PLC2401  # which is what is refused
    """Measure."""
    return a


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (without_docstring, "has no docstring: say in one what it does"),
        (without_annotation, r"the parameter 'a' has no annotation: add one, such as `a: str`"),
        (any_number, r"any number of arguments \(`\*words`\).*take a list or a dict, such as `words: list\[str\]`"),
        (any_names, r"any number of arguments \(`\*\*words`\)"),
        (größe, "providers take names of at most 64 letters"),
        (lambda: 1, "<lambda> .*: providers take names"),
        (Box.fits, r"is a method: give it bound to an object, as in tools=\[obj\.fits\]"),
        (numbers, "is an asynchronous generator: return a list"),
    ],
)
def test_what_no_model_can_be_told_of_is_refused_when_decorating(function: Callable[..., Any], says: str) -> None:
    """The error names the tool with its file and line, and says what to write."""
    with pytest.raises(PromptError, match=says):
        llm_strategy("openai:gpt-5-mini", tools=[function])
    with pytest.raises(PromptError, match=says):
        llm_function(tools=[function])


@pytest.mark.parametrize(
    ("tools", "says"),
    [
        (weather, r"tools is a list of functions.*write tools=\[weather\]"),
        ("weather", "tools is a list of functions, not 'weather'"),
        ([1], "1 is no tool: tools are functions"),
        ([Box], "is no tool: tools are functions"),
    ],
)
def test_what_is_no_list_of_functions_is_refused(tools: Any, says: str) -> None:
    """A TypeError says so, and shows how tools are given."""
    for decorator in (functools.partial(llm_strategy, "openai:gpt-5-mini"), llm_function, llm_explicit_function):
        with pytest.raises(TypeError, match=says):
            decorator(tools=tools)


def test_two_tools_of_one_name_are_refused() -> None:
    """A model could not tell them apart."""
    with pytest.raises(PromptError, match="2 tools have the name 'weather'"):
        tools_of([weather, functools.partial(weather, days=3)])


@pytest.mark.parametrize(("turns", "error"), [(0, ValueError), ("3", TypeError), (True, TypeError)])
def test_turns_are_a_positive_number(turns: Any, error: type[Exception]) -> None:
    """Zero turns are no tools, which is written otherwise."""
    with pytest.raises(error, match="max_turns"):
        llm_strategy("openai:gpt-5-mini", tools=[weather], max_turns=turns)


def test_a_type_without_a_schema_is_refused_when_the_model_is_told() -> None:
    """Annotations are evaluated at the first call, when all names that they use exist."""

    class Opaque:
        pass

    def use(thing: Opaque) -> str:
        """Use."""
        return ""

    use.__annotations__["thing"] = Opaque
    with pytest.raises(PromptError, match=r"a model cannot pass its arguments, because .*Opaque"):
        Tool(use).described  # noqa: B018  # it raises
    use.__annotations__["thing"] = "Unheard"
    with pytest.raises(PromptError, match="annotations cannot be evaluated, because of NameError: name 'Unheard'"):
        Tool(use).described  # noqa: B018  # it raises


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ('{"city": "Os', "its arguments are no JSON object"),
        (["Oslo"], "its arguments are no JSON object"),
        ({}, "- city: Field required"),
        ({"city": "Oslo", "days": "soon"}, "- days: Input should be a valid integer"),
        ({"city": "Oslo", "days": 9}, "- days: Input should be less than or equal to 7"),
        ({"city": "Oslo", "town": 1}, "- town: Extra inputs are not permitted"),
    ],
)
def test_a_wrong_call_says_what_is_wrong(arguments: Any, says: str) -> None:
    """In words that a model can mend its call by: places and problems, but no advice for programmers."""
    with pytest.raises(WrongCall, match=rf"(?s)^weather was not called: .*{says}") as caught:
        Tool(weather).bind(arguments)
    assert "pydantic" not in str(caught.value)


def test_no_arguments_may_be_written_in_any_way() -> None:
    """Models that pass nothing send null, an empty text or an empty object."""

    def now() -> str:
        """Tell the time."""
        return "noon"

    assert [given(now, nothing) for nothing in (None, "", " ", {})] == ["noon"] * 4


def test_what_is_close_enough_is_taken() -> None:
    """A number in quotes is the number: models write so. Arguments may be the JSON text that they came as."""
    assert given(weather, {"city": "Oslo", "days": "3"}) == {"Oslo": 3}
    assert given(weather, ' {"city": "Oslo"} ') == {"Oslo": 1}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("as it is\n", "as it is\n"),
        (None, "null"),
        ({"b": 1, "a": {2, 1}}, '{"b": 1, "a": [1, 2]}'),
        (Box("a", []), '{"label": "a", "parts": []}'),
        (Sum(terms=[Decimal("1.50")]), '{"terms": ["1.50"]}'),
        (b"\x00\xff", '"AP8="'),
        (Color.RED, '"red"'),
        ((n for n in (1, 2)), "[1, 2]"),
        ("half \ud800", '"half \\ud800"'),
        ("x" * 1_000_000, "x" * 1_000_000),
    ],
)
def test_results_are_text_or_json(value: Any, text: str) -> None:
    """Text is told as it is, however long; all else as JSON that is the same in every run: sets are sorted."""
    assert Tool(weather).text(value) == text


def test_a_result_without_a_stable_form_is_an_error_of_the_program() -> None:
    """An object that would be shown by its address is refused, with what to return instead."""
    with pytest.raises(PromptError, match=r"the tool weather \(.*\) returned a object, which has no stable form"):
        Tool(weather).text(object())


def test_tools_pickle_with_their_functions() -> None:
    """What a pool of processes needs."""
    assert pickle.loads(pickle.dumps(Tool(weather))).described == Tool(weather).described  # noqa: S301  # made right here


def test_schemas_are_the_same_in_every_process() -> None:
    """With another hash seed a set of defaults has the same schema."""
    program = (
        "from llm_strategy.tools import Tool\n"
        "def pick(words: set[str] = {'a', 'b', 'c', 'd'}) -> str:\n    '''Pick.'''\n    return ''\n"
        "print(Tool(pick).described.canonical)"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(runs) == 1


def test_a_volatile_return_annotation_is_known() -> None:
    """`-> Volatile[str]` says that the result differs from run to run."""

    def now() -> Volatile[str]:
        """Tell the time."""
        return ""

    assert (Tool(now).is_volatile, Tool(weather).is_volatile) == (True, False)
