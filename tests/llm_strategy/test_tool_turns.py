"""The turns in which a model calls tools: what runs, what goes back, and where it ends."""

from __future__ import annotations

import asyncio
import pickle
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from llm_strategy import (
    CassetteMiss,
    ChatChain,
    Message,
    ReplyError,
    Request,
    Response,
    ScriptedModel,
    StubModel,
    ToolCallPart,
    Volatile,
    call_log,
    llm_explicit_function,
    llm_function,
    llm_strategy,
    override,
)
from llm_strategy.errors import ModelError, PromptError, SecretFound
from llm_strategy.values import ToolCallResponsePart
from tests.llm_strategy.answers import reply

STOCK = {"lamp": 3, "chair": 0}


def stock(name: str) -> int:
    """Tell how many of an article are there."""
    return STOCK[name]


async def price(name: str) -> float:
    """Tell what an article costs."""
    await asyncio.sleep(0)
    return len(name) / 2


@dataclass
class Shop:
    name: str

    def ask(self, question: str) -> str:
        """Answer."""
        raise NotImplementedError


def advising(model: ScriptedModel, **options: Any) -> Any:
    @llm_strategy(model, **{"tools": [stock, price], **options})
    def advise(question: str) -> str:
        """Advise a customer."""
        raise NotImplementedError

    return advise


def ask(model: ScriptedModel, asynchronous: bool, tools: Any = (stock, price)) -> Any:
    """What such a function answers, or the same as a coroutine function."""
    if not asynchronous:
        return advising(model, tools=tools)("lamps?")

    @llm_strategy(model, tools=tools)
    async def later(question: str) -> str:
        """Advise a customer."""
        raise NotImplementedError

    return asyncio.run(later("lamps?"))  # type: ignore[arg-type]  # a coroutine


def results(request: Request) -> list[Any]:
    """What tools answered in a conversation."""
    parts = [part for message in request.messages if message.role == "tool" for part in message.parts]
    assert all(isinstance(part, ToolCallResponsePart) for part in parts)
    return [part.response for part in parts if isinstance(part, ToolCallResponsePart)]


def calling(*calls: ToolCallPart, content: str = "", **more: Any) -> Response:
    return Response(content, tool_calls=calls, **more)


def test_what_tools_return_goes_back_to_the_model() -> None:
    """The conversation goes on after the prompt: the model's calls, then what each gave, under the ids of the calls."""
    model = ScriptedModel([{"stock": {"name": "lamp"}, "price": {"name": "lamp"}}, reply("3 for 2.0")])
    assert advising(model)("lamps?") == "3 for 2.0"
    first, second = model.requests
    assert second.messages[: len(first.messages)] == first.messages
    said, *answers = second.messages[len(first.messages) :]
    calls = ToolCallPart("call_1", "stock", {"name": "lamp"}), ToolCallPart("call_2", "price", {"name": "lamp"})
    assert said == Message("assistant", calls)
    assert answers == [
        Message("tool", [ToolCallResponsePart("call_1", "3")]),
        Message("tool", [ToolCallResponsePart("call_2", "2.0")]),
    ]
    assert [tool["name"] for tool in second.tools] == ["stock", "price"]


def test_request_has_the_tools() -> None:
    """What a function would ask is rendered with its tools, and without any model."""
    assert [tool["name"] for tool in advising(ScriptedModel([])).request("lamps?").tools] == ["stock", "price"]


def test_a_function_without_tools_asks_as_before() -> None:
    """An empty list of tools makes no other request, and no other key."""

    @llm_strategy("stub:")
    def plain(question: str) -> str:
        """Advise a customer."""
        raise NotImplementedError

    assert plain.with_options(tools=[]).request("a") == plain.request("a")
    assert "tools" not in plain.request("a").to_json()
    assert plain.with_options(tools=[stock]).request("a").key != plain.request("a").key


