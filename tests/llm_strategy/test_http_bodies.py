"""What clients are given to send: however it comes, the server gets it whole, and it is the same call."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import requests
import urllib3

from llm_strategy import use_cassette
from llm_strategy.session import Session
from tests.llm_strategy.providers import Provider

NOWHERE = "http://127.0.0.1:9"
PATH = "/v1/chat/completions"
QUESTION = {"model": "m", "messages": [{"role": "user", "content": "How much is 6 * 7?"}]}
TEXT = json.dumps(QUESTION)
TIME = 20


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cassette in a session of the test's own: what another test has recorded is not found."""
    monkeypatch.delenv("LLM_STRATEGY_RECORD", raising=False)
    session = Session(tmp_path)
    yield session.folder / "calls.yaml"
    session.finish()


async def _pieces() -> AsyncIterator[bytes]:
    yield TEXT[:9].encode()
    yield TEXT[9:].encode()


def by_urllib3(url: str, body: Any, **headers: str) -> Any:
    told = {"Content-Type": "application/json", **headers}
    return urllib3.request("POST", url + PATH, body=body, headers=told, timeout=TIME).json()


def by_requests(url: str, **options: Any) -> Any:
    told = {"Content-Type": "application/json"}
    return requests.post(url + PATH, headers=told, timeout=TIME, **options).json()


def by_aiohttp(url: str, **options: Any) -> Any:
    async def ask() -> Any:
        told = {"Content-Type": "application/json"}
        async with aiohttp.ClientSession() as session, session.post(url + PATH, headers=told, **options) as answer:
            return await answer.json()

    return asyncio.run(ask())


SENT: dict[str, Callable[[str], Any]] = {
    "urllib3: bytes": lambda url: by_urllib3(url, TEXT.encode()),
    "urllib3: bytearray": lambda url: by_urllib3(url, bytearray(TEXT.encode())),
    "urllib3: str": lambda url: by_urllib3(url, TEXT),
    "urllib3: file": lambda url: by_urllib3(url, io.BytesIO(TEXT.encode())),
    "urllib3: text file": lambda url: by_urllib3(url, io.StringIO(TEXT)),
    "urllib3: list": lambda url: by_urllib3(url, [TEXT[:9].encode(), TEXT[9:].encode()]),
    "urllib3: generator": lambda url: by_urllib3(url, (character.encode() for character in TEXT)),
    "urllib3: file of known length": lambda url: by_urllib3(
        url, io.BytesIO(TEXT.encode()), **{"Content-Length": str(len(TEXT))}
    ),
    "requests: json": lambda url: by_requests(url, json=QUESTION),
    "requests: file": lambda url: by_requests(url, data=io.BytesIO(TEXT.encode())),
    "requests: generator": lambda url: by_requests(url, data=(character.encode() for character in TEXT)),
    "aiohttp: json": lambda url: by_aiohttp(url, json=QUESTION),
    "aiohttp: str": lambda url: by_aiohttp(url, data=TEXT),
    "aiohttp: bytes": lambda url: by_aiohttp(url, data=TEXT.encode()),
    "aiohttp: file": lambda url: by_aiohttp(url, data=io.BytesIO(TEXT.encode())),
    "aiohttp: text file": lambda url: by_aiohttp(url, data=io.StringIO(TEXT)),
    "aiohttp: generator": lambda url: by_aiohttp(url, data=_pieces()),
    "aiohttp: compressed": lambda url: by_aiohttp(url, data=TEXT.encode(), compress="gzip"),
}


@pytest.mark.parametrize("kind", SENT)
def test_every_kind_of_body(path: Path, kind: str) -> None:
    """However a body is given, the server gets it whole, and it is the same call."""
    with Provider("42") as server, use_cassette(path, "new", http=True):
        recorded = SENT[kind](server.url)
    assert [received.json for received in server.requests] == [QUESTION]
    for again in (kind, "requests: json", "aiohttp: json"):
        with use_cassette(path, http=True):
            assert SENT[again](NOWHERE) == recorded


def _form_of_requests(url: str, file: Any) -> Any:
    fields = {"model": "whisper-1"}
    return requests.post(f"{url}/audio", data=fields, files={"file": ("a.wav", file, "audio/wav")}, timeout=TIME).json()


def _form_of_aiohttp(url: str, file: Any) -> Any:
    async def ask() -> Any:
        form = aiohttp.FormData({"model": "whisper-1"})
        form.add_field("file", file, filename="a.wav", content_type="audio/wav")
        async with aiohttp.ClientSession() as session, session.post(f"{url}/audio", data=form) as answer:
            return await answer.json()

    return asyncio.run(ask())


@pytest.mark.parametrize("ask", [_form_of_requests, _form_of_aiohttp])
def test_forms(path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ask: Callable[[str, Any], Any]) -> None:
    """A form with a file, whose boundary is another one each time, is recorded and replayed; the file is sent whole."""
    monkeypatch.setenv("LLM_STRATEGY_HTTP_HOSTS", "127.0.0.1")
    sound = tmp_path / "speech.wav"
    sound.write_bytes(b"RIFF" * 1000)
    with sound.open("rb") as file, Provider() as server, use_cassette(path, "new", http=True):
        recorded = ask(server.url, file)
    assert recorded["received"] > 4000
    with sound.open("rb") as file, use_cassette(path, http=True):
        assert ask(NOWHERE, file) == recorded
