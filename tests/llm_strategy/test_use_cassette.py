"""`use_cassette` and `call_log`: record modes, occurrences, and which block a call belongs to."""

from __future__ import annotations

import asyncio
import inspect
import pickle
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from llm_strategy import (
    Cassette,
    CassetteMiss,
    ChatChain,
    LLMStrategyError,
    ModelError,
    Request,
    ScriptedModel,
    call_log,
    llm_strategy,
    use_cassette,
)
from tests.llm_strategy.answers import Slow, counting, reply, scripted
from tests.llm_strategy.programs import output

Counter = tuple[ScriptedModel, Any]


@pytest.fixture
def counter() -> Counter:
    """A model that counts its requests, and a function that it implements."""
    model = counting()

    @llm_strategy(model)
    def count(number: int) -> int:
        """Count."""
        raise NotImplementedError

    return model, count


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name not in (".locks", ".replaced"))


# Record modes


def test_new_asks_what_is_missing_and_keeps_the_rest(tmp_path: Path, counter: Counter) -> None:
    """A second run asks nothing, a third only for what has come in."""
    model, count = counter

    for numbers, asked in (((1, 2), 2), ((1, 2), 2), ((2, 3, 1), 3)):
        with use_cassette(tmp_path / "x.yaml", "new"):
            for number in numbers:
                count(number)
        assert len(model.requests) == asked
    assert len(Cassette(tmp_path / "x.yaml")) == 3


def test_replay_asks_nothing(tmp_path: Path, counter: Counter) -> None:
    """Values are those of the recording; the calls say that they were replayed."""
    model, count = counter
    with use_cassette(tmp_path / "x.yaml", "new") as recorded:
        values = [count(1), count(2)]
    with use_cassette(tmp_path / "x.yaml", "replay") as replayed:
        assert [count(1), count(2)] == values

    assert len(model.requests) == 2
    assert [call.replayed for call in recorded.calls] == [False, False]
    assert [call.replayed for call in replayed.calls] == [True, True]
    assert [call.response for call in replayed.calls] == [call.response for call in recorded.calls]


def test_a_call_that_was_not_recorded_is_a_miss(tmp_path: Path, counter: Counter) -> None:
    """In replay and in a dry run; nobody is asked."""
    model, count = counter

    for mode in ("replay", "dry"):
        with use_cassette(tmp_path / "x.yaml", mode), pytest.raises(CassetteMiss) as raised:
            count(1)
        assert "no recording answers this call of count" in str(raised.value)
        assert "x.yaml does not exist" in str(raised.value)
    assert model.requests == []
    assert files(tmp_path) == []


def test_a_miss_is_no_exception_and_carries_the_request(tmp_path: Path, counter: Counter) -> None:
    """So no `except Exception`, retry or fallback swallows it; it crosses processes whole."""
    _, count = counter
    caught: list[BaseException] = []

    with use_cassette(tmp_path / "x.yaml", "replay"):
        try:
            try:
                count(1)
            except Exception:  # noqa: BLE001  # what this is about
                pytest.fail("a miss must not be an Exception")
        except CassetteMiss as miss:
            caught.append(miss)

    (miss,) = caught
    assert isinstance(miss, CassetteMiss)
    assert not isinstance(miss, LLMStrategyError)
    assert (miss.request, miss.function) == (count.request(1), "count")
    copied = pickle.loads(pickle.dumps(miss))  # noqa: S301  # our own pickle
    assert (str(copied), copied.request, copied.function, copied.causes) == (
        str(miss),
        miss.request,
        "count",
        miss.causes,
    )


def test_all_asks_afresh(tmp_path: Path, counter: Counter) -> None:
    """And replaces what it asked for; of a cassette that others share, the rest is kept."""
    _, count = counter
    path = tmp_path / "x.yaml"
    with use_cassette(path, "new"):
        assert [count(1), count(2)] == [1, 2]

    with use_cassette(path, "all"):
        assert [count(1), count(3)] == [3, 4]

    with use_cassette(path, "replay"):
        assert [count(1), count(2), count(3)] == [3, 2, 4]
    assert files(tmp_path) == ["x.yaml"]


