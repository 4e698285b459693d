"""Functions that a model implements, in LangChain's chains and as tools of its agents."""

from __future__ import annotations

import asyncio
import json
import pickle
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict, TypeVar

import pytest
from langchain.agents import create_agent
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import FakeListChatModel, GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.output_parsers import JsonOutputParser
from langchain_core.prompts import ChatPromptTemplate, PromptTemplate
from langchain_core.runnables import RunnableLambda, RunnableParallel
from langchain_core.tools import ToolException
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel, Field, ValidationError

from llm_strategy import (
    CassetteMiss,
    Hyperparameters,
    PromptError,
    ReplyError,
    Request,
    ScriptedModel,
    StubModel,
    Volatile,
    call_log,
    llm_explicit_function,
    llm_function,
    llm_strategy,
    override,
    use_cassette,
)

T = TypeVar("T")


class Handle:
    """What has no JSON form."""


class Customer(BaseModel):
    name: str
    born: date


@dataclass
class Order:
    key: str
    customer: Customer


def echo(request: Request) -> str:
    """The arguments, as the prompt shows them, as a text."""
    lines = request.messages[-1].content.split("\n")
    end = next((at for at, line in enumerate(lines) if line.startswith("Reply with")), len(lines))
    begin = lines.index("Arguments:") + 1 if "Arguments:" in lines else end
    return json.dumps({"return_value": " ".join(line.strip() for line in lines[begin:end]).strip()})


ECHO = ScriptedModel(echo)


@llm_strategy(ECHO)
def translate(text: str, language: str = "de") -> str:
    """Translate the text, with {braces} and all.

    Args:
        text: What to translate.
        language: The language
            to translate into.
    """
    raise NotImplementedError


@llm_strategy(ECHO)
async def atranslate(text: str, language: str = "de") -> str:
    """Translate the text."""
    raise NotImplementedError


@llm_strategy(ECHO)
def everything(a: int, b: int = 2, /, c: int = 3, *rest: int, config: str = "x", **more: int) -> str:
    """Take arguments of all kinds."""
    raise NotImplementedError


@llm_strategy(ECHO)
def ship(order: Order, on: date | None = None) -> str:
    """Ship the order."""
    raise NotImplementedError


@llm_strategy(ScriptedModel(lambda _: '{"return_value": {"name": "Ada", "born": "1815-12-10"}}'))
def guess(name: str) -> Customer:
    """Guess who that is."""
    raise NotImplementedError


@llm_strategy(ScriptedModel(lambda _: ["To", "ron", "to"]))
def tell(topic: str) -> Iterator[str]:
    """Tell about the topic."""
    raise NotImplementedError


@llm_strategy(ScriptedModel(lambda _: ['{"return_value": [1', ", 2", "]}"]))
def count(to: int) -> Iterator[int]:
    """Count."""
    raise NotImplementedError


@llm_strategy(ScriptedModel(lambda _: ['{"return_value": [1', ", 2", "]}"]))
async def acount(to: int) -> AsyncIterator[int]:
    """Count."""
    raise NotImplementedError


@llm_strategy(ECHO)
@dataclass
class Shop:
    name: str

    def find(self, query: str) -> str:
        """Find what fits the query."""
        raise NotImplementedError

    @property
    def slogan(self) -> str:
        """A slogan for the shop."""
        raise NotImplementedError

    @staticmethod
    def greet(name: str) -> str:
        """Greet somebody."""
        raise NotImplementedError

    @classmethod
    def kinds(cls, of: str) -> str:
        """The kinds of shops."""
        raise NotImplementedError


SHOP = Shop("Tea & Co")


# In chains


