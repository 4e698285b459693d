"""Every form a class takes, and every kind of member: each is implemented, or refused with a reason."""

from __future__ import annotations

import abc
import asyncio
import collections
import compileall
import copy
import dataclasses
import enum
import functools
import inspect
import json
import pydoc
import threading
import traceback
import typing
from collections.abc import Callable
from dataclasses import KW_ONLY, InitVar, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, TypedDict, TypeVar

import attrs
import pydantic
import pytest
from pydantic import BaseModel, ConfigDict, PrivateAttr, computed_field

from llm_strategy import (
    ChatChain,
    LangChainModel,
    ModelError,
    OpenAIModel,
    PromptError,
    Request,
    ScriptedModel,
    StubModel,
    llm_function,
    llm_strategy,
)
from tests.llm_strategy.answers import scripted
from tests.llm_strategy.programs import interpreters, output

T = TypeVar("T")
Text = TypeVar("Text", str, bytes)


def self_of(owner: Any) -> Any:
    """The fields of `self` as the prompt of its method `say` shows them."""
    prompt: str = owner.say.request().messages[-1].content
    return json.loads(prompt.partition("\nself = ")[2].partition("\n\n")[0])


@dataclass
class Plain:
    x: int

    def say(self) -> int:
        """Say it."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class FrozenSlots:
    x: int

    def say(self) -> int:
        """Say it."""
        raise NotImplementedError


@dataclass
class Initialized:
    x: int
    seed: InitVar[int]
    _: KW_ONLY
    made: list[int] = field(init=False, default_factory=list)
    label: str = "a"

    def __post_init__(self, seed: int) -> None:
        self.made.append(seed)

    def say(self) -> int:
        """Say it."""
        raise NotImplementedError


@dataclass
class Derived(Plain):
    y: int = 2


class Pydantic(BaseModel):
    model_config = ConfigDict(frozen=True)
    x: int
    _secret: int = PrivateAttr(3)

    @computed_field
    @property
    def double(self) -> int:
        return 2 * self.x

    def say(self) -> int:
        """Say it."""
        raise NotImplementedError


class GenericPydantic(BaseModel, Generic[T]):
    x: T

    def say(self) -> int:
        """Say it."""
        raise NotImplementedError


@pydantic.dataclasses.dataclass
class PydanticDataclass:
    x: int

    def say(self) -> int:
        """Say it."""
        raise NotImplementedError


class Annotated:
    x: int
    unit: str = "m"
    shared: ClassVar[int] = 1

    def __init__(self, x: int) -> None:
        self.x = x

    def say(self) -> int:
        """Say it."""
        raise NotImplementedError


class Undeclared:
    def __init__(self, x: int) -> None:
        self.x = x
        self._private = object

    def say(self) -> int:
        """Say it."""
        raise NotImplementedError


class UndeclaredSlots:
    __slots__ = ("_hidden", "unset", "x")

    def __init__(self, x: int) -> None:
        self.x, self._hidden = x, 1

    def say(self) -> int:
        """Say it."""
        raise NotImplementedError


class Abstract(abc.ABC):
    def __init__(self, x: int) -> None:
        self.x = x

    @abc.abstractmethod
    def say(self) -> int:
        """Say it."""


class Shape(Protocol):
    x: int

    def __init__(self, x: int) -> None:
        self.x = x

    def say(self) -> int:
        """Say it."""
        ...


class Box(Generic[T]):
    def __init__(self, x: T) -> None:
        self.x = x

    def say(self) -> int:
        """Say it."""
        raise NotImplementedError


@attrs.define
class Attrs:
    x: int
    made: list[int] = attrs.field(init=False, factory=list)

    def say(self) -> int:
        """Say it."""
        raise NotImplementedError


@attrs.frozen
class FrozenAttrs:
    x: int

    def say(self) -> int:
        """Say it."""
        raise NotImplementedError


@attrs.mutable(slots=False)
class AttrsWithoutSlots:
    x: int

    def say(self) -> int:
        """Say it."""
        raise NotImplementedError


class Named(NamedTuple):
    x: int

    def say(self) -> int:
        """Say it."""
        raise NotImplementedError


class Pair(collections.namedtuple("Pair", "x y", defaults=[2])):
    def say(self) -> int:
        """Say it."""
        raise NotImplementedError


class Failure(Exception):
    def __init__(self, x: int) -> None:
        super().__init__(x)
        self.x = x

    def say(self) -> int:
        """Say it."""
        raise NotImplementedError


FORMS: dict[type, tuple[Callable[[Any], Any], dict[str, Any]]] = {
    Plain: (lambda cls: cls(1), {"x": 1}),
    FrozenSlots: (lambda cls: cls(1), {"x": 1}),
    Initialized: (lambda cls: cls(1, 7, label="b"), {"x": 1, "made": [7], "label": "b"}),
    Derived: (lambda cls: cls(1), {"x": 1, "y": 2}),
    Pydantic: (lambda cls: cls(x=1), {"x": 1}),
    GenericPydantic: (lambda cls: cls[int](x=1), {"x": 1}),
    PydanticDataclass: (lambda cls: cls(1), {"x": 1}),
    Annotated: (lambda cls: cls(1), {"x": 1, "unit": "m"}),
    Undeclared: (lambda cls: cls(1), {"x": 1}),
    UndeclaredSlots: (lambda cls: cls(1), {"x": 1}),
    Abstract: (lambda cls: cls(1), {"x": 1}),
    Shape: (lambda cls: cls(1), {"x": 1}),
    Box: (lambda cls: cls[int](1), {"x": 1}),
    Attrs: (lambda cls: cls(1), {"x": 1, "made": []}),
    FrozenAttrs: (lambda cls: cls(1), {"x": 1}),
    AttrsWithoutSlots: (lambda cls: cls(1), {"x": 1}),
    Named: (lambda cls: cls(1), {"x": 1}),
    Pair: (lambda cls: cls(1), {"x": 1, "y": 2}),
    Failure: (lambda cls: cls(1), {"x": 1}),
}


@pytest.mark.parametrize("cls", FORMS, ids=[cls.__name__ for cls in FORMS])
def test_every_form_of_class_is_implemented(cls: type) -> None:
    """Its fields are in the prompt, and nothing else; name, slots, `isinstance` and copies are those of the class."""
    make, fields = FORMS[cls]
    decorated = llm_strategy(scripted(5, 6))(cls)
    owner = make(decorated)

    assert owner.say() == 5
    assert copy.deepcopy(owner).say() == 6
    assert self_of(owner) == fields
    assert cls in decorated.__mro__
    assert type(owner) is decorated or issubclass(type(owner), decorated)
    assert (decorated.__name__, decorated.__qualname__, decorated.__module__) == (
        cls.__name__,
        cls.__qualname__,
        __name__,
    )
    assert not inspect.isabstract(decorated)
    if not inspect.isabstract(cls) and cls is not Shape:
        assert isinstance(owner, cls)
        assert repr(owner).partition(" object at")[0] == repr(make(cls)).partition(" object at")[0]
        assert hasattr(owner, "__dict__") is hasattr(make(cls), "__dict__")


@pytest.mark.parametrize("cls", [cls for cls in FORMS if cls not in (Abstract, Shape)], ids=lambda cls: cls.__name__)
def test_an_object_of_every_form_is_implemented(cls: type) -> None:
    """The object is copied, frozen or slotted as it is, and stays as it was."""
    make, fields = FORMS[cls]
    plain = make(cls)
    owner = llm_strategy(scripted(5))(plain)

    assert owner.say() == 5
    assert self_of(owner) == fields
    assert isinstance(owner, type(plain))
    with pytest.raises(NotImplementedError):
        plain.say()


@pytest.mark.parametrize("decorate", [dataclass, dataclass(slots=True), attrs.define, attrs.frozen])
def test_what_makes_the_fields_may_stand_above_the_decorator(decorate: Callable[[type], type]) -> None:
    """The order of two decorators is easily mistaken, so both work."""

    @decorate
    @llm_strategy(scripted(5))
    class Point:
        x: int
        y: int = 2

        def say(self) -> int:
            """Say it."""
            raise NotImplementedError

    point = Point(1)

    assert point.say() == 5
    assert self_of(point) == {"x": 1, "y": 2}
    assert copy.deepcopy(point) == point


def test_a_dataclass_above_keeps_its_default_factories() -> None:
    """`field(...)` is found by the decorator above as by one below, also in a generic class."""

    @dataclass
    @llm_strategy(scripted(5))
    class Basket(Generic[T]):
        items: list[T] = field(default_factory=list)

        def say(self) -> int:
            """Say it."""
            raise NotImplementedError

    assert self_of(Basket(["tea"])) == {"items": ["tea"]}
    assert Basket().items is not Basket().items


def test_the_syntax_for_type_parameters_makes_generic_classes_too() -> None:
    """`class Box[T]`, where the interpreter knows it; the class stays generic."""
    program = '''
        from dataclasses import dataclass
        from llm_strategy import ScriptedModel, llm_strategy

        @llm_strategy(ScriptedModel(lambda request: '{"return_value": 7}'))
        @dataclass
        class Box[T]:
            value: T
            def weigh(self, other: T) -> T:
                """Weigh it."""
                raise NotImplementedError

        @llm_strategy(ScriptedModel(lambda request: '{"return_value": ["a"]}'))
        def pick[K: str](items: dict[K, int]) -> list[K]:
            """Pick."""
            raise NotImplementedError

        print(Box[int](3).weigh(4), Box[int].__args__, pick({"a": 1}))
    '''
    known = [python for version, python in interpreters() if version >= "3.12"]
    if not known:
        pytest.skip("no Python 3.12 or newer with pydantic, PyYAML and filelock on the PATH or in .venv*")
    for python in known:
        assert output(program, python=python) == "7 (<class 'int'>,) ['a']"


def test_the_parentheses_may_be_left_out_above_a_class(monkeypatch: pytest.MonkeyPatch) -> None:
    """`@llm_strategy` alone means the model of LLM_STRATEGY_MODEL, also for a class whose method is called `generate`."""
    monkeypatch.setenv("LLM_STRATEGY_MODEL", "stub:")

    @llm_strategy
    @dataclass
    class Story:
        topic: str

        def generate(self, words: int) -> str:
            """Write a story."""
            raise NotImplementedError

        @llm_strategy
        @staticmethod
        def title() -> str:
            """Find a title."""
            raise NotImplementedError

    assert Story("sea").generate.request(3).model == Story.title.request().model == "stub:"


@pytest.mark.parametrize("cls", [ScriptedModel, StubModel, OpenAIModel, LangChainModel])
def test_a_class_of_models_is_no_model(cls: type) -> None:
    """Parentheses forgotten at the model would otherwise look like a bare decorator."""
    with pytest.raises(TypeError, match=rf"{cls.__name__} is a class: give an instance"):
        llm_strategy(cls)


@pytest.mark.parametrize(("package", "name"), [("openai", "OpenAI"), ("langchain_openai", "ChatOpenAI")])
def test_a_client_class_is_no_model(package: str, name: str) -> None:
    """Nor are the classes of clients and of LangChain's models."""
    with pytest.raises(TypeError, match=rf"{name} is a class: give an instance"):
        llm_strategy(getattr(pytest.importorskip(package), name))


