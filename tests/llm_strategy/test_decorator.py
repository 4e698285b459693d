"""`llm_strategy`, `llm_function` and `llm_explicit_function`: what they do to classes and functions."""

from __future__ import annotations

import abc
import asyncio
import copy
import dataclasses
import functools
import inspect
import pickle
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import pytest
from pydantic import BaseModel

from llm_strategy import (
    ChatChain,
    Message,
    PromptError,
    Request,
    ScriptedModel,
    llm_explicit_function,
    llm_function,
    llm_strategy,
)
from tests.llm_strategy.answers import reply, scripted
from tests.llm_strategy.programs import output

T = TypeVar("T")


@dataclass
class Plain:
    """A shop."""

    name: str
    count: int = 0

    def best(self, query: str) -> str:
        """Find the best."""
        raise NotImplementedError

    def dots(self, query: str) -> str:
        """Find the dots."""

    def documented(self, query: str) -> str:
        """Find the documented."""

    @property
    def slogan(self) -> str:
        """Invent a slogan."""
        raise NotImplementedError

    @functools.cached_property
    def motto(self) -> str:
        """Invent a motto."""
        raise NotImplementedError

    @staticmethod
    def greeting(language: str) -> str:
        """Greet."""
        raise NotImplementedError

    @classmethod
    def imagine(cls, topic: str) -> str:
        """Imagine a shop."""
        raise NotImplementedError

    async def later(self, query: str) -> str:
        """Find it later."""
        raise NotImplementedError

    def __private(self) -> str:
        """Keep a secret."""
        raise NotImplementedError

    def call_private(self) -> str:
        return self.__private()

    def implemented(self) -> str:
        return f"{self.name} is open"

    def hook(self) -> None:
        pass


def shop(*replies: Any) -> tuple[ScriptedModel, Any]:
    """A model and a shop that it implements."""
    model = scripted(*replies)
    return model, llm_strategy(model)(Plain)("corner", 3)


MEMBERS: dict[str, Callable[[Any], Any]] = {
    "method": lambda shop: shop.best("tea"),
    "method by name": lambda shop: shop.best(query="tea"),
    "method of the class": lambda shop: type(shop).best(shop, "tea"),
    "dots": lambda shop: shop.dots("tea"),
    "docstring only": lambda shop: shop.documented("tea"),
    "property": lambda shop: shop.slogan,
    "cached property": lambda shop: shop.motto,
    "static": lambda shop: shop.greeting("French"),
    "static of the class": lambda shop: type(shop).greeting("French"),
    "class method": lambda shop: shop.imagine("books"),
    "class method of the class": lambda shop: type(shop).imagine("books"),
    "asynchronous": lambda shop: asyncio.run(shop.later("tea")),
    "private": lambda shop: shop.call_private(),
}


@pytest.mark.parametrize("use", MEMBERS.values(), ids=MEMBERS)
def test_every_kind_of_member_without_a_body_is_implemented(use: Callable[[Any], Any]) -> None:
    """Methods, properties, cached properties, static, class, asynchronous and private methods ask the model."""
    model, corner = shop("answer")

    assert use(corner) == "answer"
    assert len(model.requests) == 1


def test_what_has_a_body_is_left_alone() -> None:
    """A body stays as it is, and so does `pass`: a hook that subclasses may fill."""
    model, corner = shop()

    assert corner.implemented() == "corner is open"
    assert corner.hook() is None
    assert model.requests == []


def test_a_cached_property_is_asked_once() -> None:
    """As a cached property is computed once."""
    model, corner = shop("once")

    assert corner.motto == corner.motto == "once"
    assert len(model.requests) == 1


def test_an_implemented_class_is_the_class_to_everyone() -> None:
    """Name, module, documentation, fields and `isinstance` are those of the class that was written."""
    made = llm_strategy(scripted())(Plain)
    corner = made("corner")

    assert (made.__name__, made.__qualname__, made.__module__) == ("Plain", "Plain", __name__)
    assert made.__doc__ == "A shop."
    assert isinstance(corner, made)
    assert isinstance(corner, Plain)
    assert repr(corner) == "Plain(name='corner', count=0)"
    assert corner == made("corner")
    assert dataclasses.asdict(dataclasses.replace(corner, count=2)) == {"name": "corner", "count": 2}
    assert copy.deepcopy(corner) == corner