def test_arguments_are_given_as_a_dict_or_as_the_plain_value():
    """One parameter without a default takes the plain value; a dict names them all."""
    runnable = translate.as_runnable()
    assert runnable.invoke("Tea") == translate("Tea") == 'text = "Tea" language = "de"'
    assert runnable.invoke({"text": "Tea", "language": "fr"}) == translate("Tea", "fr")
    assert runnable.batch(["Tea", {"text": "Cake"}]) == [translate("Tea"), translate("Cake")]
    assert list(runnable.stream("Tea")) == [translate("Tea")]
    assert runnable.bind(language="fr").invoke("Tea") == translate("Tea", "fr")


def test_arguments_of_every_kind_arrive_where_they_belong():
    """By position, by name, or in between with the defaults filled in: as a call with them is."""
    runnable = everything.as_runnable()
    assert runnable.invoke(1) == everything(1)
    assert runnable.invoke({"a": 1, "c": 5}) == everything(1, c=5)
    assert runnable.invoke({"a": 1, "b": 9, "config": "y"}) == everything(1, 9, config="y")
    assert runnable.invoke({"a": 1, "rest": [7, 8]}) == everything(1, 2, 3, 7, 8)
    assert runnable.invoke({"a": 1, "rest": [], "more": {"x": 1}}) == everything(1, x=1)
    assert runnable.invoke({"a": 1, "x": 1}) == everything(1, x=1)
    with pytest.raises(TypeError, match="missing a required argument: 'a'"):
        runnable.invoke({"b": 1})


def test_schemas_say_what_goes_in_and_comes_out():
    """They come from the signature, with the descriptions of the docstring."""
    runnable = translate.as_runnable()
    schema = runnable.get_input_jsonschema()
    assert schema["required"] == ["text"]
    assert schema["properties"]["language"]["description"] == "The language to translate into."
    assert schema["properties"]["language"]["default"] == "de"
    assert runnable.get_output_jsonschema()["type"] == "string"
    assert guess.as_runnable().get_output_jsonschema()["properties"].keys() == {"name", "born"}
    assert count.as_runnable().get_output_jsonschema()["items"] == {"type": "integer"}
    assert (runnable | guess.as_runnable()).get_input_jsonschema()["required"] == ["text"]
    assert runnable.input_schema.model_validate({"text": "a"}).model_dump() == {"text": "a", "language": "de"}


def test_json_becomes_what_a_parameter_is_and_nothing_else_is_changed():
    """A dict is read as the model or dataclass that it stands for, a text as a date; "3" is still no int."""
    runnable = ship.as_runnable()
    order = Order("o1", Customer(name="Ada", born=date(1815, 12, 10)))
    data = {"key": "o1", "customer": {"name": "Ada", "born": "1815-12-10"}}
    assert runnable.invoke(order) == runnable.invoke({"order": order}) == ship(order)
    assert runnable.invoke(data) == runnable.invoke({"order": data}) == ship(order)
    assert runnable.invoke({"order": data, "on": "2026-01-02"}) == ship(order, date(2026, 1, 2))
    with pytest.raises(TypeError, match="'a' must be int, not str"):
        everything.as_runnable().invoke({"a": "3"})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"txt": "a"}, "has no parameter 'txt', it takes 'text', 'language'; in a chain, choose what it gets: .pick"),
        ({"text": "a", "by": "b"}, r"has no parameter 'by', .*\.pick\(\['text'\]\)"),
        (3, "argument 'text' must be str, not int"),
        ({}, "missing a required argument: 'text'"),
        (None, "argument 'text' must be str, not None"),
    ],
)
def test_wrong_input_says_what_is_wrong(given: object, message: str):
    """The error names the function, its parameters and what was given."""
    with pytest.raises(TypeError, match=message):
        translate.as_runnable().invoke(given)


def test_several_parameters_take_no_plain_value():
    """What the function takes is listed."""

    @llm_strategy(ECHO)
    def join(a: str, b: str) -> str:
        """Join."""
        raise NotImplementedError

    with pytest.raises(TypeError, match=r"join\(\) takes 'a', 'b': give a dict of arguments, not 'x'"):
        join.as_runnable().invoke("x")


