"""Calls of aiohttp, recorded and replayed: every way to send, to read and to stop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from llm_strategy import Cassette, CassetteMiss, use_cassette
from llm_strategy.session import Session
from tests.llm_strategy.loopback import HANG_UP, Loopback, Reply, completion, failure, streaming
from tests.llm_strategy.providers import Provider

PATH = "/chat/completions"
NOWHERE = "http://127.0.0.1:9/v1"
QUESTION = {"model": "m", "messages": [{"role": "user", "content": "How much is 6 * 7?"}]}
STREAMED = {**QUESTION, "stream": True}
TIME = 20


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cassette in a session of the test's own: what another test has recorded is not found."""
    monkeypatch.delenv("LLM_STRATEGY_RECORD", raising=False)
    session = Session(tmp_path)
    yield session.folder / "calls.yaml"
    session.finish()


Read = Callable[[aiohttp.ClientResponse], Awaitable[Any]]


async def post(url: str, read: Read, body: Any = QUESTION, **options: Any) -> Any:
    """What is read of the answer to a request."""
    async with (
        aiohttp.ClientSession(**options) as session,
        session.post(url + PATH, json=body) as answer,
        asyncio.timeout(TIME),
    ):
        return await read(answer)


async def read_json(answer: aiohttp.ClientResponse) -> Any:
    return await answer.json()


def both(path: Path, reply: Any, ask: Callable[[str], Awaitable[Any]]) -> tuple[Any, Any]:
    """What a function of the server's address gives while it is recorded, and in replay."""

    async def asking(url: str) -> Any:
        return await ask(url)

    with Loopback(reply) as server, use_cassette(path, "new", http=True):
        recorded = asyncio.run(asking(server.url))
    assert len(server.requests) == 1
    with use_cassette(path, http=True):
        return recorded, asyncio.run(asking(NOWHERE))


# Reading


async def _all(pieces: Any) -> list[Any]:
    return [piece async for piece in pieces]


async def _head(answer: aiohttp.ClientResponse) -> Any:
    return answer.status, answer.reason, answer.ok, answer.content_type, answer.method, answer.history


async def _by_hand(answer: aiohttp.ClientResponse) -> Any:
    content = answer.content
    return await content.readexactly(5), await content.readuntil(b":"), await content.read(), content.at_eof()


async def _after_the_end(answer: aiohttp.ClientResponse) -> Any:
    await answer.content.wait_eof()
    return answer.content.is_eof(), await answer.read(), await answer.read()


READERS: dict[str, Read] = {
    "read": lambda answer: answer.read(),
    "text": lambda answer: answer.text(),
    "iter_any": lambda answer: _all(answer.content.iter_any()),
    "iter_chunked": lambda answer: _all(answer.content.iter_chunked(7)),
    "iter_chunks": lambda answer: _all(answer.content.iter_chunks()),
    "lines": lambda answer: _all(answer.content),
    "readline": lambda answer: answer.content.readline(),
    "by hand": _by_hand,
    "after the end": _after_the_end,
    "head only": _head,
}


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("reader", READERS)
def test_every_way_to_read(path: Path, reader: str, streams: bool) -> None:
    """Whichever method reads an answer, it gives the same in replay."""
    said = streaming("It ", "is ", "42.") if streams else completion("It is 42. ☕")
    recorded, replayed = both(path, said, lambda url: post(url, READERS[reader]))
    assert recorded == replayed
    assert recorded
    assert len(Cassette(path)) == 1


def test_an_answer_is_what_aiohttp_makes(path: Path) -> None:
    """Of the class that the session wants, with the request that it answers, and with a long line that aiohttp reads."""

    class Own(aiohttp.ClientResponse):
        """What a program may hand to its session."""

    async def read(answer: aiohttp.ClientResponse) -> Any:
        assert type(answer) is Own
        assert answer.request_info.method == "POST"
        assert "text" in repr(answer) or "json" in repr(answer)
        with pytest.raises(aiohttp.ContentTypeError):
            await answer.json(content_type="text/yaml")
        return answer.url.path, len(await answer.content.readline())

    said = completion("long " * 100_000)
    recorded, replayed = both(path, said, lambda url: post(url, read, response_class=Own))
    assert recorded == replayed


# Streams


def test_the_first_event_arrives_before_the_last_was_sent(path: Path) -> None:
    """While recording, an event reaches its reader as soon as it is there."""
    seen = threading.Event()
    arrived = []

    async def read(answer: aiohttp.ClientResponse) -> list[bytes]:
        first = await answer.content.readany()
        seen.set()
        return [first, *await _all(answer.content.iter_any())]

    said = streaming("It ", lambda: arrived.append(seen.wait(TIME)), "is 42.")
    with Loopback(said) as server, use_cassette(path, "new", http=True):
        recorded = asyncio.run(post(server.url, read, STREAMED))
    assert arrived == [True]
    with use_cassette(path, http=True):
        assert asyncio.run(post(NOWHERE, read, STREAMED)) == recorded