class Every(abc.ABC):
    """One member of each kind, half of them abstract."""

    def method(self) -> int:
        """Say it."""
        raise NotImplementedError("not yet") from None

    @abc.abstractmethod
    def abstract(self) -> int:
        """Say it."""

    @property
    def prop(self) -> int:
        """Say it."""
        raise NotImplementedError

    @property
    @abc.abstractmethod
    def abstract_prop(self) -> int:
        """Say it."""

    @functools.cached_property
    def cached(self) -> int:
        """Say it."""
        raise NotImplementedError(f"{self} is not there", [name.upper() for name in vars(self)])

    @functools.cached_property
    @abc.abstractmethod
    def abstract_cached(self) -> int:
        """Say it."""

    @staticmethod
    def static() -> int:
        """Say it."""
        raise NotImplementedError

    @staticmethod
    @abc.abstractmethod
    def abstract_static() -> int:
        """Say it."""

    @classmethod
    def of_class(cls) -> int:
        """Say it."""
        raise NotImplementedError

    @classmethod
    @abc.abstractmethod
    def abstract_of_class(cls) -> int:
        """Say it."""

    async def later(self) -> int:
        """Say it."""
        raise NotImplementedError

    @abc.abstractmethod
    async def abstract_later(self) -> int:
        """Say it."""

    @property
    async def prop_later(self) -> int:
        """Say it."""
        raise NotImplementedError

    def __call__(self) -> int:
        """Say it."""
        raise NotImplementedError