def test_all_replaces_only_what_succeeded(tmp_path: Path, counter: Counter) -> None:
    """After an error in the block the old file is the same to the byte, and the new one stands beside it."""
    _, count = counter
    path = tmp_path / "x.yaml"
    with use_cassette(path, "new"):
        count(1)
    before = path.read_bytes()

    def fail() -> None:
        with use_cassette(path, "all"):
            count(1)
            assert path.read_bytes() == before
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert path.read_bytes() == before
    (beside,) = (name for name in files(tmp_path) if name != "x.yaml")
    assert beside.endswith(".new.yaml")
    assert [call.response.content for call in Cassette(tmp_path / beside)] == [reply(2)]

    with use_cassette(path, "all"):
        assert count(1) == 3
    assert files(tmp_path) == ["x.yaml"]
    assert [call.response.content for call in Cassette(path)] == [reply(3)]


def test_all_with_a_failing_model_keeps_the_old_recording(tmp_path: Path, counter: Counter) -> None:
    """A provider that is down costs nothing that was recorded before."""
    _, count = counter
    with use_cassette(tmp_path / "x.yaml", "new"):
        count(1)
    before = (tmp_path / "x.yaml").read_bytes()
    broken = llm_strategy(ScriptedModel([], name="test:counter", recorded=True))(count.__wrapped__)

    with pytest.raises(ModelError), use_cassette(tmp_path / "x.yaml", "all"):
        broken(1)
    assert (tmp_path / "x.yaml").read_bytes() == before


def test_live_leaves_cassettes_alone(tmp_path: Path, counter: Counter) -> None:
    """Each call is asked, none is written, and all stand in the log."""
    _, count = counter

    with use_cassette(tmp_path / "x.yaml", "live") as cassette:
        assert [count(1), count(1)] == [1, 2]

    assert [(call.occurrence, call.replayed) for call in cassette.calls] == [(1, False), (2, False)]
    assert files(tmp_path) == []


@pytest.mark.parametrize("give", ["argument", "environment"])
def test_an_unknown_mode_lists_the_valid_ones(give: str, tmp_path: Path) -> None:
    """Wherever it comes from."""
    if give == "argument":
        with pytest.raises(ValueError, match="unknown record mode 'onec'; the modes are replay, new, all, live, dry"):
            use_cassette(tmp_path / "x.yaml", "onec")
    else:
        program = """
            from llm_strategy import use_cassette
            try:
                with use_cassette("x.yaml"): pass
            except ValueError as error: print(error)
        """
        printed = output(program, LLM_STRATEGY_RECORD="onec")
        modes = "unknown record mode 'onec'; the modes are replay, new, all, live, dry"
        assert printed == f"the environment variable LLM_STRATEGY_RECORD: {modes}"


PROGRAM = '''
from llm_strategy import CassetteMiss, ScriptedModel, llm_strategy, use_cassette
model = ScriptedModel(['{"return_value": 1}'] * 9, name="test:counter", recorded=True)

@llm_strategy(model)
def count(number: int) -> int:
    """Count."""
    raise NotImplementedError

'''


@pytest.mark.parametrize(
    ("environment", "argument", "printed"),
    [
        ({}, None, "miss"),
        ({"LLM_STRATEGY_RECORD": ""}, None, "miss"),
        ({"LLM_STRATEGY_RECORD": "new"}, None, "asked 1"),
        ({"LLM_STRATEGY_RECORD": "new"}, "replay", "miss"),
        ({}, "new", "asked 1"),
    ],
)
def test_outside_pytest_the_environment_says_the_mode_and_the_argument_wins(
    environment: dict[str, str], argument: str | None, printed: str, tmp_path: Path
) -> None:
    """Without either, a block replays: nothing is spent by accident."""
    program = f"""{PROGRAM}
try:
    with use_cassette("x.yaml", {argument!r}):
        count(1)
    print("asked", len(model.requests))
except CassetteMiss:
    print("miss")
"""
    assert output(program, cwd=tmp_path, **environment) == printed


def test_outside_every_block_a_call_is_live(tmp_path: Path) -> None:
    """Notebooks and production just work: nothing is looked for, nothing is written."""
    assert output(f"{PROGRAM}print(count(1), count(1), len(model.requests))", cwd=tmp_path) == "1 1 2"
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_recorded_answers_in_every_mode(tmp_path: Path) -> None:
    """A scripted model needs no cassette, and its calls are in the log all the same."""
    for mode in ("replay", "new", "all", "live", "dry"):

        @llm_strategy(scripted(5))
        def five(text: str) -> int:
            """Say five."""
            raise NotImplementedError

        with use_cassette(tmp_path / "x.yaml", mode) as cassette:
            assert five("a") == 5
        assert len(cassette.calls) == 1
    assert files(tmp_path) == []


