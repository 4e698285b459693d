"""Transcripts of all kinds of requests: what people see of them, and that nothing is lost."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from llm_strategy import Cassette, Message, Request
from llm_strategy.cli import main
from llm_strategy.values import FilePart, TextPart, UriPart
from pytest_llm_strategy.conversations import alike, count_requests, holds, read
from pytest_llm_strategy.transcript import transcript
from tests.llm_strategy.providers import Provider
from tests.pytest_llm_strategy.conftest import Project
from tests.pytest_llm_strategy.snapshot_project import files, lighten

RECORDINGS = Path(__file__).parents[3] / "shared/recordings"
PICTURE = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 10).decode()


def of(request: Request, times: int = 1) -> str:
    return transcript([(None, request)] * times)


def test_equal_calls_stand_there_once() -> None:
    """With their number, which counts; a conversation of several turns too."""
    one = Request("m", (Message("user", "Hello"),))
    more = Request("m", (*one.messages, Message("assistant", "Hi"), Message("user", "Bye")))
    assert of(one, 3).startswith("## `m` (3 times)\n\n### user\n")
    assert of(one, 3).count("Hello") == 1
    assert not alike(of(one, 3), of(one, 2))
    assert holds(of(one, 3), of(one, 2))
    assert not holds(of(one, 2), of(one, 3))
    twice = transcript([(None, one), (None, more)] * 2)
    assert twice.startswith("## `m` (2 times)\n")
    assert twice.count("Bye") == 1
    assert alike(twice, transcript([(None, one)] * 2 + [(None, more)] * 2))
    named = Request("m (2 times)", one.messages)
    assert not alike(of(named), of(one, 2))
    assert count_requests(of(named, 2)).total() == 2


def test_tools_and_long_settings() -> None:
    """The description of a tool is part of the prompt, and stands there as text; a setting of many values has lines."""
    tool = {"name": "look", "description": "Look around.\n\nThen say so.", "parameters": {"b": 1, "a": 2}}
    settings = {"stop": ["x" * 60, "y" * 60], "seed": 1}
    request = Request("m", (Message("user", "a"),), tools=(tool, {"type": "web_search"}), settings=settings)
    text = of(request)
    assert "- `seed`: `1`\n\n### user" in text
    assert '### the setting `stop`\n\n```json\n[\n  "xxx' in text
    assert "### the tool `look`\n\n```text\nLook around.\n\nThen say so.\n```\n\n```json\n{\n" in text
    assert '  "description": "(above)",\n' in text
    assert "### the tool `web_search`\n" in text
    assert read(text)[0].request() == request
    said = Request("m", request.messages, tools=({**tool, "description": "(above)"},))
    assert not alike(of(said), of(Request("m", request.messages, tools=({**tool, "description": ""},))))


def test_equal_keys_are_equal_transcripts() -> None:
    """The order of the names in a JSON object is no difference: it makes no other request either."""
    one, other = (
        Request("m", (), tools=({"name": "t", "parameters": p},)) for p in ({"a": 1, "b": 2}, {"b": 2, "a": 1})
    )
    assert one.key == other.key
    assert of(one) == of(other)


def test_what_lies_elsewhere() -> None:
    """Addresses and uploaded files are named."""
    parts = [
        TextPart("Look:"),
        UriPart("image", "image/png", "https://a.example/cat.png"),
        FilePart("document", None, "f-1"),
    ]
    text = of(Request("m", (Message("user", parts),)))
    assert "attached: `image`, `image/png`, at `https://a.example/cat.png`\n" in text
    assert "attached: `document`, the file `f-1`\n" in text


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    with Provider("fine") as server:
        monkeypatch.setenv("PROVIDER", server.url)
        yield server


def test_calls_over_http(project: Project, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """They replay to the transcript that was accepted when they were recorded: of a known format, with files, or plain."""
    lighten(project, monkeypatch, "llm_http = true", "llm_http_hosts = 127.0.0.1")
    project.write(
        test_it=f"""
import os, httpx2

def post(path, **body):
    httpx2.post(os.environ["PROVIDER"] + path, json=body)

def test_chat(llm_calls, prompt_snapshot):
    picture = {{"type": "image_url", "image_url": {{"url": "data:image/png;base64,{PICTURE}"}}}}
    post("/v1/chat/completions", model="m", messages=[{{"role": "user", "content": [picture]}}], n=1)
    assert llm_calls == prompt_snapshot
    assert prompt_snapshot(name="one") == llm_calls[0]
    assert llm_calls[0].request == prompt_snapshot(name="request")
    assert prompt_snapshot(name="request") == llm_calls[0].request

def test_plain(llm_calls, prompt_snapshot):
    post("/v1/things", model="m", text="What?")
    assert llm_calls == prompt_snapshot
"""
    )
    project.pytest("--llm-record", "--snapshot-update").assert_outcomes(passed=2)
    project.pytest().assert_outcomes(passed=2)
    assert files(project) == ["test_chat.md", "test_chat[one].md", "test_chat[request].md", "test_plain.md"]
    folder = project.path / "__snapshots__/test_it"
    chat, plain = (folder / f"test_{name}.md" for name in ("chat", "plain"))
    assert "\nattached: `image`, `image/png`, 2,568 bytes, SHA-256 `" in chat.read_text()
    assert plain.read_text().startswith("## `POST /v1/things` · `openai:m`\n\n### body\n\n```json\n{\n")


def test_real_traffic(tmp_path: Path) -> None:
    """Every recorded request of others has a transcript that is read back as this one request."""
    if not RECORDINGS.exists():
        pytest.skip(f"there is no {RECORDINGS}")
    main(["import", str(RECORDINGS), "--to", str(tmp_path)])
    cassettes = [list(Cassette(path)) for path in sorted(tmp_path.rglob("*.yaml"))]
    assert len(cassettes) > 30
    for calls in cassettes:
        text = transcript((call.function, call.request) for call in calls)
        assert count_requests(text).total() == len(calls)
        for conversation in read(text):
            assert conversation.request().messages or conversation.function
