"""`tracing.trace`: what stands in the file, and whose steps they are."""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from llm_strategy import CassetteMiss, ChatChain, ReplyError, ScriptedModel, StubModel, observers, tracing, use_cassette
from llm_strategy.observers import Step
from tests.llm_strategy.programs import output, run
from tests.llm_strategy.traced import aadd, add, aforecast, aitems, forecast, items, retried, spans, tree

ADD = """function add
  attempt attempt 1
    call scripted"""


def indented(text: str, depth: int = 1) -> str:
    return "\n".join("  " * depth + line for line in text.splitlines())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "traces" / "trace.jsonl"


# The tree


def test_a_retry_is_an_attempt_of_its_own_and_the_one_before_says_what_was_wrong(path: Path) -> None:
    """A reply that is no value ends its attempt with the ReplyError, and the call that brought it is no error."""
    with tracing.trace(path):
        assert retried(1) == 3
    assert tree(path) == (
        "function retried\n  attempt attempt 1 ReplyError\n    call scripted\n  attempt attempt 2\n    call scripted"
    )
    first = next(span for span in spans(path) if span["name"] == "attempt 1")
    assert "the reply was: three, I think" in first["error"]["message"]


TOOLS = f"""  attempt attempt 1
    call scripted
    tool weather
{indented(ADD, 3)}
    tool weather LookupError
    call scripted"""


def test_tools_and_what_they_call_stand_in_the_attempt_that_asks_for_them(path: Path) -> None:
    """A tool that the model calls is a span with its arguments, result or error; its own calls are below it."""
    with tracing.trace(path):
        forecast("q")
        asyncio.run(aforecast("q"))
    assert tree(path) == f"function forecast\n{TOOLS}\nfunction aforecast\n{TOOLS}"
    tool = next(span for span in spans(path) if span["kind"] == "tool")
    assert (tool["arguments"], tool["result"]) == ({"city": "Paris"}, "sunny, 3 degrees")


def test_a_conversation_has_a_span_for_each_question(path: Path) -> None:
    """A ChatChain's question is a function with a call, without attempts where a text is asked for."""
    with tracing.trace(path):
        ChatChain(ScriptedModel(["Hi.", '{"return_value": 1}'])).query("Hello?")[1].structured_query("One?", int)
    assert tree(path) == (
        "function ChatChain.query\n  call scripted\n"
        "function ChatChain.structured_query\n  attempt attempt 1\n    call scripted"
    )


def test_what_happens_between_the_items_of_a_stream_is_no_part_of_it(path: Path) -> None:
    """A stream lasts until its reader is done, and what the reader calls meanwhile stands beside it."""
    with tracing.trace(path), tracing.span("outer"):
        stream = items(1)
        next(stream)
        add(1, 2)
        stream.close()
    counting = ADD.replace("add", "items")
    assert tree(path) == f"step outer\n{indented(counting)}\n{indented(ADD)}"
    function = next(span for span in spans(path) if span["name"] == "items")
    assert function["seconds"] is not None
    assert "error" not in function


def test_a_dropped_stream_has_ended(path: Path) -> None:
    """A stream that is neither read to its end nor closed ends when it is collected."""
    with tracing.trace(path):
        next(items(1))
    assert all(span["seconds"] is not None for span in spans(path))


def test_tasks_have_their_own_branches(path: Path) -> None:
    """Calls of concurrent tasks stand below the step that started the tasks, each with its own attempts."""

    async def main() -> None:
        with tracing.span("loop"):
            await asyncio.gather(aadd(1, 2), aadd(3, 4))
            async for _ in aitems(1):
                break

    with tracing.trace(path):
        asyncio.run(main())
    one, streamed = ADD.replace("add", "aadd"), ADD.replace("add", "aitems")
    assert tree(path) == f"step loop\n{indented(one)}\n{indented(one)}\n{indented(streamed)}"


