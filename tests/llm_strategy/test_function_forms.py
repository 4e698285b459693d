"""Every form a function takes, and type variables, which the arguments of each call resolve."""

from __future__ import annotations

import asyncio
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Generic, ParamSpec, Self, TypeVar, TypeVarTuple

import attrs
import pytest
from pydantic import BaseModel, Field

from llm_strategy import PromptError, ScriptedModel, llm_explicit_function, llm_function, llm_strategy
from tests.llm_strategy.answers import reply, scripted

T = TypeVar("T")
U = TypeVar("U")
K = TypeVar("K")
V = TypeVar("V")
Number = TypeVar("Number", bound=float)
Text = TypeVar("Text", str, bytes)
Later = TypeVar("Later", bound="Animal")
Nowhere = TypeVar("Nowhere", bound="Nothing")  # type: ignore[name-defined]  # noqa: F821  # that is the point
P = ParamSpec("P")
Ts = TypeVarTuple("Ts")


@dataclass
class Animal:
    name: str


@dataclass
class Dog(Animal):
    pass


@dataclass
class Cat(Animal):
    pass


Pet = TypeVar("Pet", bound=Animal)


@dataclass
class Box(Generic[T]):
    value: T


@dataclass(frozen=True, slots=True)
class Sealed(Generic[T]):
    value: T


@dataclass
class IntBox(Box[int]):
    pass


@dataclass
class ListBox(Box[list[K]], Generic[K]):
    pass


@dataclass
class Two(Generic[K, V]):
    key: K
    values: list[V]


class Model(BaseModel, Generic[T]):
    value: T


class IntModel(Model[int]):
    pass


@attrs.define
class Attrs(Generic[T]):
    value: T


stub = llm_strategy("stub:")


@stub
def same(x: T) -> T:
    """Return it."""
    raise NotImplementedError


@stub
def first(items: list[T]) -> T:
    """Return the first."""
    raise NotImplementedError


@stub
def either(a: T, b: T) -> T:
    """Return one of them."""
    raise NotImplementedError


@stub
def invert(data: Mapping[K, list[V]], default: V | None = None) -> dict[V, K]:
    """Invert it."""
    raise NotImplementedError


@stub
def maybe(x: T | None) -> list[T]:
    """Return it."""
    raise NotImplementedError


@stub
def bounded(x: Number, y: Number) -> Number:
    """Return one of them."""
    raise NotImplementedError


@stub
def constrained(x: Text, y: Text) -> Text:
    """Return one of them."""
    raise NotImplementedError


@stub
def adopt(a: Pet, b: Pet) -> Pet:
    """Return one of them."""
    raise NotImplementedError


@stub
def parse(text: str, kind: type[T]) -> T:
    """Parse it."""
    raise NotImplementedError


@stub
def open_box(box: Box[T]) -> T:
    """Open it."""
    raise NotImplementedError


@stub
def open_model(model: Model[T]) -> T:
    """Open it."""
    raise NotImplementedError


@stub
def open_attrs(box: Attrs[T]) -> T:
    """Open it."""
    raise NotImplementedError


@stub
def open_sealed(box: Sealed[T]) -> T:
    """Open it."""
    raise NotImplementedError


@stub
def gather(*items: T, **named: V) -> tuple[T, V]:
    """Gather them."""
    raise NotImplementedError


@stub
def pair(both: tuple[T, U], more: tuple[V, ...] = ()) -> dict[T, U]:
    """Pair them."""
    raise NotImplementedError


@stub
def convert(texts: list[str], to: Callable[[str], T]) -> list[T]:
    """Convert them."""
    raise NotImplementedError


@llm_function
def given(model: Any, x: T) -> list[T]:
    """Repeat it."""
    raise NotImplementedError


@llm_explicit_function
def explicit(model: Any, box: Box[T]) -> T:
    """Open it."""
    raise NotImplementedError


def head(function: Any, *args: Any, **kwargs: Any) -> str:
    """The signature in the prompt of one call."""
    return str(function.request(*args, **kwargs).messages[-1].content.splitlines()[0])