def test_a_function_without_a_model_takes_it_from_the_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who replays need not know which model was configured when it was recorded."""

    @llm_strategy()
    def count(number: int) -> int:
        """Count."""
        raise NotImplementedError

    with use_cassette(tmp_path / "x.yaml", "new"):
        llm_strategy(counting(name="openai:first"))(count.__wrapped__)(1)
        llm_strategy(counting(name="openai:second"))(count.__wrapped__)(2)
    monkeypatch.delenv("LLM_STRATEGY_MODEL", raising=False)

    with use_cassette(tmp_path / "x.yaml", "replay") as cassette:
        assert (count(1), count(2)) == (1, 1)
    assert [call.request.model for call in cassette.calls] == ["openai:first", "openai:second"]


# Occurrences


def test_equal_requests_replay_in_order(tmp_path: Path, counter: Counter) -> None:
    """The n-th one gets the n-th answer."""
    _, count = counter
    with use_cassette(tmp_path / "x.yaml", "new"):
        values = [count(1), count(2), count(1), count(1)]
    with use_cassette(tmp_path / "x.yaml", "replay") as cassette:
        assert [count(1), count(2), count(1), count(1)] == values == [1, 2, 3, 4]

    assert [call.occurrence for call in cassette.calls] == [1, 1, 2, 3]


def test_asking_more_often_than_was_recorded_is_a_miss(tmp_path: Path, counter: Counter) -> None:
    """The message counts; an answer is not silently given twice."""
    _, count = counter
    with use_cassette(tmp_path / "x.yaml", "new"):
        count(1)
        count(1)

    with use_cassette(tmp_path / "x.yaml", "replay"):
        count(1)
        count(1)
        with pytest.raises(CassetteMiss, match="equal request number 3, and 2 are recorded"):
            count(1)


def test_answers_do_not_depend_on_the_order_of_arrival(tmp_path: Path) -> None:
    """Concurrent different requests each get their own answer, whoever comes first."""

    def function(delays: dict[int, float]) -> Any:
        @llm_strategy(Slow(delays))
        async def slow(number: int) -> int:
            """Say the number."""
            raise NotImplementedError

        return slow

    async def gather(slow: Any, numbers: list[int]) -> list[int]:
        return await asyncio.gather(*[slow(number) for number in numbers])

    with use_cassette(tmp_path / "x.yaml", "new"):
        asyncio.run(gather(function({1: 0.02, 2: 0.0, 3: 0.01}), [1, 2, 3]))
    with use_cassette(tmp_path / "x.yaml", "replay"):
        assert asyncio.run(gather(function({}), [3, 1, 2])) == [3, 1, 2]


def test_equal_concurrent_requests_share_the_recorded_answers(tmp_path: Path) -> None:
    """As many are recorded as were asked, and the replay gives out the same ones."""
    model = counting()

    @llm_strategy(model)
    async def roll(number: int) -> int:
        """Roll a die."""
        raise NotImplementedError

    async def gather() -> list[int]:
        return await asyncio.gather(*[roll(6) for _ in range(8)])

    with use_cassette(tmp_path / "x.yaml", "new"):
        recorded = asyncio.run(gather())
    with use_cassette(tmp_path / "x.yaml", "replay"):
        replayed = asyncio.run(gather())

    assert sorted(recorded) == sorted(replayed) == list(range(1, 9))
    assert len(model.requests) == 8


def test_a_failed_request_does_not_count(tmp_path: Path) -> None:
    """The next equal one is the same occurrence, so that a retry of the caller's replays."""
    answers = iter([ConnectionError("no route"), ConnectionError("no route"), reply(1)])

    def answer(request: Request) -> str:
        given = next(answers)
        if isinstance(given, Exception):
            raise given
        return given

    @llm_strategy(ScriptedModel(answer, recorded=True))
    def count(number: int) -> int:
        """Count."""
        raise NotImplementedError

    def retry() -> int:
        for _ in range(2):
            try:
                return count(1)
            except ModelError:
                continue
        return count(1)

    with use_cassette(tmp_path / "x.yaml", "new") as recorded:
        assert retry() == 1
    with use_cassette(tmp_path / "x.yaml", "replay") as replayed:
        assert retry() == 1
    assert [call.occurrence for call in recorded.calls] == [call.occurrence for call in replayed.calls] == [1]


