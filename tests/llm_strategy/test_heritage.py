"""What version 2.2 was tested for still holds: its own tests of what users see, with the fewest words changed.

`FakeLLM`, whose texts began with a whole prompt of 2.2, is `ScriptedModel` here; pydantic's `GenericModel` is `BaseModel`. What
else had to change stands in docs/explanation/heritage.md.
"""

from __future__ import annotations

import gc
import inspect
import typing
from dataclasses import dataclass
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel, BaseLLM
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from pydantic import BaseModel, Field

from llm_strategy import (
    ChatChain,
    Message,
    ModelError,
    PromptError,
    ReplyError,
    ScriptedModel,
    llm_function,
    llm_strategy,
)

T = typing.TypeVar("T")
S = typing.TypeVar("S")
U = typing.TypeVar("U")
V = typing.TypeVar("V")
X = typing.TypeVar("X")


class One(BaseModel, typing.Generic[T]):
    value: T


class Two(BaseModel, typing.Generic[T, S]):
    value: T | None = None
    value2: S | None = None


@dataclass
class DummyInterface:
    """A dataclass with some members that are not implemented."""

    a: int = -1

    @staticmethod
    def static_method(a: int, b: int) -> int:
        """Add two numbers."""
        raise NotImplementedError

    @classmethod
    def class_method(cls, a: int, b: int) -> int:
        """Add two numbers."""
        raise NotImplementedError

    @property
    def property_getter(self: DummyInterface) -> int:
        """Return 0."""
        raise NotImplementedError

    def bound_method(self: DummyInterface, a: int, b: int) -> int:
        """Add two numbers."""
        raise NotImplementedError

    def bound_method_implemented(self: DummyInterface, b: int = 1) -> int:
        """Add two numbers."""
        return self.a + b

    @staticmethod
    def static_method_implemented(a: int, b: int = 1) -> int:
        """Add two numbers."""
        return a + b

    @classmethod
    def class_method_implemented(cls, a: int, b: int = 1) -> int:
        """Add two numbers."""
        return a + b

    @property
    def property_getter_implemented(self) -> int:
        """Return 1."""
        return 1


def returning(*values: str) -> ScriptedModel:
    """A model that returns values, given as JSON."""
    return ScriptedModel([f'{{"return_value": {value}}}' for value in values])


def schema_of(request: Any) -> dict[str, Any]:
    """The schema of what a function returns."""
    schema = dict(request.output_schema)["properties"]["return_value"]
    assert isinstance(schema, dict)
    return schema


def test_llm_strategy_on_functions() -> None:
    """Positional, defaulted and keyword-only arguments; `llm_strategy(llm)(function)` makes another function of it."""

    def add_two_ints(a: int, b: int) -> int:
        """Add two integers."""
        raise NotImplementedError

    def add_two_ints_with_default(a: int, b: int = 1) -> int:
        """Add two integers with a default value."""
        raise NotImplementedError

    def add_two_ints_with_default_and_kwarg(*, a: int, c: int = 2) -> int:
        """Add two integers with a default value."""
        raise NotImplementedError

    llm = returning("3", "2", "3")
    assert llm_strategy(llm)(add_two_ints)(1, 2) == 3
    assert llm_strategy(llm)(add_two_ints_with_default)(1) == 2
    assert llm_strategy(llm)(add_two_ints_with_default_and_kwarg)(a=1) == 3
    with pytest.raises(NotImplementedError):
        add_two_ints(1, 2)


def test_llm_strategy_on_a_dataclass() -> None:
    """Every kind of member that has no body is implemented, class methods too, which 2.2 refused; the others are kept."""
    llm_DummyInterface = llm_strategy(returning("0", *["3"] * 5))(DummyInterface)  # noqa: N806  # it is a class
    instance = llm_DummyInterface()
    assert instance.property_getter == 0
    assert llm_DummyInterface.static_method(1, 2) == 3
    assert instance.static_method(1, 2) == 3
    assert instance.bound_method(1, 2) == 3
    assert llm_DummyInterface.class_method(1, 2) == 3
    assert instance.class_method(1, 2) == 3
    assert llm_DummyInterface.static_method_implemented(1, 2) == 3
    assert instance.bound_method_implemented(1) == 0
    assert llm_DummyInterface.class_method_implemented(1, 2) == 3
    assert instance.property_getter_implemented == 1