MEMBERS: dict[str, Callable[[Any], Any]] = {
    "method": lambda owner: owner.method(),
    "abstract method": lambda owner: owner.abstract(),
    "property": lambda owner: owner.prop,
    "abstract property": lambda owner: owner.abstract_prop,
    "cached property": lambda owner: owner.cached,
    "abstract cached property": lambda owner: owner.abstract_cached,
    "static method": lambda owner: owner.static(),
    "abstract static method": lambda owner: type(owner).abstract_static(),
    "class method": lambda owner: owner.of_class(),
    "abstract class method": lambda owner: type(owner).abstract_of_class(),
    "asynchronous method": lambda owner: asyncio.run(owner.later()),
    "abstract asynchronous method": lambda owner: asyncio.run(owner.abstract_later()),
    "asynchronous property": lambda owner: asyncio.run(awaited(owner)),
    "call": lambda owner: owner(),
}


async def awaited(owner: Any) -> Any:
    return await owner.prop_later


@pytest.mark.parametrize("use", MEMBERS.values(), ids=MEMBERS)
def test_every_kind_of_member_is_implemented(use: Callable[[Any], Any]) -> None:
    """Written with a docstring and `raise NotImplementedError`, `...` or `abstractmethod`, however they are bound."""
    model = scripted(5)

    assert use(llm_strategy(model)(Every)()) == 5
    assert len(model.requests) == 1