def test_each_block_counts_from_one(tmp_path: Path, counter: Counter) -> None:
    """Two blocks on one cassette both get the first answer first."""
    _, count = counter
    with use_cassette(tmp_path / "x.yaml", "new"):
        count(1)
    for _ in range(2):
        with use_cassette(tmp_path / "x.yaml", "replay"):
            assert count(1) == 1


def test_a_retry_after_a_bad_reply_replays(tmp_path: Path) -> None:
    """Each try was recorded as a call of its own."""

    @llm_strategy(ScriptedModel(["nonsense", reply(3)], recorded=True))
    def count(number: int) -> int:
        """Count."""
        raise NotImplementedError

    for mode in ("new", "replay"):
        with use_cassette(tmp_path / "x.yaml", mode) as cassette:
            assert count(1) == 3
        assert [call.response.content for call in cassette.calls] == ["nonsense", reply(3)]
    assert len(Cassette(tmp_path / "x.yaml")) == 2


# Which block a call belongs to


def test_a_block_works_around_synchronous_and_asynchronous_code(tmp_path: Path, counter: Counter) -> None:
    """`with` and `async with`."""
    _, count = counter

    async def main() -> None:
        async with use_cassette(tmp_path / "x.yaml", "new") as cassette:
            count(1)
            assert len(cassette.calls) == 1

    asyncio.run(main())
    assert len(Cassette(tmp_path / "x.yaml")) == 1


def test_a_generator_cannot_be_decorated(tmp_path: Path) -> None:
    """Its body would run after the block, ask models, and be recorded nowhere: the error says where the block belongs."""

    def numbers() -> Iterator[int]:
        yield 1

    async def later() -> AsyncIterator[int]:
        yield 1

    for function in (numbers, later):
        with pytest.raises(TypeError, match=rf"{function.__name__}, a generator, .* decorate what reads it"):
            use_cassette(tmp_path / "x.yaml")(function)


def test_a_block_can_be_a_decorator(tmp_path: Path, counter: Counter) -> None:
    """Of `def` and `async def`; each call of the function is a block of its own."""
    _, count = counter

    @use_cassette(tmp_path / "x.yaml", "new")
    def plain(number: int) -> int:
        """Say so."""
        value: int = count(number)
        return value

    @use_cassette(tmp_path / "x.yaml", "new")
    async def later(number: int) -> int:
        await asyncio.sleep(0)
        return plain.__wrapped__(number)

    assert (plain.__name__, plain.__doc__, inspect.iscoroutinefunction(later)) == ("plain", "Say so.", True)
    assert [plain(1), plain(1), asyncio.run(later(1)), asyncio.run(later(2))] == [1, 1, 1, 2]


def test_an_inner_block_takes_the_calls_of_the_outer_one(tmp_path: Path, counter: Counter) -> None:
    """While it is open; neither sees the other's log."""
    _, count = counter

    with use_cassette(tmp_path / "outer.yaml", "new") as outer:
        count(1)
        with use_cassette(tmp_path / "inner.yaml", "new") as inner:
            count(2)
        count(3)

    assert [call.request for call in outer.calls] == [count.request(1), count.request(3)]
    assert [call.request for call in inner.calls] == [count.request(2)]
    assert len(Cassette(tmp_path / "outer.yaml")) == 2
    assert len(Cassette(tmp_path / "inner.yaml")) == 1


def test_blocks_of_concurrent_tasks_are_apart(tmp_path: Path) -> None:
    """Each task has its own cassette, however their calls interleave."""

    @llm_strategy(Slow(dict.fromkeys(range(100), 0.001)))
    async def slow(number: int) -> int:
        """Say the number."""
        raise NotImplementedError

    async def work(task: int) -> list[str]:
        async with use_cassette(tmp_path / f"{task}.yaml", "new") as cassette:
            await asyncio.gather(*[slow(10 * task + call) for call in range(3)])
            await slow(10 * task + 3)
        return [call.response.content for call in cassette.calls]

    async def main() -> list[list[str]]:
        return await asyncio.gather(*[work(task) for task in range(8)])

    for task, contents in enumerate(asyncio.run(main())):
        assert contents == [reply(10 * task + call) for call in range(4)]
        assert [call.response.content for call in Cassette(tmp_path / f"{task}.yaml")] == contents


