"""Calls of the real `openai` client, recorded and replayed where they leave it over HTTP."""

from __future__ import annotations

import asyncio
import gzip
import json
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import httpcore
import httpcore2
import httpx
import httpx2
import pytest
from openai import AsyncOpenAI, AuthenticationError, InternalServerError, OpenAI, RateLimitError

from llm_strategy import Cassette, CassetteMiss, SecretFound, call_log, llm_strategy, use_cassette
from llm_strategy.cassette.scope import CassetteScope
from llm_strategy.cassette.verification import problems
from llm_strategy.errors import CassetteError
from llm_strategy.session import Session
from llm_strategy.values import Usage
from llm_strategy.wire.bodies import answer_bytes, pack_answer
from tests.llm_strategy.loopback import HANG_UP, MODEL, Loopback, Reply, completion, failure

NOWHERE = "http://127.0.0.1:9/v1"
SLOW_DOWN = failure(429, "Slow down", retry_after="0", retry_after_ms="1")
BROKEN = failure(500, "Broken", retry_after_ms="1")


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "LLM_STRATEGY_RECORD"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    """A session of the test's own: what another test has recorded is not found."""
    session = Session(tmp_path)
    yield session
    session.finish()


@pytest.fixture
def path(session: Session) -> Path:
    return session.folder / "calls.yaml"


def client(url: str = NOWHERE, *, key: str = "dummy", retries: int = 2) -> OpenAI:
    return OpenAI(base_url=url, api_key=key, max_retries=retries)


def ask(client: OpenAI, text: str, **settings: Any) -> str | None:
    messages: Any = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}]
    return client.chat.completions.create(model="gpt-5-mini", messages=messages, **settings).choices[0].message.content


async def aask(client: AsyncOpenAI, text: str) -> str | None:
    completion = await client.chat.completions.create(model="gpt-5-mini", messages=[{"role": "user", "content": text}])
    return completion.choices[0].message.content


def asked(text: str) -> Callable[[Any], str]:
    """A reply that repeats what was asked."""
    return lambda seen: f"{text} {seen.body['messages'][-1]['content']}"


@contextmanager
def serving(answer: Callable[[BaseHTTPRequestHandler], tuple[dict[str, str], bytes]]) -> Iterator[str]:
    """A server that answers every request alike; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers, body = answer(self)
            self.send_response(200)
            for name, value in {**headers, "Content-Length": str(len(body)), "Connection": "close"}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, format: str, *args: object) -> None:
            """A test's output is its own."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


# Record, stop the server, replay


def test_recorded_calls_replay_without_server_or_key(path: Path) -> None:
    """What was recorded is replayed byte for byte, at another address, after the server has gone."""
    with Loopback("one", "two") as server, use_cassette(path, "new", http=True):
        raw = client(server.url).chat.completions.with_raw_response.create(model="m", messages=[])
        assert ask(client(server.url), "second") == "two"
    with use_cassette(path, http=True) as cassette:
        again = client().chat.completions.with_raw_response.create(model="m", messages=[])
        assert again.content == raw.content
        assert again.headers["content-type"] == raw.headers["content-type"]
        assert ask(client(), "second") == "two"
        assert [call.replayed for call in cassette.calls] == [True, True]


def test_the_log_shows_prompts(path: Path) -> None:
    """A call's request and response are those of the provider's format, when recorded, replayed and read alike."""
    with Loopback("yes") as server, use_cassette(path, "new", http=True) as recorded:
        ask(client(server.url), "sure?", temperature=0.5)
    with use_cassette(path, http=True) as replayed:
        ask(client(), "sure?", temperature=0.5)
    for calls in (recorded.calls, replayed.calls, Cassette(path)):
        (call,) = calls
        assert call.request.model == "openai:gpt-5-mini"
        assert [message.content for message in call.request.messages] == ["Be brief.", "sure?"]
        assert call.request.settings == {"temperature": 0.5}
        assert (call.response.content, call.response.usage) == ("yes", Usage(11, 7))
        assert call.response.model == MODEL
        assert call.function is None
    assert recorded.calls[0] == replayed.calls[0] or not recorded.calls[0].replayed
    assert Cassette(path).header["answered_by"] == MODEL