def test_a_function_without_parameters_takes_nothing():
    """None and an empty dict are no argument."""

    @llm_strategy(ScriptedModel(lambda _: '{"return_value": "Hi"}'))
    def greet() -> str:
        """Greet."""
        raise NotImplementedError

    runnable = greet.as_runnable()
    assert [runnable.invoke(None), runnable.invoke({})] == ["Hi", "Hi"]
    assert greet.as_tool().invoke({}) == "Hi"


def test_nothing_is_needed_where_all_has_a_default():
    """None is no argument there, unless the parameter takes it."""

    @llm_strategy(ECHO)
    def price(color: str = "red", note: str = "") -> str:
        """Price."""
        raise NotImplementedError

    assert price.as_runnable().invoke(None) == price.as_runnable().invoke({}) == price()

    @llm_strategy(ECHO)
    def maybe(color: str | None = "red") -> str:
        """Price."""
        raise NotImplementedError

    assert maybe.as_runnable().invoke(None) == maybe(None)


class Size(TypedDict):
    """A TypedDict of `typing`, which pydantic refuses on older Pythons."""

    width: int


class Color(Enum):
    """What is neither text nor number in Python, and text in JSON."""

    RED = "red"


@llm_strategy(ECHO)
def paint(
    on: Volatile[date],
    color: Color,
    size: Size,
    cost: Decimal,
    place: tuple[int, str],
    *,
    words: set[str],
    times: Annotated[int, Field(ge=1)] = 3,
    how: Literal["fast", "slow"] = "fast",
    more: Any = None,
) -> Size:
    """Paint it."""
    raise NotImplementedError


def test_types_of_many_kinds_are_read_from_json():
    """As a chain and as a tool, the same call is made."""
    given = {
        "on": "2026-01-02",
        "color": "red",
        "size": {"width": 3},
        "cost": "1.50",
        "place": [1, "a"],
        "words": ["b", "a"],
    }
    function = paint.with_options(model=ScriptedModel(lambda _: '{"return_value": {"width": 3}}'))
    expected = paint.request(date(2026, 1, 2), Color.RED, {"width": 3}, Decimal("1.50"), (1, "a"), words={"a", "b"})
    with call_log() as calls:
        assert function.as_runnable().invoke(given) == {"width": 3}
        assert function.as_tool().invoke(given) == {"width": 3}
        assert function.as_runnable().as_tool(name="painter").invoke(given) == {"width": 3}
    assert [call.request for call in calls] == [expected] * 3
    assert "width" in json.dumps(function.as_runnable().get_output_jsonschema())
    assert function.as_runnable().get_graph().draw_mermaid()
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        paint.as_tool().invoke({**given, "times": 0})


def test_a_dict_is_the_value_where_one_is_wanted():
    """The only parameter's name in it decides."""

    @llm_strategy(ECHO)
    def size(data: dict[str, int]) -> str:
        """The size."""
        raise NotImplementedError

    runnable = size.as_runnable()
    assert runnable.invoke({"a": 1}) == runnable.invoke({"data": {"a": 1}}) == size({"a": 1})
    assert runnable.invoke({}) == size({})