def test_blocks_of_concurrent_threads_are_apart(tmp_path: Path, counter: Counter) -> None:
    """As those of tasks."""
    _, count = counter
    barrier = threading.Barrier(8)

    def work(thread: int) -> list[Request]:
        with use_cassette(tmp_path / f"{thread}.yaml", "new") as cassette:
            for call in range(4):
                barrier.wait()
                count(10 * thread + call)
        return [call.request for call in cassette.calls]

    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(work, range(8)))

    for thread, requests in enumerate(seen):
        assert requests == [count.request(10 * thread + call) for call in range(4)]
        assert len(Cassette(tmp_path / f"{thread}.yaml")) == 4


@pytest.mark.parametrize("mode", ["new", "all"])
def test_concurrent_blocks_on_one_cassette_lose_nothing(mode: str, tmp_path: Path, counter: Counter) -> None:
    """Recording afresh too: no block takes another's unfinished recording for a leftover."""
    _, count = counter
    barrier = threading.Barrier(4)

    def work(thread: int) -> None:
        with use_cassette(tmp_path / "x.yaml", mode):
            barrier.wait()
            count(thread)
            barrier.wait()
            count(100 + thread)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))

    with use_cassette(tmp_path / "x.yaml", "replay"):
        assert sorted(count(number) for number in [0, 1, 2, 3, 100, 101, 102, 103]) == list(range(1, 9))
    assert files(tmp_path) == ["x.yaml"]


def test_one_object_can_be_entered_by_many_tasks(tmp_path: Path) -> None:
    """Each is in a block of its own, and leaves its own."""

    @llm_strategy(Slow(dict.fromkeys(range(100), 0.001)))
    async def slow(number: int) -> int:
        """Say the number."""
        raise NotImplementedError

    block = use_cassette(tmp_path / "x.yaml", "new")

    async def work(task: int) -> int:
        async with block as cassette:
            await asyncio.sleep(0.005 * task)
            await slow(task)
            await asyncio.sleep(0.01)
            await slow(10 + task)
            return len(cassette.calls)

    async def main() -> list[int]:
        return await asyncio.gather(*[work(task) for task in range(4)])

    assert asyncio.run(main()) == [2, 2, 2, 2]
    assert len(Cassette(tmp_path / "x.yaml")) == 8


def test_worker_threads_of_an_event_loop_are_in_the_block(tmp_path: Path, counter: Counter) -> None:
    """`asyncio.to_thread` takes the block along."""
    _, count = counter

    async def main() -> None:
        with use_cassette(tmp_path / "x.yaml", "new") as cassette:
            await asyncio.gather(*[asyncio.to_thread(count, number) for number in range(5)])
            assert len(cassette.calls) == 5

    asyncio.run(main())
    assert len(Cassette(tmp_path / "x.yaml")) == 5


def test_a_block_ends_where_it_ends(tmp_path: Path) -> None:
    """A task that outlives it makes its later calls outside."""
    program = f"""{PROGRAM}
import asyncio

async def main():
    leave = asyncio.Event()

    async def late():
        count(1)
        await leave.wait()
        return count(1)

    with use_cassette("x.yaml", "new") as cassette:
        task = asyncio.create_task(late())
        await asyncio.sleep(0)
    leave.set()
    await task
    print(len(model.requests), len(cassette.calls))

asyncio.run(main())
"""
    assert output(program, cwd=tmp_path) == "2 1"


