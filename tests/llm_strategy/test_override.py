from __future__ import annotations

import asyncio
import contextvars
import inspect
import pickle
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from llm_strategy import (
    ChatChain,
    Message,
    PromptError,
    ReplyError,
    Request,
    ScriptedModel,
    llm_explicit_function,
    llm_function,
    llm_strategy,
    override,
    use_cassette,
)
from tests.llm_strategy.programs import output


def saying(number: int, **settings: Any) -> ScriptedModel:
    model = ScriptedModel(lambda request: f'{{"return_value": {number}}}', name=f"local:{number}")
    model.settings = type(model.settings)(settings)
    return model


@llm_strategy(saying(1), temperature=0.5, seed=7)
def count(text: str) -> int:
    """Count the words."""
    raise NotImplementedError


@llm_strategy(saying(1))
async def acount(text: str) -> int:
    """Count the words."""
    raise NotImplementedError


@llm_function
def given(model: Any, text: str) -> int:
    """Count the words."""
    raise NotImplementedError


@llm_explicit_function
def explicit(model: Any, text: str) -> int:
    """Count the words."""
    raise NotImplementedError


@llm_strategy(saying(1))
@dataclass
class Counter:
    text: str

    def count(self, unit: str) -> int:
        """Count the units of the text."""
        raise NotImplementedError

    async def acount(self, unit: str) -> int:
        """Count the units of the text."""
        raise NotImplementedError

    @property
    def words(self) -> int:
        """How many words there are."""
        raise NotImplementedError

    @staticmethod
    def limit(unit: str) -> int:
        """How many units there can be."""
        raise NotImplementedError

    @classmethod
    def most(cls, unit: str) -> int:
        """How many units there were at most."""
        raise NotImplementedError

    def without_docstring(self) -> int:
        raise NotImplementedError


def asked(request: Request) -> tuple[str | None, dict[str, Any]]:
    return request.model, dict(request.settings)


def test_an_override_replaces_the_model_of_every_form() -> None:
    """Functions, coroutine functions, members of every kind and functions given their model ask the override's."""
    counter = Counter("a b")
    with override(model=saying(2)):
        assert count("a") == given(saying(1), "a") == explicit(saying(1), "a") == 2
        assert asyncio.run(acount("a")) == asyncio.run(counter.acount("words")) == 2
        assert counter.count("words") == counter.words == Counter.limit("words") == Counter.most("words") == 2
        assert ChatChain(saying(1)).structured_query("How many?", int)[0] == 2
        assert ChatChain(saying(1)).query("How many?")[0] == '{"return_value": 2}'
    assert count("a") == counter.words == given(saying(1), "a") == 1


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ("local:1", {"temperature": 0.5, "seed": 7})),
        ({"temperature": 1}, ("local:1", {"temperature": 1.0, "seed": 7})),
        ({"temperature": None}, ("local:1", {"seed": 7})),
        ({"max_completion_tokens": 9}, ("local:1", {"temperature": 0.5, "seed": 7, "max_tokens": 9})),
        ({"model": saying(2, seed=3, top_p=0.5)}, ("local:2", {"temperature": 0.5, "seed": 7, "top_p": 0.5})),
        ({"model": saying(2, top_p=0.5), "top_p": None}, ("local:2", {"temperature": 0.5, "seed": 7})),
        ({"model": "openai:gpt-5-mini"}, ("openai:gpt-5-mini", {"temperature": 0.5, "seed": 7})),
        ({"model": "anthropic:claude-sonnet-4-5"}, ("anthropic:claude-sonnet-4-5", {"temperature": 0.5, "seed": 7})),
        ({"model": lambda: saying(3)}, ("local:3", {"temperature": 0.5, "seed": 7})),
        ({"model": lambda: None, "name": "a:b"}, ("a:b", {"temperature": 0.5, "seed": 7})),
    ],
)
def test_settings_are_laid_over_those_of_the_function(options: dict[str, Any], expected: Any) -> None:
    """The model's settings lie below the function's, and those of an override above both; None takes one away."""
    with override(**options):
        assert asked(count.request("a")) == expected
    assert asked(count.with_options(**options).request("a")) == expected


def test_an_override_wins_over_with_options() -> None:
    """What wins: the override, then the options of a call, then the decorator."""
    mine = count.with_options(model=saying(2), temperature=1, retries=0)
    assert asked(mine.request("a")) == ("local:2", {"temperature": 1.0, "seed": 7})
    with override(temperature=0):
        assert asked(mine.request("a")) == ("local:2", {"temperature": 0.0, "seed": 7})
        with override(model=saying(3), seed=None):
            assert asked(mine.request("a")) == ("local:3", {"temperature": 0.0})
            with override(seed=1):
                assert asked(mine.request("a")) == ("local:3", {"temperature": 0.0, "seed": 1})