def test_a_stream_that_is_closed_early(path: Path) -> None:
    """What was read of a stream is replayed; who reads on gets a miss."""
    held = threading.Event()

    async def read(answer: aiohttp.ClientResponse) -> list[bytes]:
        return [await answer.content.readany(), await answer.content.readany()]

    said = streaming("It ", lambda: held.wait(TIME), "is 42.")
    with Loopback(said) as server, use_cassette(path, "new", http=True):
        recorded = asyncio.run(post(server.url, read, STREAMED))
        held.set()
    assert "closed_early: true" in path.read_text("utf-8")
    with use_cassette(path, http=True):
        assert asyncio.run(post(NOWHERE, read, STREAMED)) == recorded
    with use_cassette(path, http=True), pytest.raises(CassetteMiss):
        asyncio.run(post(NOWHERE, lambda answer: answer.read(), STREAMED))


def test_a_stream_that_breaks(path: Path) -> None:
    """A connection that is lost in the middle of a stream is lost there in replay, with the same error."""

    async def read(answer: aiohttp.ClientResponse) -> list[bytes]:
        whole = [await answer.content.readany() for _ in range(3)]
        for _ in range(2):
            with pytest.raises(aiohttp.ClientPayloadError):
                await answer.content.readany()
        return whole

    recorded, replayed = both(path, streaming("It ", "is ", HANG_UP), lambda url: post(url, read, STREAMED))
    assert recorded == replayed


def test_a_reader_that_gives_up_can_come_back(path: Path) -> None:
    """A read that is cancelled takes nothing out of the stream, as it is with aiohttp itself."""
    held = threading.Event()

    async def read(answer: aiohttp.ClientResponse) -> list[bytes]:
        pieces = [await answer.content.readany(), await answer.content.readany()]
        waiting = asyncio.ensure_future(answer.content.readany())
        await asyncio.sleep(0)
        # In replay there is nothing to wait for.
        if waiting.cancel():
            with pytest.raises(asyncio.CancelledError):
                await waiting
            held.set()
        else:
            pieces.append(waiting.result())
        return [*pieces, *await _all(answer.content.iter_any())]

    said = streaming("It ", lambda: held.wait(TIME), "is 42.")
    recorded, replayed = both(path, said, lambda url: post(url, read, STREAMED))
    assert recorded == replayed
    assert recorded[-1] == b"data: [DONE]\n\n"


def test_a_stopped_task_leaves_no_answer(path: Path) -> None:
    """What a cancelled task was still waiting for is not recorded, and asked for again."""
    asked, held = threading.Event(), threading.Event()

    async def give_up(url: str) -> None:
        task = asyncio.ensure_future(post(url, read_json))
        assert await asyncio.to_thread(asked.wait, TIME)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    def slow(_seen: Any) -> Reply:
        asked.set()
        held.wait(TIME)
        return completion("late")

    with Loopback(slow, "42") as server, use_cassette(path, "new", http=True):
        asyncio.run(give_up(server.url))
        held.set()
        recorded = asyncio.run(post(server.url, read_json))
    assert len(Cassette(path)) == 1
    with use_cassette(path, http=True):
        assert asyncio.run(post(NOWHERE, read_json)) == recorded


def test_a_session_that_is_closed_first(path: Path) -> None:
    """An answer that had arrived can still be read when its session is closed."""

    async def ask(url: str) -> bytes:
        async with aiohttp.ClientSession() as session:
            answer = await session.post(url + PATH, json=QUESTION)
            first = await answer.content.read(10)
        return first + await answer.read()

    recorded, replayed = both(path, completion("42"), ask)
    assert recorded == replayed


def test_a_forgotten_answer(path: Path) -> None:
    """An answer that is never read nor closed holds nothing back: the next equal call is made and recorded."""

    async def ask(url: str) -> Any:
        async with aiohttp.ClientSession() as session:
            await session.post(url + PATH, json=QUESTION)
            async with session.post(url + PATH, json=QUESTION) as answer:
                return await answer.json()

    with Loopback("1", "2") as server, use_cassette(path, "new", http=True):
        recorded = asyncio.run(ask(server.url))
    assert len(Cassette(path)) == 2
    with use_cassette(path, http=True):
        assert asyncio.run(ask(NOWHERE)) == recorded


# What aiohttp does around a call