def test_equal_prompts_give_their_answers_in_order(path: Path) -> None:
    """Three equal requests replay their three answers; a fourth is a miss that says so."""
    with Loopback("one", "two", "three") as server, use_cassette(path, "new", http=True):
        assert [ask(client(server.url), "go on") for _ in range(3)] == ["one", "two", "three"]
    with use_cassette(path, http=True):
        assert [ask(client(), "go on") for _ in range(3)] == ["one", "two", "three"]
        with pytest.raises(CassetteMiss, match="equal request number 4, and 3 are recorded"):
            ask(client(), "go on")


def test_only_what_is_missing_is_asked(path: Path) -> None:
    """In mode `new` a recorded request is replayed, and only another one reaches the server."""
    for texts in (("a",), ("a", "b")):
        with Loopback(*[asked("answer to")] * 2) as server, use_cassette(path, "new", http=True):
            assert [ask(client(server.url), text) for text in texts] == [f"answer to {text}" for text in texts]
        assert len(server.requests) == 1
    assert list(problems(path)) == []


def test_all_asks_afresh(path: Path) -> None:
    """In mode `all` every request is asked again, and the recording replaced."""
    for reply in ("old", "new"):
        session = Session(path.parent)
        with Loopback(reply) as server, use_cassette(path, "all", http=True):
            assert ask(client(server.url), "x") == reply
        session.finish()
    assert [call.response.content for call in Cassette(path)] == ["new"]


def test_live_touches_no_cassette(path: Path) -> None:
    """In mode `live` calls are made and logged, but not recorded."""
    with Loopback("live") as server, use_cassette(path, "live", http=True) as cassette:
        assert ask(client(server.url), "x") == "live"
    assert [call.response.content for call in cassette.calls] == ["live"]
    assert not path.exists()


def test_a_completed_call_survives_a_crash(path: Path) -> None:
    """A call is in the file before its value reaches the caller: a process that dies right after loses nothing."""
    program = f"""
import os
from llm_strategy import use_cassette
from tests.llm_strategy.loopback import Loopback
from tests.llm_strategy.test_http import ask, client
with Loopback("kept") as server, use_cassette({str(path)!r}, "new", http=True):
    ask(client(server.url), "x")
    os._exit(9)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[2], check=False)
    assert done.returncode == 9
    with use_cassette(path, "replay", http=True):
        assert ask(client(), "x") == "kept"


# Misses


def test_one_changed_character_misses(path: Path) -> None:
    """The miss names the message, shows a diff, and points to the line that asked and to the recording."""
    with Loopback("one") as server, use_cassette(path, "new", http=True):
        ask(client(server.url), "born in 1990")
    with use_cassette(path, http=True) as cassette, pytest.raises(CassetteMiss) as caught:
        ask(client(), "born in 1991")
    text = str(caught.value)
    assert caught.value.causes == ("a message (user): '1990' -> '1991'",)
    assert "-born in 1990\n+born in 1991\n" in text
    assert "test_http.py:" in text
    assert "calls.yaml:" in text
    assert cassette.misses == [caught.value]


@pytest.mark.parametrize(
    ("changed", "cause"),
    [
        ({"model": "gpt-5"}, "the model: openai:gpt-5-mini -> openai:gpt-5"),
        ({"temperature": 1.0}, "the setting temperature was added"),
        ({"stream": True}, "the setting stream was added"),
        ({"messages": [{"role": "user", "content": "hello", "name": "Ann"}]}, "the HTTP call (.body.messages[0])"),
        (
            {"tools": [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]},
            "the tool look was added",
        ),
    ],
)
def test_a_miss_names_what_changed(path: Path, changed: dict[str, Any], cause: str) -> None:
    """Model, setting, tool, or a field that no message shows: the miss says which."""
    sent: dict[str, Any] = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "hello"}]}
    with Loopback("one") as server, use_cassette(path, "new", http=True):
        client(server.url).chat.completions.create(**sent)
    with use_cassette(path, http=True), pytest.raises(CassetteMiss) as caught:
        client().chat.completions.create(**{**sent, **changed})
    assert caught.value.causes == (cause,)
    assert "--- recorded\n+++ now\n" in str(caught.value)


def test_no_retry_loop_swallows_a_miss(path: Path) -> None:
    """Neither the client's retries nor `except Exception` catch a miss, and nothing is sent."""
    handled = []

    def careless(client: OpenAI) -> None:
        try:
            ask(client, "x")
        except Exception as error:  # noqa: BLE001  # what programs do, and what a miss has to get past
            handled.append(error)

    with Loopback() as server, use_cassette(path, "replay", http=True), pytest.raises(CassetteMiss):
        careless(client(server.url, retries=5))
    assert server.requests == []
    assert handled == []


