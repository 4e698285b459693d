"""What makes two HTTP calls the same call: bodies as clients send them, and what of them does not count."""

from __future__ import annotations

import copy
import gzip
import json
import uuid
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import OpenAI

from llm_strategy import use_cassette
from llm_strategy.cassette.document import call_document, check_request
from llm_strategy.cassette.reader import load
from llm_strategy.cli import main
from llm_strategy.http.traffic import http_request
from llm_strategy.log import Call
from llm_strategy.session import Session
from llm_strategy.wire.contents import packed
from llm_strategy.wire.envelope import HTTPRequest, HTTPResponse, request_of
from llm_strategy.wire.ignoring import parse_path
from tests.llm_strategy.providers import Provider, Received

CHAT = "https://api.openai.com/v1/chat/completions"
RESPONSES = "https://api.openai.com/v1/responses"
BODIES: dict[str, dict[str, Any]] = {
    CHAT: {
        "model": "gpt-5-mini",
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Born in 1990?"}]},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "call_x7", "type": "function", "function": {"name": "look", "arguments": "{}"}}],
            },
            {"role": "tool", "tool_call_id": "call_x7", "content": "nobody"},
        ],
        "tools": [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}],
        "temperature": 0.5,
    },
    RESPONSES: {
        "model": "gpt-5-mini",
        "instructions": "Be brief.",
        "previous_response_id": "resp_68a",
        "input": [
            {"role": "user", "content": "Born in 1990?"},
            {"type": "reasoning", "id": "rs_68b", "summary": [{"type": "summary_text", "text": "Hm."}]},
            {"type": "function_call", "id": "fc_68c", "call_id": "call_9", "name": "look", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "call_9", "output": "nobody"},
            {
                "type": "message",
                "id": "msg_68d",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "No."}],
            },
            {"type": "item_reference", "id": "msg_68d"},
            {"type": "mcp_approval_response", "id": "mcpr_68e", "approval_request_id": "mcpr_68f", "approve": True},
        ],
        "text": {"format": {"type": "json_schema", "name": "a", "schema": {"type": "object"}}},
    },
    "https://api.openai.com/v1/embeddings": {"model": "e", "input": ["Born in 1990?", "cats"]},
    "https://api.openai.com/v1/completions": {"model": "c", "prompt": "Born in 1990?", "max_tokens": 9},
}


def request(url: str, body: Any, ignore: tuple[str, ...] = ()) -> HTTPRequest:
    return request_of("POST", url, {}, body, ignore)


def changed(body: Any, old: str, new: str) -> Any:
    return json.loads(json.dumps(body).replace(old, new))