def test_functions_of_every_kind_take_tools() -> None:
    """Methods of a class, functions whose model comes with the call, and a chain in the place of a model."""
    implemented = llm_strategy(ScriptedModel([{"stock": {"name": "lamp"}}, reply("three")]), tools=[stock])(Shop)
    assert implemented("a").ask("lamps?") == "three"

    @llm_function(tools=[stock])
    def later(model: Any, question: str) -> str:
        """Answer."""
        raise NotImplementedError

    model = ScriptedModel([{"stock": {"name": "lamp"}}, reply("three")])
    assert later(ChatChain(model, [Message("user", "Hello.")]), "lamps?") == "three"
    assert [message.role for message in model.requests[1].messages] == ["system", "user", "user", "assistant", "tool"]

    @llm_explicit_function(tools=[stock], max_turns=1)
    def explicit(model: Any, shop: Shop) -> str:
        """Answer."""
        raise NotImplementedError

    assert explicit(ScriptedModel([{"stock": {"name": "lamp"}}, reply("three")]), Shop("a")) == "three"


def test_methods_of_the_object_itself_are_tools_with_options() -> None:
    """`with_options(tools=[...])` gives a bound method the other methods of its object, the model's own too."""

    @llm_strategy(ScriptedModel([{"count": {"word": "a"}}, {"shout": {"text": "hm"}}, reply("HM"), reply("yes")]))
    @dataclass
    class Page:
        text: str

        def count(self, word: str) -> int:
            """Count a word."""
            return self.text.split().count(word)

        def shout(self, text: str) -> str:
            """Say it louder."""
            raise NotImplementedError

        def judge(self, question: str) -> str:
            """Judge."""
            raise NotImplementedError

    page = Page("a b a")
    model = ScriptedModel([{"count": {"word": "a"}}, {"shout": {"text": "hm"}}, reply("yes")])
    shouting = page.shout.with_options(model=ScriptedModel([reply("HM")]))  # type: ignore[attr-defined]  # exists, unknown to checkers
    judge = page.judge.with_options(tools=[page.count, shouting], model=model)  # type: ignore[attr-defined]  # as above
    assert judge("enough?") == "yes"
    assert results(model.requests[-1]) == ["2", "HM"]


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (ToolCallPart("a", "stock", {"name": "sofa"}), "KeyError: 'sofa'"),
        (ToolCallPart("a", "stok", {"name": "sofa"}), "There is no tool 'stok'. The tools are: stock, price."),
        (ToolCallPart("a", "stock", {}), "stock was not called: its arguments do not fit:\n- name: Field required"),
        (ToolCallPart("a", "stock", '{"name": "la'), "stock was not called: its arguments are no JSON object"),
        (ToolCallPart("a", "price", None), "price was not called: its arguments do not fit:\n- name: Field required"),
    ],
)
def test_what_goes_wrong_is_told_to_the_model(call: ToolCallPart, told: str) -> None:
    """A tool that fails, a tool that is none, arguments that do not fit: the model reads it and goes on, on all paths."""
    for asynchronous in (False, True):
        model = ScriptedModel([calling(call), reply("sorry")])
        assert ask(model, asynchronous) == "sorry"
        assert results(model.requests[1]) == [told]


def raising(error: BaseException) -> Callable[[], str]:
    def fail() -> str:
        """Fail."""
        raise error

    return fail


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize(
    "error",
    [
        CassetteMiss("not recorded"),
        SecretFound("a key"),
        PromptError("no form"),
        ModelError("no answer"),
        SystemExit(3),
    ],
)
def test_what_is_not_for_the_model_passes(error: BaseException, asynchronous: bool) -> None:
    """A miss, a credential, a model that does not answer, an interrupt end the call; the model is not asked again."""
    model = ScriptedModel([{"fail": {}}, reply("never")])
    with pytest.raises(type(error)):
        ask(model, asynchronous, [raising(error)])
    assert len(model.requests) == 1