def test_a_thread_with_a_context_is_in_the_step_that_started_it_and_one_without_begins_a_tree(path: Path) -> None:
    """Copied contexts carry the step along; a thread without one is still in the block of the main thread."""
    with tracing.trace(path), ThreadPoolExecutor(1) as pool, tracing.span("outer"):
        pool.submit(contextvars.copy_context().run, add, 1, 2).result()
        pool.submit(add, 3, 4).result()
    assert tree(path) == f"step outer\n{indented(ADD)}\n{ADD}"


def test_a_miss_is_an_error_of_call_attempt_and_function(path: Path, tmp_path: Path) -> None:
    """What no recording answers ends every span around it with CassetteMiss, and the call still says its key."""
    function = add.with_options(model=StubModel())
    with tracing.trace(path), use_cassette(tmp_path / "c.yaml", mode="replay"), pytest.raises(CassetteMiss) as miss:
        function(1, 2)
    assert tree(path) == (
        "function add CassetteMiss\n  attempt attempt 1 CassetteMiss\n    call stub:smallest CassetteMiss"
    ).replace("stub:smallest", function.request(1, 2).model or "")
    assert miss.value.request is not None
    assert spans(path)[-1]["key"] == miss.value.request.key


def test_a_replayed_call_says_so_and_where_it_was_recorded(path: Path, tmp_path: Path) -> None:
    """Key, occurrence and cassette of a call are in its span; `replayed` only where no model was asked."""
    function = add.with_options(model=StubModel())
    for _ in range(2):
        with tracing.trace(path), use_cassette(tmp_path / "c.yaml", mode="new"):
            function(1, 2)
    asked, replayed = [span for span in spans(path) if span["kind"] == "call"]
    assert "replayed" not in asked
    assert replayed["replayed"] is True
    for span in (asked, replayed):
        assert (span["key"], span["occurrence"]) == (function.request(1, 2).key, 1)
        assert span["cassette"].endswith("c.yaml")


def test_a_cancelled_call_says_that_it_was(path: Path) -> None:
    """A task that is cancelled while its model answers leaves finished spans with CancelledError."""

    class Slow(ScriptedModel):
        async def agenerate(self, request: Any) -> Any:
            await asyncio.sleep(60)

    async def main() -> None:
        task = asyncio.create_task(aadd.with_options(model=Slow([]))(1, 2))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with tracing.trace(path):
        asyncio.run(main())
    assert [span["error"]["type"] for span in spans(path)] == ["CancelledError"] * 3


def test_the_last_refused_reply_ends_function_and_attempt(path: Path) -> None:
    """Where no attempt is left the ReplyError stands on the last attempt and on the function."""
    with tracing.trace(path), pytest.raises(ReplyError):
        add.with_options(model=ScriptedModel(["no", "no"]), retries=1)(1, 2)
    assert tree(path).replace("    call scripted\n", "") == (
        "function add ReplyError\n  attempt attempt 1 ReplyError\n  attempt attempt 2 ReplyError\n    call scripted"
    )


# The program's own steps


def test_own_steps_have_attributes_and_can_be_renamed(path: Path) -> None:
    """`span` takes attributes, `set` more of them, and code within finds the innermost by `current_span`."""

    @tracing.span("improve", round=3)
    def improve() -> int:
        tracing.current_span().set(score=0.5, data=b"123", kind=object)
        tracing.current_span().rename("improve the essay")
        return add(1, 2)

    @tracing.span("later")
    async def later() -> None:
        await aadd(1, 2)

    with tracing.trace(path):
        improve()
        asyncio.run(later())
        tracing.current_span().set(nothing="happens")
    assert tree(path) == f"step improve the essay\n{indented(ADD)}\nstep later\n{indented(ADD.replace('add', 'aadd'))}"
    expected = {"round": 3, "score": 0.5, "data": "<3 bytes>", "kind": "<class 'object'>"}
    assert spans(path)[0]["attributes"] == expected


def test_what_raises_in_an_own_step_is_its_error(path: Path) -> None:
    """The error passes, and stands on the span."""
    with tracing.trace(path), pytest.raises(KeyError), tracing.span("failing"):
        raise KeyError("x")
    assert spans(path)[0]["error"] == {"type": "KeyError", "message": "'x'"}


