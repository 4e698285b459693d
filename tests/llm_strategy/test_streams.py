"""Functions that return iterators yield what has arrived of the reply, in the types that they promise."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Generator,
    Iterable,
    Iterator,
    Sequence,
)
from contextlib import aclosing, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, NewType

import pytest
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from llm_strategy import (
    ChatChain,
    LangChainModel,
    Message,
    ModelError,
    OpenAIModel,
    PromptError,
    ReplyError,
    Request,
    Response,
    ScriptedModel,
    StubModel,
    Usage,
    call_log,
    llm_function,
    llm_strategy,
    use_cassette,
)
from tests.llm_strategy.answers import reply
from tests.llm_strategy.loopback import HANG_UP, MODEL, Loopback, Reply, completion, failure, streaming
from tests.llm_strategy.programs import run

Name = NewType("Name", str)


@dataclass
class City:
    name: str
    people: int = 0


class Town(BaseModel):
    name: str


def cities(topic: str) -> Iterator[City]:
    """Name cities."""
    raise NotImplementedError


def numbers(topic: str) -> Iterator[int]:
    """Name numbers."""
    raise NotImplementedError


def story(topic: str) -> Iterator[str]:
    """Tell a story."""
    raise NotImplementedError


def cities_later(topic: str) -> AsyncIterator[City]:
    """Name cities."""
    raise NotImplementedError


async def awaited_cities(topic: str) -> AsyncIterator[City]:
    """Name cities."""
    raise NotImplementedError


def story_later(topic: str) -> AsyncIterator[str]:
    """Tell a story."""
    raise NotImplementedError


@pytest.fixture(autouse=True)
def live(tmp_path: Path) -> Iterator[None]:
    """What is recorded is another file's matter: here every model is asked."""
    with use_cassette(tmp_path / "unused.yaml", mode="live"):
        yield