def test_credentials_and_addresses_in_errors_are_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a tool raises may hold a key, or the place of an object in memory, which differs from run to run."""
    monkeypatch.setenv("SHOP_API_KEY", "a-key-of-the-shop-0123456789")
    error = RuntimeError("refused: a-key-of-the-shop-0123456789 at <object object at 0x7f0042>")
    model = ScriptedModel([{"fail": {}}, reply("sorry")])
    advising(model, tools=[raising(error)])("lamps?")
    (told,) = results(model.requests[1])
    assert "0123456789" not in told
    assert told.endswith("at <object object at 0x...>")


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise AttributeError("no text")


@pytest.mark.parametrize("asynchronous", [False, True])
def test_an_error_that_cannot_be_written_is_told_by_its_class(asynchronous: bool) -> None:
    """An exception whose `__str__` fails does not take the place of an answer."""
    model = ScriptedModel([{"fail": {}}, reply("sorry")])
    assert ask(model, asynchronous, [raising(Unspeakable())]) == "sorry"
    assert results(model.requests[1]) == ["Unspeakable"]


def test_the_loop_is_bounded() -> None:
    """A model that calls tools for ever is an error that says how many turns it had and which tools it called."""
    model = ScriptedModel(lambda request: {"stock": [{"name": "lamp"}, {"name": "chair"}]})
    with pytest.raises(ReplyError, match=r"advise: no answer after 3 turns .*\(stock 6x\).*max_turns=6") as caught:
        advising(model, max_turns=3)("lamps?")
    assert len(model.requests) == 4
    assert caught.value.finish_reason == "tool_call"
    with pytest.raises(ReplyError, match="no answer after 1 turn in which"):
        advising(model).with_options(max_turns=1)("lamps?")


def test_a_wrong_reply_after_tools_is_tried_again_with_the_whole_conversation() -> None:
    """Turns count in all attempts together; the retry goes on after the results."""
    model = ScriptedModel([{"stock": {"name": "lamp"}}, "no JSON", {"stock": {"name": "chair"}}, reply("none")])
    assert advising(model, max_turns=2)("chairs?") == "none"
    roles = [message.role for message in model.requests[-1].messages]
    assert roles == ["system", "user", "assistant", "tool", "assistant", "user", "assistant", "tool"]


def test_a_reply_that_was_cut_off_calls_nothing() -> None:
    """At the length limit half of a call may be missing: that is the error, and no tool runs."""
    model = ScriptedModel([calling(ToolCallPart("a", "stock", {"name": "lamp"}), finish_reason="length")])
    with pytest.raises(ReplyError, match="cut off at the length limit"):
        advising(model)("lamps?")


def test_words_beside_a_call_stay_in_the_conversation() -> None:
    """What a model says before it calls a tool is sent back to it, and is no answer."""
    model = ScriptedModel([calling(ToolCallPart("a", "stock", {"name": "lamp"}), content="Let me see."), reply("3")])
    assert advising(model)("lamps?") == "3"
    assert model.requests[1].messages[2].content == "Let me see."


def test_calls_with_equal_ids_or_none_are_told_apart() -> None:
    """Some servers give no ids, or begin anew in each turn; providers refuse two calls of one id."""
    same = ToolCallPart("call_0", "stock", {"name": "lamp"})
    model = ScriptedModel([calling(same, same, ToolCallPart(None, "stock", None)), calling(same), reply("3")])
    advising(model)("lamps?")
    ids = [
        part.id for message in model.requests[-1].messages for part in message.parts if isinstance(part, ToolCallPart)
    ]
    assert ids == ["call_0", "call_2", "call_3", "call_4"]
    answered = [
        part.id
        for message in model.requests[-1].messages
        for part in message.parts
        if isinstance(part, ToolCallResponsePart)
    ]
    assert answered == ids


def test_ids_are_no_part_of_the_key() -> None:
    """Providers make them at random, so that the same conversation has the same key."""
    keys = set()
    for name in ("call_x7Tg", "toolu_01A", None):
        model = ScriptedModel([calling(ToolCallPart(name, "stock", {"name": "lamp"})), reply("3")])
        advising(model)("lamps?")
        keys.add(model.requests[-1].key)
    assert len(keys) == 1


def test_arguments_are_the_tools_own() -> None:
    """A tool that changes what it got changes nothing in the conversation."""

    def pop(names: list[str]) -> str:
        """Take one."""
        return names.pop()

    model = ScriptedModel([{"pop": {"names": ["a", "b"]}}, reply("b")])
    advising(model, tools=[pop])("which?")
    assert model.requests[1].messages[2].parts == (ToolCallPart("call_1", "pop", {"names": ["a", "b"]}),)


def test_synchronous_functions_run_tools_one_after_another() -> None:
    """In the model's order and in the caller's thread, asynchronous ones too."""
    ran = []

    def first(n: int) -> None:
        """One."""
        ran.append((n, threading.get_ident()))

    async def second(n: int) -> None:
        """Two."""
        await asyncio.sleep(0)
        ran.append((n, threading.get_ident()))

    model = ScriptedModel([{"first": [{"n": 1}, {"n": 2}], "second": {"n": 3}}, reply("done")])
    advising(model, tools=[first, second])("go")
    assert ran == [(n, threading.get_ident()) for n in (1, 2, 3)]
    assert results(model.requests[1]) == ["null"] * 3


def test_asynchronous_tools_run_in_synchronous_functions_within_a_running_loop() -> None:
    """As in a notebook: the tool gets a loop of its own."""
    model = ScriptedModel([{"price": {"name": "lamp"}}, reply("2")])

    async def cell() -> Any:
        return advising(model)("lamps?")

    assert asyncio.run(cell()) == "2"
    assert results(model.requests[1]) == ["2.0"]


def test_asynchronous_functions_run_asynchronous_tools_at_once() -> None:
    """Each waits for the other, which one after another would never end; the results are in the model's order."""
    arrived = []

    async def meet(n: int) -> int:
        """Meet."""
        arrived.append(n)
        while len(arrived) < 3:  # noqa: ASYNC110  # the number of those who wait is what counts
            await asyncio.sleep(0)
        return n

    model = ScriptedModel([{"meet": [{"n": 3}, {"n": 1}, {"n": 2}]}, reply("done")])
    assert ask(model, asynchronous=True, tools=[meet]) == "done"
    assert results(model.requests[1]) == ["3", "1", "2"]