RESOLVED: list[tuple[Any, tuple[Any, ...], str]] = [
    (same, (1,), "(x: int) -> int"),
    (same, (None,), "(x: None) -> None"),
    (same, (True,), "(x: bool) -> bool"),
    (same, ([1, "a"],), "(x: list[int | str]) -> list[int | str]"),
    (same, ([],), "(x: list[Any]) -> list[Any]"),
    (same, ({"a": [1.5]},), "(x: dict[str, list[float]]) -> dict[str, list[float]]"),
    (same, ((1, "b"),), "(x: tuple[int, str]) -> tuple[int, str]"),
    (same, (frozenset({1}),), "(x: frozenset[int]) -> frozenset[int]"),
    (same, (Dog("a"),), "(x: Dog) -> Dog"),
    (same, (Box(1),), "(x: Box[int]) -> Box[int]"),
    (same, (Box[float](1),), "(x: Box[float]) -> Box[float]"),
    (same, (IntBox(1),), "(x: IntBox) -> IntBox"),
    (same, (Model(value="a"),), "(x: Model[str]) -> Model[str]"),
    (same, (Two(1, ["a"]),), "(x: Two[int, str]) -> Two[int, str]"),
    (first, ([1],), "(items: list[int]) -> int"),
    (first, ([True, 1],), "(items: list[int]) -> int"),
    (first, ([1, 2.5],), "(items: list[float]) -> float"),
    (first, ([1, None],), "(items: list[int | None]) -> int | None"),
    (first, ([Dog("a"), Animal("b")],), "(items: list[Animal]) -> Animal"),
    (first, ([Dog("a"), Cat("b")],), "(items: list[Dog | Cat]) -> Dog | Cat"),
    (either, (1, 2.5), "(a: float, b: float) -> float"),
    (either, (Dog("a"), Animal("b")), "(a: Animal, b: Animal) -> Animal"),
    (either, (Box(1), Box(True)), "(a: Box[int], b: Box[int]) -> Box[int]"),
    (invert, ({"a": [1]},), "(data: Mapping[str, list[int]], default: int | None) -> dict[int, str]"),
    (invert, ({"a": []}, 3), "(data: Mapping[str, list[int]], default: int | None) -> dict[int, str]"),
    (maybe, (1,), "(x: int | None) -> list[int]"),
    (bounded, (1, 2.5), "(x: float, y: float) -> float"),
    (bounded, (1, 2), "(x: int, y: int) -> int"),
    (constrained, ("a", "b"), "(x: str, y: str) -> str"),
    (adopt, (Dog("a"), Cat("b")), "(a: Animal, b: Animal) -> Animal"),
    (parse, ("a", int), "(text: str, kind: type[int]) -> int"),
    (parse, ("a", Dog), "(text: str, kind: type[Dog]) -> Dog"),
    (parse, ("a", list[int]), "(text: str, kind: type[list[int]]) -> list[int]"),
    (parse, ("a", Box[int]), "(text: str, kind: type[Box[int]]) -> Box[int]"),
    (parse, ("a", Model[int]), "(text: str, kind: type[Model[int]]) -> Model[int]"),
    (parse, ("a", int | None), "(text: str, kind: type[int | None]) -> int | None"),
    (open_box, (Box(1),), "(box: Box[int]) -> int"),
    (open_box, (Box[str]("a"),), "(box: Box[str]) -> str"),
    (open_box, (IntBox(1),), "(box: Box[int]) -> int"),
    (open_box, (ListBox(["a"]),), "(box: Box[list[str]]) -> list[str]"),
    (open_model, (Model(value=1),), "(model: Model[int]) -> int"),
    (open_model, (Model[str](value="a"),), "(model: Model[str]) -> str"),
    (open_model, (IntModel(value=1),), "(model: Model[int]) -> int"),
    (open_attrs, (Attrs("a"),), "(box: Attrs[str]) -> str"),
    (open_sealed, (Sealed(1),), "(box: Sealed[int]) -> int"),
    (pair, ((1, "a"), (2.5, True)), "(both: tuple[int, str], more: tuple[float | bool, ...]) -> dict[int, str]"),
    (convert, (["1"], int), "(texts: list[str], to: Callable[[str], int]) -> list[int]"),
    (given, ("stub:", 1), "(x: int) -> list[int]"),
    (explicit, ("stub:", Box(1)), "(box: Box[int]) -> int"),
]