@dataclass
class Customer:
    first_name: str
    city: str


@dataclass
class CustomerDatabase:
    customers: list[Customer]

    def find_customer_index(self: CustomerDatabase, query: str) -> int:
        """Find the index of the customer that matches the natural language query best."""
        raise NotImplementedError

    @staticmethod
    def create_mock_customers(num_customers: int = 1) -> list[Customer]:
        """Create mock customers with believable data (our customers are world citizens)."""
        raise NotImplementedError

    @staticmethod
    def create_mock_queries(customer_database: CustomerDatabase, num_queries: int = 1) -> list[str]:
        """Create mock queries that match one of the mock customers better than the others."""
        raise NotImplementedError


def test_llm_strategy() -> None:
    """The database of the README: the model makes the customers, the queries, and the matches; all of them typed."""
    customers_made = '[{"first_name": "John", "city": "New York"}, {"first_name": "Jane", "city": "London"}]'
    llm = returning(customers_made, '["who lives in London", "who is called John"]', "1", "0")
    database_type = llm_strategy(llm)(CustomerDatabase)
    customers = database_type.create_mock_customers(2)
    database = database_type(customers)
    assert customers == [Customer("John", "New York"), Customer("Jane", "London")]
    queries = database_type.create_mock_queries(database, 2)
    assert [customers[database.find_customer_index(query)].first_name for query in queries] == ["Jane", "John"]
    assert '{"first_name": "John", "city": "New York"}' in llm.requests[-1].messages[-1].content


def test_a_subclass_of_an_interface_is_implemented() -> None:
    """`MockCustomerDatabase` of the README: some members by hand, the inherited ones by the model."""

    @llm_strategy(returning('[{"first_name": "Ana", "city": "Lima"}]'))
    @dataclass
    class MockCustomerDatabase(CustomerDatabase):
        def load(self) -> None:
            self.customers = self.create_mock_customers(1)

    database = MockCustomerDatabase([])
    database.load()
    assert database.customers == [Customer("Ana", "Lima")]


def test_llm_function() -> None:
    """Given its model as the first argument, whatever that is annotated with; docstring and `inspect.unwrap` as written."""

    @llm_function
    def add(llm: BaseLLM, a: int, b: int) -> int:
        """
        Add two numbers.
        """
        raise NotImplementedError

    assert add.__doc__ is not None
    assert add.__doc__.strip() == "Add two numbers."
    assert add(returning("3"), 1, 2) == 3
    assert add.__doc__ == inspect.unwrap(add).__doc__


@pytest.mark.parametrize("annotation", [BaseLLM, BaseChatModel, ChatChain, inspect.Parameter.empty])
def test_llm_function_first_param(annotation: Any) -> None:
    """The first parameter is the model's whatever its annotation, and no part of the prompt."""

    def f(model: Any, a: str = "", b: int = 1) -> str:
        """Test docstring."""
        raise NotImplementedError

    if annotation is inspect.Parameter.empty:
        f.__annotations__.pop("model")
    else:
        f.__annotations__["model"] = annotation
    content = llm_function(f).request(None).messages[-1].content
    assert '\na = ""\nb = 1\n' in content
    assert "model" not in content


def test_what_says_too_little_is_refused() -> None:
    """No docstring or no return type: when decorated, no longer when called; `except NotImplementedError` catches both."""

    def undocumented(llm: BaseLLM, a: str, b: int = 1) -> str:
        raise NotImplementedError

    def untyped(llm: BaseLLM, a: str, b: int = 1):  # type: ignore[no-untyped-def]  # this is what is refused
        """Test docstring."""
        raise NotImplementedError

    for function in undocumented, untyped:
        with pytest.raises(PromptError):
            llm_function(function)


def test_an_f_string_is_no_docstring() -> None:
    """It is code, which would be run: said when the function is decorated."""
    with pytest.raises(PromptError, match="has a body of its own"):

        @llm_function
        def f(llm: BaseLLM, a: str) -> str:
            f"""Test docstring of {T}."""  # noqa: B021  # which is what is refused
            raise NotImplementedError