def test_asynchronous_functions_run_other_tools_in_a_worker_thread() -> None:
    """The loop goes on meanwhile, and two of them never run at the same time."""
    seen = []

    def block(n: int) -> int:
        """Block."""
        seen.append(threading.get_ident())
        return n

    model = ScriptedModel([{"block": [{"n": 1}, {"n": 2}]}, reply("done")])
    ask(model, asynchronous=True, tools=[block])
    assert len(set(seen)) == 1
    assert seen[0] != threading.get_ident()


def test_a_cancelled_function_cancels_its_tools() -> None:
    """What nobody waits for any more is not finished."""
    ended = []

    async def wait() -> None:
        """Wait."""
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    @llm_strategy(ScriptedModel([{"wait": {}}]), tools=[wait])
    async def later(question: str) -> str:
        """Wait."""
        raise NotImplementedError

    async def run() -> None:
        task = asyncio.create_task(later("a"))  # type: ignore[arg-type]  # a coroutine
        for _ in range(10):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert ended == [True]


def test_generators_and_streams_are_whole_results() -> None:
    """A tool that yields, and a function of a model that streams, give a list."""

    def lines() -> Iterator[int]:
        """Count."""
        yield from (1, 2)

    @llm_strategy(ScriptedModel([reply([3, 4])] * 2))
    def numbers() -> AsyncIterator[int]:
        """Numbers."""
        raise NotImplementedError

    for asynchronous in (False, True):
        model = ScriptedModel([{"lines": {}, "numbers": {}}, reply("done")])
        ask(model, asynchronous, [lines, numbers])
        assert results(model.requests[1]) == ["[1, 2]", "[3, 4]"]