@pytest.mark.parametrize(
    ("function", "args", "signature"), RESOLVED, ids=[f"{case[0].__name__} {n}" for n, case in enumerate(RESOLVED)]
)
def test_type_variables_stand_for_the_types_of_the_arguments(
    function: Any, args: tuple[Any, ...], signature: str
) -> None:
    """The prompt shows the resolved types, and the reply is validated as the resolved result."""
    assert head(function, *args) == f"def {function.__name__}{signature}"


def test_a_type_with_metadata_may_be_passed() -> None:
    """Its bounds are in the schema, although it has no hash."""
    kind = Annotated[int, Field(gt=3)]

    assert parse.request("a", kind).output_schema["properties"]["return_value"]["exclusiveMinimum"] == 3


def test_arguments_in_any_number_are_looked_at_together() -> None:
    """`*items` and `**named` are containers of their values."""
    assert head(gather, 1, 2, a="b") == "def gather(*items: int, **named: str) -> tuple[int, str]"
    assert head(gather, 1, "2", a=None) == "def gather(*items: int | str, **named: None) -> tuple[int | str, None]"


CONFLICTS: list[tuple[Any, tuple[Any, ...], str]] = [
    (
        either,
        (1, "a"),
        r"either\(\) cannot tell what T stands for: the argument 'a' makes it int, the argument 'b' makes it str",
    ),
    (either, (Box(1), Box("a")), r"the argument 'a' makes it Box\[int\], the argument 'b' makes it Box\[str\]"),
    (either, (None, 1), "the argument 'a' makes it None, the argument 'b' makes it int"),
    (either, ([1], ["a"]), r"the argument 'a' makes it list\[int\], the argument 'b' makes it list\[str\]"),
    (invert, ({"a": [1]}, "b"), "the argument 'data' makes it int, the argument 'default' makes it str"),
    (constrained, ("a", b"b"), "the argument 'x' makes it str, the argument 'y' makes it bytes"),
    (constrained, (1, 2), "argument 'x' must be Text, not int"),
    (bounded, ("a", 1), "argument 'x' must be Number, not str"),
    (adopt, (Dog("a"), Box(1)), "argument 'b' must be Pet, not Box"),
    (parse, ("a", 3), r"argument 'kind' must be type\[T\], not int"),
    (first, ("abc",), r"argument 'items' must be list\[T\], not str"),
    (open_box, (3,), r"argument 'box' must be Box\[T\], not int"),
]


@pytest.mark.parametrize(("function", "args", "problem"), CONFLICTS)
def test_arguments_that_disagree_are_a_type_error(function: Any, args: tuple[Any, ...], problem: str) -> None:
    """The message names both; bounds and constraints hold."""
    with pytest.raises(TypeError, match=problem):
        function.request(*args)


UNTOLD: list[tuple[Any, tuple[Any, ...], str]] = [
    (first, ([],), "returns T, but nothing says what T is: 'items' did not tell: pass a value that shows it"),
    (maybe, (None,), r"returns list\[T\], but nothing says what T is: 'x' did not tell"),
    (gather, (), r"nothing says what T is: 'items' did not tell"),
]


@pytest.mark.parametrize(("function", "args", "problem"), UNTOLD)
def test_a_result_that_nothing_tells_is_refused(function: Any, args: tuple[Any, ...], problem: str) -> None:
    """Without its type there is no schema of the reply."""
    with pytest.raises(PromptError, match=problem):
        function.request(*args)


def no_parameter(x: int) -> T:
    """Return something."""
    raise NotImplementedError


def param_spec(f: Callable[P, T]) -> T:
    """Return something."""
    raise NotImplementedError


def variadic(*items: *Ts) -> tuple[*Ts]:
    """Return them."""
    raise NotImplementedError