def test_fields_as_defaults() -> None:
    """`b=Field(3)` is 3, `b: int = Field(..., description=...)` is required and described."""

    @llm_function
    def defaulted(llm: BaseLLM, a: str, b: int = Field(3)) -> str:
        """Test docstring."""
        raise NotImplementedError

    @llm_function
    def described(llm: BaseLLM, a: str, b: int = Field(..., description="the number of words")) -> str:
        """Test docstring."""
        raise NotImplementedError

    assert "\nb = 3\n" in defaulted.request(None, "").messages[-1].content
    assert "b: the number of words" in described.request(None, "", b=1).messages[-1].content
    with pytest.raises(TypeError, match="missing a required argument: 'b'"):
        described.request(None, "")


def test_a_default_stands_for_an_annotation() -> None:
    """`a=1` needs none."""

    @llm_function
    def f(llm: BaseLLM, a=1, b: int = 1) -> str:  # type: ignore[no-untyped-def]  # as it was allowed
        """Test docstring."""
        raise NotImplementedError

    assert "\na = 1\nb = 1\n" in f.request(None).messages[-1].content


def test_type_variables_are_resolved() -> None:
    """By the arguments, through generic models, remapped and repeated; the schema of the result has the types."""

    @llm_function
    def pairs(llm: BaseLLM, a: One[T], b: One[V], c: One[V]) -> Two[T, V]:
        """Test docstring."""
        raise NotImplementedError

    @llm_function
    def table(llm: BaseLLM, a: list[T], b: S, c: int) -> dict[str, T | S]:
        """Test docstring."""
        raise NotImplementedError

    request = pairs.request(None, One[int](value=0), One[str](value=""), One[str](value=""))
    assert "-> Two[int, str]" in request.messages[-1].content
    request = table.request(None, ["a"], 1.5, 10)
    assert schema_of(request)["additionalProperties"]["anyOf"] == [{"type": "string"}, {"type": "number"}]
    with pytest.raises(TypeError, match="V"):
        pairs.request(None, One[int](value=0), One[str](value=""), One[float](value=0.0))


def test_elements_tell_the_type_of_a_list() -> None:
    """2.2 knew what was beside `list[T]` only, and left `dict[T, T]` unresolved where nothing was."""

    @llm_function
    def f(llm: BaseLLM, a: list[T]) -> dict[T, T]:
        """Test docstring."""
        raise NotImplementedError

    assert "-> dict[str, str]" in f.request(None, ["a"]).messages[-1].content


def test_none_is_a_type_like_any_other() -> None:
    """2.2 refused a result that could only be None; here it is what the function promises, and what the reply has to be."""

    @llm_function
    def f(llm: BaseLLM, a: T) -> T:
        """Test docstring."""
        raise NotImplementedError

    assert f(returning("null"), None) is None
    with pytest.raises(ReplyError):
        f(returning("1", "1", "1"), None)


def test_types_are_written_in_short() -> None:
    """As `get_concise_type_repr` wrote them, in the signature that the prompt shows."""

    @llm_function
    def f(llm: BaseLLM, a: typing.List[One[int]], b: typing.Dict[str, typing.List[int]], c: set[int]) -> list[Customer]:  # noqa: UP006  # old code
        """Test docstring."""
        raise NotImplementedError

    content = f.request(None, [], {}, set()).messages[-1].content
    assert "def f(a: list[One[int]], b: dict[str, list[int]], c: set[int]) -> list[Customer]" in content


def test_a_pydantic_model_is_the_input() -> None:
    """What `LLMFunction.explicit` took: its fields are the arguments."""

    class Inputs(BaseModel):
        a: int
        b: int

    @llm_function
    def add(llm: BaseLLM, a: int, b: int) -> int:
        """Add two numbers."""
        raise NotImplementedError

    assert add(returning("3"), **dict(Inputs(a=1, b=2))) == 3