def test_members_of_protocols_that_a_class_derives_from_are_implemented() -> None:
    """A Protocol serves as a base as an ABC does; what the class overrides, it keeps."""

    class Both(Shape, Protocol):
        def more(self) -> int:
            """Say more."""

        def filled(self) -> int:
            """Say it."""
            ...

    @llm_strategy(scripted(5, 6))
    @dataclass
    class Concrete(Both):
        x: int

        def filled(self) -> int:
            return 7

    concrete = Concrete(1)

    assert (concrete.say(), concrete.more(), concrete.filled()) == (5, 6, 7)


@typing.runtime_checkable
class Sized(Protocol):
    unit: str = "m"

    def say(self) -> int:
        """Say it."""
        ...


def test_a_protocol_without_an_init_is_made_without_arguments() -> None:
    """It passes for the Protocol, and its annotated attributes are fields."""
    sized = llm_strategy(scripted())(Sized)()

    assert isinstance(sized, Sized)
    assert self_of(sized) == {"unit": "m"}


def test_what_pydantic_leaves_open_is_not_implemented() -> None:
    """`model_post_init` has only a docstring too, but it is no member of the user's."""
    model = scripted()
    made = llm_strategy(model)(GenericPydantic)

    assert made[int](x=1).model_dump() == {"x": 1}
    assert model.requests == []