def test_it_composes_with_prompts_models_parsers_and_branches():
    """A function of a text takes what prompts and chat models give, and parsers what it gives."""
    runnable = translate.as_runnable()
    assert (PromptTemplate.from_template("Dear {name}") | runnable).invoke({"name": "Ada"}) == translate("Dear Ada")
    chat = ChatPromptTemplate.from_messages([("human", "{question}")])
    assert (chat | runnable).invoke({"question": "Why?"}) == translate("Human: Why?")
    assert (chat | FakeListChatModel(responses=["Because."]) | runnable).invoke("x") == translate("Because.")
    parallel = RunnableParallel(de=runnable, fr=runnable.bind(language="fr"))
    assert parallel.invoke("Tea") == {"de": translate("Tea"), "fr": translate("Tea", "fr")}
    said = RunnableParallel(text=FakeListChatModel(responses=["Tea"]), language=RunnableLambda(lambda _: "fr"))
    assert (said | runnable).invoke("x") == translate("Tea", "fr")
    parsed = RunnableLambda(lambda _: '{"name": "Ada", "born": "1815-12-10"}') | JsonOutputParser()
    order = RunnableParallel(key=lambda _: "o1", customer=parsed) | ship.as_runnable()
    assert order.invoke("x") == ship(Order("o1", Customer(name="Ada", born=date(1815, 12, 10))))
    assert (runnable | str.upper).invoke("a") == translate("a").upper()
    assert (runnable | runnable).invoke("a") == translate(translate("a"))
    picked = RunnableParallel(text=lambda _: "Tea", note=lambda _: "new").pick(["text"]) | runnable
    assert picked.invoke("x") == translate("Tea")


async def _collected(stream: AsyncIterator[Any]) -> list[Any]:
    return [piece async for piece in stream]


def test_streams_are_streamed_whatever_reads_them():
    """Functions that return streams, synchronous or not, are read in pieces by `stream` and `astream`."""
    assert list(tell.as_runnable().stream("Canada")) == ["To", "ron", "to"]
    assert tell.as_runnable().invoke("Canada") == "Toronto"
    for function in (count, acount):
        runnable = function.as_runnable()
        assert list(runnable.stream(2)) == runnable.invoke({"to": 2}) == [1, 2]
        assert asyncio.run(_collected(runnable.astream(2))) == asyncio.run(runnable.ainvoke(2)) == [1, 2]
    assert asyncio.run(_collected(tell.as_runnable().astream("Canada"))) == ["To", "ron", "to"]
    chain = translate.as_runnable() | tell.as_runnable()
    assert list(chain.stream("Canada")) == ["To", "ron", "to"]
    assert asyncio.run(_collected(chain.astream("Canada"))) == ["To", "ron", "to"]


def test_a_stream_that_is_left_early_is_recorded_so(tmp_path: Path):
    """Who stops reading stops the model; the recording says so."""
    model = ScriptedModel(lambda _: ["To", "ron", "to"], recorded=True)
    with use_cassette(tmp_path / "early.yaml", mode="new") as block:
        stream = tell.with_options(model=model).as_runnable().stream("Canada")
        assert next(stream) == "To"
        stream.close()
    (call,) = block.calls
    assert call.response.closed_early


def test_asynchronous_functions_are_called_from_everywhere():
    """`invoke` runs them to the end, also where an event loop is running; synchronous ones leave the loop alone."""
    runnable = atranslate.as_runnable()
    assert runnable.invoke("Tea") == translate("Tea")

    async def inside() -> list[str]:
        other = translate.as_runnable()
        return [runnable.invoke("a"), await runnable.ainvoke("b"), *await other.abatch(["c", "d"])]

    assert asyncio.run(inside()) == [translate(text) for text in "abcd"]


def test_methods_properties_and_functions_that_take_a_model():
    """A bound method has its object; on the class the object is the first argument; a model may be given or configured."""
    assert SHOP.find.as_runnable().invoke("tea") == SHOP.find("tea")
    assert Shop.find.as_runnable().invoke({"self": SHOP, "query": "tea"}) == SHOP.find("tea")
    assert Shop.slogan.as_runnable().batch([SHOP, Shop("B")]) == [SHOP.slogan, Shop("B").slogan]
    assert Shop.greet.as_runnable().invoke("Ada") == Shop.greet("Ada")
    assert Shop.kinds.as_runnable().invoke("tea") == Shop.kinds("tea")
    assert SHOP.find.with_options(retries=0).as_runnable().invoke("tea") == SHOP.find("tea")

    @llm_function
    def judge(model: Any, text: str) -> str:
        """Judge."""
        raise NotImplementedError

    @llm_explicit_function
    def greet(model: Any, customer: Customer) -> str:
        """Greet."""
        raise NotImplementedError

    assert judge.with_options(model=ECHO).as_runnable().invoke("a") == judge(ECHO, "a")
    assert judge.as_runnable().invoke({"model": ECHO, "text": "a"}) == judge(ECHO, "a")
    with override(model=ECHO):
        assert judge.as_runnable().invoke("a") == judge(None, "a")
    ada = {"name": "Ada", "born": "1815-12-10"}
    assert greet.with_options(model=ECHO).as_runnable().invoke(ada) == greet(ECHO, Customer(**ada))
    with pytest.raises(TypeError, match=r"Shop\.find\(\) needs the object to call it on as 'self', or bind it first"):
        Shop.find.as_runnable().invoke({"query": "tea"})