def test_a_damaged_recording_is_not_replayed(path: Path) -> None:
    """An edited answer is refused with an error that the client passes on unchanged."""
    with Loopback("one") as server, use_cassette(path, "new", http=True):
        ask(client(server.url), "x")
    path.write_text(path.read_text().replace("          one\n", "          two\n"))
    with use_cassette(path, "replay", http=True), pytest.raises(CassetteError, match="digest"):
        ask(client(), "x")


# Whose call it is


@llm_strategy("openai:gpt-5-mini")
def double(number: int) -> int:
    """Double a number."""
    raise NotImplementedError


@llm_strategy("openai:gpt-5-mini")
async def triple(number: int) -> int:
    """Triple a number."""
    raise NotImplementedError


def test_the_decorator_logs_its_own_call(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A decorated function's call is recorded once, as its own; a direct one beside it as HTTP."""
    with Loopback('{"return_value": 4}', '{"return_value": 9}', "direct") as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "dummy")
        with use_cassette(path, "new", http=True) as cassette:
            assert double(2) == 4
            assert asyncio.run(triple(3)) == 9
            assert ask(client(server.url), "x") == "direct"
    assert [call.function for call in cassette.calls] == ["double", "triple", None]
    assert path.read_text().count('\nkind: "http"\n') == 1
    with use_cassette(path, "replay", http=True):
        assert (double(2), asyncio.run(triple(3)), ask(client(), "x")) == (4, 9, "direct")


class OnlyAsync:
    """A model that has only an asynchronous client."""

    name = "openai:own"
    settings: ClassVar[dict[str, Any]] = {}
    recorded = True

    def __init__(self, url: str) -> None:
        self._url = url

    async def agenerate(self, request: Any) -> Any:
        from llm_strategy import Response

        async with AsyncOpenAI(base_url=self._url, api_key="dummy") as client:
            return Response(str(await aask(client, request.messages[-1].content)))


@contextmanager
def running(path: Path, mode: str) -> Iterator[CassetteScope]:
    """The scope of a test, as a test runner has it: threads of any kind find it."""
    session = Session(path.parent, mode=mode)
    opened = session.open(path, http=True)
    session.enter(opened)
    try:
        yield opened.scope
    finally:
        session.leave(opened)
        session.close(opened, passed=True)
        session.finish()


def test_a_model_in_a_loop_of_its_own_is_logged_once(path: Path) -> None:
    """A model that is asked in another thread's event loop makes no call of its own either."""
    with Loopback('{"return_value": 4}') as server, running(path, "new") as scope:
        halve = llm_strategy(OnlyAsync(server.url))(half)

        async def main() -> int:
            return halve(8)

        assert asyncio.run(main()) == 4
    assert [call.function for call in scope.calls] == ["half"]


class Eager:
    """A model whose making asks its server, and whose stream has asked before the first piece is wanted."""

    name = "openai:own"
    settings: ClassVar[dict[str, Any]] = {}
    recorded = True

    def __init__(self, url: str) -> None:
        self._url = url
        ask(client(url), "are you there?")

    def generate(self, request: Any) -> Any:
        from llm_strategy import Response

        return Response(str(ask(client(self._url), request.messages[-1].content)))

    def stream(self, request: Any) -> Any:
        return iter([self.generate(request)])


def tell(number: int) -> Iterator[str]:
    """Tell a story about a number."""
    raise NotImplementedError


def test_what_a_model_asks_while_it_is_made_is_no_call(path: Path) -> None:
    """Nor what a stream asks when it is begun: that is part of the call of the function."""
    said = ("yes", '{"return_value": 4}', "yes", "Once upon a time.")
    with Loopback(*said) as server, use_cassette(path, "new", http=True) as cassette:
        assert llm_strategy(lambda: Eager(server.url), name="openai:own")(half)(8) == 4
        assert "".join(llm_strategy(lambda: Eager(server.url), name="openai:own")(tell)(8)) == "Once upon a time."
    assert [call.function for call in cassette.calls] == ["half", "tell"]