def test_a_function_may_be_a_tool_of_its_own() -> None:
    """Each call within a call has turns of its own; what never ends is told to the model as any failure."""
    model = ScriptedModel(lambda request: {"again": {"question": "deeper"}})
    found = []

    def again(question: str) -> str:
        """Ask again."""
        found.append(question)
        return str(advise(question)) if len(found) < 3 else "deep"

    advise = advising(model, tools=[again], max_turns=1)
    with pytest.raises(ReplyError, match=r"no answer after 1 turn .*\(again 1x\)"):
        advise("first")
    assert len(found) == 3
    assert any("no answer after 1 turn" in result for request in model.requests for result in results(request))


def test_a_tool_may_be_named_like_anything() -> None:
    """A keyword of Python or a word of this library is a name like others."""

    def weather() -> str:
        """Rain or shine."""
        return "rain"

    for name in ("class", "return_value", "import", "reply"):
        weather.__name__ = name
        model = ScriptedModel([{name: {}}, reply("ok")])
        assert advising(model, tools=[weather])("a") == "ok"


def test_a_stub_answers_without_calling_tools() -> None:
    """It stays what it is for: wiring things together, and always coming to an end."""
    assert advising(ScriptedModel([])).with_options(model=StubModel(recorded=False))("a") == ""


def test_a_scripted_model_refuses_tools_that_are_not_offered() -> None:
    """A dict that was meant as the text of an answer, or a tool misspelt, is an error of the test."""
    with pytest.raises(ModelError, match=r"\{'stok': \{'name': 'a'\}\} does not \(tools: stock, price\)"):
        advising(ScriptedModel([{"stok": {"name": "a"}}]))("a")
    with pytest.raises(ModelError, match=r"the text of an answer is written with json\.dumps"):
        advising(ScriptedModel([{"return_value": "a"}]))("a")
    with pytest.raises(ModelError, match=r"has 1 replies and is asked for number 2: '.the tool answers. 3'"):
        advising(ScriptedModel([{"stock": {"name": "lamp"}}]))("a")


def test_users_models_call_tools() -> None:
    """Any object with the protocol answers with `tool_calls`."""

    class Own:
        name = "own:model"
        settings: dict[str, Any] = {}  # noqa: RUF012  # as users write it
        recorded = False

        def generate(self, request: Request) -> Response:
            if request.messages[-1].role != "tool":
                return calling(ToolCallPart("x", "stock", {"name": "lamp"}))
            return Response(reply(f"{results(request)}"))

    assert advising(ScriptedModel([])).with_options(model=Own())("a") == "['3']"


def test_an_override_puts_stand_ins_in_the_place_of_tools() -> None:
    """By name, in every call of the block, for tools that cost something; functions that lack them get none."""

    def fake(name: str) -> int:
        """Tell how many of an article are there."""
        return 99

    fake.__name__ = "stock"
    model = ScriptedModel([{"stock": {"name": "lamp"}}, reply("a")] * 2)
    advise = advising(model)
    key = advise.request("a").key
    with override(tools=[fake]):
        assert advise.request("a").key == key
        advise("a")
    assert results(model.requests[1]) == ["99"]
    with override(tools=[fake]), override(max_turns=1):
        bare = advise.with_options(tools=[price])
        assert [tool["name"] for tool in bare.request("a").tools] == ["price"]
    advise("a")
    assert results(model.requests[3]) == ["3"]


def test_volatile_results_are_sent_but_stand_as_placeholders() -> None:
    """`-> Volatile[str]`: the model reads the result, key and cassette have a placeholder for each call."""
    times = iter(["9:00", "9:01", "10:00", "10:01"])

    def now() -> Volatile[str]:
        """Tell the time."""
        return next(times)

    keys = []
    for read in (["9:00", "9:01"], ["10:00", "10:01"]):
        model = ScriptedModel([{"now": {}}, {"now": {}}, reply("late")])
        with call_log() as calls:
            advising(model, tools=[now])("what time?")
        assert results(model.requests[-1]) == read
        assert results(calls[-1].request) == ["<volatile: now 1>", "<volatile: now 2>"]
        keys.append([call.key for call in calls])
    assert keys[0] == keys[1]