def test_generic_functions_take_what_they_are_given():
    """A type variable is whatever the call makes it."""

    @llm_strategy(StubModel(recorded=False))
    def first(items: list[T]) -> T:
        """The first."""
        raise NotImplementedError

    assert first.as_runnable().invoke([1, 2]) == 0
    assert first.as_runnable().get_output_jsonschema()
    assert first.as_tool().invoke({"items": ["a"]}) == ""


class Heard(BaseCallbackHandler):
    """What callbacks are told."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.ended: list[Any] = []
        self.failed: list[type[BaseException]] = []
        self.parents: dict[str, str | None] = {}
        self._names: dict[object, str] = {}

    def _begin(self, run: Any, parent: Any, name: str) -> None:
        self._names[run] = name
        self.begun.append(name)
        self.parents[name] = self._names.get(parent)

    def on_chain_start(
        self, serialized: Any, inputs: Any, *, run_id: Any, parent_run_id: Any = None, **kwargs: Any
    ) -> None:
        self._begin(run_id, parent_run_id, kwargs["name"])

    def on_chat_model_start(
        self, serialized: Any, messages: Any, *, run_id: Any, parent_run_id: Any = None, **kwargs: Any
    ) -> None:
        self._begin(run_id, parent_run_id, "model")

    def on_chain_end(self, outputs: Any, **kwargs: Any) -> None:
        self.ended.append(outputs)

    def on_chain_error(self, error: BaseException, **kwargs: Any) -> None:
        self.failed.append(type(error))


def test_config_and_callbacks_pass_to_the_model_inside():
    """The run has the function's name; a LangChain model that implements it is a run inside of it."""
    chat = FakeListChatModel(responses=['{"return_value": "Tee"}'])
    function = translate.with_options(model=chat)
    heard = Heard()
    assert function.as_runnable().invoke("Tea", {"callbacks": [heard]}) == "Tee"
    assert heard.parents == {"translate": None, "model": "translate"}
    assert heard.ended == ["Tee"]
    heard = Heard()
    assert asyncio.run(function.as_runnable().ainvoke("Tea", {"callbacks": [heard], "run_name": "mine"})) == "Tee"
    assert heard.parents["mine"] is None
    heard = Heard()
    assert list(tell.as_runnable().stream("a", {"callbacks": [heard]})) == ["To", "ron", "to"]
    assert (heard.begun, heard.ended) == (["tell"], ["Toronto"])


def test_errors_are_those_of_the_function_and_fallbacks_take_them():
    """ReplyError passes through chains; LangChain's own retries and fallbacks work."""
    broken = translate.with_options(model=ScriptedModel(lambda _: "no JSON"), retries=0).as_runnable()
    heard = Heard()
    with pytest.raises(ReplyError):
        broken.invoke("a", {"callbacks": [heard]})
    assert heard.failed == [ReplyError]
    assert broken.with_fallbacks([translate.as_runnable()]).invoke("a") == translate("a")
    twice = translate.with_options(model=ScriptedModel(["no JSON", '{"return_value": "b"}']), retries=0)
    assert twice.as_runnable().with_retry(wait_exponential_jitter=False).invoke("a") == "b"


