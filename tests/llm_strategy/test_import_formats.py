"""`llm-strategy import`: what vcrpy has recorded of every format replays, whole and streamed."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
import vcr

from llm_strategy import Cassette, Message, Request, use_cassette
from llm_strategy.importer.run import Import
from tests.llm_strategy.providers import Provider
from tests.llm_strategy.test_generated_traffic import CASES, answers, sent

FIRST, SECOND = (Request("m", (Message("user", text),)) for text in ("Say it: ✉", "And again"))


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty project."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LLM_STRATEGY_RECORD", raising=False)


@pytest.mark.parametrize("compressed", [False, True], ids=["kept compressed", "decompressed"])
@pytest.mark.parametrize(("name", "streamed"), CASES)
def test_every_format_is_imported(name: str, streamed: bool, compressed: bool) -> None:
    """The bytes of an imported answer, an AWS event stream's too, are those that the client had read."""
    calls = [sent(name, request, streamed=streamed) for request in (FIRST, SECOND, FIRST)]
    with Provider(answers()) as server, vcr.use_cassette("old/x.yaml", decode_compressed_response=compressed):
        said = [httpx.post(server.url + call.path, json=call.body) for call in calls]
    importing = Import(Path("cassettes"))
    importing.take(Path("old"))
    assert importing.report.outcomes == {"imported": 3}
    with use_cassette("cassettes/old/x.yaml", http=True):
        for call, recorded in zip(calls, said, strict=True):
            response = httpx.post(f"http://127.0.0.1:9{call.path}", json=call.body)
            assert (response.status_code, response.content) == (recorded.status_code, recorded.content)
    assert all(call.request.messages for call in Cassette("cassettes/old/x.yaml"))


MULTIPART = {"file": ("a.wav", b"RIFF\x00\x01\xff\xfe sound", "audio/wav")}


def test_what_is_sent_in_parts_is_imported() -> None:
    """A file that was uploaded has another boundary each time, and is found all the same."""
    with Provider(answers()) as server, vcr.use_cassette("old/x.yaml"):
        url = f"{server.url}/v1/audio/transcriptions"
        recorded = httpx.post(url, files=MULTIPART, data={"model": "whisper-1"})
    text = Path("old/x.yaml").read_text(encoding="utf-8").replace(server.url, "https://api.openai.com")
    Path("old/x.yaml").write_text(text, encoding="utf-8")
    importing = Import(Path("cassettes"))
    importing.take(Path("old"))
    assert importing.report.outcomes == {"imported": 1}
    with use_cassette("cassettes/old/x.yaml", http=True):
        url = "https://api.openai.com/v1/audio/transcriptions"
        assert httpx.post(url, files=MULTIPART, data={"model": "whisper-1"}).content == recorded.content
