"""Streams are recorded in the pieces in which they came, as far as they were read, and replay so."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from llm_strategy import (
    Cassette,
    CassetteError,
    CassetteMiss,
    ModelError,
    ReplyError,
    Request,
    Response,
    ScriptedModel,
    Session,
    Usage,
    call_log,
    llm_strategy,
    use_cassette,
)
from llm_strategy.cassette.document import call_document, response_digest
from llm_strategy.cassette.emitter import emit
from llm_strategy.cassette.reader import load
from llm_strategy.cassette.scope import CassetteScope
from llm_strategy.cassette.shortcut import read_response
from llm_strategy.cassette.verification import problems
from llm_strategy.cli import main
from llm_strategy.log import Call
from tests.llm_strategy.answers import reply
from tests.llm_strategy.programs import output, plain_environment

STORY = ["Once ", "upon", " a time\n", "\n", "there 😀 was\u2028"]
NUMBERS = ['{"return_val', 'ue": [1', "0, 2", "0, 30", "]}"]


def story(topic: str) -> Iterator[str]:
    """Tell a story."""
    raise NotImplementedError


def story_later(topic: str) -> AsyncIterator[str]:
    """Tell a story."""
    raise NotImplementedError


def numbers(topic: str) -> Iterator[int]:
    """Name numbers."""
    raise NotImplementedError


def recorded(*replies: Any) -> ScriptedModel:
    return ScriptedModel(replies, name="test:streamer", recorded=True)


def by(model: Any, function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    return llm_strategy(model, **options)(function)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.yaml"


def responses(path: Path) -> list[Response]:
    return [call.response for call in Cassette(path)]


async def collected(stream: AsyncIterator[Any]) -> list[Any]:
    return [item async for item in stream]


# What is recorded


def test_text_replays_in_the_same_pieces(path: Path) -> None:
    """Synchronous or not, the pieces are those that came, and the file holds them beside the whole text."""
    with use_cassette(path, "new"):
        assert list(by(recorded(STORY), story)("x")) == STORY
        assert asyncio.run(collected(by(recorded(STORY[::-1]), story_later)("x"))) == STORY[::-1]
    with use_cassette(path) as cassette:
        assert list(by(recorded(), story)("x")) == STORY
        assert asyncio.run(collected(by(recorded(), story_later)("x"))) == STORY[::-1]
    assert [call.replayed for call in cassette.calls] == [True, True]
    assert [(r.content, r.pieces, r.finish_reason) for r in responses(path)] == [
        ("".join(pieces), tuple(pieces), "stop") for pieces in (STORY, STORY[::-1])
    ]
    assert list(problems(path)) == []


def test_items_replay_at_the_same_pieces(path: Path) -> None:
    """An item is yielded with the piece with which it was complete, recorded or not."""
    read: list[list[int]] = []
    for mode in ("new", "replay"):
        with use_cassette(path, mode):
            model = recorded(NUMBERS)
            stream = by(model, numbers)("x")
            read.append(list(stream))
    assert read == [[10, 20, 30]] * 2
    assert responses(path)[0].pieces == tuple(NUMBERS)


def test_equal_streams_replay_each_what_it_got(tmp_path: Path) -> None:
    """Though the one that was opened last was read first; where their recordings are copied, too."""
    model = recorded(["b1", "b2"], ["a1", "a2"])
    read: list[list[str]] = []
    for mode, name in (("new", "test_old"), ("replay", "test_old"), ("new", "test_new"), ("replay", "test_new")):
        session = Session(tmp_path, mode=mode)
        opened = session.open(session.test_path(f"test_x.py::{name}"), owner=name)
        session.enter(opened)
        tell = by(model, story)
        first, second = tell("x"), tell("x")
        read.append([next(second), next(first), *second, *first])
        session.leave(opened)
        session.close(opened, passed=True)
        session.finish()
        assert (session.account.pruned, session.account.stale) == (0, 0)
    assert read == [["b1", "a1", "b2", "a2"]] * 4


def test_a_stream_that_fails_leaves_the_recording_of_an_equal_one(tmp_path: Path) -> None:
    """Which was asked after it: nothing that a passed test has got is dropped as stale."""

    def breaking() -> Iterator[str]:
        yield "a"
        raise OSError("the line is dead")

    answers: list[Any] = [breaking(), ["b1"], ["c1"]]
    for mode in ("new", "replay"):
        session = Session(tmp_path, mode=mode)
        opened = session.open(session.test_path("test_x.py::test_a"), owner="test_a")
        session.enter(opened)
        tell = by(recorded(*answers), story)
        if mode == "new":
            broken = tell("x")
            assert next(broken) == "a"
            assert list(tell("x")) == ["b1"]
            with pytest.raises(ModelError, match="the line is dead"):
                next(broken)
        else:
            assert list(tell("x")) == ["b1"]
        assert list(tell("x")) == ["c1"]
        session.leave(opened)
        session.close(opened, passed=True)
        session.finish()
        assert (session.account.pruned, session.account.stale) == (0, 0)


def test_the_form_in_the_file(path: Path) -> None:
    """The fields of a streamed response stand as the format says, and usage and model come with its end."""
    answer = Response("ab", Usage(3, 2), "stop", "big-model", ("a", "b"))
    with use_cassette(path, "new"):
        assert list(by(recorded(answer, ["c", "d"]), story)("x")) == ["a", "b"]
        for _ in by(recorded(["c", "d"]), story)("y"):
            break
    text = path.read_text()
    assert (
        "response:\n"
        '  content: |-\n    ab\n  pieces:\n  - "a"\n  - "b"\n  finish_reason: "stop"\n  model: "big-model"\n'
        "  usage:\n    input_tokens: 3\n    output_tokens: 2\n"
    ) in text
    assert 'response:\n  content: |-\n    c\n  pieces:\n  - "c"\n  closed_early: true\nrequest_digest' in text


def test_an_answer_that_came_whole_has_no_pieces(path: Path) -> None:
    """A model that does not stream is recorded as in other calls, and replays as one piece."""
    for mode in ("new", "replay"):
        with use_cassette(path, mode):
            assert list(by(recorded("whole"), story)("x")) == ["whole"]
    assert "pieces" not in path.read_text()


def test_the_recording_is_there_before_the_end_is_signalled(path: Path) -> None:
    """Whoever has seen the end of a stream can be killed: the call is in the file."""
    with use_cassette(path, "new"):
        stream = by(recorded(["a", "b"]), story)("x")
        assert [next(stream), next(stream)] == ["a", "b"]
        assert not path.exists()
        assert next(stream, None) is None
        assert len(Cassette(path)) == 1


def test_a_refusal_and_a_retry_replay(path: Path) -> None:
    """A reply that was asked for again is a call of its own, and a refusal has no pieces."""
    refusal = Response("No.", finish_reason="refusal")
    for mode in ("new", "replay"):
        with use_cassette(path, mode) as cassette:
            assert list(by(recorded(['{"return_value": ["a', '"]}'], NUMBERS), numbers)("x")) == [10, 20, 30]
            with pytest.raises(ReplyError, match=r"No\."):
                list(by(recorded(refusal), story)("x"))
        assert len(cassette.calls) == 3
    assert len(Cassette(path)) == 3


def test_repairs_are_noted_at_the_end(path: Path) -> None:
    """As in other calls the log says what had to be passed over."""
    for mode in ("new", "replay"):
        with use_cassette(path, mode) as cassette:
            assert list(by(recorded(["Sure: ", reply([1])]), numbers)("x")) == [1]
        assert cassette.calls[0].repairs


def test_the_log_has_the_order_of_the_calls(path: Path) -> None:
    """Streams stand where they were called, in log and file, whichever ends first."""
    tell = by(recorded(["b"], ["a"]), story)
    with use_cassette(path, "new") as cassette:
        first, second = tell("first"), tell("second")
        assert list(second) == ["b"]
        assert list(first) == ["a"]
    assert [call.response.content for call in cassette.calls] == ["a", "b"]
    assert [response.content for response in responses(path)] == ["a", "b"]


# Closed early


def drop_by_break(stream: Iterator[str]) -> None:
    for _ in stream:
        break


def drop_by_close(stream: Any) -> None:
    next(stream)
    stream.close()
    assert list(stream) == []


def drop_by_throw(stream: Any) -> None:
    next(stream)
    with pytest.raises(KeyError):
        stream.throw(KeyError("a"))


def drop_in_a_cycle(stream: Any) -> None:
    next(stream)
    cycle: list[Any] = [stream]
    cycle.append(cycle)
    del stream, cycle
    gc.collect()


@pytest.mark.parametrize("drop", [drop_by_break, drop_by_close, drop_by_throw, drop_in_a_cycle])
def test_what_was_read_is_recorded_where_the_reader_stops(path: Path, drop: Any) -> None:
    """The recording of a stream that was closed or forgotten ends where its reader did, and replays so."""
    closed: list[bool] = []

    def answer(request: Request) -> Iterator[str]:
        try:
            yield from ("a", "b", "c")
        finally:
            closed.append(True)

    model = ScriptedModel(answer, name="test:streamer", recorded=True)
    with use_cassette(path, "new"):
        drop(by(model, story)("x"))
        assert closed == [True]
        assert responses(path) == [Response("a", finish_reason="", pieces=("a",), closed_early=True)]
        assert list(by(recorded(["d"]), story)("x")) == ["d"]
    with use_cassette(path):
        drop(by(recorded(), story)("x"))
        assert list(by(recorded(), story)("x")) == ["d"]


def test_asynchronous_streams_are_closed_early_too(path: Path) -> None:
    """By `aclose`, by leaving the loop, and by cancelling the task that reads."""

    async def closing(tell: Any) -> None:
        stream = tell("aclose")
        assert await anext(stream) == "a"
        await stream.aclose()
        assert await collected(stream) == []

    async def leaving(tell: Any) -> None:
        async for _ in tell("break"):
            break

    async def main(model: ScriptedModel) -> None:
        await closing(by(model, story_later))
        await leaving(by(model, story_later))

    for mode in ("new", "replay"):
        with use_cassette(path, mode):
            asyncio.run(main(recorded(["a", "b"], ["a", "b"])))
    assert [(response.pieces, response.closed_early) for response in responses(path)] == [(("a",), True)] * 2


def test_a_cancelled_reader_has_closed_its_stream(path: Path) -> None:
    """What had arrived before a timeout or a cancellation is recorded: it was paid for."""

    class Waiting:
        name = "test:waiting"
        recorded = True
        settings: dict[str, Any] = {}  # noqa: RUF012  # a model's settings do not change

        async def astream(self, request: Request) -> AsyncIterator[str]:
            yield "a"
            await asyncio.Event().wait()

        async def agenerate(self, request: Request) -> Response:
            raise NotImplementedError

    async def main() -> None:
        got = asyncio.Event()

        async def read() -> None:
            async for _ in by(Waiting(), story_later)("x"):
                got.set()

        task = asyncio.create_task(read())
        await got.wait()
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with use_cassette(path, "new"):
        asyncio.run(main())
    assert responses(path)[0].pieces == ("a",)
    assert responses(path)[0].closed_early


def test_a_stream_that_nobody_reads_replays(path: Path) -> None:
    """A call is a call: dropped before its first piece it is recorded as such, without asking, and no miss later."""
    model = recorded()
    for mode in ("new", "replay"):
        with use_cassette(path, mode) as cassette:
            by(model, story)("x")
        assert len(cassette.calls) == 1
    assert model.requests == []


def test_reading_on_where_the_recorded_reader_stopped_is_a_miss(path: Path) -> None:
    """What follows was never recorded: the error says so, and how to ask for it."""
    with use_cassette(path, "new"):
        drop_by_break(by(recorded(["a", "b"]), story)("x"))
    with use_cassette(path):
        stream = by(recorded(), story)("x")
        assert next(stream) == "a"
        with pytest.raises(
            CassetteMiss, match=r"stopped reading after 1 piece \((?s:.*): pytest --llm-record tests/\S+$"
        ) as miss:
            next(stream)
        assert miss.value.causes == ("a stream is read further than it was recorded",)


@pytest.mark.parametrize("mode", ["new", "all"])
@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("pieces", [["a", "b", "c"], ["abc"], ["a"], ["", "ab", "c"]], ids=str)
def test_recording_asks_for_what_an_early_end_has_left_out(
    pieces: list[str], asynchronous: bool, mode: str, path: Path
) -> None:
    """However the first reader was cut: whoever reads on gets the rest of a new answer, which replays from then on."""
    with use_cassette(path, "new"), suppress(ZeroDivisionError):
        for _ in by(recorded(["a", "x"]), story)("x"):
            raise ZeroDivisionError
    for mode_then in (mode, "replay"):
        with use_cassette(path, mode_then) as cassette:
            tell = by(recorded(pieces), story_later if asynchronous else story)
            read = asyncio.run(collected(tell("x"))) if asynchronous else list(tell("x"))
        assert "".join(read) == "".join(pieces)
        assert [call.response.pieces for call in cassette.calls] == [tuple(filter(None, pieces))]
        assert not cassette.calls[0].response.closed_early


def test_recording_asks_for_nothing_where_nobody_reads_on(path: Path) -> None:
    """An early end that is meant stays one, however often it is recorded again."""
    model = recorded(["a", "b"])
    for _ in range(3):
        with use_cassette(path, "new"):
            drop_by_break(by(model, story)("x"))
    assert len(model.requests) == len(responses(path)) == 1


def test_items_that_an_early_end_has_left_out(path: Path) -> None:
    """Items are read on likewise, and none comes twice."""
    with use_cassette(path, "new"):
        assert next(by(recorded(NUMBERS), numbers)("x")) == 10
    for mode in ("new", "replay"):
        with use_cassette(path, mode):
            assert list(by(recorded(NUMBERS), numbers)("x")) == [10, 20, 30]


def test_a_new_answer_that_begins_otherwise_replays_next_time(path: Path) -> None:
    """It was paid for and is recorded whole; the caller, who has another beginning, is told to run again."""
    with use_cassette(path, "new"):
        drop_by_break(by(recorded(["a", "b"]), story)("x"))
    message = "begins otherwise .* The new answer is recorded: run this again"
    with use_cassette(path, "new"), pytest.raises(CassetteMiss, match=message):
        list(by(recorded(["b", "c"]), story)("x"))
    with use_cassette(path):
        assert list(by(recorded(), story)("x")) == ["b", "c"]


def test_an_answer_that_is_dropped_before_it_goes_further_leaves_the_recording(path: Path) -> None:
    """What breaks, or is closed, while it is asked for again replaces nothing."""

    def breaking(request: Request) -> Iterator[str]:
        yield "a"
        raise OSError("gone")

    with use_cassette(path, "new"):
        drop_by_break(by(recorded(["ab", "c"]), story)("x"))
    before = path.read_bytes()
    with use_cassette(path, "new"), pytest.raises(ModelError):
        list(by(ScriptedModel(breaking, name="test:streamer", recorded=True), story)("x"))
    assert path.read_bytes() == before


def test_an_item_that_does_not_fit_is_recorded_up_to_it(path: Path) -> None:
    """The error replays where it came, and nothing is read behind it."""
    for mode in ("new", "replay"):
        with use_cassette(path, mode):
            stream = by(recorded(['{"return_value": [1, ', '"many", ', "2]}"]), numbers)("x")
            assert next(stream) == 1
            with pytest.raises(ReplyError, match="item 2 does not fit"):
                next(stream)
    assert responses(path)[0].closed_early


def test_a_stream_ends_with_its_scope(path: Path) -> None:
    """After its block a stream cannot be read on, recorded or replayed: what was read until then is its recording."""
    for mode in ("new", "replay"):
        with use_cassette(path, mode):
            stream, unread = by(recorded(["a", "b"]), story)("x"), by(recorded(["c"]), story)("y")
            assert next(stream) == "a"
        for late in (stream, unread):
            with pytest.raises(ModelError, match="has ended, and so has its recording"):
                next(late)
    assert [response.pieces for response in responses(path)] == [("a",), ()]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_call_is_in_the_logs_once_it_has_been_read(path: Path, asynchronous: bool) -> None:
    """Recorded or replayed: to its end, to where it was closed, or to the end of its scope."""

    async def later(cassette: CassetteScope) -> list[int]:
        whole, closed = (by(recorded(["a", "b"]), story_later)(topic) for topic in "xy")
        counts = [len(cassette.calls)]
        for step in (anext(whole), anext(closed), collected(whole), closed.aclose()):
            await step
            counts.append(len(cassette.calls))
        return counts

    def at_once(cassette: CassetteScope) -> list[int]:
        whole, closed = (by(recorded(["a", "b"]), story)(topic) for topic in "xy")
        counts = [len(cassette.calls)]
        for step in (lambda: next(whole), lambda: next(closed), lambda: list(whole), closed.close):
            step()
            counts.append(len(cassette.calls))
        return counts

    for mode in ("new", "replay"):
        with use_cassette(path, mode) as cassette, call_log() as log:
            counts = asyncio.run(later(cassette)) if asynchronous else at_once(cassette)
            assert counts == [0, 0, 0, 1, 2]
            assert [call.key for call in log] == [call.key for call in cassette.calls]
            unread = by(recorded([]), story)("z")
            assert len(cassette.calls) == 2
        assert len(cassette.calls) == 3
        unread.close()


def test_an_equal_stream_that_is_open_in_a_block_around_is_named(path: Path) -> None:
    """Who would wait for itself is told so at once, and the stream outside can be read on."""
    with use_cassette(path, "new"):
        outside = by(recorded(["a", "b"]), story)("x")
        assert next(outside) == "a"
        with (
            use_cassette(path, "new"),
            pytest.raises(CassetteError, match="is being asked already, by this very thread"),
        ):
            next(by(recorded(["c"]), story)("x"))
        assert list(outside) == ["b"]
    with use_cassette(path):
        assert list(by(recorded(), story)("x")) == ["a", "b"]


# Not recorded


def test_a_stream_that_breaks_is_not_recorded(path: Path) -> None:
    """Half a reply is no reply: the next equal call asks again, as the same occurrence."""

    def answer(request: Request) -> Iterator[str]:
        yield "a"
        raise OSError("gone")

    tell = by(ScriptedModel(answer, name="test:streamer", recorded=True), story)
    with use_cassette(path, "new") as cassette:
        with pytest.raises(ModelError):
            list(tell("x"))
        assert list(by(recorded(["b"]), story)("x")) == ["b"]
    assert [call.occurrence for call in cassette.calls] == [1]
    assert [response.content for response in responses(path)] == ["b"]


def test_an_interrupt_loses_only_its_call(path: Path) -> None:
    """Ctrl-C while the model is waited for: nothing of that call is recorded, and its lock is free."""

    def answer(request: Request) -> Iterator[str]:
        yield "a"
        raise KeyboardInterrupt

    with use_cassette(path, "new"):
        assert list(by(recorded(["0"]), story)("before")) == ["0"]
        with pytest.raises(KeyboardInterrupt):
            list(by(ScriptedModel(answer, name="test:streamer", recorded=True), story)("x"))
        assert list(by(recorded(["b"]), story)("x")) == ["b"]
    assert [response.content for response in responses(path)] == ["0", "b"]


@pytest.mark.parametrize("mode", ["replay", "dry"])
def test_a_miss_is_raised_at_the_call(path: Path, mode: str) -> None:
    """So that a test fails at the line that calls, and not at one that reads."""
    with use_cassette(path, mode), pytest.raises(CassetteMiss):
        by(recorded(["a"]), story)("x")
    assert not path.exists()


def test_unrecorded_and_live_streams_leave_no_file(path: Path) -> None:
    """Scripted models and the mode `live` stream as they answer: without a cassette, but in the log."""
    with use_cassette(path, "replay") as cassette:
        assert list(by(ScriptedModel([["a", "b"]]), story)("x")) == ["a", "b"]
    with use_cassette(path, "live") as live:
        assert list(by(recorded(["a", "b"]), story)("x")) == ["a", "b"]
    assert [call.response.pieces for call in (*cassette.calls, *live.calls)] == [("a", "b")] * 2
    assert not path.exists()


# Secrets


def test_a_secret_that_comes_in_pieces_is_not_written(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials are replaced in the text and in the pieces, which still make up the text."""
    monkeypatch.setenv("MY_API_KEY", "correct-horse-battery")
    pieces = ["It ", "is corr", "ect-horse", "-battery, ", "yes", "."]
    with use_cassette(path, "new"):
        assert list(by(recorded(pieces), story)("x")) == pieces
    assert "horse" not in path.read_text()
    with use_cassette(path):
        assert list(by(recorded(), story)("x")) == ["It ", "is <MY_API_KEY>, ", "yes", "."]
    assert list(problems(path)) == []