def half(number: int) -> int:
    """Halve a number."""
    raise NotImplementedError


def test_threads_of_a_test(path: Path) -> None:
    """Equal and different requests of many threads at once replay the answers that were recorded for them."""
    numbers = iter(range(100))

    def reply(seen: Any) -> str:
        return f"{seen.body['messages'][-1]['content']}: {next(numbers)}"

    texts = [str(number % 4) for number in range(24)]
    with Loopback(*[reply] * 24) as server, running(path, "new"), ThreadPoolExecutor(8) as threads:
        recorded = list(threads.map(lambda text: ask(client(server.url), text), texts))
    assert len(Cassette(path)) == len(set(recorded)) == 24
    with running(path, "replay") as scope, ThreadPoolExecutor(8) as threads:
        replayed = list(threads.map(lambda text: ask(client(), text), texts))
    assert sorted(map(str, replayed)) == sorted(map(str, recorded))
    assert [str(said)[0] for said in replayed] == texts
    assert scope.misses == []


def test_other_traffic_passes(path: Path) -> None:
    """What goes elsewhere, or is answered in the process, is neither recorded nor replayed."""
    seen = []

    def answer(handler: BaseHTTPRequestHandler) -> tuple[dict[str, str], bytes]:
        seen.append(handler.path)
        return {"Content-Type": "application/json"}, b'{"rows": []}'

    def mocked(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, json=completion("from a mock").body)

    with serving(answer) as url, use_cassette(path, "replay", http=True) as cassette:
        assert httpx.get(f"{url}/rows").json() == {"rows": []}
        assert httpx2.post(f"{url}/rows", json={"messages": []}).json() == {"rows": []}
        with httpx2.stream("GET", f"{url}/rows") as response:
            assert json.loads(b"".join(response.iter_raw())) == {"rows": []}
        with urllib.request.urlopen(f"{url}/v1/chat/completions") as response:
            assert json.load(response) == {"rows": []}
        transport = httpx2.MockTransport(mocked)
        mock = OpenAI(base_url=NOWHERE, api_key="dummy", http_client=httpx2.Client(transport=transport))
        assert ask(mock, "x") == "from a mock"
    assert len(seen) == 4
    assert len(cassette.calls) == 0
    assert not path.exists()


def test_outside_of_a_block_calls_pass(path: Path, tmp_path: Path) -> None:
    """A block without http=True takes no HTTP calls in, even while another thread's block does."""
    with Loopback("live") as server:
        entered, done = threading.Event(), threading.Event()

        def other() -> None:
            with use_cassette(tmp_path / "other.yaml", "replay", http=True):
                entered.set()
                done.wait(30)

        thread = threading.Thread(target=other)
        thread.start()
        entered.wait(30)
        with use_cassette(path, "replay") as cassette:
            assert ask(client(server.url), "x") == "live"
        done.set()
        thread.join()
    assert len(cassette.calls) == 0


def methods() -> list[Any]:
    pools = [
        pool for package in (httpcore, httpcore2) for pool in (package.ConnectionPool, package.AsyncConnectionPool)
    ]
    return [vars(pool).get("handle_request", vars(pool).get("handle_async_request")) for pool in pools]


def test_nothing_stays_patched(path: Path) -> None:
    """The clients are patched by the first block and as they were after the last, however blocks overlap."""
    before = methods()
    with use_cassette(path, "replay", http=True):
        inside = methods()
        assert not set(inside) & set(before)
        with use_cassette(path, "replay", http=True):
            assert methods() == inside
        assert methods() == inside
    with pytest.raises(ZeroDivisionError), use_cassette(path, "replay", http=True):
        _ = 1 / 0
    assert methods() == before


