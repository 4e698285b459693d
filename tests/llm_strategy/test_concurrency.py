"""32 threads and 200 tasks that call decorated members of shared classes at once get their own answers."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import pytest
from pydantic import BaseModel

from llm_strategy import ChatChain, Request, ScriptedModel, llm_function, llm_strategy, use_cassette
from tests.llm_strategy.answers import argument, reply

T = TypeVar("T")
THREADS = 32
TASKS = 200


class Answer(BaseModel):
    number: int
    label: str


def answer(request: Request) -> str:
    """What the argument `number` asks for, in the form that the request wants."""
    number = argument(request, "number")
    name = request.messages[-1].content.partition("(")[0].rpartition(".")[2].rpartition(" ")[2]
    return reply({"number": number, "label": name} if name in ("method", "later", "made") else number)


@pytest.fixture
def kinds() -> tuple[Any, ...]:
    """Classes and functions that nobody has called yet: what is computed at the first call is computed by several."""
    model = ScriptedModel(answer, name="test:shared", recorded=True)

    @llm_strategy(model)
    @dataclass
    class Shared(Generic[T]):
        name: str
        value: T

        def method(self, number: int) -> Answer:
            """Answer the number.

            Args:
                number: What to answer.
            """
            raise NotImplementedError

        async def later(self, number: int) -> Answer:
            """Answer the number."""
            raise NotImplementedError

        @classmethod
        def made(cls, number: int) -> Answer:
            """Answer the number."""
            raise NotImplementedError

        @staticmethod
        def static(number: int) -> int:
            """Answer the number."""
            raise NotImplementedError

        def generic(self, number: T) -> T:
            """Answer the number."""
            raise NotImplementedError

    @llm_strategy(model)
    def count(number: int) -> int:
        """Answer the number."""
        raise NotImplementedError

    @llm_function
    def given(model: Any, number: T) -> T:
        """Answer the number."""
        raise NotImplementedError

    return model, Shared, count, given


def calls_of(kinds: tuple[Any, ...], number: int) -> Iterator[tuple[Callable[[], Any], Any]]:
    """Calls of every kind of member and what each has to return."""
    model, shared, count, given = kinds
    owner = shared("shop", number)
    yield lambda: owner.method(number), Answer(number=number, label="method")
    yield lambda: shared.made(number), Answer(number=number, label="made")
    yield lambda: shared.static(number), number
    yield lambda: owner.generic(number), number
    yield lambda: count(number), number
    yield lambda: given(model, number), number
    yield lambda: given(ChatChain(model, [{"role": "user", "content": "Hello"}]), number), number


@pytest.fixture
def eager_switches() -> Iterator[None]:
    """Threads that are interrupted a thousand times as often as usual."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    yield
    sys.setswitchinterval(usual)


def in_threads(kinds: tuple[Any, ...]) -> list[tuple[Any, Any]]:
    """What each of the calls returned and what it has to return; all threads start at once."""
    together = threading.Barrier(THREADS)

    def work(number: int) -> list[tuple[Any, Any]]:
        together.wait()
        return [(call(), expected) for call, expected in calls_of(kinds, number)]

    with ThreadPoolExecutor(THREADS) as pool:
        contexts = [contextvars.copy_context() for _ in range(THREADS)]
        futures = [pool.submit(context.run, work, number) for number, context in enumerate(contexts)]
        return [pair for future in futures for pair in future.result()]


def in_tasks(kinds: tuple[Any, ...]) -> list[tuple[Any, Any]]:
    """The same for tasks of one event loop."""
    _, shared, *_ = kinds

    async def main() -> list[Any]:
        return await asyncio.gather(*[shared("shop", number).later(number) for number in range(TASKS)])

    return [(got, Answer(number=number, label="later")) for number, got in enumerate(asyncio.run(main()))]


WAYS = [in_threads, in_tasks]


@pytest.mark.usefixtures("eager_switches")
@pytest.mark.parametrize("run", WAYS)
@pytest.mark.parametrize("attempt", range(5))
def test_each_call_gets_its_own_answer(run: Callable[[Any], list[tuple[Any, Any]]], kinds: Any, attempt: int) -> None:
    """Also where all of them are the first to call."""
    kinds[0].recorded = False
    pairs = run(kinds)

    assert len(pairs) >= TASKS
    assert [pair for pair in pairs if pair[0] != pair[1]] == []


@pytest.mark.usefixtures("eager_switches")
@pytest.mark.parametrize("run", WAYS)
def test_each_call_is_recorded_and_replayed_for_itself(
    run: Callable[[Any], list[tuple[Any, Any]]], kinds: Any, tmp_path: Path
) -> None:
    """Recorded at once and replayed at once, in whatever order the calls arrive; nobody is asked twice."""
    model = kinds[0]
    path = tmp_path / "shared.yaml"
    with use_cassette(path, "new"):
        recorded = run(kinds)
    asked = len(model.requests)
    with use_cassette(path, "replay") as cassette:
        replayed = run(kinds)

    assert replayed == recorded
    assert [pair for pair in recorded if pair[0] != pair[1]] == []
    assert len(model.requests) == asked == len(recorded)
    assert len(cassette.calls) == len(recorded)
    assert all(call.replayed for call in cassette.calls)


@pytest.mark.usefixtures("eager_switches")
def test_classes_may_be_decorated_in_several_threads() -> None:
    """Each gets a class of its own with its own model."""

    class Interface:
        def say(self, number: int) -> int:
            """Say it."""
            raise NotImplementedError

    together = threading.Barrier(THREADS)

    def work(number: int) -> int:
        together.wait()
        made = llm_strategy(ScriptedModel(lambda request: reply(number)))(Interface)
        return int(made().say(number))

    with ThreadPoolExecutor(THREADS) as pool:
        assert list(pool.map(work, range(THREADS))) == list(range(THREADS))