def test_generators_are_not_decorated() -> None:
    """Their callers' code would be taken for theirs: the error says what to do."""

    def generate() -> Any:
        yield 1

    for block in (tracing.span("x"), tracing.trace("x")):
        with pytest.raises(TypeError, match="use it as a block around a loop over it"):
            block(generate)
    with pytest.raises(TypeError, match="a span has a name"):
        tracing.span(len)  # type: ignore[arg-type]  # it is the mistake


# Blocks


def test_blocks_within_others_and_beside_them(path: Path, tmp_path: Path) -> None:
    """An inner block gets what is in it, the outer one that too; concurrent tasks' blocks see nothing of each other."""
    inner = tmp_path / "inner.jsonl"
    with tracing.trace(path):
        add(1, 2)
        with tracing.trace(inner):
            add(1, 2)
    assert tree(path) == f"{ADD}\n{ADD}"
    assert tree(inner) == ADD

    async def one(number: int) -> None:
        async with tracing.trace(tmp_path / f"{number}.jsonl"):
            await asyncio.sleep(0)
            await aadd(number, 0)

    async def untraced() -> None:
        await aadd(9, 9)

    async def main() -> None:
        await asyncio.gather(one(1), one(2), untraced())

    asyncio.run(main())
    for number in (1, 2):
        (function,) = [span for span in spans(tmp_path / f"{number}.jsonl") if span["kind"] == "function"]
        assert function["arguments"] == [f"a = {number}", "b = 0"]
    assert not observers.listening


def test_a_decorated_function_is_traced_each_time(path: Path) -> None:
    """`trace` decorates functions and coroutine functions; each call appends to the file."""

    @tracing.trace(path)
    def twice() -> int:
        return add(1, 2)

    @tracing.trace(path)
    async def later() -> int:
        return await aadd(1, 2)

    assert [twice(), twice(), asyncio.run(later())] == [3, 3, 3]
    assert tree(path).count("function") == 3
    block = tracing.trace(path)
    with block, pytest.raises(RuntimeError, match="entered before"):
        block.__enter__()