def test_a_miss_passes_through_chains_fallbacks_and_retries(tmp_path: Path):
    """CassetteMiss is no Exception, so that nothing in a chain swallows it."""
    function = translate.with_options(model=ScriptedModel([], recorded=True))
    chain = function.as_runnable().with_retry().with_fallbacks([translate.as_runnable()])
    for ask in (lambda: chain.invoke("a"), lambda: asyncio.run(chain.ainvoke("a")), lambda: chain.batch(["a", "b"])):
        with use_cassette(tmp_path / "none.yaml", mode="replay"), pytest.raises(CassetteMiss):
            ask()


def test_calls_in_langchains_threads_belong_to_the_block_around(tmp_path: Path):
    """Batches, parallel branches and asynchronous batches are recorded and replayed in the block that runs them."""
    model = ScriptedModel(echo, recorded=True)
    function = translate.with_options(model=model)
    texts = [f"text {number}" for number in range(12)]

    def work() -> list[Any]:
        runnable = function.as_runnable()
        branches = RunnableParallel(a=runnable, b=runnable.bind(language="fr"))
        return [runnable.batch(texts), branches.batch(["x", "y"]), asyncio.run(runnable.abatch(["p", "q"]))]

    other = tmp_path / "other.yaml"
    with use_cassette(other, mode="new") as outer, use_cassette(tmp_path / "work.yaml", mode="new") as block:
        recorded = work()
    assert (len(block.calls), len(outer.calls), len(model.requests)) == (18, 0, 18)
    with use_cassette(tmp_path / "work.yaml", mode="replay") as block:
        assert work() == recorded
    assert all(call.replayed for call in block.calls)
    assert len(model.requests) == 18


def test_runnables_and_tools_pickle():
    """They are made again from the function, which pickles by its name, or the object."""
    for function in (guess, SHOP.find, SHOP.find.with_options(retries=0)):
        runnable, tool = pickle.loads(pickle.dumps((function.as_runnable(), function.as_tool("x"))))  # noqa: S301  # our own
        assert runnable.invoke("a") == tool.invoke("a") == function("a")
        assert tool.name == "x"


# As tools


def call_of(tool: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "tool_call", "id": "call_1", "name": tool, "args": arguments}


def test_a_tool_has_name_description_and_schema_of_the_function():
    """What a provider is told of it is what the function says of itself."""
    tool = translate.as_tool()
    assert (tool.name, tool.description) == ("translate", "Translate the text, with {braces} and all.")
    assert convert_to_openai_tool(tool)["function"] == {
        "name": "translate",
        "description": "Translate the text, with {braces} and all.",
        "parameters": {
            "type": "object",
            "properties": {
                "text": {"type": "string", "description": "What to translate."},
                "language": {"type": "string", "default": "de", "description": "The language to translate into."},
            },
            "required": ["text"],
        },
    }
    assert tool.args_schema.model_fields.keys() == {"text", "language"}
    renamed = SHOP.find.as_tool("search", "Search the shop.", return_direct=True)
    assert (renamed.name, renamed.description, renamed.return_direct) == ("search", "Search the shop.", True)
    assert renamed.args.keys() == {"query"}


def test_a_tool_gives_the_value_and_to_a_model_its_text():
    """Called directly it is the function; a model's call is answered by a message with JSON and the value beside it."""
    tool = guess.as_tool()
    ada = Customer(name="Ada", born=date(1815, 12, 10))
    assert tool.invoke({"name": "Ada"}) == tool.invoke("Ada") == asyncio.run(tool.ainvoke("Ada")) == ada
    for message in (tool.invoke(call_of("guess", name="Ada")), asyncio.run(tool.ainvoke(call_of("guess", name="Ada")))):
        assert isinstance(message, ToolMessage)
        assert message.content == '{"name": "Ada", "born": "1815-12-10"}'
        assert (message.artifact, message.status) == (ada, "success")
    assert translate.as_tool().invoke(call_of("translate", text="Tea")).content == translate("Tea")
    assert count.as_tool().invoke(call_of("count", to=2)).content == "[1, 2]"
    assert acount.as_tool().invoke(call_of("acount", to=2)).artifact == [1, 2]
    assert tell.as_tool().invoke(call_of("tell", topic="x")).content == "Toronto"