def test_chat_chain() -> None:
    """The conversation of 2.2's own test: asked, branched, and asked in two ways; messages of LangChain are taken."""
    answers = {"Hello": "World", "How are you?": "Good. How are you?", "What's up?": "Nothing. You?"}
    model = ScriptedModel(lambda request: answers[request.messages[-1].content])
    chain = ChatChain(model, [HumanMessage(content="Hello")])
    assert chain.response == "Hello"
    with pytest.raises(ValueError, match="no response"):
        ChatChain(model, []).response  # noqa: B018  # it is a property

    response, asked = ChatChain(model, []).query("Hello")
    assert response == asked.response == "World"
    assert asked.messages == (Message("user", "Hello"), Message("assistant", "World"))
    branched = asked.branch()
    response, well = branched.query("How are you?")
    assert response == "Good. How are you?"
    assert [message.content for message in well.messages] == ["Hello", "World", "How are you?", "Good. How are you?"]
    response, up = branched.query("What's up?")
    assert response == "Nothing. You?"
    assert branched.messages == asked.messages == up.messages[:2]
    assert (branched + [AIMessage(content="Bye")]).response == "Bye"  # noqa: RUF005  # as it was written


def test_a_fake_answers_what_it_was_given() -> None:
    """Messages in, the answer out, and an error where there is none, as the three tests of each fake of 2.2 had it."""
    conversation = [SystemMessage(content="foo")]
    assert ChatChain(ScriptedModel(["doo"]), conversation).query("bar")[0] == "doo"
    with pytest.raises(ModelError, match="bar"):
        ChatChain(ScriptedModel([]), conversation).query("bar")


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    """Neither by a call, nor by one that fails, nor when a model is thrown away, where the fakes of 2.2 printed all they knew."""
    model = returning("3", '"no number"', '"no number"', '"no number"')
    add = llm_strategy(model)(DummyInterface.static_method)
    assert add(1, 2) == 3
    with pytest.raises(ReplyError):
        add(1, 2)
    del model, add
    gc.collect()
    assert capfd.readouterr() == ("", "")


def test_an_implemented_class_is_made_without_a_trace_of_how() -> None:
    """It keeps its name, where 2.2 called it `OpenAI_Customer`; its members have the file and line they were written at."""
    made = llm_strategy(returning("0"))(DummyInterface)
    assert (made.__name__, made.__qualname__, made.__module__) == ("DummyInterface", "DummyInterface", __name__)
    assert inspect.getsourcefile(inspect.unwrap(made.bound_method)) == __file__
    assert "long_unlikely" not in " ".join(vars(inspect.getmodule(llm_strategy)))


@pytest.mark.parametrize(
    ("statement", "now"),
    [
        ("from llm_strategy import llm_dataclass", "llm_strategy(model)(cls)"),
        ("from llm_strategy.llm_function import LLMFunction", "from llm_strategy import llm_function"),
        ("from llm_strategy.llm_strategy import llm_strategy", "from llm_strategy import llm_strategy"),
        ("from llm_strategy.chat_chain import ChatChain", "from llm_strategy import ChatChain"),
        ("from llm_strategy.testing.fake_llm import FakeLLM", "ScriptedModel"),
        ("from llm_strategy.cached_chat_model import CachedChatOpenAI", "pytest --llm-record"),
        ("from llm_hyperparameters.track_hyperparameters import track_hyperparameters", "track_hyperparameters"),
    ],
)
def test_an_import_of_old_says_what_to_write(statement: str, now: str) -> None:
    """In the error itself, with the guide."""
    with pytest.raises(ModuleNotFoundError, match=r"was part of llm-strategy 2\.2") as refused:
        exec(statement, {})  # noqa: S102  # the statement is the parameter
    assert now in str(refused.value)
    assert "migrate-from-2.2.md" in str(refused.value)


def test_a_misspelled_import_is_told_what_python_tells() -> None:
    """Names that never were are none of 2.2's."""
    with pytest.raises(ImportError, match="cannot import name 'llm_clas'"):
        exec("from llm_strategy import llm_clas", {})  # noqa: S102  # as above
    with pytest.raises(ModuleNotFoundError, match=r"^No module named 'llm_strategy\.nothing'$"):
        exec("import llm_strategy.nothing", {})  # noqa: S102  # as above