def test_two_observers_hear_the_same_and_one_that_raises_hurts_nobody(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What an observer raises is logged, and neither the program nor other observers notice."""

    class Raising:
        def begun(self, step: Step) -> None:
            raise ValueError("begun")

        entered = left = ended = begun

    observers.listening.append(Raising())
    try:
        with tracing.trace(path), caplog.at_level(logging.ERROR):
            assert add(1, 2) == 3
    finally:
        observers.listening.pop()
    assert tree(path) == ADD
    assert "Raising failed" in caplog.text


# What is written


def test_secrets_are_scrubbed_and_content_is_left_out_on_demand(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a key by its shape nor a value of the environment reaches the file; without content no prompt does."""
    monkeypatch.setenv("SHOP_API_KEY", "correct-horse-battery")
    key = "sk-proj-" + "Ab3" * 16
    talk = add.with_options(model=ScriptedModel([f"{key} correct-horse-battery", '{"return_value": 3}']))
    with (
        tracing.trace(path),
        tracing.span(key, token=key, inner={"password": "hunter2hunter2"}, env="correct-horse-battery"),
    ):
        talk(1, 2)
    written = path.read_text()
    assert key not in written
    assert "correct-horse" not in written
    path.unlink()
    with tracing.trace(path, content=False):
        retried(7)
    written = path.read_text()
    assert "Give a number" not in written
    assert "three, I think" not in written
    assert "a = 7" not in written
    assert "ReplyError" in written


def test_odd_and_huge_values_are_told_in_few_words(path: Path) -> None:
    """Cycles, giant lists, raising reprs, lone surrogates, infinities and long texts all make a line of JSON."""

    class Odd:
        def __repr__(self) -> str:
            raise RuntimeError

    cycle: list[Any] = []
    cycle.append(cycle)
    values = {"cycle": cycle, "many": [[0] * 1000] * 1000, "odd": Odd(), "half": "\ud800", "inf": float("inf")}
    with tracing.trace(path), tracing.span("odd", **values, long="x" * 200_000, keys={1: {2}}):
        pass
    attributes = spans(path)[0]["attributes"]
    assert attributes["odd"].endswith("Odd, which raises RuntimeError>")
    assert attributes["inf"] == "inf"
    assert attributes["half"] == "\ud800"
    assert attributes["keys"] == {"1": [2]}
    assert attributes["long"].endswith("... (200,000 characters in all)")
    assert path.stat().st_size < 1_000_000


def test_a_killed_program_leaves_what_it_had_done(tmp_path: Path) -> None:
    """Each line is written when it is known: after a kill the finished call is there, and the function as unfinished."""
    program = """
        import os
        from llm_strategy import ScriptedModel, llm_strategy

        def answer(request):
            if len(request.messages) == 2:
                return "no value"
            os._exit(9)

        @llm_strategy(ScriptedModel(answer))
        def add(a: int) -> int:
            "Add."
            raise NotImplementedError

        add(1)
    """
    path = tmp_path / "t.jsonl"
    assert run(program, LLM_STRATEGY_TRACE=str(path)).returncode == 9
    ended = [(span["kind"], span["seconds"] is not None) for span in spans(path)]
    assert ended == [("function", False), ("attempt", True), ("call", True), ("attempt", False), ("call", False)]


def test_processes_and_threads_share_a_file(tmp_path: Path) -> None:
    """Programs that the environment traces append whole lines to one file, whatever their number."""
    program = """
        import os, threading
        from tests.llm_strategy.traced import add
        from llm_strategy import tracing

        with tracing.span("main"):
            if hasattr(os, "fork") and not os.fork():
                add(5, 5)
                os._exit(0)
            threads = [threading.Thread(target=lambda: [add(i, i) for i in range(20)]) for _ in range(3)]
            [thread.start() for thread in threads]
            [thread.join() for thread in threads]
            os.name == "nt" or os.wait()
    """
    path = tmp_path / "t.jsonl"
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: output(program, cwd=Path(__file__).parents[2], LLM_STRATEGY_TRACE=str(path)), range(2)))
    each = 61 if hasattr(os, "fork") else 60
    assert sum(span["kind"] == "function" for span in spans(path)) == 2 * each
    assert all(span["seconds"] is not None for span in spans(path))
    lines = path.read_bytes().splitlines()
    assert all(json.loads(line) for line in lines)


def test_a_file_that_cannot_be_written_is_an_error_of_the_block_and_of_no_program(tmp_path: Path) -> None:
    """`trace` raises OSError at once; a whole program goes on, and its log says that nothing is traced."""
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"), tracing.trace(tmp_path / "file" / "t.jsonl"):
        pass
    assert not observers.listening
    done = run("from tests.llm_strategy.traced import add; print(add(1, 2))", LLM_STRATEGY_TRACE=str(tmp_path))
    assert done.stdout == "3\n"
    assert "so nothing is traced" in done.stderr


def test_nothing_of_it_is_loaded_where_nobody_listens() -> None:
    """A program that makes calls and is not traced loads neither the traces nor any package for them."""
    program = """
        import sys
        from llm_strategy import ScriptedModel, llm_strategy

        @llm_strategy(ScriptedModel(['{"return_value": 3}']))
        def add(a: int) -> int:
            "Add."
            raise NotImplementedError

        add(1)
        print([name for name in sys.modules if name.startswith(("llm_strategy.tracing", "opentelemetry", "wandb"))])
    """
    assert output(program) == "[]"


def test_a_full_disk_ends_the_trace_and_not_the_program(caplog: pytest.LogCaptureFixture) -> None:
    """Where a line cannot be written the log says so once, and calls go on."""
    if not Path("/dev/full").exists():
        pytest.skip("a device that is full is needed")
    with caplog.at_level(logging.ERROR), tracing.trace("/dev/full"):
        assert add(1, 2) == 3
    assert caplog.text.count("ends here") == 1