def test_the_class_that_was_written_still_has_no_body() -> None:
    """Decorating makes another class: the original can be implemented by two models."""
    _, corner = shop("a")

    assert corner.best("tea") == "a"
    with pytest.raises(NotImplementedError):
        Plain("corner").best("tea")


def test_methods_keep_their_signatures() -> None:
    """On the class with `self`, on the object without, and a coroutine function stays one."""
    _, corner = shop()

    assert str(inspect.signature(type(corner).best)) == "(self, query: 'str') -> 'str'"
    assert str(inspect.signature(corner.best)) == "(query: 'str') -> 'str'"
    assert inspect.getdoc(corner.best) == "Find the best."
    assert corner.best.__name__ == "best"
    assert corner.best.__self__ is corner
    assert inspect.iscoroutinefunction(corner.later)
    assert not inspect.iscoroutinefunction(corner.best)


def test_methods_of_one_object_are_equal() -> None:
    """A method can be a key or be taken out of a list of callbacks, as any bound method."""
    _, corner = shop()
    other = copy.copy(corner)

    assert corner.best == corner.best
    assert len({corner.best, corner.best}) == 1
    assert corner.best != other.best
    assert corner.best != corner.dots


def test_inherited_members_are_implemented_too() -> None:
    """Wherever in the hierarchy the member without a body stands."""

    class Base:
        def first(self) -> int:
            """Say the first."""
            raise NotImplementedError

        def filled(self) -> int:
            """Say it."""
            raise NotImplementedError

    @llm_strategy(scripted(1, 2))
    @dataclass
    class Derived(Base):
        x: int

        def second(self) -> int:
            """Say the second."""
            raise NotImplementedError

        def filled(self) -> int:
            return 7

    derived = Derived(1)

    assert (derived.first(), derived.second(), derived.filled()) == (1, 2, 7)


def test_a_subclass_can_call_what_the_model_implements() -> None:
    """`super()` reaches the model."""

    @llm_strategy(scripted(5))
    class Base:
        def score(self, x: int) -> int:
            """Score it."""
            raise NotImplementedError

    class Derived(Base):
        def score(self, x: int) -> int:
            return super().score(x) + 10

    assert Derived().score(1) == 15


def test_a_subclass_may_have_another_model() -> None:
    """The nearest decorator decides; what the base has is untouched."""
    first, second = scripted("first"), scripted("second")
    base = llm_strategy(first)(Plain)

    @llm_strategy(second)
    @dataclass
    class Derived(base):
        pass

    assert (Derived("a").best("tea"), base("a").best("tea")) == ("second", "first")


@pytest.mark.parametrize(
    "options", [{"frozen": True}, {"slots": True}, {"frozen": True, "slots": True}, {"kw_only": True}, {"order": True}]
)
def test_every_kind_of_dataclass_can_be_implemented(options: dict[str, bool]) -> None:
    """Frozen ones stay frozen, slotted ones get no `__dict__`."""

    class Point:
        x: int

        def say(self) -> int:
            """Say it."""
            raise NotImplementedError

    made = llm_strategy(scripted(4))(dataclass(**options)(Point))
    point = made(x=1)

    assert point.say() == 4
    assert hasattr(point, "__dict__") is not options.get("slots", False)
    if options.get("frozen"):
        with pytest.raises(dataclasses.FrozenInstanceError):
            point.x = 2


def test_a_generic_dataclass_stays_generic() -> None:
    """`Box[int]` can be written of a decorated class."""

    @llm_strategy(scripted(1))
    @dataclass
    class Box(Generic[T]):
        value: T

        def weigh(self) -> int:
            """Weigh it."""
            raise NotImplementedError

    assert Box[int](3).weigh() == 1


def test_a_pydantic_model_can_be_implemented() -> None:
    """Its fields are validated as before."""

    @llm_strategy(scripted(1, 2))
    class Order(BaseModel):
        item: str

        def price(self) -> int:
            """Estimate the price."""
            raise NotImplementedError

        @property
        def weight(self) -> int:
            """Estimate the weight."""
            raise NotImplementedError

    order = Order(item="tea")

    assert (order.price(), order.weight) == (1, 2)
    assert order.model_dump() == {"item": "tea"}


def test_an_abstract_class_becomes_concrete() -> None:
    """What was abstract has an implementation now."""

    class Base(abc.ABC):
        @abc.abstractmethod
        def say(self) -> int:
            """Say it."""

        @property
        @abc.abstractmethod
        def prop(self) -> int:
            """Say the property."""

    class Shape(Protocol):
        def say(self) -> int:
            """Say it."""
            ...

    assert llm_strategy(scripted(1))(Base)().say() == 1
    assert llm_strategy(scripted(1))(Base)().prop == 1
    assert llm_strategy(scripted(2))(Shape)().say() == 2