def test_raise_for_status(path: Path) -> None:
    """A session that raises for errors raises in replay; the error is recorded with what the server said."""

    async def ask(url: str) -> tuple[int, str]:
        with pytest.raises(aiohttp.ClientResponseError) as caught:
            await post(url, read_json, raise_for_status=True)
        return caught.value.status, caught.value.message

    recorded, replayed = both(path, failure(404, "No such model"), ask)
    assert recorded == replayed == (404, "Not Found")
    assert "No such model" in path.read_text("utf-8")


def test_redirects(path: Path) -> None:
    """A redirect is followed, and stands in the history, as it did."""

    async def read(answer: aiohttp.ClientResponse) -> Any:
        return [past.status for past in answer.history], answer.url.path, await answer.json()

    with Loopback(Reply({}, 307, {"Location": f"/v2{PATH}"}), "42") as server, use_cassette(path, "new", http=True):
        recorded = asyncio.run(post(server.url, read))
    assert recorded[:2] == ([307], f"/v2{PATH}")
    with use_cassette(path, http=True):
        assert asyncio.run(post(NOWHERE, read)) == recorded


def test_middlewares_base_url_and_traces(path: Path) -> None:
    """A session's own middlewares see each call and each answer; what they answer themselves is not recorded."""
    seen: list[str] = []

    async def watch(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        request.headers["Authorization"] = "Bearer secret-of-the-tests-1"
        seen.append("asked")
        answer = await handler(request)
        seen.append(f"answered {answer.status}")
        return answer

    traced = aiohttp.TraceConfig()

    async def ended(_session: Any, _context: Any, params: Any) -> None:
        seen.append(f"traced {params.response.status}")

    traced.on_request_end.append(ended)

    async def ask(url: str) -> Any:
        options: Any = {"base_url": f"{url}/", "middlewares": [watch], "trace_configs": [traced]}
        async with aiohttp.ClientSession(**options) as session, session.post(PATH[1:], json=QUESTION) as answer:
            return await answer.json()

    recorded, replayed = both(path, completion("42"), ask)
    assert recorded == replayed
    assert seen == ["asked", "answered 200", "traced 200"] * 2
    assert "secret-of" not in path.read_text("utf-8")


def test_a_middleware_that_answers(path: Path) -> None:
    """A call that a middleware, or what stands in the method's place, answers in this process is not recorded."""

    async def mocked(*_: Any, **__: Any) -> Any:
        raise aiohttp.ClientConnectionError("mocked")

    async def ask(**options: Any) -> None:
        with pytest.raises(aiohttp.ClientConnectionError, match="mocked"):
            await post(NOWHERE, read_json, **options)

    with use_cassette(path, "new", http=True) as cassette:
        asyncio.run(ask(middlewares=[mocked]))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(aiohttp.ClientSession, "_request", mocked)
            asyncio.run(ask())
    assert list(cassette.calls) == []


def test_a_session_made_before(path: Path) -> None:
    """A session that was open before the block is recorded, and passes untouched after it."""

    async def ask() -> None:
        async with aiohttp.ClientSession() as session:
            with use_cassette(path, "new", http=True):
                async with session.post(server.url + PATH, json=QUESTION) as answer:
                    assert answer.status == 200
            async with session.post(server.url + PATH, json=QUESTION) as answer:
                assert answer.status == 200

    with Loopback("1", "2") as server:
        asyncio.run(ask())
    assert (len(server.requests), len(Cassette(path))) == (2, 1)


def test_a_web_socket_passes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A web socket is no call that could be recorded: it reaches its server, which refuses it here."""
    monkeypatch.setenv("LLM_STRATEGY_HTTP_HOSTS", "127.0.0.1")

    async def ask(url: str) -> int:
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                await session.ws_connect(f"{url}/v1/realtime")
        return caught.value.status

    with Provider(failures=[403]) as server, use_cassette(path, "new", http=True) as cassette:
        assert asyncio.run(ask(server.url)) == 403
    assert list(cassette.calls) == []


def test_an_old_aiohttp_is_refused(path: Path) -> None:
    """Where aiohttp is too old to have middlewares, a call to a model says so; other calls pass."""

    async def ask(url: str) -> Any:
        async with aiohttp.ClientSession() as session:
            del session._middlewares
            async with session.post(url, json=QUESTION, middlewares=()) as answer:
                return answer.status

    with Loopback(Reply({"rows": 1})) as server, use_cassette(path, "new", http=True):
        assert asyncio.run(ask(f"{server.url}/query")) == 200
        with pytest.raises(ImportError, match=r"needs aiohttp 3\.12 or newer, and 3.* is installed"):
            asyncio.run(ask(server.url + PATH))
    assert len(server.requests) == 1