# Readers


def test_a_response_whose_pieces_are_not_its_content_is_refused(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever its digest says, which `verify --accept` does not change; the message says what is wrong and where."""
    request = Request("test:streamer", ())
    for pieces, closed in ((["a"], True), ("ab", True), ([1], True), (["ab"], "yes")):
        document = load(call_document(Call(request.key, 1, None, request, Response("ab", pieces=("a", "b")))))
        document["response"] |= {"pieces": pieces, "closed_early": closed}
        header = '---\nformat: "llm-strategy cassette"\nversion: 1\nanswered_by: []\n'
        path.write_text(header + emit(document))
        assert main(["verify", "--accept", str(path)]) == 5
        assert "x.yaml:5: the recorded reply is not complete (its " in capsys.readouterr().err
        assert path.read_text() == header + emit(document)
        path.write_text(header + emit(document | {"digest": response_digest(request.key, document["response"])}))
        with pytest.raises(CassetteError, match=r"the recorded reply is not complete.*its (pieces|closed_early)"):
            responses(path)


def test_the_short_cut_leaves_pieces_to_the_yaml_reader() -> None:
    """It reads responses without them only, and never one as if it had none."""
    for response in (
        Response("a\nb", pieces=("a\n", "b")),
        Response("a", pieces=("a",), closed_early=True, finish_reason=""),
        Response("a", closed_early=True, finish_reason=""),
    ):
        text = emit({"response": response.to_json()}).encode().removeprefix(b"---\n")
        assert read_response(text) is None
        assert Response.from_json(load(text)["response"]) == response


def test_show_says_how_a_stream_came(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The text is shown as that of any call, with the number of its pieces and that it was closed early."""
    with use_cassette(path, "new"):
        list(by(recorded(["a", "b"]), story)("x"))
        drop_by_break(by(recorded(["c", "d"]), story)("y"))
    assert main(["show", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "--- reply, in 2 pieces\nab\n" in shown
    assert "--- reply, in 1 piece, closed early\nc\n" in shown
    assert main(["show", "--json", str(path)]) == 0
    assert '"pieces": ["a", "b"]' in capsys.readouterr().out


# Processes and threads

PROGRAM = """
import sys, threading
from collections.abc import Iterator
from llm_strategy import ScriptedModel, llm_strategy, use_cassette

def answer(request):
    print("asked", flush=True)
    for piece in ("a", "b", "c"):
        yield piece
        if piece == "b" and sys.argv[2] == "wait":
            print("waiting", flush=True)
            sys.stdin.readline()

@llm_strategy(ScriptedModel(answer, name="test:streamer", recorded=True))
def story(topic: str) -> Iterator[str]:
    "Tell a story."
    raise NotImplementedError

with use_cassette(sys.argv[1], "new"):
    if sys.argv[2] == "wait":
        print(*story("before"))
    print(*story("x"))
"""


class Started:
    """A process that streams, and waits after its second piece until it is told to go on."""

    def __init__(self, path: Path, what: str) -> None:
        program = [sys.executable, "-c", textwrap.dedent(PROGRAM), str(path), what]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(program, env=plain_environment(), stdin=pipe, stdout=pipe, text=True)

    def __enter__(self) -> Started:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.communicate()

    def says(self, line: str) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == f"{line}\n"

    def go_on(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()


def test_a_killed_process_loses_only_the_stream_that_it_was_reading(path: Path) -> None:
    """What was complete is in the file, the file can be read, and the next process asks anew."""
    with Started(path, "wait") as process:
        process.says("asked")
        process.says("waiting")
        process.go_on()
        process.says("a b c")
        process.says("asked")
        process.says("waiting")
        process.process.kill()
    assert [response.content for response in responses(path)] == ["abc"]
    assert output(PROGRAM, str(path), "go") == "asked\na b c"


def test_another_process_waits_for_a_stream_and_replays_it(path: Path) -> None:
    """Of two processes that want the same stream one asks; the other has its pieces when it is recorded."""
    with Started(path, "wait") as first:
        first.says("asked")
        first.go_on()
        first.says("waiting")
        first.says("a b c")
        first.says("asked")
        first.says("waiting")
        with Started(path, "go") as second:
            first.go_on()
            second.says("a b c")
    assert len(Cassette(path)) == 2


def test_threads_stream_into_one_cassette(path: Path) -> None:
    """Equal and different streams at once: each gets its own reply, and all of them replay."""

    def answer(request: Request) -> list[str]:
        return list(request.messages[-1].content.partition('topic = "')[2].partition('"')[0])

    async def main(model: ScriptedModel) -> list[str]:
        def read(topic: str) -> str:
            return "".join(by(model, story)(topic))

        return sorted(await asyncio.gather(*(asyncio.to_thread(read, f"t{number % 4}") for number in range(16))))

    expected = sorted([f"t{number}" for number in range(4)] * 4)
    with use_cassette(path, "new"):
        assert asyncio.run(main(ScriptedModel(answer, name="test:streamer", recorded=True))) == expected
    with use_cassette(path):
        assert asyncio.run(main(recorded())) == expected
    assert len(Cassette(path)) == 16