def test_a_property_keeps_its_setter() -> None:
    """The model reads, the class's own code writes."""

    @llm_strategy(scripted("read"))
    class Document:
        written = ""

        @property
        def title(self) -> str:
            """Read the title."""
            raise NotImplementedError

        @title.setter
        def title(self, value: str) -> None:
            self.written = value

    document = Document()
    document.title = "set"

    assert (document.title, document.written) == ("read", "set")


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("undocumented", "has no docstring"),
        ("unannotated", "the parameter 'query' has no annotation: add one, such as `query: str`"),
        ("no_return", "has no return annotation"),
    ],
)
def test_a_member_that_no_prompt_can_be_made_from_says_so_when_it_is_called(name: str, problem: str) -> None:
    """The rest of the class works; the message names the member and the cure."""

    @llm_strategy(scripted(1))
    @dataclass
    class Mixed:
        def good(self) -> int:
            """Say it."""
            raise NotImplementedError

        def undocumented(self, query: str = "") -> int:
            raise NotImplementedError

        def unannotated(self, query) -> int:
            """Say it."""
            raise NotImplementedError

        def no_return(self, query: str = ""):
            """Say it."""
            raise NotImplementedError

    mixed = Mixed()

    assert mixed.good() == 1
    for call in (getattr(mixed, name), getattr(mixed, name).request):
        with pytest.raises(PromptError) as raised:
            call("a")
        assert f"Mixed.{name}" in str(raised.value)
        assert problem in str(raised.value)
        assert isinstance(raised.value, NotImplementedError)


def test_an_object_can_be_implemented() -> None:
    """`llm_strategy(model)(instance)` gives an equal object with implemented members; the instance stays as it is."""
    plain = Plain("corner")
    corner = llm_strategy(scripted("best"))(plain)

    assert corner.best("tea") == "best"
    assert type(plain) is Plain


def test_a_function_is_implemented() -> None:
    """`def` and `async def`, with `llm_strategy(...)` above them."""

    @llm_strategy(scripted(3))
    def count(text: str) -> int:
        """Count."""
        raise NotImplementedError

    @llm_strategy(scripted(4))
    async def count_later(text: str) -> int:
        """Count."""
        raise NotImplementedError

    assert count("a") == 3
    assert asyncio.run(count_later("a")) == 4
    assert inspect.iscoroutinefunction(count_later)


def test_the_parentheses_may_be_left_out_above_a_function(monkeypatch: pytest.MonkeyPatch) -> None:
    """`@llm_strategy` alone means the model of LLM_STRATEGY_MODEL."""
    monkeypatch.setenv("LLM_STRATEGY_MODEL", "openai:any")

    @llm_strategy
    def count(text: str) -> int:
        """Count."""
        raise NotImplementedError

    assert count.request("a").model == "openai:any"


def test_static_methods_may_be_decorated_one_by_one() -> None:
    """Above or below `@staticmethod`, as the original's examples write it."""

    class Tools:
        @llm_strategy(scripted(1))
        @staticmethod
        def above(x: int) -> int:
            """Say it."""
            raise NotImplementedError

        @staticmethod
        @llm_strategy(scripted(2))
        def below(x: int) -> int:
            """Say it."""
            raise NotImplementedError

        @llm_function
        @staticmethod
        def function(model, x: int) -> int:
            """Say it."""
            raise NotImplementedError

        @llm_explicit_function
        @staticmethod
        def explicit(model, x: Plain) -> int:
            """Say it."""
            raise NotImplementedError

    assert (Tools.above(0), Tools().below(0)) == (1, 2)
    assert Tools.function(scripted(3), 0) == Tools().function(scripted(3), 0) == 3
    assert Tools.explicit(scripted(4), Plain("a")) == Tools().explicit(scripted(4), Plain("a")) == 4


