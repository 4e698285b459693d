"""How HTTP calls are shown to people: as conversations, whichever format they have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
import pytest

from llm_strategy import Cassette, use_cassette
from llm_strategy.cli import main
from llm_strategy.transcript import transcript
from llm_strategy.values import ReasoningPart, Request, TextPart, ToolCallPart, Usage
from llm_strategy.wire.format import Answer
from tests.llm_strategy.providers import MODEL, Provider

TOOL = {"name": "look", "parameters": {"type": "object"}}
CALLS: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {
        "model": "m",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Weather?"}],
        "tools": [{"type": "function", "function": TOOL}],
        "temperature": 0.5,
    },
    "/v1/responses": {
        "model": "m",
        "instructions": "Be brief.",
        "input": "Weather?",
        "tools": [{"type": "function", **TOOL}],
        "temperature": 0.5,
    },
}


def answer(place: str) -> Answer:
    parts = (ReasoningPart(f"{place} it is."), TextPart("Let me see."), ToolCallPart("call_1", "look", {"at": place}))
    return Answer("Let me see.", Usage(3, 4), "tool_call", MODEL, parts=parts)


def record(path: Path, place: str) -> None:
    """Each format's call, whole and streamed."""
    with Provider(answer(place)) as server, use_cassette(path, "new", http=True):
        for where, body in CALLS.items():
            httpx2.post(f"{server.url}{where}", json=body)
            httpx2.post(f"{server.url}{where}", json={**body, "stream": True})


def test_show_tells_what_was_asked_and_answered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`show` prints messages, then reasoning, words and calls of tools, alike for all formats, whole or streamed."""
    record(tmp_path / "a.yaml", "Oslo")
    assert main(["show", str(tmp_path / "a.yaml")]) == 0
    shown = [text.partition("\n")[2] for text in capsys.readouterr().out.split("=== ")[1:]]
    said = '[reasoning] Oslo it is.\nLet me see.\n[calls the tool look] {"at": "Oslo"}'
    assert shown == [f"--- tools\nlook\n--- system\nBe brief.\n--- user\nWeather?\n--- reply\n{said}\n\n"] * 4


def test_diff_compares_what_was_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`diff` compares reasoning, words and calls of tools line by line, not the pieces of a stream."""
    for name, place in (("a", "Oslo"), ("b", "Rome")):
        record(tmp_path / f"{name}.yaml", place)
    assert main(["diff", str(tmp_path / "a.yaml"), str(tmp_path / "b.yaml")]) == 1
    first, *rest = capsys.readouterr().out.rstrip().split("\n\n")
    assert first.endswith("4 answers changed")
    assert [change.partition("\n")[2].split("\n") for change in rest] == [
        [
            "@@ -1,3 +1,3 @@",
            "-[reasoning] Oslo it is.",
            "+[reasoning] Rome it is.",
            " Let me see.",
            '-[calls the tool look] {"at": "Oslo"}',
            '+[calls the tool look] {"at": "Rome"}',
        ]
    ] * 4


def test_the_transcript_of_all_formats(tmp_path: Path) -> None:
    """The same prompt has the same transcript in each format, but for the setting that it is streamed."""
    record(tmp_path / "a.yaml", "Oslo")
    shown = [transcript(call.request) for call in Cassette(tmp_path / "a.yaml")]
    assert shown[0] == shown[2]
    assert shown[0].startswith("model: openai:m\nstream") is False
    assert "tool look:" in shown[0]
    assert shown[0].endswith("system:\n\nBe brief.\n\nuser:\n\nWeather?")
    assert shown[1] == shown[3] == shown[0].replace("openai:m\n", "openai:m\nstream: true\n")


def test_the_log_has_the_parts_of_answers(tmp_path: Path) -> None:
    """A test reads from its log which tools a model wanted to call, recorded and replayed alike."""

    def asked(request: Request) -> Answer:
        return answer(request.messages[-1].content)

    body = {"model": "m", "messages": [{"role": "user", "content": "Oslo"}]}
    with Provider(asked) as server:
        for mode in ("new", "replay"):
            with use_cassette(tmp_path / "a.yaml", mode, http=True) as cassette:
                httpx2.post(f"{server.url}/v1/chat/completions", json=body)
            (call,) = cassette.calls
            assert isinstance(call.response, Answer)
            assert call.response.parts == answer("Oslo").parts
