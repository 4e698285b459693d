"""Streamed answers over HTTP: handed on while they are recorded, closed early, broken off, and replayed in their pieces."""

from __future__ import annotations

import asyncio
import gc
import gzip
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import brotli
import httpx
import httpx2
import pytest
import zstandard
from openai import AsyncOpenAI, OpenAI

from llm_strategy import Cassette, CassetteMiss, use_cassette
from llm_strategy.errors import ModelError
from llm_strategy.http.decoding import decoder
from llm_strategy.session import Session
from tests.llm_strategy.loopback import HANG_UP, Loopback, Reply, streaming

NOWHERE = "http://127.0.0.1:9/v1"
BODY: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True}


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name in ("LLM_STRATEGY_RECORD", "LLM_STRATEGY_REPLAY_DELAY"):
        monkeypatch.delenv(name, raising=False)
    session = Session(tmp_path)
    yield tmp_path / "calls.yaml"
    session.finish()


def openai(url: str = NOWHERE) -> OpenAI:
    return OpenAI(base_url=url, api_key="dummy", max_retries=0)


def raw(package: Any, url: str = NOWHERE) -> Any:
    return package.stream("POST", f"{url}/chat/completions", json=BODY)


def pieces(package: Any, url: str = NOWHERE) -> list[bytes]:
    with raw(package, url) as response:
        return list(response.iter_raw())


async def apieces(package: Any, url: str = NOWHERE) -> list[bytes]:
    async with package.AsyncClient() as client, client.stream("POST", f"{url}/chat/completions", json=BODY) as response:
        return [piece async for piece in response.aiter_raw()]