def test_what_is_decorated_on_its_own_keeps_its_model_in_a_decorated_class() -> None:
    """As everything that has a body: its own decorator is nearer, and `llm_function` takes the model of the caller."""

    def always(value: int) -> ScriptedModel:
        return ScriptedModel(lambda request: reply(value))

    def logged(function: Callable[..., int]) -> Callable[..., int]:
        @functools.wraps(function)
        def call(*args: Any) -> int:
            return function(*args) + 10

        return call

    @llm_strategy(always(1))
    class Tools:
        def say(self) -> int:
            """Say it."""
            raise NotImplementedError

        @staticmethod
        def static(x: int) -> int:
            """Say it."""
            raise NotImplementedError

        @llm_strategy(always(2))
        @staticmethod
        def own(x: int) -> int:
            """Say it."""
            raise NotImplementedError

        @staticmethod
        @logged
        @llm_strategy(always(2))
        def wrapped(x: int) -> int:
            """Say it."""
            raise NotImplementedError

        @llm_function
        @staticmethod
        def given(model, x: int) -> int:
            """Say it."""
            raise NotImplementedError

    class Logging(Tools):
        say = logged(Tools.say)

    for kind, of_class in ((Tools, 1), (llm_strategy(always(4))(Tools), 4)):
        assert (kind().say(), kind.static(0)) == (of_class, of_class)
        assert (kind.own(0), kind.wrapped(0), kind.given(always(3), 0)) == (2, 12, 3)
    assert llm_strategy(always(4))(Logging)().say() == 11


@llm_function
def add(model, x: int, y: int = 2) -> int:
    """Add."""
    raise NotImplementedError


@llm_function
async def add_later(model: Any, x: int) -> int:
    """Add."""
    raise NotImplementedError


@llm_explicit_function
def describe(model: Any, input: Plain) -> str:
    """Describe it."""
    raise NotImplementedError


def test_an_llm_function_is_given_its_model_when_it_is_called() -> None:
    """By position or by name; two calls may have two models."""
    assert add(scripted(3), 1) == 3
    assert add(model=scripted(4), x=1) == 4
    assert asyncio.run(add_later(scripted(5), 1)) == 5
    assert describe(scripted("nice"), Plain("a")) == "nice"


def test_the_model_stays_out_of_the_prompt() -> None:
    """Neither its parameter nor its value is shown to it."""
    prompt = add.request(scripted(), 1).messages[-1].content

    assert prompt.startswith("def add(x: int, y: int) -> int\n")
    assert "Arguments:\n\nx = 1\ny = 2\n" in prompt


def test_an_llm_function_without_a_model_says_what_is_missing() -> None:
    """The message names the parameter."""
    with pytest.raises(TypeError, match=r"add\(\) takes the model as its first argument, 'model'; it is missing"):
        add()


def test_a_conversation_can_stand_for_the_model() -> None:
    """Its messages come first, the prompt after them; its own instructions replace the usual ones."""
    model = scripted(1, 2)
    talked = ChatChain(model, (Message("user", "Hello"), Message("assistant", "Hi")))
    instructed = ChatChain(model, (Message("system", "Be brief."),))

    assert (add(talked, 1), add(instructed, 1)) == (1, 2)
    assert [message.role for message in model.requests[0].messages] == ["system", "user", "assistant", "user"]
    assert [message.role for message in model.requests[1].messages] == ["system", "user"]
    assert model.requests[1].messages[0].content == "Be brief."


def test_the_request_can_be_looked_at_without_a_model() -> None:
    """On functions, on methods of a class or an object, and on properties; nobody is asked."""
    model, corner = shop()
    kind = type(corner)

    requests = [
        corner.best.request("tea"),
        corner.best.request(query="tea"),
        kind.best.request(corner, "tea"),
    ]
    assert len({request.key for request in requests}) == 1
    for request in (*requests, kind.slogan.request(corner), kind.imagine.request("x"), corner.greeting.request("x")):
        assert isinstance(request, Request)
        assert request.model == "scripted"
    assert model.requests == []


WRONG: dict[str, tuple[Callable[[Any], Any], str]] = {
    "int": (lambda shop: shop.best(3), "query"),
    "None": (lambda shop: shop.best(None), "query"),
    "bytes": (lambda shop: shop.best(b"tea"), "query"),
    "static": (lambda shop: shop.greeting(["French"]), "language"),
    "class method": (lambda shop: type(shop).imagine(3), "topic"),
    "asynchronous": (lambda shop: asyncio.run(shop.later(3)), "query"),
}


@pytest.mark.parametrize(("call", "argument"), WRONG.values(), ids=WRONG)
def test_arguments_of_wrong_types_are_refused_before_the_model_is_asked(
    call: Callable[[Any], Any], argument: str
) -> None:
    """A TypeError names the argument, and no tokens are spent."""
    model, corner = shop("never")

    with pytest.raises(TypeError, match=rf"argument '{argument}' must be str, not"):
        call(corner)
    assert model.requests == []


