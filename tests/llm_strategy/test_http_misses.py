"""What a miss says of an HTTP call, format by format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from llm_strategy import CassetteMiss, use_cassette
from tests.llm_strategy.providers import Provider

TOOL = {"name": "look", "description": "Look.", "parameters": {"type": "object"}}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
CHAT: dict[str, Any] = {
    "model": "m",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Born in 1990?"},
        {
            "role": "assistant",
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at": 1}'}}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "nobody"},
    ],
    "tools": [{"type": "function", "function": TOOL}],
    "temperature": 0.5,
    "response_format": {"type": "json_schema", "json_schema": {"name": "r", "schema": SCHEMA}},
}
RESPONSES: dict[str, Any] = {
    "model": "m",
    "instructions": "Be brief.",
    "input": [
        {"role": "user", "content": [{"type": "input_text", "text": "Born in 1990?"}]},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}]},
        {"type": "function_call", "call_id": "c1", "name": "look", "arguments": '{"at": 1}'},
        {"type": "function_call_output", "call_id": "c1", "output": "nobody"},
    ],
    "tools": [{"type": "function", **TOOL}, {"type": "web_search"}],
    "reasoning": {"effort": "low"},
    "text": {"format": {"type": "json_schema", "name": "r", "schema": SCHEMA}, "verbosity": "low"},
}
EMBEDDINGS: dict[str, Any] = {"model": "e", "input": ["cats", "dogs"], "dimensions": 3}
COMPLETIONS: dict[str, Any] = {"model": "c", "prompt": "Once upon a time", "max_tokens": 9, "suffix": "The end."}

_MESSAGES = [
    ("1990", "1991", "a message (user): '1990' -> '1991'"),
    ("brief", "short", "the instructions (system message): 'brief' -> 'short'"),
    ("nobody", "somebody", "what the tool look answered"),
    ('{\\"at\\": 1}', '{\\"at\\": 2}', "a call of the tool look"),
    ('"Look."', '"Look!"', "the tool look (.description)"),
    ('"model": "m"', '"model": "n"', "the model: openai:m -> openai:n"),
    ('"a": {', '"b": {', "the schema of the result"),
]


def cases() -> list[Any]:
    """Path, body, a text in it and what takes its place, and the cause that the miss names."""
    found = [
        ("/v1/chat/completions", CHAT, *case)
        for case in (
            *_MESSAGES,
            ("0.5", "0.6", "the setting temperature: 0.5 -> 0.6"),
            ('"name": "r"', '"name": "s"', "the HTTP call (.body.response_format.json_schema.name)"),
        )
    ]
    found += [
        ("/v1/responses", RESPONSES, *case)
        for case in (
            *_MESSAGES,
            ('"Hm."', '"Oh."', "reasoning"),
            ("web_search", "file_search", ("the tool web_search was removed", "the tool file_search was added")),
            ('"effort": "low"', '"effort": "high"', 'the setting reasoning: {"effort": "low"} -> {"effort": "high"}'),
            (
                '"verbosity": "low"',
                '"verbosity": "high"',
                'the setting text: {"verbosity": "low"} -> {"verbosity": "high"}',
            ),
            ('"name": "r"', '"name": "s"', "the HTTP call (.body.text.format.name)"),
        )
    ]
    found += [
        ("/v1/embeddings", EMBEDDINGS, "cats", "bats", "a message (user): 'cats' -> 'bats'"),
        ("/v1/embeddings", EMBEDDINGS, '"dimensions": 3', '"dimensions": 4', "the setting dimensions: 3 -> 4"),
        ("/v1/completions", COMPLETIONS, "time", "tide", "a message (user): 'time' -> 'tide'"),
        ("/v1/completions", COMPLETIONS, "The end.", "The End.", 'the setting suffix: "The end." -> "The End."'),
    ]
    return [(path, body, (old, new), cause) for path, body, old, new, cause in found]


@pytest.mark.parametrize(("path", "body", "change", "cause"), cases())
def test_a_miss_names_what_changed(tmp_path: Path, path: str, body: Any, change: tuple[str, str], cause: Any) -> None:
    """Message, tool, schema, setting, model, or a field that none of them shows: the miss says which, and who asked."""
    changed = json.loads(json.dumps(body).replace(*change))
    with Provider() as server:
        with use_cassette(tmp_path / "calls.yaml", "new", http=True):
            httpx2.post(f"{server.url}{path}", json=body)
        with use_cassette(tmp_path / "calls.yaml", http=True), pytest.raises(CassetteMiss) as caught:
            httpx2.post(f"{server.url}{path}", json=changed)
    assert caught.value.causes == (cause if isinstance(cause, tuple) else (cause,))
    assert "(tests/llm_strategy/test_http_misses.py:" in str(caught.value)
    assert "--- recorded\n+++ now\n" in str(caught.value)
