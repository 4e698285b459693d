"""`track_hyperparameters` and `Hyperparameters`: parameters that a block of code gives values to."""

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

import pytest
from pydantic import BaseModel, Field, ValidationError

from llm_strategy import Hyperparameter, Hyperparameters, track_hyperparameters

T = TypeVar("T")


@track_hyperparameters
def write_essay(
    task: str,
    _style: str = "plain",
    _paragraphs: Annotated[int, Field(description="how many", ge=1)] = 3,
    _words: list[str] = Field(["so"], max_length=2),  # noqa: B008  # the form of a default with bounds
) -> str:
    return f"{task}: {_style}, {_paragraphs}, {' '.join(_words)}"


@dataclass
class Writer:
    name: str

    @track_hyperparameters
    def write(self, task: str, _style: str = "plain", *, _loud: bool = False) -> str:
        text = f"{self.name} writes {task} {_style}"
        return text.upper() if _loud else text

    @classmethod
    @track_hyperparameters
    def make(cls, _name: str = "Ada") -> Writer:
        return cls(_name)

    @track_hyperparameters
    @classmethod
    def remake(cls, _name: str = "Ada") -> Writer:
        return cls(_name)

    @staticmethod
    @track_hyperparameters
    def count(text: str, _factor: int = 1) -> int:
        return len(text) * _factor

    @track_hyperparameters
    @staticmethod
    def recount(text: str, _factor: int = 1) -> int:
        return len(text) * _factor

    @property
    @track_hyperparameters
    def mood(self, _mood: str = "calm") -> str:  # noqa: PLR0206  # none that a caller could pass
        return _mood


class Novelist(Writer):
    pass


def test_without_a_block_a_function_takes_its_defaults() -> None:
    """A default that is written as Field(...) stands for the value in it."""
    assert write_essay("a") == "a: plain, 3, so"
    assert write_essay("a", "bold", _words=["x"]) == "a: bold, 3, x"


def test_a_block_collects_the_defaults_and_supplies_other_values() -> None:
    """Inside the block and when it is entered again; an argument that is passed wins."""
    with Hyperparameters() as h:
        assert write_essay("a") == "a: plain, 3, so"
        assert h.model_dump() == {f"{__name__}:write_essay": {"style": "plain", "paragraphs": 3, "words": ["so"]}}
        h[write_essay].style = "vivid"
        h[write_essay]._paragraphs = 1
        h["write_essay"].words.append("well")
        assert write_essay("a") == "a: vivid, 1, so well"
        assert write_essay("a", "bold") == "a: bold, 1, so well"
    assert write_essay("a") == "a: plain, 3, so"
    with h:
        assert write_essay("a") == "a: vivid, 1, so well"
    assert h[write_essay].style == h[write_essay]._style == "vivid"


def test_values_can_be_assigned_before_any_call() -> None:
    """`h[function]` holds the defaults of a function that was not called yet."""
    h = Hyperparameters()
    h[write_essay].words.append("well")
    with h:
        assert write_essay("a") == "a: plain, 3, so well"


@pytest.mark.parametrize(
    "values",
    [
        {"write_essay": {"style": "vivid"}},
        {"write_essay": {"_style": "vivid"}},
        {f"{__name__}:write_essay": {"style": "vivid"}},
        {write_essay: {"style": "vivid"}},
        {write_essay: write_essay.hyperparameters(style="vivid")},
        write_essay.hyperparameters(_style="vivid"),
        Hyperparameters({"write_essay": {"style": "vivid"}}),
    ],
)
def test_values_have_many_forms(values: Any) -> None:
    """By function or by name, with or without the module; as dicts or as models; with or without the underscore."""
    with Hyperparameters(values) as h:
        assert write_essay("a") == "a: vivid, 3, so"
    assert h[write_essay].style == "vivid"


def test_values_survive_json() -> None:
    """What was collected and changed reads back equal, and works again."""
    with Hyperparameters() as h:
        write_essay("a")
        h[write_essay].style = "vivid"
    again = Hyperparameters.model_validate_json(h.model_dump_json())
    assert again == h
    with again:
        assert write_essay("a") == "a: vivid, 3, so"
    assert again == h