def test_the_cassette_stays_where_it_was_when_the_block_began(
    tmp_path: Path, counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Changing the working directory within does not move it."""
    _, count = counter
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)

    for mode in ("new", "all"):
        with use_cassette("x.yaml", mode) as cassette:
            monkeypatch.chdir(tmp_path / "other")
            count(1)
        assert cassette.path == tmp_path / "x.yaml"
        assert (files(tmp_path), files(tmp_path / "other")) == (["other", "x.yaml"], [])
        monkeypatch.chdir(tmp_path)


# call_log


def test_a_call_log_sees_every_call_and_changes_none(tmp_path: Path, counter: Counter) -> None:
    """Of recorded and unrecorded models, in blocks inside and around it."""
    _, count = counter
    five = llm_strategy(scripted(5))(count.__wrapped__)

    with use_cassette(tmp_path / "x.yaml", "new") as cassette, call_log() as calls:
        count(1)
        five(2)
        with use_cassette(tmp_path / "y.yaml", "new"):
            count(3)
        with call_log() as inner:
            count(1)

    assert [(call.function, call.request.model) for call in calls] == [
        ("count", "test:counter"),
        ("count", "scripted"),
        ("count", "test:counter"),
        ("count", "test:counter"),
    ]
    assert [call.occurrence for call in calls] == [1, 1, 1, 2]
    assert list(inner) == [calls[3]]
    assert len(cassette.calls) == 3
    assert len(Cassette(tmp_path / "x.yaml")) == 2


def test_a_call_log_counts_equal_requests_outside_every_block() -> None:
    """Their occurrence is that of the block."""
    five = scripted(5, 5, 5)

    with call_log() as calls:
        for _ in range(2):
            ChatChain(five).query("Hello?")

    assert [call.occurrence for call in calls] == [1, 2]


def test_a_call_log_is_a_sequence_that_users_only_read(counter: Counter) -> None:
    """It has a length, an order, slices and a short text."""
    with call_log() as calls:
        llm_strategy(scripted(1, 2, 3))(counter[1].__wrapped__)(1)
        llm_strategy(scripted(1, 2, 3))(counter[1].__wrapped__)(2)

    assert len(calls) == 2
    assert list(calls[1:]) == [calls[-1]]
    assert calls[0] in calls
    assert calls.count(calls[0]) == 1
    assert repr(calls) == "<2 calls: count, count>"
    assert not hasattr(calls, "append")


def test_calls_stand_in_the_order_in_which_they_were_asked() -> None:
    """Not in that of the answers."""

    class Quick(Slow):
        recorded = False

    @llm_strategy(Quick({1: 0.02, 2: 0.0, 3: 0.01}))
    async def slow(number: int) -> int:
        """Say the number."""
        raise NotImplementedError

    async def main() -> None:
        await asyncio.gather(slow(1), slow(2), slow(3))

    with call_log() as calls:
        asyncio.run(main())

    assert [call.response.content for call in calls] == [reply(1), reply(2), reply(3)]


def test_a_call_that_failed_is_not_in_the_log() -> None:
    """It has no response."""
    with call_log() as calls, pytest.raises(ModelError):
        ChatChain(ScriptedModel([])).query("Hello?")

    assert len(calls) == 0


def test_a_miss_outside_pytest_names_no_marker(tmp_path: Path) -> None:
    """Where more is asked than was recorded, it says how to record, and nothing that only tests have."""
    program = f"""{PROGRAM}
try:
    with use_cassette("x.yaml", "replay"):
        count(1), count(1)
except CassetteMiss as miss:
    print(miss)
"""
    output(f"{PROGRAM}with use_cassette('x.yaml', 'new'):\n    count(1)", cwd=tmp_path)
    printed = output(program, cwd=tmp_path)
    assert "asked more often than recorded" in printed
    assert "pytest" not in printed


def test_a_plain_thread_of_the_only_open_block_belongs_to_it(tmp_path: Path) -> None:
    """Outside pytest, a thread without a context replays from the block that is open: it never asks on its own."""
    program = """
import threading
from concurrent.futures import ThreadPoolExecutor
from llm_strategy import CassetteMiss, ScriptedModel, llm_strategy, use_cassette

asked = []

def answer(request):
    asked.append(request)
    return '{"return_value": 1}'

@llm_strategy(ScriptedModel(answer, name="counter:model", recorded=True))
def number(text: str) -> int:
    "Read a number."
    raise NotImplementedError

with use_cassette("x.yaml", mode="new"), ThreadPoolExecutor(2) as threads:
    assert list(threads.map(number, ["one", "two"])) == [1, 1]
with use_cassette("x.yaml"), ThreadPoolExecutor(2) as threads:
    assert list(threads.map(number, ["one", "two"])) == [1, 1]
assert len(asked) == 2
refused = []

def call():
    try:
        number("one")
    except CassetteMiss as miss:
        refused.append(str(miss))

with use_cassette("x.yaml"), use_cassette("y.yaml"):
    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
assert "asyncio.to_thread" in refused[0]
assert len(asked) == 2
"""
    assert output(program, cwd=tmp_path) == ""