def test_overlapping_blocks_do_not_mix(session: Session, tmp_path: Path) -> None:
    """Blocks that overlap in eight threads record and replay their own calls each, and leave nothing patched."""
    before = methods()
    together = threading.Barrier(8)

    def run(number: int, url: str, mode: str) -> list[str | None]:
        together.wait(30)
        with use_cassette(tmp_path / f"{number}.yaml", mode, http=True) as cassette:
            together.wait(30)
            said = [ask(client(url), f"{number}.{at}") for at in range(5)]
            assert [call.request.messages[-1].content for call in cassette.calls] == [
                f"{number}.{at}" for at in range(5)
            ]
            if number % 2:
                together.wait(30)
        if not number % 2:
            together.wait(30)
        return said

    with Loopback(*[asked("to")] * 40) as server, ThreadPoolExecutor(8) as threads:
        recorded = list(threads.map(lambda number: run(number, server.url, "new"), range(8)))
    assert len(server.requests) == 40
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(lambda number: run(number, NOWHERE, "replay"), range(8))) == recorded
    assert recorded == [[f"to {number}.{at}" for at in range(5)] for number in range(8)]
    assert all(len(Cassette(tmp_path / f"{number}.yaml")) == 5 for number in range(8))
    assert methods() == before


def test_nested_blocks(path: Path, tmp_path: Path) -> None:
    """The innermost block with http=True takes a call; logs around it get it too."""
    with Loopback("inner", "outer") as server, use_cassette(path, "new", http=True) as outer, call_log() as heard:
        with use_cassette(tmp_path / "inner.yaml", "new", http=True) as inner:
            ask(client(server.url), "x")
        with use_cassette(tmp_path / "none.yaml", "new"), call_log() as near:
            ask(client(server.url), "y")
    assert [call.response.content for call in inner.calls] == ["inner"]
    assert [call.response.content for call in outer.calls] == ["outer"]
    assert [call.response.content for call in heard] == ["inner", "outer"]
    assert [call.response.content for call in near] == ["outer"]
    assert [call.response.content for call in Cassette(path)] == ["outer"]
    assert not (tmp_path / "none.yaml").exists()


def test_asynchronous_clients(path: Path) -> None:
    """The asynchronous client is recorded and replayed too, twenty calls at once."""

    async def main(url: str) -> list[str | None]:
        async with AsyncOpenAI(base_url=url, api_key="dummy") as client:
            return await asyncio.gather(*(aask(client, str(number % 10)) for number in range(20)))

    with Loopback(*[asked("to")] * 20) as server, use_cassette(path, "new", http=True):
        recorded = asyncio.run(main(server.url))
    assert recorded == [f"to {number % 10}" for number in range(20)]
    with use_cassette(path, "replay", http=True) as cassette:
        assert asyncio.run(main(NOWHERE)) == recorded
    assert len(cassette.calls) == len(Cassette(path)) == 20


# Streams


def test_a_stream_replays_the_same_chunks(path: Path) -> None:
    """A streamed answer is stored event by event, and comes back with the same chunks, sync and async."""
    sent: Any = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True}

    async def chunks(url: str) -> list[Any]:
        async with AsyncOpenAI(base_url=url, api_key="dummy") as client:
            return [chunk async for chunk in await client.chat.completions.create(**sent)]

    with Loopback("streamed reply", "streamed again") as server, use_cassette(path, "new", http=True) as cassette:
        recorded = list(client(server.url).chat.completions.create(**sent))
        recorded_async = asyncio.run(chunks(server.url))
    assert "  events:\n  - data:\n" in path.read_text()
    assert [call.response.content for call in cassette.calls] == ["streamed reply", "streamed again"]
    assert cassette.calls[0].response.usage == Usage(11, 7)
    with use_cassette(path, "replay", http=True):
        assert list(client().chat.completions.create(**sent)) == recorded
        assert asyncio.run(chunks(NOWHERE)) == recorded_async


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b'{"a":1.0,"b":[null,true,"\xc3\xa9"]}'),
        ("application/json", b'{"a": "\\u00e9", "b": 1e-07}'),
        ("application/json", b'{\n  "a": [\n    1,\n    {}\n  ]\n}\n'),
        ("application/json", b'{"a":1.50, "b":0.0000001,"a":2}'),
        ("application/json", b'{"base64": "x"}'),
        ("application/json", b'"text"'),
        ("text/html", b"<h1>502</h1>\r\n"),
        ("image/png", b"\x89PNG\r\n\xff\x00"),
        ("text/plain", b""),
        ("text/event-stream", b'data: {"a":1}\n\ndata: [DONE]\n\n'),
        ("text/event-stream; charset=utf-8", b'event: x\nid: 7\nretry: 10\ndata: {"a": 1}\n\n: comment\n\n'),
        ("text/event-stream", b'event: x\ndata: {"a":1e-7}   \n\ndata: two\ndata: lines\n\ndata:tight\n\n'),
        ("text/event-stream", b'data: {"a":1}\n\ndata: {"cut'),
        ("text/event-stream", b'data: {"a":1}\r\n\r\ndata: [DONE]\r\n\r\n'),
        ("text/event-stream", b'retry: 007\ndata: {"a":1}\n\n\n\n'),
    ],
)
def test_bodies_come_back_exactly(content_type: str, body: bytes) -> None:
    """Whatever an answer's body is, every byte comes back from what is stored of it."""
    assert answer_bytes(json.loads(json.dumps(pack_answer(body, content_type)))) == body