def selfless(x: int) -> Self:
    """Return it."""
    raise NotImplementedError


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (no_parameter, r"no_parameter \(.*\) returns T, but nothing says what T is: no parameter has it"),
        (param_spec, "uses P, which stands for several types at once.* write the parameters out"),
        (variadic, "uses Ts, which stands for several types at once"),
        (selfless, "uses Self, but it is no method: name the class"),
    ],
)
def test_variables_that_no_value_can_tell_are_refused(function: Any, problem: str) -> None:
    """Whatever the arguments are."""
    with pytest.raises(PromptError, match=problem):
        stub(function).request(1)


def test_a_bound_is_what_a_variable_without_arguments_stands_for() -> None:
    """The widest type that it can be."""

    def number(text: str) -> Number:
        """Find a number."""
        raise NotImplementedError

    assert head(stub(number), "a") == "def number(text: str) -> float"


@llm_strategy(ScriptedModel(lambda request: reply({"value": 5})))
@dataclass
class Shelf(Generic[T]):
    value: T

    def put(self, x: T) -> list[T]:
        """Put it."""
        raise NotImplementedError

    @property
    def content(self) -> T:
        """Say what is in it."""
        raise NotImplementedError

    @classmethod
    def made(cls, x: T) -> list[T]:
        """Make them."""
        raise NotImplementedError

    @staticmethod
    def static(x: U) -> U:
        """Return it."""
        raise NotImplementedError

    def copied(self) -> Self:
        """Copy it."""
        raise NotImplementedError

    @classmethod
    def several(cls) -> list[Self]:
        """Make some."""
        raise NotImplementedError


class IntShelf(Shelf[int]):
    pass


@llm_strategy(ScriptedModel(lambda request: reply({"value": 5})))
class ModelShelf(BaseModel, Generic[T]):
    value: T

    def content(self) -> T:
        """Say what is in it."""
        raise NotImplementedError

    def copied(self) -> Self:
        """Copy it."""
        raise NotImplementedError


class IntModelShelf(ModelShelf[int]):
    pass


MEMBERS: dict[str, tuple[Callable[[], Any], str]] = {
    "by its parameter": (lambda: Shelf[float](1).put.request(2), "def Shelf.put(self, x: float) -> list[float]"),
    "by its field": (lambda: Shelf(1).put.request(2), "def Shelf.put(self, x: int) -> list[int]"),
    "by its base": (lambda: IntShelf(1).put.request(2), "def Shelf.put(self, x: int) -> list[int]"),
    "property": (lambda: type(Shelf(1)).content.request(Shelf("a")), "def Shelf.content(self) -> str"),
    "class method": (lambda: Shelf.made.request("a"), "def Shelf.made(cls, x: str) -> list[str]"),
    "class method of a derived class": (lambda: IntShelf.made.request(1), "def Shelf.made(cls, x: int) -> list[int]"),
    "static method": (lambda: Shelf.static.request(1), "def Shelf.static(x: int) -> int"),
    "model": (ModelShelf(value="a").content.request, "def ModelShelf.content(self) -> str"),
    "parametrised model": (ModelShelf[int](value=1).content.request, "def ModelShelf.content(self) -> int"),
    "derived model": (IntModelShelf(value=1).content.request, "def ModelShelf.content(self) -> int"),
    "self": (IntShelf(1).copied.request, "def Shelf.copied(self) -> IntShelf"),
    "class of self": (IntShelf.several.request, "def Shelf.several(cls) -> list[IntShelf]"),
}


@pytest.mark.parametrize(("request_of", "signature"), MEMBERS.values(), ids=MEMBERS)
def test_members_know_the_variables_of_their_class(request_of: Callable[[], Any], signature: str) -> None:
    """From `Shelf[int](...)`, a derived class, or else the values of the fields."""
    assert request_of().messages[-1].content.splitlines()[0] == signature


def test_an_argument_cannot_overrule_what_the_class_says() -> None:
    """An `IntShelf` takes ints; a `Shelf[int]` too."""
    for call in (IntShelf(1).put.request, IntShelf.made.request, Shelf[int](1).put.request):
        with pytest.raises(
            TypeError, match=r"cannot tell what T stands for: (self|cls) makes it int, the argument 'x' makes it"
        ):
            call("a")
        with pytest.raises(TypeError, match="makes it float"):
            call(2.5)