def test_no_model_means_the_configured_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """`model=None` leads back to the model of the environment, past decorator and outer blocks."""
    monkeypatch.setenv("LLM_STRATEGY_MODEL", "stub:")
    with override(model=saying(2)), override(model=None):
        assert count.request("a").model == "stub:"
    monkeypatch.delenv("LLM_STRATEGY_MODEL")
    with override(model=None):
        assert count.request("a").model is None


def test_retries_and_strict_replies_are_replaced() -> None:
    """An override says how often a reply may fail and whether it may need repair."""
    failing = ScriptedModel(["no"] * 9)
    for retries in (0, 3):
        with override(model=failing, retries=retries), pytest.raises(ReplyError):
            count("a")
    assert len(failing.requests) == 1 + 4
    loose = '```json\n{"return_value": 5}\n```'
    assert count.with_options(model=ScriptedModel([loose]))("a") == 5
    with override(model=ScriptedModel([loose]), retries=0, strict_replies=True), pytest.raises(ReplyError):
        count("a")
    with pytest.raises(ReplyError):
        count.with_options(strict_replies=True).parse(loose)
    with override(strict_replies=False):
        assert count.with_options(model=ScriptedModel([loose]), strict_replies=True)("a") == 5


@pytest.mark.parametrize(
    ("options", "kind", "problem"),
    [
        ({"retries": -1}, ValueError, "retries must be 0 or more, not -1"),
        ({"retries": "2"}, TypeError, "retries is a whole number, not '2'"),
        ({"retries": True}, TypeError, "retries is a whole number, not True"),
        ({"retries": None}, TypeError, "retries is a whole number, not None"),
        ({"strict_replies": "yes"}, TypeError, "strict_replies is True or False, not 'yes'"),
        ({"model": 3}, TypeError, "3 is no model"),
        ({"model": "gpt"}, ValueError, "not of the form 'provider:name'"),
        ({"model": ScriptedModel}, TypeError, "ScriptedModel is a class"),
        ({"name": "gpt"}, TypeError, "name='gpt' belongs to a model"),
        ({"api_key": "k"}, TypeError, "'api_key' belongs to the connection"),
        ({"messages": []}, TypeError, "'messages' is set by the library"),
        ({"temperature": object()}, TypeError, "'temperature' has to be a JSON value"),
    ],
)
def test_wrong_options_are_refused_where_they_are_written(
    options: dict[str, Any], kind: type[Exception], problem: str
) -> None:
    """Neither a block nor a call is needed to learn of a wrong option; a decorator takes the same ones."""
    with pytest.raises(kind, match=problem):
        llm_strategy(**options)
    with pytest.raises(kind, match=problem):
        override(**options)
    with pytest.raises(kind, match=problem):
        count.with_options(**options)


def test_positional_options_are_refused() -> None:
    """`override(model)` says that options have names."""
    with pytest.raises(TypeError):
        override(saying(2))


def test_a_conversation_keeps_its_messages() -> None:
    """An override replaces the model of a chain, not what was said; a chain that it brings comes first."""
    chain = ChatChain(saying(1), [Message("user", "Be brief."), Message("assistant", "Yes.")])

    @llm_strategy(chain)
    def brief(text: str) -> int:
        """Count."""
        raise NotImplementedError

    plain = brief.request("a").messages
    with override(model=saying(2)):
        assert brief.request("a").messages == plain
        assert brief("a") == 2
        model = ScriptedModel(["ok"])
        with override(model=model):
            chain.query("And?")
        assert [message.content for message in model.requests[0].messages] == ["Be brief.", "Yes.", "And?"]
    model = ScriptedModel(["ok"])
    with override(model=ChatChain(model, [Message("user", "First.")])):
        chain.query("And?")
        assert [message.content for message in model.requests[0].messages] == ["First.", "Be brief.", "Yes.", "And?"]
        assert brief.request("a").messages[1].content == "First."


def test_an_override_ends_with_its_block_and_with_an_error() -> None:
    """After the block, left by an error too, everything is as before; one object serves several times."""
    block = override(model=saying(2))
    for _ in range(2):
        with block:
            assert count("a") == 2
            with pytest.raises(KeyError), block:
                raise KeyError(count("a"))
            assert count("a") == 2
        assert count("a") == 1