def test_compressed_answers(path: Path) -> None:
    """A compressed answer is stored readably, and replayed as the client read it."""
    body = json.dumps(completion("pressed").body).encode()
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    with serving(lambda _: (headers, gzip.compress(body))) as url, use_cassette(path, "new", http=True):
        assert ask(client(f"{url}/v1"), "x") == "pressed"
    assert "            pressed\n" in path.read_text() or "          pressed\n" in path.read_text()
    with use_cassette(path, "replay", http=True):
        assert ask(client(), "x") == "pressed"


# Errors


def test_an_error_that_a_retry_mended_is_left_out(path: Path) -> None:
    """A 429, a 500 and a broken connection before a 200: only the 200 is recorded, as one call."""
    replies = (SLOW_DOWN, BROKEN, "done", SLOW_DOWN, HANG_UP, "again")
    with Loopback(*replies) as server, use_cassette(path, "new", http=True) as cassette:
        assert [ask(client(server.url), text) for text in "ab"] == ["done", "again"]
    assert len(server.requests) == 6
    assert [call.response.content for call in cassette.calls] == ["done", "again"]
    with use_cassette(path, "replay", http=True):
        assert [ask(client(), text) for text in "ab"] == ["done", "again"]
    assert "Slow down" not in path.read_text()


def test_an_error_that_stayed_is_replayed_without_waiting(path: Path, session: Session) -> None:
    """An error that the block lived with is recorded, named, and raised again at once, by clients that retry too."""
    with Loopback(*[SLOW_DOWN] * 3) as server, use_cassette(path, "new", http=True) as cassette:
        with pytest.raises(RateLimitError, match="Slow down"):
            ask(client(server.url), "x")
        assert [call.response.finish_reason for call in cassette.calls] == ["error"]
    assert len(server.requests) == 3
    assert "was answered 429, and is recorded with this error" in session.account.notes[0]
    assert len(Cassette(path)) == 1
    with use_cassette(path, "replay", http=True) as cassette, pytest.raises(RateLimitError, match="Slow down"):
        ask(client(retries=5), "x")
    assert len(cassette.calls) == 1


def test_an_error_that_fails_the_block_is_not_recorded(path: Path) -> None:
    """A refused key leaves no trace in the cassette, so that the next recording with a good one asks."""
    refusing = Loopback(failure(401, "No such key"))
    with refusing as server, pytest.raises(AuthenticationError), use_cassette(path, "new", http=True):
        ask(client(server.url), "x")
    assert not path.exists()
    with Loopback("fine") as server, use_cassette(path, "new", http=True):
        assert ask(client(server.url), "x") == "fine"


def test_a_programs_own_second_try_is_another_call(path: Path) -> None:
    """Where the program itself asks again, the error and the answer are replayed in their order."""

    def tries(url: str) -> list[str | None]:
        said = []
        for _ in range(2):
            try:
                said.append(ask(client(url, retries=0), "x"))
            except InternalServerError as error:
                said.append(str(error.status_code))
        return said

    with Loopback(BROKEN, "better") as server, use_cassette(path, "new", http=True):
        assert tries(server.url) == ["500", "better"]
    with use_cassette(path, "replay", http=True):
        assert tries(NOWHERE) == ["500", "better"]


# What is stored