def by(model: Any, function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    return llm_strategy(model, **options)(function)


def pieces_of(text: str, size: int = 3) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


TWO = '{"return_value": [{"name": "Rome", "people": 3}, {"name": "Bonn", "people": 1}]}'
ROME, BONN = City("Rome", 3), City("Bonn", 1)


# What is yielded


def test_items_are_yielded_as_their_type() -> None:
    """Each item of the list comes as the type that the iterator promises, whatever the pieces are."""
    for size in (1, 2, 7, 1000):
        assert list(by(ScriptedModel([pieces_of(TWO, size)]), cities)("x")) == [ROME, BONN]


def test_an_item_is_yielded_before_the_next_has_begun() -> None:
    """The model is read only as far as the caller wants to go, item by item."""
    sent: list[str] = []

    def answer(request: Request) -> Iterator[str]:
        for piece in ['{"return_value": [{"name": "Rome"}', ", ", '{"name": "Bonn"}', "]}"]:
            sent.append(piece)
            yield piece

    stream = by(ScriptedModel(answer), cities)("x")
    assert repr(stream) == "<the stream of cities>"
    assert sent == []
    assert next(stream) == City("Rome")
    assert len(sent) == 1
    assert next(stream) == City("Bonn")
    assert len(sent) == 3
    assert list(stream) == []


def test_a_number_is_yielded_when_its_last_digit_is_known() -> None:
    """12 may go on as 123; what follows a number ends it."""
    stream = by(ScriptedModel([['{"return_value": [1', "2", ",", " 3]}"]]), numbers)("x")
    assert list(stream) == [12, 3]


def test_text_is_yielded_as_it_comes() -> None:
    """For `str` the pieces of the reply are what is yielded, and no JSON is asked for."""
    model = ScriptedModel([["Once ", "upon", " a time."]])
    assert list(by(model, story)("x")) == ["Once ", "upon", " a time."]
    (request,) = model.requests
    assert request.output_schema is None
    assert "JSON object" not in request.messages[0].content
    assert request.messages[-1].content.endswith('topic = "x"\n\nReply with the text itself, as plain text.')


def test_an_empty_reply_is_an_empty_text() -> None:
    """Text may be empty, which is no error; neither is an empty list."""
    assert list(by(ScriptedModel([[]]), story)("x")) == []
    assert list(by(ScriptedModel([""]), story)("x")) == []
    assert list(by(ScriptedModel([reply([])]), cities)("x")) == []


def test_halves_of_a_character_are_joined() -> None:
    """A server that cuts an emoji in two halves gives text that can be printed all the same."""
    stream = by(ScriptedModel([["a\ud83d", "\ude00", "b", "\ud83d"]]), story)("x")
    assert list(stream) == ["a", "😀", "b", "\ud83d"]


def test_other_texts_are_items() -> None:
    """Only `str` itself is the text of the reply; texts of another type are items of a list."""

    def names(topic: str) -> Iterator[Name]:
        """Name names."""
        raise NotImplementedError

    def moods(topic: str) -> Iterator[Literal["good", "bad"]]:
        """Name moods."""
        raise NotImplementedError

    assert list(by(ScriptedModel([pieces_of(reply(["a", 'b"]']))]), names)("x")) == ["a", 'b"]']
    assert list(by(ScriptedModel([reply(["bad"])]), moods)("x")) == ["bad"]


def iterable(topic: str) -> Iterable[Town]:
    """Name towns."""
    raise NotImplementedError


def generator(topic: str) -> Generator[Town, None, None]:
    """Name towns."""
    raise NotImplementedError


def async_iterable(topic: str) -> AsyncIterable[Town]:
    """Name towns."""
    raise NotImplementedError


def async_generator(topic: str) -> AsyncGenerator[Town, None]:
    """Name towns."""
    raise NotImplementedError


async def collected(stream: AsyncIterator[Any]) -> list[Any]:
    return [item async for item in stream]


@pytest.mark.parametrize("function", [iterable, generator])
def test_every_kind_of_iterator_is_a_stream(function: Any) -> None:
    """What it is called in the annotation makes no difference."""
    stream = by(ScriptedModel([pieces_of(reply([{"name": "Ulm"}]))]), function)("x")
    assert isinstance(stream, Generator)
    assert list(stream) == [Town(name="Ulm")]


@pytest.mark.parametrize("function", [async_iterable, async_generator])
def test_every_kind_of_asynchronous_iterator_is_a_stream(function: Any) -> None:
    """What it is called in the annotation makes no difference."""
    stream = by(ScriptedModel([pieces_of(reply([{"name": "Ulm"}]))]), function)("x")
    assert isinstance(stream, AsyncGenerator)
    assert asyncio.run(collected(stream)) == [Town(name="Ulm")]


def test_async_for_takes_a_def_directly_and_an_async_def_awaited() -> None:
    """As type checkers say of these annotations: a `def` returns the iterator, an `async def` has to be awaited."""

    async def main() -> None:
        model = ScriptedModel([pieces_of(TWO)] * 2)
        assert [city async for city in by(model, cities_later)("x")] == [ROME, BONN]
        assert [city async for city in await by(model, awaited_cities)("x")] == [ROME, BONN]

    asyncio.run(main())


def test_members_functions_and_chains() -> None:
    """Methods, properties and static methods stream, and so do functions that are given a model or a conversation."""

    @dataclass
    class Atlas:
        land: str

        def cities(self, count: int) -> Iterator[City]:
            """Name cities of the land."""
            raise NotImplementedError

        @property
        def anthem(self) -> Iterator[str]:
            """Sing the anthem."""
            raise NotImplementedError

        @staticmethod
        def rivers() -> Iterator[int]:
            """Name lengths of rivers."""
            raise NotImplementedError

    @llm_function
    def tell(model: Any, topic: str) -> Iterator[str]:
        """Tell a story."""
        raise NotImplementedError

    atlas = llm_strategy(ScriptedModel([pieces_of(TWO), ["La", "la"], reply([1, 2])]))(Atlas)("Italy")
    assert list(atlas.cities(2)) == [ROME, BONN]
    assert list(atlas.anthem) == ["La", "la"]
    assert list(atlas.rivers()) == [1, 2]
    model = ScriptedModel([["a", "b"]])
    assert list(tell(ChatChain(model, [Message("user", "Hello")]), "x")) == ["a", "b"]
    assert [message.role for message in model.requests[0].messages] == ["system", "user", "user"]


def test_request_and_parse_need_no_model() -> None:
    """A streaming function shows its prompt and reads a whole reply, as any other."""
    ask, tell = llm_strategy(ScriptedModel([]))(cities), llm_strategy(ScriptedModel([]))(story)
    assert ask.request("x").output_schema is not None
    assert ask.parse(TWO) == [ROME, BONN]
    assert tell.request("x").output_schema is None
    assert tell.parse("Once") == "Once"


# What is refused


def test_a_coroutine_gives_no_synchronous_iterator() -> None:
    """It would hold up the event loop; the error says what to return instead."""

    async def held_up(topic: str) -> Iterator[City]:
        """Name cities."""
        raise NotImplementedError

    with pytest.raises(PromptError, match=r"return AsyncIterator\[City\]"):
        asyncio.run(by(ScriptedModel([]), held_up)("x"))


def test_nothing_is_sent_into_a_reply() -> None:
    """A generator that takes or returns something is no reply, and a stream takes nothing."""

    def echo(topic: str) -> Generator[int, str, None]:
        """Echo."""
        raise NotImplementedError

    with pytest.raises(PromptError, match=r"write Iterator\[int\]"):
        by(ScriptedModel([]), echo)("x")
    with pytest.raises(TypeError, match="nothing can be sent"):
        by(ScriptedModel([reply([1])]), numbers)("x").send("a")


def test_arguments_are_checked_at_the_call() -> None:
    """A wrong argument fails where it is given, not where the stream is read."""
    with pytest.raises(TypeError, match="'topic' must be str"):
        by(ScriptedModel([]), cities)(1)


# Replies that do not fit


def test_text_around_the_object_is_passed_over() -> None:
    """Thoughts, prose and fences are no items; the repair is noted, and what is thought aloud does not count."""
    texts = [
        f"<think>Perhaps {reply([7])}?</think>\n{reply([1, 2])}",
        f"Sure! Here {{are}} some:\n```json\n{reply([1, 2])}\n```",
        f"\ufeff{reply([1, 2])} Anything else?",
    ]
    for text in texts:
        with call_log() as calls:
            assert list(by(ScriptedModel([pieces_of(text)]), numbers)("x")) == [1, 2]
        assert calls[0].repairs, text


def test_a_first_item_that_does_not_fit_is_asked_for_again() -> None:
    """As long as no item is out nothing is lost: the model is told what was wrong, as in other calls."""
    model = ScriptedModel([pieces_of(reply(["many"])), pieces_of(reply([1, 2]))])
    with call_log() as calls:
        assert list(by(model, numbers)("x")) == [1, 2]
    assert len(calls) == 2
    assert [message.role for message in model.requests[1].messages] == ["system", "user", "assistant", "user"]
    with pytest.raises(ReplyError, match="expected"):
        list(by(ScriptedModel([reply(["many"])]), numbers, retries=0)("x"))


def test_a_reply_without_the_wrapper_is_read_as_a_whole() -> None:
    """What is no object with the list, but can be read as other replies can, gives its items at the end."""
    model = ScriptedModel([["```\n", '{"return_', 'value"', ": [1, ", "2]}"]])
    assert list(by(model, numbers)("x")) == [1, 2]


def test_a_later_item_that_does_not_fit_ends_the_stream() -> None:
    """The items before are out and stay; the error says which one it is and where, and the model is not asked again."""
    model = ScriptedModel([pieces_of('{"return_value": [{"name": "Rome"}, {"name": 4}, {"name": "Bonn"}]}'), TWO])
    stream = by(model, cities)("x")
    assert next(stream) == City("Rome")
    with pytest.raises(
        ReplyError, match=r"cities: item 2 does not fit, after 1 item; expected a stream of City"
    ) as error:
        next(stream)
    assert error.value.problems[0][0] == "return_value.1.name"
    assert list(stream) == []
    assert len(model.requests) == 1


CUT_OFF: dict[str, tuple[Response | Sequence[str], str]] = {
    "at the length limit": (
        Response('{"return_value": [1, 2', finish_reason="length", pieces=('{"return_value": [1, ', "2")),
        "length limit",
    ),
    "by itself": (['{"return_value": [1, ', "2"], "ended before its list did, after 1 item"),
    "with another thing in the list": (['{"return_value": [1, ', "two]}"], "no list of JSON values"),
    "with a wrong bracket": (['{"return_value": [1, ', "[}]]}"], "no list of JSON values"),
}


@pytest.mark.parametrize(("answer", "said"), CUT_OFF.values(), ids=CUT_OFF)
def test_a_reply_that_ends_early_is_an_error_after_its_items(answer: Any, said: str) -> None:
    """What was complete is yielded; that something is missing is never passed over."""
    stream = by(ScriptedModel([answer]), numbers)("x")
    assert next(stream) == 1
    with pytest.raises(ReplyError, match=said) as error:
        next(stream)
    assert error.value.reply.startswith('{"return_value": [1, ')


@pytest.mark.parametrize(("reason", "said"), [("length", "cut off at the length limit"), ("content_filter", "filter")])
def test_a_text_that_ends_early_is_an_error_after_it(reason: str, said: str) -> None:
    """Half a text does not pass for a whole one."""
    stream = by(ScriptedModel([Response("Once upon", finish_reason=reason, pieces=("Once ", "upon"))]), story)("x")
    assert [next(stream), next(stream)] == ["Once ", "upon"]
    with pytest.raises(ReplyError, match=said):
        next(stream)


@pytest.mark.parametrize("function", [numbers, story])
def test_a_refusal_is_an_error(function: Any) -> None:
    """The words of a refusal are no text of the reply, and asking again would not help."""
    model = ScriptedModel([Response("I'd rather not.", finish_reason="refusal")])
    with pytest.raises(ReplyError, match="I'd rather not") as error:
        list(by(model, function)("x"))
    assert error.value.finish_reason == "refusal"
    assert len(model.requests) == 1


def test_strict_replies_repair_nothing() -> None:
    """Text around the object is refused before the first item is out, and after the last one."""
    model = ScriptedModel([pieces_of(f"Sure: {reply([1])}"), pieces_of(reply([1, 2]))])
    assert list(by(model, numbers, strict_replies=True)("x")) == [1, 2]
    stream = by(ScriptedModel([pieces_of(f"{reply([1])} Bye.")]), numbers, strict_replies=True)("x")
    assert next(stream) == 1
    with pytest.raises(ReplyError):
        next(stream)


# Models


class Gate:
    """Holds the server until the caller has got the first item."""

    def __init__(self) -> None:
        self.opened = threading.Event()

    def wait(self) -> None:
        assert self.opened.wait(30), "nothing was yielded before the server had sent everything"


def a_model(kind: str, server: Loopback) -> Any:
    address = {"base_url": server.url, "api_key": "any", "max_retries": 0}
    if kind == "langchain":
        from langchain_openai import ChatOpenAI

        return LangChainModel(ChatOpenAI(model="gpt-5-mini", **address))
    client = AsyncOpenAI(**address) if kind == "AsyncOpenAI" else OpenAI(**address)
    return OpenAIModel("gpt-5-mini", client=client)


each_model = pytest.mark.parametrize("kind", ["OpenAI", "AsyncOpenAI", "langchain"])


@each_model
@pytest.mark.parametrize("function", [cities, cities_later])
def test_the_first_item_comes_before_the_server_has_sent_the_last(kind: str, function: Any) -> None:
    """The server sends the second item only once the caller has the first, with every client, in both worlds."""
    gate = Gate()
    half = TWO.index("}") + 1
    with Loopback(streaming(*pieces_of(TWO[:half], 9), gate.wait, *pieces_of(TWO[half:], 9))) as server:
        function = by(a_model(kind, server), function)

        async def read_later() -> list[Any]:
            items = []
            async for item in function("x"):
                items.append(item)
                gate.opened.set()
            return items

        with call_log() as calls:
            if function.__name__ == "cities":
                items = []
                for item in function("x"):
                    items.append(item)
                    gate.opened.set()
            else:
                items = asyncio.run(read_later())
    assert items == [ROME, BONN]
    (body,) = server.bodies
    assert body["stream"] is True
    assert body["response_format"]["type"] == "json_schema"
    response = calls[0].response
    assert response.content == TWO == "".join(response.pieces)
    assert response.finish_reason == "stop"
    assert response.model == MODEL
    if kind != "langchain":
        assert response.usage == Usage(11, 7)


@each_model
def test_text_from_a_server(kind: str) -> None:
    """The pieces are those that the server sent; empty ones are none."""
    with Loopback(streaming("", "Once ", "upon", "")) as server:
        assert list(by(a_model(kind, server), story)("x")) == ["Once ", "upon"]
        assert "response_format" not in server.bodies[0]


@each_model
def test_a_stream_that_breaks_is_a_model_error(kind: str) -> None:
    """What has arrived is yielded; then the error says that the model failed, with the client's own as its cause."""
    with Loopback(streaming("Once ", HANG_UP)) as server:
        stream = by(a_model(kind, server), story)("x")
        assert next(stream) == "Once "
        with pytest.raises(ModelError) as error:
            next(stream)
    assert error.value.__cause__ is not None


def test_a_stream_that_ends_without_a_reason_is_broken() -> None:
    """A connection that is closed in the middle does not always say so: the reason to stop is what ends a reply."""
    with Loopback(streaming("Once ", finish_reason=None)) as server:
        stream = by(a_model("OpenAI", server), story)("x")
        assert next(stream) == "Once "
        with pytest.raises(ModelError, match="broke off its answer"):
            next(stream)


@pytest.mark.parametrize("function", [story, story_later])
def test_a_server_that_knows_no_usage_in_streams_is_asked_without(function: Any) -> None:
    """Some servers refuse `stream_options`; they are asked again without, and cost is unknown."""
    refused = failure(400, "Unrecognized request argument supplied: stream_options")
    with Loopback(refused, streaming("Once ", "upon")) as server:
        model = OpenAIModel(
            "m", client=(OpenAI if function is story else AsyncOpenAI)(base_url=server.url, api_key="a")
        )
        stream = by(model, function)("x")
        assert (list(stream) if function is story else asyncio.run(collected(stream))) == ["Once ", "upon"]
        assert ["stream_options" in body for body in server.bodies] == [True, False]


def test_a_form_that_a_server_refuses_is_asked_again_weaker() -> None:
    """As in other calls, the schema is in the prompt, whatever the server is told of the form."""
    with Loopback(failure(400, "response_format json_schema is not supported"), streaming(reply([1]))) as server:
        assert list(by(a_model("OpenAI", server), numbers)("x")) == [1]
        assert [body["response_format"]["type"] for body in server.bodies] == ["json_schema", "json_object"]


def test_a_refusal_from_a_server_that_streams() -> None:
    """The words of a refusal come in pieces of their own, which are no text."""
    deltas: list[Any] = [{"refusal": "No"}, {"refusal": "."}]
    chunks = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    with Loopback(Reply(chunks=chunks)) as server, pytest.raises(ReplyError, match=r"refused(?s:.*)No\."):
        list(by(a_model("OpenAI", server), story)("x"))


def test_langchain_text_models_stream_text() -> None:
    """LLMs that complete text stream it; what they say of it is the text only."""
    from langchain_core.language_models import FakeListChatModel, FakeStreamingListLLM

    assert list(by(FakeStreamingListLLM(responses=["abc"]), story)("x")) == ["a", "b", "c"]
    assert list(by(FakeListChatModel(responses=["abc"]), story)("x")) == ["a", "b", "c"]
    assert asyncio.run(collected(by(FakeListChatModel(responses=["abc"]), story_later)("x"))) == ["a", "b", "c"]


class Whole:
    """A model that knows of no streams."""

    name = "test:whole"
    recorded = True
    settings: ClassVar[dict[str, Any]] = {}

    def generate(self, request: Request) -> Response:
        return Response("whole")


class AsyncOnly:
    """A model that streams in an event loop only."""

    name = "test:async"
    recorded = True
    settings: ClassVar[dict[str, Any]] = {}

    def __init__(self) -> None:
        self.closed = False

    async def astream(self, request: Request) -> AsyncIterator[str | Response]:
        try:
            for piece in ("a", "b", "c"):
                await asyncio.sleep(0)
                yield piece
            yield Response("", Usage(1, 2))
        finally:
            self.closed = True

    async def agenerate(self, request: Request) -> Response:
        raise NotImplementedError


class SyncOnly:
    """A model that streams by waiting; `threads` are those it was read in."""

    name = "test:sync"
    recorded = True
    settings: ClassVar[dict[str, Any]] = {}

    def __init__(self) -> None:
        self.threads: set[threading.Thread] = set()
        self.closed = threading.Event()

    def stream(self, request: Request) -> Iterator[str]:
        try:
            for piece in ("a", "b", "c"):
                self.threads.add(threading.current_thread())
                yield piece
        finally:
            self.closed.set()

    def generate(self, request: Request) -> Response:
        raise NotImplementedError


def test_a_model_without_streams_gives_one_piece() -> None:
    """Every model can implement a stream; `pieces` stays empty where nothing was streamed."""
    with call_log() as calls:
        assert list(by(Whole(), story)("x")) == ["whole"]
        assert asyncio.run(collected(by(Whole(), story_later)("x"))) == ["whole"]
    assert [call.response.pieces for call in calls] == [(), ()]
    assert list(by(StubModel(), cities)("x")) == []


def test_an_asynchronous_model_in_synchronous_code() -> None:
    """Outside of event loops and inside of a running one; closed early it is closed in its own loop."""
    model = AsyncOnly()

    async def inside() -> list[str]:
        return list(by(model, story)("x"))

    assert list(by(model, story)("x")) == ["a", "b", "c"]
    assert asyncio.run(inside()) == ["a", "b", "c"]
    model.closed = False
    with closing(by(model, story)("x")) as stream:
        assert next(stream) == "a"
    assert model.closed


def test_a_synchronous_model_in_an_event_loop() -> None:
    """It is read in a worker thread, so that the event loop goes on; closed early it is closed there."""
    model = SyncOnly()

    async def main() -> None:
        assert await collected(by(model, story_later)("x")) == ["a", "b", "c"]
        assert threading.main_thread() not in model.threads
        model.closed.clear()
        async with aclosing(by(model, story_later)("x")) as stream:
            assert await anext(stream) == "a"

    asyncio.run(main())
    assert model.closed.wait(30)


@pytest.mark.parametrize("method", ["stream", "astream"])
def test_a_stream_that_is_open_at_exit(method: str) -> None:
    """A program that ends in the middle of a stream ends in peace, and what a generator has to close is closed."""
    bodies = {
        "stream": "def stream(self, request):\n        yield from pieces()",
        "astream": "async def astream(self, request):\n        for piece in pieces():\n            yield piece",
    }
    program = f"""
from collections.abc import Iterator
from llm_strategy import llm_strategy

def pieces():
    try:
        yield "a"
        yield "b"
    finally:
        print("closed")

class Model:
    name, recorded, settings = "test:model", True, {{}}

    async def agenerate(self, request):
        pass

    {bodies[method]}

@llm_strategy(Model())
def story(topic: str) -> Iterator[str]:
    "Tell a story."
    raise NotImplementedError

left = story("x")
print(next(left))
"""
    done = run(program)
    assert (done.stderr, done.returncode) == ("", 0)
    assert done.stdout == "a\nclosed\n"


def test_what_a_model_may_stream() -> None:
    """Anything but texts and a Response is refused, by the model's name."""

    class Wrong(SyncOnly):
        def stream(self, request: Request) -> Any:
            return [1]

    with pytest.raises(ModelError, match=r"test:sync has to stream texts, and last a Response, not int"):
        list(by(Wrong(), story)("x"))
    with pytest.raises(ModelError, match="no model is given"):
        next(by(None, story)("x"))


def test_a_failing_model_raises_where_it_fails() -> None:
    """Its own error is the cause, and a later read finds the stream at its end."""

    def answer(request: Request) -> Iterator[str]:
        yield "a"
        raise OSError("gone")

    stream = by(ScriptedModel(answer), story)("x")
    assert next(stream) == "a"
    with pytest.raises(ModelError, match="OSError: gone") as error:
        next(stream)
    assert isinstance(error.value.__cause__, OSError)
    assert list(stream) == []


def test_a_stream_is_read_by_one_at_a_time() -> None:
    """As a generator that is running, it refuses a second reader instead of mixing up the pieces."""
    gate, begun = Gate(), threading.Event()

    def answer(request: Request) -> Iterator[str]:
        begun.set()
        gate.wait()
        yield "a"

    stream = by(ScriptedModel(answer), story)("x")
    reader = threading.Thread(target=lambda: next(stream))
    reader.start()
    assert begun.wait(30)
    with pytest.raises(ValueError, match="being read already"):
        next(stream)
    gate.opened.set()
    reader.join()


def test_many_streams_at_once() -> None:
    """Streams that are read in turns keep their replies apart, in tasks and in threads."""

    def answer(request: Request) -> list[str]:
        topic = request.messages[-1].content.partition('topic = "')[2].partition('"')[0]
        return [f"{topic}{number}" for number in range(20)]

    async def main() -> list[list[str]]:
        tell = by(ScriptedModel(answer), story_later)
        return list(await asyncio.gather(*(collected(tell(f"t{number}-")) for number in range(50))))

    expected = [[f"t{topic}-{number}" for number in range(20)] for topic in range(50)]
    assert asyncio.run(main()) == expected
    streams = [by(ScriptedModel(answer), story)(f"t{number}-") for number in range(50)]
    assert [list(texts) for texts in zip(*[list(turn) for turn in zip(*streams, strict=True)], strict=True)] == expected


def test_the_whole_completion_of_a_server_that_does_not_stream() -> None:
    """A server that answers with plain JSON all the same is no stream, and is reported."""
    body = completion("Once").body
    with Loopback(Reply(body, status=201)) as server, pytest.raises(ModelError, match="sent no chat completion"):
        list(by(a_model("OpenAI", server), story)("x"))