def test_other_special_methods_are_left_alone() -> None:
    """`len`, `==` and the like must not ask by surprise; only `__call__` is called by name."""

    @llm_strategy(scripted())
    class Bag:
        def __len__(self) -> int:
            """Say how many."""
            raise NotImplementedError

    with pytest.raises(NotImplementedError):
        len(Bag())


def test_an_asynchronous_cached_property_is_refused() -> None:
    """What it returns could be awaited once only."""

    @llm_strategy(scripted())
    class Late:
        @functools.cached_property
        async def value(self) -> int:
            """Say it."""
            raise NotImplementedError

    with pytest.raises(PromptError, match=r"Late\.value is asynchronous and cached.*: make it an `async def` method"):
        _ = Late().value


class Colour(enum.Enum):
    RED = 1

    def say(self) -> int:
        """Say it."""
        raise NotImplementedError


class Record(TypedDict):
    x: int


class Tagged:
    def __init_subclass__(cls, tag: int) -> None:
        pass


class Tag(Tagged, tag=1):
    def say(self) -> int:
        """Say it."""
        raise NotImplementedError


@pytest.mark.parametrize(
    ("thing", "problem"),
    [
        (Colour, "Colour cannot be implemented, since it cannot be subclassed without arguments: .*cannot extend"),
        (Colour.RED, "Colour.RED: 1> cannot be implemented"),
        (Record, "Record is a TypedDict, whose values are plain dicts: decorate a dataclass"),
        (Tag, "Tag cannot be implemented, since it cannot be subclassed without arguments: .*'tag'"),
        (bool, "bool cannot be implemented"),
        (object(), "cannot be implemented: decorate a class, an object with methods without a body"),
    ],
)
def test_what_cannot_be_implemented_is_refused(thing: Any, problem: str) -> None:
    """Members are implemented in a subclass, so there has to be one."""
    with pytest.raises(TypeError, match=problem):
        llm_strategy(scripted())(thing)


@pytest.mark.parametrize(
    ("base", "held", "shown"),
    [
        (str, "tea", "tea"),
        (int, 3, 3),
        (float, 1.5, 1.5),
        (list, ["tea"], ["tea"]),
        (tuple, ("tea", 1), ["tea", 1]),
        (dict, {"tea": 1}, {"tea": 1}),
        (collections.Counter, "aab", {"a": 2, "b": 1}),
        (collections.deque, ["tea"], ["tea"]),
        (set, {"tea"}, ["tea"]),
        (list, [], []),
    ],
)
def test_a_subclass_of_a_builtin_type_shows_what_it_holds(base: Any, held: Any, shown: Any) -> None:
    """Its content is not among its attributes."""

    @llm_strategy(scripted())
    class Holder(base):
        def say(self) -> int:
            """Say it."""
            raise NotImplementedError

    assert self_of(Holder(held)) == shown


def test_a_method_alone_is_refused() -> None:
    """The prompt needs its object, so the class is to be decorated."""
    with pytest.raises(PromptError, match=r"Alone\.say \(.*\) is a method: decorate its class"):

        class Alone:
            @llm_strategy("stub:")
            def say(self) -> int:
                """Say it."""
                raise NotImplementedError

    with pytest.raises(PromptError, match=r"Given\.say \(.*\) is a method: decorate its class"):

        class Given:
            @llm_function
            def say(self, model: Any) -> int:
                """Say it."""
                raise NotImplementedError


class Columns:
    """A base that makes something of what stands in its subclasses, as object-relational mappers do."""

    seen: ClassVar[list[str]] = []

    def __init_subclass__(cls) -> None:
        cls.seen += [name for name in vars(cls) if name == "column"]