def test_no_credential_is_stored(path: Path) -> None:
    """Authorization and cookies are not stored, and a key that the answer repeats is replaced."""
    key = "a-key-of-no-known-shape-0123456789"
    reply = Reply(completion(f"your key is {key}").body, headers={"Set-Cookie": "session=1234567890"})
    with Loopback(reply) as server, use_cassette(path, "new", http=True):
        assert ask(client(server.url, key=key), "x") == f"your key is {key}"
    text = path.read_text()
    assert "your key is <credential>" in text
    assert not any(word in text.lower() for word in (key, "authorization", "cookie", "user-agent", "stainless"))


def test_a_known_secret_is_not_sent(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A prompt that holds a credential of the environment is refused before it is sent."""
    monkeypatch.setenv("SHOP_PASSWORD", "correct horse battery")
    with Loopback("x") as server, use_cassette(path, "new", http=True):
        with pytest.raises(SecretFound, match=r"role user.*SHOP_PASSWORD"):
            ask(client(server.url), "log in with correct horse battery")
        with pytest.raises(SecretFound, match=r"body of an HTTP call.*SHOP_PASSWORD"):
            ask(client(server.url), "log in", user="correct horse battery")
        with pytest.raises(SecretFound, match="the credential that it is sent with"):
            ask(client(server.url, key="a-key-of-no-known-shape"), "log in", user="a-key-of-no-known-shape")
    assert server.requests == []
    assert not path.exists()


def test_the_key_is_the_same_on_other_machines(path: Path) -> None:
    """Neither the order of keys, home folders, hosts nor ids of tool calls change a request's key."""

    def sent(home: str, call: str) -> Any:
        called = {"id": call, "type": "function", "function": {"name": "ls", "arguments": "{}"}}
        return [
            {"role": "user", "content": f"What is in /home/{home}/shop?"},
            {"role": "assistant", "content": None, "tool_calls": [called]},
            {"tool_call_id": call, "content": "lamp", "role": "tool"},
        ]

    with Loopback("a lamp") as server, use_cassette(path, "new", http=True):
        client(server.url).chat.completions.create(model="m", messages=sent("ann", "call_x7f"))
    assert "/home/ann" not in path.read_text()
    with use_cassette(path, "replay", http=True):
        body = {"messages": [dict(reversed(message.items())) for message in sent("bob", "call_000")], "model": "m"}
        answer = httpx2.post(f"{NOWHERE}/chat/completions", json=body)
    assert answer.json()["choices"][0]["message"]["content"] == "a lamp"


def test_unknown_endpoints_of_a_provider(path: Path) -> None:
    """At a provider's host, what is no chat is recorded as plain HTTP; a query counts where there is no body."""
    with use_cassette(path, "replay", http=True), pytest.raises(CassetteMiss) as caught:
        httpx2.get("https://api.openai.com/v1/models?after=b")
    assert caught.value.request is not None
    assert caught.value.request.messages[0].content == "GET /v1/models"


# In pytest


SUITE = """
import pytest
from openai import OpenAI

pytestmark = pytest.mark.llm_cassette(http=True)


def ask(text):
    completion = OpenAI().chat.completions.create(model="m", messages=[{"role": "user", "content": text}])
    return completion.choices[0].message.content


def test_two(llm_calls):
    assert [ask("a"), ask("b")] == ["one", "two"]
    assert [call.request.messages[-1].content for call in llm_calls] == ["a", "b"]


def test_swallowed():
    try:
        ask("c")
    except Exception:
        pass
"""


def test_the_marker(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """`llm_cassette(http=True)` records a test's direct calls, and replays them without server, with any key."""
    options = ("-p", "no:langsmith_plugin", "-p", "no:randomly", "-p", "no:cacheprovider")
    pytester.makepyfile(test_direct=SUITE)
    monkeypatch.setenv("OPENAI_API_KEY", "dummy")
    with Loopback("one", "two", "three") as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        pytester.runpytest_subprocess(*options, "--llm-record").assert_outcomes(passed=2)
    pytester.runpytest_subprocess(*options).assert_outcomes(passed=2)
    suite = pytester.path / "test_direct.py"
    suite.write_text(suite.read_text().replace('ask("c")', 'ask("d")'))
    result = pytester.runpytest_subprocess(*options)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*no recording answers this call of a model (test_direct.py:*", "-c", "+d"])