def test_it_decorates_functions_of_every_kind() -> None:
    """Functions, coroutine functions and both kinds of generators keep their kind, name and signature."""

    @override(model=saying(2))
    def plain(text: str) -> int:
        return count(text)

    @override(model=saying(2))
    async def coroutine(text: str) -> int:
        return await acount(text)

    @override(model=saying(2))
    def generator(text: str) -> Iterator[int]:
        yield count(text)

    @override(model=saying(2))
    async def asynchronous_generator(text: str) -> AsyncIterator[int]:
        yield await acount(text)

    async def listed() -> list[int]:
        return [item async for item in asynchronous_generator("a")]

    assert plain("a") == asyncio.run(coroutine("a")) == 2
    assert list(generator("a")) == asyncio.run(listed()) == [2]
    assert (plain.__name__, list(inspect.signature(plain).parameters)) == ("plain", ["text"])
    assert inspect.iscoroutinefunction(coroutine)
    assert inspect.isgeneratorfunction(generator)
    assert inspect.isasyncgenfunction(asynchronous_generator)
    assert plain("a") == 2
    assert count("a") == 1
    with pytest.raises(TypeError, match="decorates a function"):
        override(retries=1)(Counter)


@pytest.fixture
def scripted() -> Iterator[ScriptedModel]:
    model = saying(2)
    with override(model=model):
        yield model


def test_a_fixture_can_hold_it(scripted: ScriptedModel) -> None:
    """A block in the body of a fixture holds for the test."""
    assert count("a") == 2
    assert len(scripted.requests) == 1


@pytest.mark.asyncio
async def test_a_fixture_holds_it_for_an_asynchronous_test(scripted: ScriptedModel) -> None:
    """So it does for a test that is a coroutine, and the threads that it starts."""
    assert await acount("a") == await asyncio.to_thread(count, "a") == 2
    assert await asyncio.get_running_loop().run_in_executor(None, count, "a") == 2


@pytest_asyncio.fixture
async def scripted_later() -> AsyncIterator[None]:
    with override(model=saying(3)):
        yield


@pytest.mark.asyncio
async def test_an_asynchronous_fixture_can_hold_it(scripted_later: None) -> None:
    """A block in its body holds for the test, and for threads that take the context along."""
    assert await acount("a") == await asyncio.to_thread(count, "a") == 3


@pytest.mark.asyncio
async def test_it_ends_with_an_asynchronous_fixture() -> None:
    """The test after it sees nothing of it."""
    assert await acount("a") == 1


def in_threads(function: Any, number: int = 4) -> list[Any]:
    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(lambda _: function(), range(number)))


def test_threads_started_in_a_block_follow_it() -> None:
    """Threads have no context of their own: they follow the main thread."""
    with ThreadPoolExecutor(1) as before, override(model=saying(2)):
        assert in_threads(lambda: count("a")) == [2] * 4
        assert before.submit(count, "a").result() == 2
        with override(model=saying(3)):
            assert in_threads(lambda: count("a")) == [3] * 4
        assert in_threads(lambda: count("a")) == [2] * 4
    assert in_threads(lambda: count("a")) == [1] * 4


def test_threads_do_not_see_each_others_blocks() -> None:
    """Thirty-two threads, each in a block of its own, and the main thread outside, get their own answers."""
    barrier = threading.Barrier(33, timeout=30)

    def work(number: int) -> list[int]:
        with override(model=saying(number)):
            barrier.wait()
            answers = [count("a"), asyncio.run(acount("a"))]
            barrier.wait()
        return [*answers, count("a")]

    with ThreadPoolExecutor(32) as pool:
        works = [pool.submit(work, number) for number in range(100, 132)]
        barrier.wait()
        assert count("a") == 1
        barrier.wait()
        assert [work.result() for work in works] == [[number, number, 1] for number in range(100, 132)]


def test_tasks_do_not_see_each_others_blocks() -> None:
    """Of two hundred tasks half have blocks of their own; the other half, and their threads, see none of them."""

    async def work(number: int) -> list[int]:
        if number % 2:
            await asyncio.sleep(0)
            return [await acount("a"), await asyncio.to_thread(count, "a")]
        async with override(model=saying(number)):
            await asyncio.sleep(0)
            return [await acount("a"), await asyncio.to_thread(count, "a")]

    async def everything() -> list[list[int]]:
        return await asyncio.gather(*map(work, range(100, 300)))

    assert asyncio.run(everything()) == [[1, 1] if number % 2 else [number] * 2 for number in range(100, 300)]