def test_values_can_be_part_of_another_model() -> None:
    """Its JSON holds them."""

    class State(BaseModel):
        best: Hyperparameters
        tried: list[Hyperparameters] = []

    h = Hyperparameters({"write_essay": {"style": "vivid"}})
    state = State(best=h, tried=[h])
    assert State.model_validate_json(state.model_dump_json()) == state
    with pytest.raises(ValidationError, match="hyperparameters are given by function"):
        State(best=5)  # type: ignore[arg-type]  # that is the point


def test_a_copy_is_independent() -> None:
    """So is a block that is given the values of another."""
    h = Hyperparameters()
    h[write_essay].style = "vivid"
    for copied in (h.model_copy(), h.model_copy(deep=True), Hyperparameters(h)):
        copied[write_essay].style = "bold"
    assert h[write_essay].style == "vivid"


def test_wrong_values_are_refused_when_assigned_and_when_called() -> None:
    """The message says which function, which hyperparameter, and what is wrong."""
    h = Hyperparameters()
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        h[write_essay].paragraphs = 0
    wrong = {"write_essay": {"paragraphs": "many", "stlye": "plain"}}
    with Hyperparameters(wrong), pytest.raises(TypeError) as error:
        write_essay("a")
    first, *others = str(error.value).splitlines()
    assert first.startswith("write_essay (")
    assert first.endswith("): its hyperparameters do not fit:")
    assert others[0].startswith("  paragraphs: Input should be a valid integer")
    assert others[0].endswith("not 'many'")
    assert others[1:] == ["  stlye: there is none of this name, only style, paragraphs, words"]


@pytest.mark.parametrize("wrong", [5, [1], "style", {"write_essay": 5}, {3: {}}, {print: {}}])
def test_what_is_no_set_of_values_is_refused(wrong: Any) -> None:
    """At once, as pydantic does it, and by what is wrong with it."""
    with pytest.raises(ValidationError, match=r"hyperparameters"):
        Hyperparameters(wrong)


def test_a_name_that_is_not_there_is_a_key_error() -> None:
    """It names those that are; what was never tracked is a TypeError with the cure."""
    h = Hyperparameters()
    h[write_essay]
    with pytest.raises(KeyError, match=r"nothing: there are only .*:write_essay"):
        h["nothing"]
    with pytest.raises(TypeError, match="decorate it with @track_hyperparameters"):
        h[print]
    assert [name in h for name in (write_essay, "write_essay", "nothing", print)] == [True, True, False, False]


class Run(BaseModel, Generic[T]):
    used: T


# What can be tracked


def test_members_of_classes_are_tracked() -> None:
    """Methods, class methods and static methods in either order, properties, inherited ones and those of objects."""
    novelist = Novelist("Bo")
    with Hyperparameters() as h:
        novelist.write("a"), Novelist.make(), Writer.remake(), Writer.count("a"), novelist.recount("a"), novelist.mood
        names = [name.partition(":")[2] for name in h.model_dump()]
    assert names == [f"Writer.{name}" for name in "write make remake count recount mood".split()]
    h[novelist.write].style = "boldly"
    h[Novelist.write].loud = True
    h[Writer.make].name = h["Writer.remake"].name = "Cy"
    h[functools.partial(Writer.count, "a")].factor = h["Writer.recount"].factor = 3
    h[Writer.mood].mood = "wild"
    with h:
        assert novelist.write("a") == "BO WRITES A BOLDLY"
        assert Writer("Di").write("a", "so", _loud=False) == "Di writes a so"
        assert (Novelist.make(), Writer.remake()) == (Novelist("Cy"), Writer("Cy"))
        assert (Writer.count("a"), novelist.recount("a"), novelist.mood) == (3, 3, "wild")


@track_hyperparameters
async def later(task: str, _style: str = "plain") -> tuple[str, str]:
    await asyncio.sleep(0)
    return _style, Hyperparameter("tone") @ "soft"


@track_hyperparameters
def pieces(task: str, _style: str = "plain") -> Iterator[tuple[str, str]]:
    for _ in range(3):
        yield _style, Hyperparameter("tone") @ "soft"