STREAMED = [['{"return_value": [1', ", 2", ", 3]}"]]


def counting(model: ScriptedModel) -> Any:
    @llm_strategy(model, tools=[stock, price], max_turns=2)
    def numbers(question: str) -> Iterator[int]:
        """Numbers."""
        raise NotImplementedError

    return numbers


def test_streams_begin_when_the_tools_are_done() -> None:
    """A model that calls tools first streams its items afterwards, in a later call."""
    model = ScriptedModel([{"stock": {"name": "lamp"}}, {"price": {"name": "lamp"}}, *STREAMED])
    assert list(counting(model)("a")) == [1, 2, 3]
    assert results(model.requests[2]) == ["3", "2.0"]


def test_words_before_a_call_are_no_items() -> None:
    """They are held back until it is known what they are."""
    model = ScriptedModel([calling(ToolCallPart("a", "stock", {"name": "lamp"}), content="Let me see."), *STREAMED])
    assert list(counting(model)("a")) == [1, 2, 3]


def test_a_stream_that_calls_tools_when_items_are_out_is_an_error() -> None:
    """What was given cannot be taken back."""
    pieces = ('{"return_value": [1, ', "2]}")
    late = Response("".join(pieces), pieces=pieces, tool_calls=(ToolCallPart("a", "stock", {"name": "lamp"}),))
    items = counting(ScriptedModel([late]))("a")
    assert [next(items), next(items)] == [1, 2]
    with pytest.raises(ReplyError, match="the model calls a tool when items are out, after 2 items"):
        next(items)


def test_streams_are_bounded_and_tried_again_as_calls_are() -> None:
    """Turns of all attempts count together."""
    model = ScriptedModel([{"stock": {"name": "lamp"}}, "no list", {"stock": {"name": "lamp"}}, *STREAMED])
    assert list(counting(model)("a")) == [1, 2, 3]
    with pytest.raises(ReplyError, match="no answer after 2 turns"):
        list(counting(ScriptedModel([{"stock": {"name": "lamp"}}] * 3))("a"))


def test_text_streams_and_asynchronous_streams_call_tools() -> None:
    """Text is given as it arrives, so that words before a call are part of it."""

    @llm_strategy(
        ScriptedModel(
            [
                calling(ToolCallPart("a", "price", {"name": "lamp"}), content="Wait. ", pieces=("Wait. ",)),
                ["It is ", "2."],
            ]
        ),
        tools=[stock, price],
    )
    def tell(question: str) -> AsyncIterator[str]:
        """Tell."""
        raise NotImplementedError

    async def read() -> list[str]:
        return [piece async for piece in tell("a")]

    assert asyncio.run(read()) == ["Wait. ", "It is ", "2."]


def test_a_failure_that_is_not_for_the_model_ends_a_stream() -> None:
    """It comes out where the caller reads, and the stream is over."""
    model = ScriptedModel([{"fail": {}}, reply([1])])

    @llm_strategy(model, tools=[raising(CassetteMiss("not recorded"))])
    def numbers(question: str) -> Iterator[int]:
        """Numbers."""
        raise NotImplementedError

    items = numbers("a")
    with pytest.raises(CassetteMiss):
        next(items)
    assert list(items) == []


@llm_strategy(ScriptedModel([{"stock": {"name": "lamp"}}, reply("three")]), tools=[stock])
@dataclass
class Counter:
    name: str

    def ask(self, question: str) -> str:
        """Answer."""
        raise NotImplementedError


def test_objects_and_methods_with_tools_pickle() -> None:
    """What goes to a pool of processes takes its tools along."""
    again = pickle.loads(pickle.dumps(Counter("a")))  # noqa: S301  # made right here
    assert again.ask("lamps?") == "three"
    method = Counter("a").ask.with_options(tools=[price], max_turns=1)  # type: ignore[attr-defined]  # exists, unknown to checkers
    again = pickle.loads(pickle.dumps(method))  # noqa: S301  # as above
    assert [tool["name"] for tool in again.request("a").tools] == ["price"]