def test_a_tool_reads_arguments_as_models_write_them():
    """JSON becomes dates, models and dataclasses, nested too; parameters may have any name and kind."""
    order = {"key": "o1", "customer": {"name": "Ada", "born": "1815-12-10"}}
    called = ship.as_tool().invoke(call_of("ship", order=order, on="2026-01-02"))
    assert called.artifact == ship(Order("o1", Customer(name="Ada", born=date(1815, 12, 10))), date(2026, 1, 2))
    called = everything.as_tool().invoke(call_of("everything", a=1, rest=[4], config="y", more={"z": 5}))
    assert called.artifact == everything(1, 2, 3, 4, config="y", z=5)

    @llm_strategy(ECHO)
    def odd(run_manager: str, callbacks: str, json: str, copy: str = "c", model_name: str = "m") -> str:
        """Take names that LangChain and pydantic have too."""
        raise NotImplementedError

    tool = odd.as_tool()
    given = {"run_manager": "1", "callbacks": "2", "json": "3"}
    assert tool.args_schema.model_json_schema()["properties"].keys() == {*given, "copy", "model_name"}
    assert tool.invoke(given) == odd(**given)


def test_arguments_with_an_underscore_are_none_of_the_models_business():
    """Who writes the program sets them; they stand in no schema."""

    @llm_strategy(ECHO)
    def write(task: str, _style: str = "plain") -> str:
        """Write."""
        raise NotImplementedError

    assert write.as_tool().args.keys() == {"task"}
    with Hyperparameters() as h:
        write("a")
        h[write].style = "fancy"
        assert write.as_tool().invoke("a") == write.as_runnable().invoke("a") == write("a", "fancy")
    assert write.as_runnable().invoke({"task": "a", "_style": "b"}) == write("a", "b")


def test_wrong_arguments_of_a_model_are_a_validation_error():
    """LangChain tells the model of it where it is asked to."""
    with pytest.raises(ValidationError, match="text"):
        translate.as_tool().invoke(call_of("translate", txt="Tea"))
    told = translate.as_tool(handle_validation_error=True).invoke(call_of("translate", txt="Tea"))
    assert told.status == "error"


def test_errors_of_the_functions_own_model_can_be_handled():
    """They are what they are, or, with `handle_tool_error`, an answer to the calling model."""
    broken = translate.with_options(model=ScriptedModel(lambda _: "no JSON"), retries=0)
    with pytest.raises(ReplyError):
        broken.as_tool().invoke(call_of("translate", text="Tea"))
    told = broken.as_tool(handle_tool_error=True).invoke(call_of("translate", text="Tea"))
    assert told.status == "error"
    assert "translate" in told.content
    told = asyncio.run(broken.as_tool(handle_tool_error="Sorry.").ainvoke(call_of("translate", text="Tea")))
    assert told.content == "Sorry."
    assert issubclass(ToolException, Exception)


def test_what_no_model_can_give_makes_no_tool():
    """Unbound methods and arguments without a JSON form are refused at once, by name."""
    with pytest.raises(TypeError, match=r"Shop\.find needs an object to be called on.*obj\.find\.as_tool\(\)"):
        Shop.find.as_tool()

    @llm_strategy(ECHO)
    def use(handle: Handle) -> str:
        """Use it."""
        raise NotImplementedError

    with pytest.raises(TypeError, match=r"use \(.*\) cannot be a tool, because a model gives arguments as JSON"):
        use.as_tool()