def permuted(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: permuted(value[name]) for name in reversed(value)}
    return [permuted(item) for item in value] if isinstance(value, list) else value


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where the texts of a body stand, those of ids apart."""
    if isinstance(value, str):
        if path[-1] not in ("id", "call_id", "approval_request_id", "tool_call_id", "previous_response_id"):
            yield path
    elif isinstance(value, Mapping | list):
        for name, item in value.items() if isinstance(value, Mapping) else enumerate(value):
            yield from leaves(item, (*path, name))


# JSON


@pytest.mark.parametrize("url", BODIES)
def test_the_order_of_fields_does_not_count(url: str) -> None:
    """A body whose JSON keys stand in another order is the same call."""
    assert request(url, permuted(BODIES[url])).key == request(url, BODIES[url]).key


@pytest.mark.parametrize("url", BODIES)
def test_every_character_counts(url: str) -> None:
    """One more character in any text of a body, wherever it stands, is another call."""
    body = BODIES[url]
    keys = {request(url, body).key}
    places = list(leaves(body))
    for *way, last in places:
        other = copy.deepcopy(body)
        holder = other
        for step in way:
            holder = holder[step]
        holder[last] += "."
        keys.add(request(url, other).key)
    assert len(keys) == len(places) + 1


@pytest.mark.parametrize(
    ("url", "ids"),
    [(CHAT, ["call_x7"]), (RESPONSES, ["resp_68a", "rs_68b", "fc_68c", "call_9", "msg_68d"])],
)
def test_ids_are_named_by_first_appearance(url: str, ids: list[str]) -> None:
    """Which ids a client or provider has made does not count; which belong together does."""
    body = BODIES[url]
    for name in ids:
        assert request(url, changed(body, name, f"{name}_other")).key == request(url, body).key
        assert name not in json.dumps(request(url, body).http)


def test_what_ids_connect_counts() -> None:
    """An answer to another call of two is another request."""
    twice = [{"type": "function_call", "call_id": name, "name": "look", "arguments": "{}"} for name in ("a", "b")]
    answers = [[*twice, {"type": "function_call_output", "call_id": name, "output": "x"}] for name in ("a", "b")]
    assert len({request(RESPONSES, {"model": "m", "input": items}).key for items in answers}) == 2


# What clients send in other ways


def received(path: str, fields: Mapping[str, Any], name: str, content: bytes, kind: str) -> HTTPRequest:
    """What a client with a boundary of its own sends."""
    with Provider() as server:
        httpx.post(f"{server.url}{path}", data=fields, files={"file": (name, content, kind)})
    return kept(server.requests[0])


def kept(sent: Received) -> HTTPRequest:
    return http_request(sent.method, f"https://api.openai.com{sent.path}", "", sent.headers, sent.body)


def test_parts_are_kept_without_their_boundary() -> None:
    """What is sent in parts is the same call each time, and reads well: names, types and texts of the parts."""
    first, second = [received("/v1/files", {"purpose": "batch"}, "a.jsonl", b'{"a":1}\n', "text/x") for _ in range(2)]
    assert first.key == second.key
    assert first.http["body"] == {
        "multipart": [
            {"name": "purpose", "content": "batch"},
            {"name": "file", "filename": "a.jsonl", "content_type": "text/x", "content": '{"a":1}\n'},
        ]
    }
    assert first.http["headers"] == {"content-type": "multipart/form-data"}


@pytest.mark.parametrize(
    "other",
    [
        ({"purpose": "batch."}, "a.bin", b"\x00\xff\r\n--x\r\n", "text/x"),
        ({"purpose": "batch"}, "b.bin", b"\x00\xff\r\n--x\r\n", "text/x"),
        ({"purpose": "batch"}, "a.bin", b"\x00\xfe\r\n--x\r\n", "text/x"),
        ({"purpose": "batch"}, "a.bin", b"\x00\xff\r\n--x\r\n", "text/y"),
    ],
)
def test_each_part_counts(other: tuple[Any, ...]) -> None:
    """Another value, file name, content or content type is another call, whatever bytes a file has."""
    one = received("/v1/files", {"purpose": "batch"}, "a.bin", b"\x00\xff\r\n--x\r\n", "text/x")
    assert received("/v1/files", *other).key != one.key


def test_files_of_the_real_client() -> None:
    """`audio.transcriptions.create` and `files.create` make the same call twice; a large file is referred to."""
    sound = bytes(range(256)) * 8
    with Provider() as server:
        client = OpenAI(base_url=f"{server.url}/v1", api_key="any")
        for _ in range(2):
            client.audio.transcriptions.create(model="whisper-1", file=("é.mp3", sound), language="de")
            client.files.create(file=("a.jsonl", b"{}"), purpose="batch")
    requests = [kept(sent) for sent in server.requests]
    assert [one.key for one in requests[:2]] == [one.key for one in requests[2:]]
    assert requests[0].model == "openai:whisper-1"
    assert "2,048 bytes" in requests[0].messages[0].content
    (file,) = [part for part in packed(requests[0].http)["body"]["multipart"] if part["name"] == "file"]
    assert file["filename"] == "é.mp3"
    assert file["data"]["blob"]["size"] == 2048


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"--x\r\nno end", "multipart/form-data; boundary=x"),
        (b"", "multipart/form-data; boundary=x"),
        (b"--x\r\n\xff: a\r\n\r\n\r\n--x--\r\n", "multipart/form-data; boundary=x"),
        (b"{}", "multipart/form-data"),
        (b"%ff=1", "application/x-www-form-urlencoded"),
        (b"{}", "application/x-www-form-urlencoded"),
        (b"\x1f\x8bno", "application/json"),
    ],
)
def test_bodies_that_are_not_what_they_say(body: bytes, content_type: str) -> None:
    """A body that its headers misdescribe is kept as it is, and nothing fails."""
    headers = {"content-type": content_type, "content-encoding": "gzip"}
    one = http_request("POST", CHAT, "", headers, body)
    assert one.key == http_request("POST", CHAT, "", headers, body).key
    assert body in (b"", b"{}") or "multipart" not in str(one.http["body"])


@pytest.mark.parametrize(("encoding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_compressed_requests(encoding: str, compress: Any) -> None:
    """A body that a client compresses is that body."""
    plain = json.dumps(BODIES[CHAT]).encode()
    headers = {"content-type": "application/json"}
    packed_headers = {**headers, "content-encoding": encoding}
    assert http_request("POST", CHAT, "", packed_headers, compress(plain)).key == request(CHAT, BODIES[CHAT]).key


def test_forms() -> None:
    """The fields of a form are kept by name; several values of one name as a list."""
    headers = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
    one = http_request("POST", "https://api.openai.com/v1/x", "", headers, b"a=1&b=%C3%A9+x&a=2&c=")
    assert one.http["body"] == {"form": {"a": ["1", "2"], "b": "é x", "c": ""}}


# What a project ignores


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("$.user", ("ann", "bob")),
        ("$.metadata.session_id", ("s-1", "s-2")),
        ("$.messages[*].name", ("Ann", "Bob")),
        ("$.messages[0].content", ("hello", "bye")),
    ],
)
def test_what_is_ignored_does_not_count(path: str, change: tuple[str, str]) -> None:
    """A value at a path that is ignored may be another one; the document says `<ignored>`, and has the same key."""
    body = {
        "model": "m",
        "user": "ann",
        "metadata": {"session_id": "s-1", "run": 1},
        "messages": [{"role": "user", "content": "hello", "name": "Ann"}],
    }
    one, other = (request(CHAT, each, (path,)) for each in (body, changed(body, *change)))
    assert one.key == other.key != request(CHAT, body).key
    assert change[0] not in str(one.http["body"])
    document = load(call_document(Call(one.key, 1, None, one, HTTPResponse.of({"status": 200}))))
    assert isinstance(document, dict)
    assert "<ignored>" in str(document["request"])
    assert check_request(document["request"], document["request_digest"], "here").key == one.key
    assert request(CHAT, {**body, "model": "n"}, (path,)).key != one.key


def test_paths_that_lead_nowhere() -> None:
    """A path to a field that a body lacks, or through what is no list, changes nothing."""
    paths = (
        "$.nothing.at.all",
        "$.messages.name",
        "$.messages[9].name",
        "$.model[0]",
        "$.model.name",
        "$.messages[*][0]",
    )
    assert request(CHAT, BODIES[CHAT], paths).key == request(CHAT, BODIES[CHAT]).key


@pytest.mark.parametrize(
    "path", ["", "$", "user", "$user", "$.", "$..user", "$.a[", "$.a[-1]", "$.a[?(@.b)]", "$.*", "$.a b"]
)
def test_bad_paths_are_refused(path: str) -> None:
    """What is no path is refused with what is allowed."""
    with pytest.raises(
        ValueError, match=r"no path into the body of a request. A path is `\$` and one or more of: `\.name`"
    ):
        parse_path(path)


def test_the_environment_says_what_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`LLM_STRATEGY_HTTP_IGNORE` names paths, with commas or spaces between; a bad one is refused at the first call."""
    monkeypatch.setenv("LLM_STRATEGY_HTTP_IGNORE", "$.user, $.metadata.run")

    def ask(client: OpenAI, run: int) -> str | None:
        messages: Any = [{"role": "user", "content": "hi"}]
        said = client.chat.completions.create(model="m", messages=messages, user=str(run), metadata={"run": str(run)})
        return said.choices[0].message.content

    with Provider("one") as server:
        client = OpenAI(base_url=f"{server.url}/v1", api_key="any", max_retries=0)
        with use_cassette(tmp_path / "a.yaml", "new", http=True):
            assert ask(client, 1) == "one"
        with use_cassette(tmp_path / "a.yaml", http=True):
            assert ask(client, 2) == "one"
        monkeypatch.setenv("LLM_STRATEGY_HTTP_IGNORE", "$.user[")
        with (
            use_cassette(tmp_path / "a.yaml", http=True),
            pytest.raises(ValueError, match=r"LLM_STRATEGY_HTTP_IGNORE.*'\$\.user\[' is no path"),
        ):
            ask(client, 3)
    assert len(server.requests) == 1