class Table(Columns):
    column: int = 1

    def say(self) -> int:
        """Say it."""
        raise NotImplementedError


def test_what_a_base_makes_of_a_class_is_made_once() -> None:
    """The subclass that is implemented declares nothing anew."""
    assert self_of(llm_strategy(scripted())(Table)()) == {"column": 1}
    assert Columns.seen == ["column"]


def test_an_attribute_without_a_stable_form_is_refused() -> None:
    """Where a class declares no fields, the error says how an attribute is kept out of the prompt."""

    class Holder:
        def __init__(self) -> None:
            self.lock = threading.Lock()

        def say(self) -> int:
            """Say it."""
            raise NotImplementedError

    with pytest.raises(
        PromptError, match=r"'self' holds a value of type lock.* by a name that begins with an underscore"
    ):
        llm_strategy(scripted())(Holder)().say()


class Asking(BaseModel):
    x: int

    @computed_field
    @property
    def computed(self) -> int:
        """Compute it."""
        raise NotImplementedError

    @property
    def prop(self) -> int:
        """Say it."""
        raise NotImplementedError

    @functools.cached_property
    def cached(self) -> int:
        """Say it."""
        raise NotImplementedError

    def say(self) -> int:
        """Say it."""
        raise NotImplementedError


class Around(BaseModel):
    asking: Asking


@llm_strategy(StubModel())
def describe(thing: Any) -> str:
    """Describe it."""
    raise NotImplementedError


@dataclass
class Overridden:
    name: str = ""

    def say(self) -> int:
        """Say it."""
        raise NotImplementedError


class AskedName(Overridden):
    @property
    def name(self) -> str:
        """Find a name."""
        raise NotImplementedError

    @name.setter
    def name(self, value: str) -> None:
        pass


LOOKS: dict[str, Callable[[Any], Any]] = {
    "repr": repr,
    "own prompt": lambda owner: owner.say.request(),
    "argument": describe.request,
    "inside an argument": lambda owner: describe.request([Around(asking=owner)]),
    "members of the class": lambda owner: inspect.getmembers(type(owner)),
    "static members": inspect.getmembers_static,
    "help": lambda owner: pydoc.render_doc(type(owner)),
    "equality": lambda owner: owner == copy.deepcopy(owner),
    "directory": dir,
    "decorated again": lambda owner: llm_strategy("stub:")(type(owner)),
}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_looking_at_an_object_asks_no_model(look: Callable[[Any], Any]) -> None:
    """A property that a model computes is asked for where the program reads it, and nowhere else."""
    model = scripted()
    look(llm_strategy(model)(Asking)(x=1))

    assert model.requests == []


def test_a_field_that_a_model_computes_is_not_shown_to_it() -> None:
    """Rendering it would ask for it while it is being asked for."""
    model = scripted()
    owner = llm_strategy(model)(AskedName)()

    assert self_of(owner) == {}
    assert model.requests == []


def test_a_computed_field_is_asked_for_where_the_model_is_dumped() -> None:
    """That is what the user of pydantic asked for."""
    owner = llm_strategy(scripted(5))(Asking)(x=1)

    assert repr(owner) == "Asking(x=1)"
    assert owner.model_dump() == {"x": 1, "computed": 5}