def test_self_is_the_class_that_was_asked() -> None:
    """The value is an object of it, with implemented members."""
    for shelf in (IntShelf(1), ModelShelf[int](value=1)):
        copied = shelf.copied()

        assert type(copied) is type(shelf)
        assert copied.value == 5


def test_a_reply_alone_does_not_say_which_class_self_is() -> None:
    """`parse` knows no object; of a variable it takes whatever there is."""
    with pytest.raises(PromptError, match=r"returns Self, and only a call tells which class Self is"):
        Shelf.copied.parse(reply({"value": 5}))
    assert same.parse(reply([1])) == [1]


def test_a_reply_is_validated_as_the_resolved_type() -> None:
    """Two calls of one function have two schemas."""
    model = scripted(1, "a", "b")

    @llm_strategy(model, retries=0)
    def pick(items: list[T]) -> T:
        """Pick one."""
        raise NotImplementedError

    assert pick([1]) == 1
    assert pick(["a"]) == "a"
    with pytest.raises(ValueError, match="expected int"):
        pick([1])
    assert [request.output_schema["properties"]["return_value"]["type"] for request in model.requests] == [
        "integer",
        "string",
        "integer",
    ]


def test_an_asynchronous_function_may_be_generic() -> None:
    """As any other."""

    @llm_strategy(scripted([1, 2]))
    async def repeat(x: T) -> list[T]:
        """Repeat it."""
        raise NotImplementedError

    assert asyncio.run(repeat(1)) == [1, 2]


def test_a_parameter_that_is_a_type_is_shown_by_its_name() -> None:
    """Classes, generic ones with their parameters, and unions."""

    @stub
    def name(kind: type, other: Any) -> str:
        """Name it."""
        raise NotImplementedError

    prompt = name.request(Dog, typing.Optional[list[int]]).messages[-1].content  # noqa: UP045  # the old form, on purpose

    assert 'kind = "Dog"\nother = "list[int] | None"' in prompt
    with pytest.raises(TypeError, match="argument 'kind' must be type, not str"):
        name("Dog", 1)


def test_every_kind_of_parameter_is_shown_as_it_is_written() -> None:
    """With `/` behind positional-only parameters and `*` before those by keyword."""

    @stub
    def every(a: int, /, b: int, *, c: int = 1, **more: int) -> int:
        """Add."""
        raise NotImplementedError

    @stub
    def last(a: int, b: int, /) -> int:
        """Add."""
        raise NotImplementedError

    assert head(every, 1, 2) == "def every(a: int, /, b: int, *, c: int, **more: int) -> int"
    assert head(last, 1, 2) == "def last(a: int, b: int, /) -> int"


def test_a_value_that_contains_itself_is_refused_in_a_generic_call_too() -> None:
    """Looking for its type ends."""
    inner: list[Any] = []
    inner.append(inner)

    with pytest.raises(PromptError, match="contains itself"):
        same.request(inner)


def test_a_bound_may_be_written_as_a_string() -> None:
    """As it has to be for a class that is defined further down; one whose name is not found allows everything."""

    @llm_strategy(scripted())
    def fittest(animals: list[Later], other: Later | None = None) -> Later:
        """Choose the fittest."""
        raise NotImplementedError

    @llm_strategy(scripted())
    def found(text: str) -> Later:
        """Find the animal."""
        raise NotImplementedError

    @llm_strategy(scripted())
    def same(x: Nowhere) -> Nowhere:
        """Repeat it."""
        raise NotImplementedError

    assert (
        fittest.request([Dog("a")])
        .messages[-1]
        .content.startswith("def fittest(animals: list[Dog], other: Dog | None) -> Dog\n")
    )
    assert found.request("a cat").messages[-1].content.startswith("def found(text: str) -> Animal\n")
    assert same.request(3).messages[-1].content.startswith("def same(x: int) -> int\n")
    with pytest.raises(
        TypeError, match=r"argument 'animals' must be list\[Later\], not list: 0: Input should be .* Animal"
    ):
        fittest([3])  # type: ignore[list-item]  # that is what is wrong