def test_why_says_what_to_ignore(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`llm-strategy why` names the path of what keeps changing in a body, but ignores no prompt."""
    path = tmp_path / "a.yaml"
    with Provider() as server, use_cassette(path, "new", http=True) as cassette:
        for run in ("first", "second"):
            body = {"model": "m", "metadata": {"run": run}, "messages": [{"role": "user", "content": f"{run} one"}]}
            httpx.post(f"{server.url}/v1/chat/completions", json=body)
    assert main(["why", cassette.calls[0].key, str(path)]) == 0
    told = capsys.readouterr().out
    assert "keeps changing: the body (.metadata.run)\n" in told
    assert "ignore it: llm_http_ignore = $.metadata.run\n" in told
    assert "keeps changing: the body (.messages[0].content)\n" in told
    assert "keep it out of the prompt\n" in told


def test_a_prompt_that_changes_is_named(tmp_path: Path) -> None:
    """A random id in a prompt that is sent over HTTP is named while it is recorded, with what helps there."""
    session = Session(tmp_path)
    with Provider() as server, use_cassette(tmp_path / "a.yaml", "new", http=True):
        body = {"model": "m", "messages": [{"role": "user", "content": f"Run {uuid.uuid4()}"}]}
        httpx.post(f"{server.url}/v1/chat/completions", json=body)
    session.finish()
    (line,) = session.account.changing_values
    assert line.startswith("an HTTP call: a message (user): a random id, ")
    assert session.account.cure == "Give it a stable form, or keep it out of the prompt"