def test_negative_retries_are_refused() -> None:
    """When decorating, not when calling."""
    with pytest.raises(ValueError, match="retries must be 0 or more, not -1"):
        llm_strategy(scripted(), retries=-1)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"temperature": object()}, "the setting 'temperature' has to be a JSON value"),
        ({"api_key": "x"}, "'api_key' belongs to the connection"),
        ({"messages": []}, "'messages' is set by the library"),
    ],
)
def test_what_is_no_setting_is_refused(settings: dict[str, Any], problem: str) -> None:
    """A key or a client's address must not come near a cassette."""
    with pytest.raises(TypeError, match=problem):
        llm_strategy("openai:any", **settings)


def test_a_member_does_not_keep_its_object_alive() -> None:
    """Nothing holds on to the objects whose methods were called."""
    _, corner = shop("a")
    corner.best("tea")
    reference = weakref.ref(corner)
    del corner

    assert reference() is None


def test_objects_methods_and_functions_cross_processes(tmp_path: Path) -> None:
    """Whatever a process pool has to pickle: instances, bound methods of all kinds, functions; and back."""
    (tmp_path / "shop_module.py").write_text(
        '''
from dataclasses import dataclass
from llm_strategy import ScriptedModel, llm_function, llm_strategy

model = ScriptedModel(lambda request: '{"return_value": "asked"}')

@llm_strategy(model)
@dataclass
class Shop:
    name: str
    def best(self, query: str) -> str:
        """Find the best."""
        raise NotImplementedError
    @classmethod
    def imagine(cls, topic: str) -> str:
        """Imagine."""
        raise NotImplementedError
    @staticmethod
    def greet(language: str) -> str:
        """Greet."""
        raise NotImplementedError

@llm_strategy(model)
def count(text: str) -> str:
    """Count."""
    raise NotImplementedError

@llm_function
def add(model, text: str) -> str:
    """Add."""
    raise NotImplementedError
''',
        encoding="utf-8",
    )
    program = """
        import multiprocessing, pickle
        from concurrent.futures import ProcessPoolExecutor
        from shop_module import Shop, add, count

        if __name__ == "__main__":
            shop = pickle.loads(pickle.dumps(Shop("corner")))
            with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
                calls = [shop.best, Shop.imagine, shop.imagine, Shop.greet, count]
                print(shop, *[pool.submit(call, "tea").result() for call in calls])
            print(pickle.loads(pickle.dumps(add)) is add, pickle.loads(pickle.dumps(Shop)) is Shop)
    """
    (tmp_path / "main.py").write_text(inspect.cleandoc(program), encoding="utf-8")
    printed = output("import runpy; runpy.run_path('main.py', run_name='__main__')", cwd=tmp_path, PYTHONSAFEPATH="")

    assert printed == "Shop(name='corner') asked asked asked asked asked\nTrue True"


def test_errors_of_this_library_cross_processes() -> None:
    """A pool's caller sees the error of its worker, with all it carries."""
    model = ScriptedModel(["nonsense"])

    @llm_strategy(model, retries=0)
    def count(text: str) -> int:
        """Count."""
        raise NotImplementedError

    with pytest.raises(ValueError, match="the reply does not fit") as raised:
        count("a")
    copied = pickle.loads(pickle.dumps(raised.value))  # noqa: S301  # our own pickle

    assert str(copied) == str(raised.value)
    assert (copied.reply, copied.problems, copied.expected) == ("nonsense", raised.value.problems, int)


def test_an_implemented_class_can_have_a_default_factory() -> None:
    """Dataclass features such as `field(default_factory=...)` work as before."""

    @llm_strategy(scripted(0))
    @dataclass
    class Basket:
        items: list[str] = field(default_factory=list)

        def size(self) -> int:
            """Say the size."""
            raise NotImplementedError

    basket = Basket()
    basket.items.append("tea")

    assert (basket.size(), basket.items, Basket().items) == (0, ["tea"], [])


def test_settings_of_the_decorator_reach_the_model() -> None:
    """In provider-neutral names, above the model's own."""
    model = ScriptedModel([reply(1)])

    @llm_strategy(model, temperature=0, max_tokens=5, seed=None)
    def count(text: str) -> int:
        """Count."""
        raise NotImplementedError

    count("a")

    assert model.requests[0].settings == {"temperature": 0.0, "max_tokens": 5}