@track_hyperparameters
async def pieces_later(task: str, _style: str = "plain") -> AsyncIterator[tuple[str, str]]:
    for _ in range(3):
        await asyncio.sleep(0)
        yield _style, Hyperparameter("tone") @ "soft"


def test_a_tracked_function_is_what_it_was() -> None:
    """Name, documentation and signature stay; a coroutine function is one, and wrong arguments are Python's errors."""
    assert inspect.iscoroutinefunction(later)
    assert [*inspect.signature(write_essay).parameters] == ["task", "_style", "_paragraphs", "_words"]
    for block in (Hyperparameters(), Hyperparameters({"write_essay": {"style": "x"}})):
        with block, pytest.raises(TypeError, match=r"^write_essay\(\) missing 1 required positional argument: 'task'$"):
            write_essay()  # type: ignore[call-arg]  # that is the point


@pytest.mark.asyncio
async def test_tasks_have_blocks_of_their_own() -> None:
    """Of concurrent tasks each sees its own block; coroutines and asynchronous generators alike."""

    async def one(style: str) -> Any:
        async with Hyperparameters({"later": {"style": style, "tone": "t"}, "pieces_later": {"style": style}}):
            await asyncio.sleep(0)
            return await later("a"), [piece async for piece in pieces_later("a")]

    found = await asyncio.gather(*map(one, "abc"))
    assert found == [((style, "t"), [(style, "soft")] * 3) for style in "abc"]