def test_members_without_a_prompt_say_why():
    """A member that no prompt can be made from gives neither runnable nor tool."""

    @llm_strategy(ECHO)
    class Lacking:
        def find(self, query: str) -> str:
            raise NotImplementedError

    with pytest.raises(PromptError, match="docstring"):
        Lacking().find.as_runnable().invoke("a")


# With agents


class Calling(GenericFakeChatModel):
    """A chat model that says what it is told to, and takes tools as real ones do."""

    offered: list[Any] = Field(default_factory=list)

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        self.offered.extend(convert_to_openai_tool(tool) for tool in tools)
        return self


def agent_calling(function: Any, name: str, arguments: dict[str, Any], **options: Any) -> Any:
    calls = AIMessage("", tool_calls=[{"id": "1", "name": name, "args": arguments}])
    model = Calling(messages=iter([calls, AIMessage("Done.")]))
    return create_agent(model, [function.as_tool(**options)]), model


@pytest.mark.parametrize("function", [translate, atranslate])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_an_agent_calls_the_function(function: Any, asynchronous: bool):
    """Synchronous and asynchronous functions serve synchronous and asynchronous agents."""
    agent, model = agent_calling(function, function.__name__, {"text": "Tea"})
    asked = {"messages": [HumanMessage("Translate Tea.")]}
    with call_log() as calls:
        state = asyncio.run(agent.ainvoke(asked)) if asynchronous else agent.invoke(asked)
    messages = state["messages"]
    assert [message.type for message in messages] == ["human", "ai", "tool", "ai"]
    assert messages[2].content == translate("Tea")
    assert [call.function for call in calls] == [function.__name__]
    assert model.offered[0]["function"]["name"] == function.__name__


def test_an_agent_hears_of_wrong_arguments():
    """The model is told what was wrong with them, and goes on."""
    agent, _ = agent_calling(translate, "translate", {"txt": "Tea"})
    messages = agent.invoke({"messages": [HumanMessage("Translate Tea.")]})["messages"]
    assert messages[2].status == "error"
    assert "text" in messages[2].content
    assert messages[3].content == "Done."


@pytest.mark.parametrize("asynchronous", [False, True])
def test_an_agents_tools_are_recorded_and_replayed(tmp_path: Path, asynchronous: bool):
    """The calls that an agent makes, in whichever thread or task, are in the block; a miss ends the agent."""
    model = ScriptedModel(echo, recorded=True)
    function = translate.with_options(model=model)

    def work() -> str:
        agent, _ = agent_calling(function, "translate", {"text": "Tea"})
        asked = {"messages": [HumanMessage("Translate Tea.")]}
        state = asyncio.run(agent.ainvoke(asked)) if asynchronous else agent.invoke(asked)
        return str(state["messages"][2].content)

    file, answer = tmp_path / "agent.yaml", translate("Tea")
    with use_cassette(file, mode="new") as block:
        assert work() == answer
    assert [call.replayed for call in block.calls] == [False]
    with use_cassette(file, mode="replay") as block:
        assert work() == answer
    assert [call.replayed for call in block.calls] == [True]
    assert len(model.requests) == 1
    with use_cassette(tmp_path / "none.yaml", mode="replay"), pytest.raises(CassetteMiss):
        work()


# Imports


def test_langchain_is_imported_when_it_is_needed():
    """Decorating, calling and asking for the request load nothing of it; a missing one is named with the extra."""
    program = """
import sys
sys.modules["langchain_core"] = None
from llm_strategy import ScriptedModel, llm_strategy

@llm_strategy(ScriptedModel(['{"return_value": 1}']))
def one() -> int:
    "One."
    raise NotImplementedError

assert one() == 1
assert not [name for name in sys.modules if name.startswith("langchain") and name != "langchain_core"]
for make in (one.as_runnable, one.as_tool):
    try:
        make()
    except ImportError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.count('pip install "llm-strategy[langchain]"') == 2