def test_pytest_collects_objects_without_asking(pytester: pytest.Pytester) -> None:
    """Decorated classes and objects may stand in a test module."""
    pytester.makepyfile(
        """
        from llm_strategy import ScriptedModel, llm_strategy

        @llm_strategy(ScriptedModel([]))
        class TestShop:
            @property
            def slogan(self) -> str:
                '''Invent a slogan.'''
                raise NotImplementedError

            def test_nothing(self):
                pass

        shop = test_shop = TestShop()
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")

    result.assert_outcomes(passed=1)


def test_a_cached_property_is_the_same_to_all_threads() -> None:
    """The first answer is kept, however many threads ask at once."""
    together = threading.Barrier(8)

    def answer(request: Request) -> str:
        together.wait()
        return json.dumps({"return_value": len(model.requests) * 100 + threading.get_ident() % 100})

    model = ScriptedModel(answer)
    owner = llm_strategy(model)(Asking)(x=1)
    values: list[int] = []
    threads = [threading.Thread(target=lambda: values.append(owner.cached)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert set(values) == {owner.cached}


def test_a_cached_property_says_what_it_asks() -> None:
    """`request` renders it without a model, as on a property; a class without a `__dict__` is told so."""

    @llm_strategy(scripted())
    class Slots:
        __slots__ = ()

        @functools.cached_property
        def value(self) -> int:
            """Say it."""
            raise NotImplementedError

    assert Slots.value.request(Slots()).messages[-1].content.startswith("def Slots.value(self) -> int")
    with pytest.raises(TypeError, match=r"Slots has no __dict__ in which 'value' could be cached: make it a property"):
        _ = Slots().value


def test_help_shows_the_class_that_was_written() -> None:
    """Members are listed by kind, with signature and docstring."""
    kinds = {item.name: item.kind for item in inspect.classify_class_attrs(llm_strategy(scripted())(Every))}

    assert kinds["method"] == kinds["__call__"] == kinds["abstract_later"] == "method"
    assert kinds["of_class"] == kinds["abstract_of_class"] == "class method"
    assert kinds["static"] == kinds["abstract_static"] == "static method"
    assert kinds["prop"] == kinds["abstract_prop"] == "property"
    assert "say(self) -> 'int'\n |      Say it." in pydoc.render_doc(
        llm_strategy(scripted())(Plain), renderer=pydoc.plaintext
    )


def test_a_bound_method_is_shown_as_one() -> None:
    """With its name and its object."""
    assert repr(llm_strategy(scripted())(Plain)(1).say) == "<bound method Plain.say of Plain(x=1)>"


@llm_function
def given(model: Any) -> int:
    """Say it."""
    raise NotImplementedError


CHAIN = ChatChain(ScriptedModel(lambda request: "nonsense"))
OURS = Path(inspect.getfile(llm_strategy)).parent
ERRORS: dict[str, Callable[[Any], Any]] = {
    "bad reply": lambda owner: owner.add(1),
    "wrong type": lambda owner: owner.add("1"),
    "missing argument": lambda owner: owner.add(),
    "missing object": lambda owner: type(owner).add(),
    "missing argument of a prompt": lambda owner: owner.add.request(),
    "wrong type in a prompt": lambda owner: owner.add.request("1"),
    "arguments that disagree": lambda owner: owner.choose(1, "a"),
    "type variable that does not allow it": lambda owner: owner.short(3, 3),
    "no model": lambda owner: given(),  # type: ignore[call-arg]  # that is what is wrong
    "what is no model": lambda owner: given(5),
    "question": lambda owner: CHAIN.query(5),  # type: ignore[arg-type]  # that is what is wrong
    "bad reply in a conversation": lambda owner: CHAIN.structured_query("How many?", int),
    "bad reply in an asynchronous one": lambda owner: asyncio.run(CHAIN.astructured_query("How many?", int)),
    "no reply": lambda owner: ChatChain(ScriptedModel([])).query("Hello?"),
    "no reply in an asynchronous one": lambda owner: asyncio.run(ChatChain(ScriptedModel([])).aquery("Hello?")),
    "asynchronous": lambda owner: asyncio.run(owner.add_later(1)),
    "property": lambda owner: owner.prop,
}


@pytest.mark.parametrize("call", ERRORS.values(), ids=ERRORS)
def test_a_traceback_ends_at_the_line_that_called(call: Callable[[Any], Any]) -> None:
    """What happened inside this library is no help to whoever reads it; the message says what to do."""

    @llm_strategy(ScriptedModel(["nonsense"] * 3))
    @dataclass
    class Adder:
        x: int

        def add(self, y: int) -> int:
            """Add."""
            raise NotImplementedError

        async def add_later(self, y: int) -> int:
            """Add."""
            raise NotImplementedError

        def choose(self, x: T, y: T) -> T:
            """Choose."""
            raise NotImplementedError

        def short(self, x: Text, y: int) -> Text:
            """Shorten."""
            raise NotImplementedError

        @property
        def prop(self) -> int:
            """Say it."""
            raise NotImplementedError

    with pytest.raises((ValueError, TypeError, ModelError)) as raised:
        call(Adder(1))
    files = [frame.filename for frame in traceback.extract_tb(raised.value.__traceback__)]

    assert [name for name in files if Path(name).is_relative_to(OURS)] == []
    assert __file__ in files


def test_the_traceback_of_a_model_s_own_error_is_whole() -> None:
    """The cause keeps its frames: there the user's model can be mended."""

    def broken(request: Request) -> str:
        raise ZeroDivisionError

    with pytest.raises(RuntimeError) as raised:
        llm_strategy(ScriptedModel(broken))(Plain)(1).say()

    assert isinstance(raised.value.__cause__, ZeroDivisionError)
    assert traceback.extract_tb(raised.value.__cause__.__traceback__)[-1].name == "broken"


def test_a_class_is_implemented_from_byte_code_alone(tmp_path: Path) -> None:
    """Where only the .pyc is installed, a class works as from a file."""
    (tmp_path / "shop.py").write_text(
        """
from llm_strategy import llm_strategy

@llm_strategy("stub:")
class Shop:
    def best(self) -> int:
        "Find the best."
        ...

    def close(self):
        pass
""",
        encoding="utf-8",
    )
    compileall.compile_file(tmp_path / "shop.py", quiet=2, legacy=True)
    (tmp_path / "shop.py").unlink()
    program = "from shop import Shop; print(Shop().best(), Shop().close())"

    assert output(program, cwd=tmp_path) == "0 None"


def test_the_members_of_a_frozen_class_stay_frozen() -> None:
    """Implementing changes how members are computed, not what may be set."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        llm_strategy(scripted())(FrozenSlots)(1).x = 2
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        llm_strategy(scripted())(FrozenAttrs)(1).x = 2
    with pytest.raises(pydantic.ValidationError):
        llm_strategy(scripted())(Pydantic)(x=1).x = 2


def growing() -> ScriptedModel:
    tree = {"name": "a", "children": [{"name": "b", "children": [{"name": "c", "children": []}]}]}
    return ScriptedModel(lambda request: json.dumps({"return_value": tree}))


@llm_strategy(growing())
@dataclass
class Tree:
    name: str
    children: list[Tree]

    def grown(self) -> Tree:
        """The tree a year later."""
        raise NotImplementedError


@llm_strategy(growing())
@dataclass(frozen=True, slots=True)
class FrozenTree:
    name: str
    children: list[FrozenTree]

    def grown(self) -> FrozenTree:
        """The tree a year later."""
        raise NotImplementedError


@llm_strategy(growing())
class TreeModel(BaseModel):
    name: str
    children: list[TreeModel]

    def grown(self) -> TreeModel:
        """The tree a year later."""
        raise NotImplementedError


@pytest.mark.parametrize("kind", [Tree, FrozenTree, TreeModel])
def test_a_class_that_contains_itself_returns_objects_that_a_model_implements_throughout(kind: Any) -> None:
    """Its fields were declared when it was not implemented yet; what stands in them is all the same."""
    grown = kind(name="a", children=[]).grown()

    assert [type(grown), type(grown.children[0]), type(grown.children[0].children[0])] == [kind] * 3
    assert grown.children[0].grown() == grown == kind.grown.parse(kind.grown.reply(grown))
    assert copy.deepcopy(grown) == grown