def test_what_a_block_around_an_event_loop_holds() -> None:
    """A block around `asyncio.run` holds for every task in it, and for executors that copy no context."""

    async def everything() -> list[int]:
        loop = asyncio.get_running_loop()
        fresh = contextvars.Context()
        task = loop.create_task(acount("a"), context=fresh)
        return [await acount("a"), await task, await loop.run_in_executor(None, count, "a")]

    with override(model=saying(2)):
        assert asyncio.run(everything()) == [2, 2, 2]
    assert asyncio.run(everything()) == [1, 1, 1]


def test_a_task_keeps_its_block_to_itself() -> None:
    """While one task is in a block others are not, and have threads too: only contexts lead to the block of a task."""

    async def everything() -> tuple[int, int]:
        with override(model=saying(2)):
            loop = asyncio.get_running_loop()
            return await asyncio.to_thread(count, "a"), await loop.run_in_executor(None, count, "a")

    assert asyncio.run(everything()) == (2, 1)


def test_a_block_that_is_left_elsewhere_is_closed() -> None:
    """A context that outlives the block, as event loops carry it, sees nothing of it."""
    block = override(model=saying(2))
    context = contextvars.copy_context()
    context.run(block.__enter__)
    assert context.run(count, "a") == 2
    block.__exit__(None, None, None)
    assert context.run(count, "a") == 1
    assert count("a") == 1


def test_with_options_leaves_the_function_as_it_is() -> None:
    """`with_options` gives another function with the same prompt, request and parse; options add up."""
    mine = count.with_options(temperature=1).with_options(model=saying(2)).with_options(retries=0)
    assert (mine("a"), count("a")) == (2, 1)
    assert mine.request("a").messages == count.request("a").messages
    assert asked(mine.request("a")) == ("local:2", {"temperature": 1.0, "seed": 7})
    assert mine.parse('{"return_value": 4}') == 4
    assert mine.__name__ == "count"
    assert asyncio.run(acount.with_options(model=saying(3))("a")) == 3
    assert given.with_options(model=saying(2))(saying(1), "a") == 2
    assert asked(given.with_options(temperature=1).request(saying(4), "a")) == ("local:4", {"temperature": 1.0})


def test_with_options_of_members() -> None:
    """Bound members, those of the class, static and class methods have it."""
    counter = Counter("a b")
    two = saying(2)
    assert counter.count.with_options(model=two)("words") == 2
    assert Counter.count.with_options(model=two)(counter, "words") == 2
    assert asyncio.run(counter.acount.with_options(model=two)("words")) == 2
    assert Counter.limit.with_options(model=two)("words") == 2
    assert Counter.most.with_options(model=two)("words") == 2
    bound: Any = counter.count.with_options(temperature=1).with_options(model=two)
    assert asked(bound.request("words")) == ("local:2", {"temperature": 1.0})
    assert bound.parse('{"return_value": 4}') == 4
    with pytest.raises(PromptError, match="no docstring"):
        counter.without_docstring.with_options(retries=1)


def test_a_bound_method_with_options_pickles() -> None:
    """It comes back with its options."""
    bound: Any = Counter("a b").count.with_options(model="openai:gpt-5-mini", temperature=1)
    again = pickle.loads(pickle.dumps(bound.with_options(seed=3)))  # noqa: S301  # made on the same line
    assert asked(again.request("words")) == ("openai:gpt-5-mini", {"temperature": 1.0, "seed": 3})


def test_an_override_reaches_recordings(tmp_path: Any) -> None:
    """In a cassette the override's model is the one that is recorded, and asked for again."""
    recorded = ScriptedModel(['{"return_value": 9}'], name="local:nine", recorded=True)
    with use_cassette(tmp_path / "a.yaml", mode="new"), override(model=recorded):
        assert count("a") == 9
    with use_cassette(tmp_path / "a.yaml") as cassette, override(model="local:nine"):
        assert count("a") == 9
    assert cassette.calls[0].request.model == "local:nine"


def test_a_replay_under_an_override_imports_nothing_of_a_provider() -> None:
    """A model named by a string is not made: neither openai nor LangChain is imported."""
    program = """
import sys
from llm_strategy import llm_strategy, override

@llm_strategy("openai:a")
def count(text: str) -> int:
    "Count."
    raise NotImplementedError

with override(model="anthropic:b"):
    assert count.request("a").model == "anthropic:b"
print([name for name in ("openai", "langchain", "langchain_core") if name in sys.modules])
"""
    assert output(program) == "[]"