class Gate:
    """Holds a server up until its client has gone through: no clock says which of them is first."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.held = False

    def wait(self) -> None:
        self.held = self._event.wait(30)

    def open(self) -> None:
        self._event.set()


# While recording


@pytest.mark.parametrize("package", [httpx, httpx2])
def test_the_first_event_is_there_before_the_last_is_sent(path: Path, package: Any) -> None:
    """The server sends the second half of its answer only when its client has read the first."""
    gate = Gate()
    with (
        Loopback(streaming("a", gate.wait, "b")) as server,
        use_cassette(path, "new", http=True),
        raw(package, server.url) as response,
    ):
        arriving = response.iter_raw()
        got = [next(arriving), next(arriving)]
        assert b'"a"' in got[1]
        gate.open()
        got += arriving
    assert gate.held
    assert got[-1] == b"data: [DONE]\n\n"
    with use_cassette(path, "replay", http=True):
        assert pieces(package) == got


def test_the_first_event_is_there_before_the_last_is_sent_async(path: Path) -> None:
    """Nor does the asynchronous client of OpenAI wait for the end."""
    gate = Gate()

    async def texts(url: str) -> list[str | None]:
        async with AsyncOpenAI(base_url=url, api_key="dummy") as client:
            found = []
            async for chunk in await client.chat.completions.create(**BODY):
                found += [choice.delta.content for choice in chunk.choices if choice.delta.content]
                if found:
                    gate.open()
            return found

    with Loopback(streaming("a", gate.wait, "b")) as server, use_cassette(path, "new", http=True):
        assert asyncio.run(texts(server.url)) == ["a", "b"]
    assert gate.held
    with use_cassette(path, "replay", http=True):
        assert asyncio.run(texts(NOWHERE)) == ["a", "b"]


def test_the_call_is_on_disk_before_its_end_is_told(path: Path) -> None:
    """Who has got `data: [DONE]`, and nothing behind it, finds the whole call in the file."""
    with (
        Loopback(streaming("a", "b")) as server,
        use_cassette(path, "new", http=True),
        raw(httpx2, server.url) as response,
    ):
        for piece in response.iter_raw():
            assert path.exists() == (piece == b"data: [DONE]\n\n")
    (call,) = Cassette(path)
    assert call.response.content == "ab"


@pytest.mark.parametrize("cut", [1, 7, 1000])
def test_events_are_whole_however_they_arrive(path: Path, cut: int) -> None:
    """The same pieces are handed on whether the network brings one byte at a time, or all at once."""
    stream = b'data: {"a": 1}\n\n: ping\n\nevent: x\r\ndata: {"b": "\xc3\xa9"}\r\n\r\ndata: [DONE]\n\n'

    def incoming() -> Iterator[bytes]:
        for at in range(0, len(stream), cut):
            yield stream[at : at + cut]

    with Serving("text/event-stream", incoming) as url, use_cassette(path, "new", http=True):
        got = pieces(httpx2, url)
    assert got == [
        b'data: {"a": 1}\n\n',
        b": ping\n\n",
        b'event: x\r\ndata: {"b": "\xc3\xa9"}\r\n\r\n',
        b"data: [DONE]\n\n",
    ]
    with use_cassette(path, "replay", http=True):
        assert pieces(httpx) == got


def test_what_comes_with_the_end_is_kept(path: Path) -> None:
    """Some servers send something behind the event that ends a stream: it is replayed as it was handed on."""
    stream = b'data: {"a": 1}\n\ndata: [DONE]\n\n: bye\n\n\n'
    with Serving("text/event-stream", lambda: iter([stream])) as url, use_cassette(path, "new", http=True):
        assert b"".join(pieces(httpx2, url)) == stream
    with use_cassette(path, "replay", http=True):
        assert b"".join(pieces(httpx2)) == stream


class Serving(Loopback):
    """Sends bytes as they are given, each in a chunk of its own; yields its address."""

    def __init__(self, kind: str, incoming: Callable[[], Iterator[bytes]], **headers: str) -> None:
        super().__init__(Reply(chunks=incoming(), headers={"Content-Type": kind, **headers}))

    def __enter__(self) -> Any:
        return super().__enter__().url


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_compressed_streams_arrive_as_they_are_sent(path: Path, coding: str) -> None:
    """A compressed stream is handed on event by event, too, without its compression."""
    gate = Gate()

    def incoming() -> Iterator[bytes]:
        compress, flush, finish = compressor(coding)
        yield compress(b'data: {"a": 1}\n\n') + flush()
        gate.wait()
        yield compress(b"data: [DONE]\n\n") + finish()

    with (
        Serving("text/event-stream", incoming, **{"Content-Encoding": coding}) as url,
        use_cassette(path, "new", http=True),
        raw(httpx2, url) as response,
    ):
        arriving = response.iter_raw()
        assert next(arriving) == b'data: {"a": 1}\n\n'
        gate.open()
        assert list(arriving) == [b"data: [DONE]\n\n"]
    assert gate.held
    assert "base64" not in path.read_text()


def compressor(coding: str) -> tuple[Callable[[bytes], bytes], Callable[[], bytes], Callable[[], bytes]]:
    if coding == "br":
        stream = brotli.Compressor()
        return stream.process, stream.flush, stream.finish
    if coding == "zstd":
        packing = zstandard.ZstdCompressor().compressobj()
        return packing.compress, lambda: packing.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK), packing.flush
    shrinking = zlib.compressobj(wbits=31 if coding == "gzip" else 15)
    return shrinking.compress, lambda: shrinking.flush(zlib.Z_SYNC_FLUSH), shrinking.flush


@pytest.mark.parametrize(
    ("coding", "data"),
    [
        ("", b"text"),
        ("identity", b"text"),
        ("gzip", gzip.compress(b"te", mtime=0) + gzip.compress(b"xt", mtime=0) + bytes(5)),
        ("deflate", zlib.compress(b"text")),
        ("deflate", zlib.compress(b"text")[2:-4]),
        ("br", brotli.compress(b"text")),
        ("zstd", zstandard.compress(b"text")),
        ("gzip, br", brotli.compress(gzip.compress(b"text", mtime=0))),
    ],
)
def test_compressed_bodies_are_read(coding: str, data: bytes) -> None:
    """In every usual coding, and in several, byte by byte and at once."""
    for cut in (1, len(data)):
        reading = decoder(coding)
        assert reading is not None
        read = [reading.feed(data[at : at + cut]) for at in range(0, len(data), cut)]
        assert b"".join(read) + reading.end() == b"text"


def test_an_unknown_coding_is_kept_as_it_came(path: Path) -> None:
    """What nobody here can read is stored and replayed byte by byte, with the header that says what it is."""
    with (
        Serving("application/json", lambda: iter([b"\x00\xff"]), **{"Content-Encoding": "own"}) as url,
        use_cassette(path, "new", http=True),
        raw(httpx2, url) as response,
    ):
        assert list(response.iter_raw()) == [b"\x00\xff"]
        assert response.headers["content-encoding"] == "own"
    with use_cassette(path, "replay", http=True), raw(httpx2) as response:
        assert list(response.iter_raw()) == [b"\x00\xff"]
        assert response.headers["content-encoding"] == "own"


# Early ends


def test_a_stream_that_is_closed_early_is_kept_so(path: Path) -> None:
    """What was handed on is recorded, and replayed; who reads on then gets a miss that says so."""
    with (
        Loopback(streaming("a", "b")) as server,
        use_cassette(path, "new", http=True),
        raw(httpx2, server.url) as response,
    ):
        arriving = response.iter_raw()
        got = [next(arriving), next(arriving)]
    assert "\n  closed_early: true\n" in path.read_text()
    with use_cassette(path, "replay", http=True) as cassette:
        with raw(httpx2) as response:
            arriving = response.iter_raw()
            assert [next(arriving), next(arriving)] == got
            with pytest.raises(CassetteMiss, match=r"stopped reading after 2 pieces .*\n\n.*--llm-record=all"):
                next(arriving)
        assert len(cassette.misses) == 1


def test_closed_behind_its_last_event_a_stream_is_whole(path: Path) -> None:
    """Clients close a stream as soon as they have read `[DONE]`, before the connection says that it ends."""
    with Loopback(streaming("a")) as server, use_cassette(path, "new", http=True):
        for _ in openai(server.url).chat.completions.create(**BODY):
            pass
    assert "closed_early" not in path.read_text()
    assert 'data: "[DONE]"' in path.read_text()


def test_a_stream_ends_with_its_block(path: Path) -> None:
    """What had arrived by then is recorded; reading on afterwards is refused, since it would be lost."""
    with Loopback(streaming("a", "b")) as server:
        with use_cassette(path, "new", http=True):
            opened = openai(server.url).chat.completions.create(**BODY)
            next(opened)
        with pytest.raises(ModelError, match="has ended, and so has its recording"):
            list(opened)
    (call,) = Cassette(path)
    assert "closed_early: true" in path.read_text()
    assert call.response.content == ""


def test_a_stream_that_is_dropped_is_kept_as_far_as_it_was_read(path: Path) -> None:
    """Nobody closes it, and nobody can read it any more: the end of the block finds it."""
    server, client = Loopback(streaming("a", "b"), streaming("c")), httpx2.Client()
    with client, server, use_cassette(path, "new", http=True):
        for count in (2, 0):
            sent = client.build_request("POST", f"{server.url}/chat/completions", json=BODY)
            arriving = client.send(sent, stream=True).iter_raw()
            for _ in range(count):
                next(arriving)
            del arriving
            gc.collect()
    assert [call.response.content for call in Cassette(path)] == ["a", ""]
    assert path.read_text().count("closed_early: true") == 2


def test_a_cancelled_stream_is_kept_as_far_as_it_was_read(path: Path) -> None:
    """A task that is cancelled while it waits for the next event has what it got recorded."""
    gate = Gate()

    async def main(url: str) -> None:
        client = AsyncOpenAI(base_url=url, api_key="dummy")
        got = asyncio.Event()

        async def read() -> None:
            async for chunk in await client.chat.completions.create(**BODY):
                if chunk.choices[0].delta.content:
                    got.set()

        task = asyncio.create_task(read())
        await got.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        gate.open()
        await client.close()

    with Loopback(streaming("a", gate.wait, "b")) as server, use_cassette(path, "new", http=True):
        asyncio.run(main(server.url))
    (call,) = Cassette(path)
    assert call.response.content == "a"
    assert "closed_early: true" in path.read_text()


def test_an_answer_that_nobody_waited_for_is_none(path: Path) -> None:
    """A call that timed out in the program leaves nothing, and the next one takes its number."""
    gate = Gate()

    def slowly(_: Any) -> str:
        gate.wait()
        return "late"

    async def main(url: str) -> str | None:
        async with AsyncOpenAI(base_url=url, api_key="dummy") as client:
            sent = {**BODY, "stream": False}
            task = asyncio.create_task(client.chat.completions.create(**sent))
            while not server.requests:  # noqa: ASYNC110  # the server is no task
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            gate.open()
            return (await client.chat.completions.create(**sent)).choices[0].message.content

    with Loopback(slowly, "in time") as server, use_cassette(path, "new", http=True) as cassette:
        assert asyncio.run(main(server.url)) == "in time"
    assert [(call.occurrence, call.response.content) for call in cassette.calls] == [(1, "in time")]


# Breaks


@pytest.mark.parametrize("package", [httpx, httpx2])
def test_a_stream_that_breaks_breaks_again(path: Path, package: Any) -> None:
    """Its pieces are replayed, and then the same error, whichever kind of client had recorded it."""
    with (
        Loopback(streaming("a", HANG_UP)) as server,
        use_cassette(path, "new", http=True) as cassette,
        raw(httpx2, server.url) as response,
    ):
        arriving = response.iter_raw()
        got = [next(arriving), next(arriving)]
        with pytest.raises(httpx2.RemoteProtocolError):
            next(arriving)
    assert "broke off, and is recorded with this error" in cassette.account.notes[0]
    assert "broken: " in path.read_text()
    with use_cassette(path, "replay", http=True), raw(package) as response:
        arriving = response.iter_raw()
        assert [next(arriving), next(arriving)] == got
        with pytest.raises(package.RemoteProtocolError):
            next(arriving)


def test_a_stream_that_breaks_breaks_again_async(path: Path) -> None:
    """In an event loop too."""
    with (
        Loopback(streaming("a", HANG_UP)) as server,
        use_cassette(path, "new", http=True),
        pytest.raises(httpx2.RemoteProtocolError),
    ):
        asyncio.run(apieces(httpx2, server.url))
    with use_cassette(path, "replay", http=True), pytest.raises(httpx2.RemoteProtocolError):
        asyncio.run(apieces(httpx2))


def test_the_failing_block_keeps_no_broken_stream(path: Path) -> None:
    """A stream that breaks and fails its block leaves nothing, so that the next recording asks again."""
    with (
        Loopback(streaming("a", HANG_UP)) as server,
        pytest.raises(httpx2.RemoteProtocolError),
        use_cassette(path, "new", http=True),
    ):
        pieces(httpx2, server.url)
    assert not path.exists()


# In replay


def test_replayed_pieces_can_keep_a_distance(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """LLM_STRATEGY_REPLAY_DELAY takes its time between the pieces, and says what is wrong with one that is no number."""
    with Loopback(streaming("a")) as server, use_cassette(path, "new", http=True):
        got = pieces(httpx2, server.url)
    monkeypatch.setenv("LLM_STRATEGY_REPLAY_DELAY", "0.001")
    with use_cassette(path, "replay", http=True):
        assert pieces(httpx2) == got
    with use_cassette(path, "replay", http=True):
        assert asyncio.run(apieces(httpx)) == got
    monkeypatch.setenv("LLM_STRATEGY_REPLAY_DELAY", "soon")
    with (
        use_cassette(path, "replay", http=True),
        pytest.raises(ValueError, match="LLM_STRATEGY_REPLAY_DELAY is 'soon'"),
    ):
        pieces(httpx2)