def test_threads_follow_the_block_that_they_are_started_in() -> None:
    """Also those that were started without a context."""
    found: list[str] = []
    with Hyperparameters({"write_essay": {"style": "vivid"}}) as h:
        threads = [threading.Thread(target=lambda: found.append(write_essay("a"))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == ["a: vivid, 3, so"] * 8
    assert len(h) == 1


def test_one_block_is_entered_by_several_threads() -> None:
    """Each leaves the stay that it entered, and what they collect is in it once."""
    h = Hyperparameters({"write_essay": {"style": "vivid"}})
    found: list[str] = []

    def work() -> None:
        for _ in range(50):
            with h:
                found.append(write_essay("a"))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["a: vivid, 3, so"] * 200
    assert write_essay("a") == "a: plain, 3, so"


@pytest.mark.filterwarnings("ignore:the hyperparameter tone is used outside")
def test_of_a_generator_only_its_own_steps_are_tracked() -> None:
    """It takes its values when it is called; left half-read or closed, it leaves nothing behind."""
    with Hyperparameters({"pieces": {"style": "vivid", "tone": "loud"}}):
        half = pieces("a")
        assert next(half) == ("vivid", "loud")
        with pytest.warns(UserWarning, match="outside of a tracked function"):
            assert Hyperparameter("tone") @ "mine" == "mine"
        half.close()
        rest = pieces("a")
    assert list(rest) == [("vivid", "soft")] * 3


def test_what_is_sent_and_thrown_reaches_the_generator() -> None:
    """A tracked generator is as any other to who drives it."""

    @track_hyperparameters
    def echo(_prefix: str = ">") -> Iterator[str]:
        said = yield _prefix
        try:
            yield _prefix + said
        except KeyError:
            yield "caught"
        return "end"

    with Hyperparameters():
        generator = echo()
        assert (next(generator), generator.send("a"), generator.throw(KeyError)) == (">", ">a", "caught")
        with pytest.raises(StopIteration, match="end"):
            next(generator)


@pytest.mark.filterwarnings("ignore:the hyperparameter")
@pytest.mark.asyncio
async def test_an_asynchronous_generator_can_be_left() -> None:
    """Half-read, closed or thrown into."""
    with Hyperparameters({"pieces_later": {"style": "vivid"}}):
        async for piece in pieces_later("a"):
            assert piece == ("vivid", "soft")
            break
        half = pieces_later("a")
        await anext(half)
        with pytest.raises(KeyError):
            await half.athrow(KeyError)  # type: ignore[attr-defined]  # a generator it is


def test_a_function_may_call_itself() -> None:
    """Each call takes what the blocks say."""

    @track_hyperparameters
    def count(down: int, _step: int = 1) -> int:
        return _step if down == 0 else count(down - 1) + _step

    with Hyperparameters({count: {"step": 2}}):
        assert count(3) == 8
        assert count(3, 1) == 7


# Nesting


def test_the_inner_block_wins_and_the_outer_collects_too() -> None:
    """What the inner one does not say is what the outer one says; both hold what the calls used."""
    with Hyperparameters({"write_essay": {"style": "vivid", "paragraphs": 1}}) as outer:
        with Hyperparameters({"write_essay": {"style": "bold"}}) as inner:
            assert write_essay("a") == "a: bold, 1, so"
            assert Writer.count("a") == 1
        assert write_essay("a") == "a: vivid, 1, so"
    assert "Writer.count" in outer
    assert (inner[write_essay].paragraphs, outer[write_essay].style) == (1, "vivid")
    with inner:
        assert write_essay("a") == "a: bold, 1, so"


def test_defaults_that_an_inner_block_has_seen_do_not_win() -> None:
    """Only what somebody has said does, in the inner block or in the outer one."""
    with Hyperparameters() as outer, Hyperparameters() as inner:
        write_essay("a")
        outer[write_essay].style = "vivid"
        assert write_essay("a") == "a: vivid, 3, so"
        inner[write_essay].words.append("x")
        assert write_essay("a") == "a: vivid, 3, so x"


def test_what_a_call_does_to_a_value_stays_with_the_call() -> None:
    """A list that a function changes is its own."""

    @track_hyperparameters
    def grow(_seen: list[int] = []) -> list[int]:  # noqa: B006  # that is the point
        _seen.append(1)
        return _seen

    with Hyperparameters({grow: {"seen": [0]}}) as h:
        assert grow() == grow() == [0, 1]
    assert h[grow].seen == [0]


def test_a_default_may_be_made_by_a_tracked_function() -> None:
    """Its own hyperparameters hold, too."""

    @track_hyperparameters
    def make(_x: int = 1) -> list[int]:
        return [_x]

    def use(_made: list[int] = Field(default_factory=make)) -> list[int]:  # noqa: B008  # the form of such a default
        return _made

    with Hyperparameters({make: {"x": 2}}):
        assert track_hyperparameters(use)() == [2]


def test_several_sets_of_values_are_merged() -> None:
    """What a later one gives wins, whichever of them names the module."""
    called = Hyperparameters()
    with called:
        write_essay("a")
    h = Hyperparameters.merge([called, {"write_essay": {"style": "vivid"}}, {"Writer.make": {"name": "Bo"}}, None])
    with h:
        assert write_essay("a") == "a: vivid, 3, so"
        assert Writer.make() == Writer("Bo")
    assert len(h) == 2


# Names


def test_a_function_may_have_the_name_of_a_parameter() -> None:
    """In JSON as elsewhere, `values` is a function's name; given to the constructor it may be the parameter."""

    @track_hyperparameters
    def values(_x: int = 1) -> int:
        return _x

    with Hyperparameters.model_validate_json('{"values": {"x": 2}}'):
        assert values() == 2
    with Hyperparameters(values={"write_essay": {"style": "vivid"}}):
        assert write_essay("a") == "a: vivid, 3, so"


def function_named(name: str, module: str) -> Callable[..., Any]:
    """A tracked function of a module that does not exist."""

    def function(_x: int = 1) -> int:
        return _x

    function.__module__, function.__name__, function.__qualname__ = module, name, name
    return track_hyperparameters(function)


def test_functions_of_one_name_in_two_modules_are_told_apart() -> None:
    """Each has values of its own, through JSON too; a name without module that both answer to is refused."""
    one, two = function_named("f", "shop.one"), function_named("f", "shop.two")
    h = Hyperparameters()
    h[one].x, h[two].x = 5, 6
    with Hyperparameters.model_validate_json(h.model_dump_json()) as again:
        assert (one(), two()) == (5, 6)
    with pytest.raises(KeyError, match=r"f: which of shop\.one:f, shop\.two:f"):
        again["f"]
    assert list(again.model.model_fields) == ["shop.one:f", "shop.two:f"]
    with Hyperparameters({"f": {"x": 7}}):
        assert one() == 7
        with pytest.raises(TypeError, match=r"'f' are those of shop\.one:f, and shop\.two:f goes by that name too"):
            two()


def test_values_for_a_function_of_another_module_do_not_pass_unnoticed() -> None:
    """What a program saves as `__main__:f` is not for the `f` that another one imports; who enters it is told so, once."""
    f, other = function_named("f", "shop.one"), function_named("g", "shop.one")
    saved = '{"__main__:f": {"x": 5}}'
    told = r"for '__main__:f' were not used, .* shop\.one:f was, .* give them under 'shop\.one:f', or"
    with pytest.warns(UserWarning, match=told) as caught, Hyperparameters.model_validate_json(saved) as h:
        assert f() == 1
    assert [warning.filename for warning in caught] == [__file__]

    async def wait() -> int:
        async with Hyperparameters.model_validate_json(saved):
            return int(f())

    with pytest.warns(UserWarning, match=told) as caught:
        assert asyncio.run(wait()) == 1
    assert [warning.filename for warning in caught] == [__file__]
    with warnings.catch_warnings(action="error"):
        with h:
            assert f() == 1
        with Hyperparameters.model_validate_json(saved):
            assert other() == 1
        with Hyperparameters({"__main__:f": {"x": 5}, "shop.one:f": {"x": 6}}):
            assert f() == 6
        with pytest.raises(ZeroDivisionError), Hyperparameters.model_validate_json(saved):
            1 / (f() - 1)


def test_hyperparameters_may_have_the_names_of_methods_and_keywords() -> None:
    """`_schema`, `_copy`, `_class`; a lone underscore is no name."""

    @track_hyperparameters
    def odd(_schema: str = "s", _copy: int = 1, _class: str = "c", _: int = 0, __deep: int = 2) -> tuple[Any, ...]:
        return _schema, _copy, _class, _, __deep

    h = Hyperparameters({odd: {"schema": "t", "copy": 2, "_class": "d", "deep": 3}})
    with h:
        assert odd() == ("t", 2, "d", 0, 3)
    assert (h[odd]._class, h[odd].__deep) == ("d", 3)
    assert h.model_dump()[f"{__name__}:{odd.__qualname__}"] == {"schema": "t", "copy": 2, "class": "d", "deep": 3}


def bad_functions() -> Iterator[tuple[Any, str]]:
    def no_type(a: int, _x=1) -> int:  # type: ignore[no-untyped-def]  # that is the point
        return a

    def no_default(_x: int) -> int:
        return _x

    def no_default_in_field(_x: int = Field(ge=1)) -> int:
        return _x

    def twice(_x: int = 1, __x: int = 2) -> int:
        return _x

    def of_pydantic(_model_dump: int = 1) -> int:
        return _model_dump

    yield no_type, "the hyperparameter '_x' has no type: write one, such as `_x: int = 1`"
    yield (
        no_default,
        "the hyperparameter '_x' has no default, which a call without it would take: write one, such as `_x: int = ...`",
    )
    yield no_default_in_field, "the hyperparameter '_x' has no default"
    yield twice, "the hyperparameter '__x' and '_x' both go by 'x': give one of them another name"
    yield of_pydantic, "the hyperparameter '_model_dump' has the name of a method of pydantic's models"
    yield (lambda _x=1: _x), "hyperparameters go by the name of a function: decorate a `def`"
    yield functools.partial(no_default, 1), "below @property and before functools.partial"
    yield property(no_default), "below @property"
    yield 3, "3 cannot be tracked"


@pytest.mark.parametrize(("function", "told"), list(bad_functions()))
def test_what_cannot_be_tracked_is_refused_with_the_cure(function: Any, told: str) -> None:
    """A TypeError names the function, its line, the parameter, and what to write."""
    with pytest.raises(TypeError) as error:
        track_hyperparameters(function)
    assert told in str(error.value)
    if inspect.isfunction(function) and function.__name__ != "<lambda>":
        assert f"{function.__name__} ({__file__}:" in str(error.value)


# Types


def test_the_model_of_a_function_has_a_schema_and_can_be_a_type() -> None:
    """Its fields, bounds and descriptions are those of the parameters; generic models take it as a parameter."""
    schema = write_essay.hyperparameters.model_json_schema()
    assert schema["title"] == "WriteEssayHyperparameters"
    assert schema["properties"]["paragraphs"]["minimum"] == 1
    assert schema["properties"]["paragraphs"]["description"] == "how many"

    run = Run[write_essay.hyperparameters].model_validate_json('{"used": {"style": "vivid"}}')
    with Hyperparameters(run.used):
        assert write_essay("a") == "a: vivid, 3, so"


def test_there_is_one_model_for_all_functions() -> None:
    """`h.model` is the same class while the functions are the same; its objects are values for a block."""
    with Hyperparameters() as h:
        write_essay("a")
        Writer.count("a")
    assert h.model is h.model
    assert list(h.model.model_fields) == ["write_essay", "Writer.count"]
    assert h.model.model_json_schema()["required"] == ["write_essay", "Writer.count"]
    suggested = h.model.model_validate({"write_essay": {"style": "vivid"}, "Writer.count": {"factor": 2}})
    assert (suggested[write_essay].style, suggested["Writer.count"].factor) == ("vivid", 2)
    with Hyperparameters(suggested):
        assert (write_essay("a"), Writer.count("a")) == ("a: vivid, 3, so", 2)
    assert Hyperparameters(h.values) == h
    with pytest.raises(KeyError, match=r"only write_essay, Writer\.count"):
        suggested["nothing"]


# `Hyperparameter("name") @ default`


def test_a_hyperparameter_that_is_named_as_the_body_runs_has_type_and_bounds() -> None:
    """They are checked when it is named; the model of the function grows by it."""

    @track_hyperparameters
    def f() -> tuple[int, Any]:
        return Hyperparameter("count", 1, description="how many", ge=1), Hyperparameter(explicit_type=int | None) @ None

    with Hyperparameters() as h:
        assert f() == (1, None)
    held = h[f]
    assert type(held).model_json_schema()["properties"]["count"] == {
        "default": 1, "description": "how many", "minimum": 1, "title": "Count", "type": "integer"
    }  # fmt: skip
    with pytest.raises(ValidationError):
        held.count = 0
    held.hparam0 = 4
    with h:
        assert f() == (1, 4)
    with Hyperparameters({f: {"count": "many"}}), pytest.raises(TypeError, match="count: Input should be a valid int"):
        f()
    with Hyperparameters({f: {"count": 2}}) as again:
        assert f() == (2, None)
    assert again[f] == type(again[f])(count=2, hparam0=None)


def test_a_default_may_come_from_a_factory() -> None:
    """Each call has its own."""

    @track_hyperparameters
    def f() -> list[int]:
        seen: list[int] = Hyperparameter("seen", default_factory=list)
        seen.append(1)
        return seen

    with Hyperparameters():
        assert f() == f() == [1]


# Values that are no plain data


class Client:
    """What can be neither copied nor written as JSON."""

    def __init__(self) -> None:
        self.lock = threading.Lock()


CLIENT = Client()


@track_hyperparameters
def ask(_client: Client = CLIENT) -> Client:
    return _client


@track_hyperparameters
def unheard_of(_x: Unheard = 1) -> int:  # type: ignore[name-defined]  # noqa: F821  # that is the point
    return _x


def test_a_default_may_be_any_object() -> None:
    """There is one of what cannot be copied; only JSON knows no form for it."""
    with Hyperparameters() as h:
        assert ask() is CLIENT
        assert h[ask].client is CLIENT
    with pytest.raises(ValueError, match="Unable to serialize unknown type"):
        h.model_dump_json()


def test_a_type_that_does_not_exist_is_told_when_it_is_needed() -> None:
    """In a block; elsewhere the function works."""
    assert unheard_of() == 1
    with Hyperparameters(), pytest.raises(TypeError, match=r"unheard_of \(.* annotations cannot be evaluated"):
        unheard_of()
