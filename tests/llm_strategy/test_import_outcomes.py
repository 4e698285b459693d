"""`llm-strategy import`: each interaction has exactly one outcome, whatever a file holds."""

from __future__ import annotations

import gzip
import json
import os
import sqlite3
import sys
import zlib
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml

from llm_strategy import Cassette, use_cassette
from llm_strategy.cli import main
from tests.llm_strategy import foreign
from tests.llm_strategy.foreign import ANSWER, ask, cassette, promptecho


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LLM_STRATEGY_RECORD", raising=False)
    Path("old").mkdir()
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *paths: str, code: int = 1) -> dict[str, Any]:
    """What `--json` says."""
    assert main(["import", *(paths or ("old",)), "--json"]) == code
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert list(said) == ["outcomes", "problems"]
    assert list(said["outcomes"]) == ["imported", "not_a_model_call", "unsupported", "malformed"]
    left_out = sum(said["outcomes"].values()) - said["outcomes"]["imported"]
    assert left_out == len(said["problems"])
    assert all(list(problem) == ["file", "index", "outcome", "reason"] for problem in said["problems"])
    return said


INTERACTIONS: dict[str, tuple[Any, str, str]] = {
    "another host": (foreign.vcr({"uri": "https://example.org/x"}), "not_a_model_call", "POST https://example.org/x"),
    "another host, damaged": (
        foreign.vcr({"uri": "https://me:secret@example.org/?key=1"}, {"status": None, "body": "!"}),
        "not_a_model_call",
        "POST https://example.org/ ",
    ),
    "WebSocket": (foreign.vcr({"uri": "wss://api.openai.com/v1/realtime"}), "unsupported", "WebSocket"),
    "upgrade": (foreign.vcr(response={"status": {"code": 101, "message": ""}}), "unsupported", "WebSocket"),
    "gRPC": (foreign.vcr({"headers": {"content-type": ["application/grpc+proto"]}}), "unsupported", "gRPC"),
    "no mapping": (["request"], "malformed", "no mapping"),
    "nothing": (None, "malformed", "no mapping"),
    "no request": ({"response": {}}, "malformed", "no request"),
    "no response": ({"request": foreign.vcr()["request"]}, "malformed", "no response"),
    "no address": (foreign.vcr({"uri": None}), "malformed", "address"),
    "a broken address": (foreign.vcr({"uri": "http://[1/v1/chat/completions"}), "malformed", "address"),
    "a relative address": (foreign.vcr({"uri": "/v1/chat/completions"}), "malformed", "address"),
    "a broken port": (foreign.vcr({"uri": "http://x:y/v1/chat/completions"}), "imported", ""),
    "a method of another type": (foreign.vcr({"method": 3}), "malformed", "method"),
    "no status": (foreign.vcr(response={"status": None}), "malformed", "status"),
    "a status in words": (foreign.vcr(response={"status": {"code": "OK"}}), "malformed", "status"),
    "a status of no meaning": (foreign.vcr(response={"status": {"code": 0}}), "malformed", "status"),
    "headers that are none": (foreign.vcr({"headers": "Content-Type"}), "malformed", "headers"),
    "a body that is none": (foreign.vcr({"body": 3}), "malformed", "body"),
    "cut-off gzip": (
        foreign.vcr(response={"body": {"string": gzip.compress(ANSWER, mtime=0)[:40]}}, Content_Encoding=["gzip"]),
        "malformed",
        "decompressed",
    ),
    "broken deflate": (
        foreign.vcr(
            response={"body": {"string": zlib.compress(ANSWER)[:-9] + b"\xff" * 9}}, Content_Encoding=["deflate"]
        ),
        "malformed",
        "decompressed",
    ),
    "damaged base64": (foreign.vcr(response={"body": {"base64_string": "!!"}}), "malformed", "base64"),
    "broken base64": (foreign.vcr(response={"body": {"base64_string": "A"}}), "malformed", "base64"),
    "a redacted query": (
        foreign.vcr({"method": "GET", "uri": "https://api.openai.com/v1/files?after=REDACTED", "body": None}),
        "unsupported",
        "redacted",
    ),
}


@pytest.mark.parametrize("kind", INTERACTIONS)
def test_each_interaction_has_its_outcome(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What is no call, or cannot be kept, is named by its index; what stands around it is imported."""
    interaction, outcome, reason = INTERACTIONS[kind]
    Path("old/calls.yaml").write_text(cassette(foreign.vcr(), interaction, foreign.vcr({"body": "{}"})))
    said = run(capsys, code=1 if outcome in ("unsupported", "malformed") else 0)
    assert sum(said["outcomes"].values()) == 3
    assert said["outcomes"][outcome] == (3 if outcome == "imported" else 1)
    for problem in said["problems"]:
        assert (problem["index"], problem["outcome"]) == (1, outcome)
        assert reason in problem["reason"]
        assert "secret" not in problem["reason"]
    with use_cassette("cassettes/old/calls.yaml", http=True):
        assert ask().content == ANSWER


TAGGED = f"""\
interactions:
- request:
    body: !!python/object/apply:os.system ["touch hacked"]
    headers: {{}}
    method: POST
    uri: {foreign.URL}
  response: {{body: {{string: x}}, headers: {{}}, status: {{code: 200}}}}
- request:
    parsed_body: {{model: !!python/name:os.system ''}}
    headers: {{Content-Type: [application/json]}}
    method: POST
    uri: {foreign.URL}
  response: {{body: {{string: x}}, headers: {{}}, status: {{code: 200}}}}
- request:
    body: !!python/unicode "{{}}"
    headers: {{}}
    method: !!python/str POST
    uri: {foreign.URL}
  response: {{body: {{string: !!binary aGVsbG8=}}, headers: {{}}, status: {{code: !!int "200"}}}}
"""


def test_tags_of_python_run_no_code(capsys: pytest.CaptureFixture[str]) -> None:
    """An interaction that asks for a Python object is left out; texts and binary data with tags are read."""
    Path("old/calls.yaml").write_text(TAGGED)
    said = run(capsys)
    assert said["outcomes"] == {"imported": 1, "not_a_model_call": 0, "unsupported": 2, "malformed": 0}
    assert not Path("hacked").exists()
    with use_cassette("cassettes/old/calls.yaml", http=True):
        assert ask({}).content == b"hello"


BOMB = (
    "a: &a ["
    + "x, " * 9
    + "x]\n"
    + "".join(
        f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n"
        for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    )
)
ZIPPED = gzip.compress(bytes(300 << 20), 9, mtime=0)
GRPC = "grpc_interactions:\n- {request: {}, response: {}}\n- {request: {}}\nws_interactions:\n- {uri: 'wss://x'}\n"
FILES: dict[str, tuple[bytes, list[tuple[int | None, str, str]]]] = {
    "empty.yaml": (b"", [(None, "malformed", "empty")]),
    "blank.json": (b" \n\n", [(None, "malformed", "empty")]),
    "nothing_recorded.yaml": (b"interactions: []\nversion: 1\n", []),
    "null.yaml": (b"interactions:\nversion: 1\n", []),
    "text.yaml": (b"Hello", [(None, "unsupported", "no recorded HTTP traffic")]),
    "compose.yaml": (b"services: {web: {image: x}}\n", [(None, "unsupported", "no recorded HTTP traffic")]),
    "package.json": (b'{"name": "x", "version": "1.0.0"}', [(None, "unsupported", "no recorded HTTP traffic")]),
    "list.json": (b"[1, 2]", [(None, "unsupported", "no recorded HTTP traffic")]),
    "mapping.yaml": (b"interactions: {a: 1}\n", [(None, "malformed", "no list")]),
    "broken.yaml": (b"interactions:\n- request: [\n", [(None, "malformed", "YAML")]),
    "broken.json": (b'{"interactions": [', [(None, "malformed", "JSON")]),
    "undefined.yaml": (b"interactions: *x\n", [(None, "malformed", "alias")]),
    "within_itself.yaml": (b"interactions: &x [*x]\n", [(None, "malformed", "alias")]),
    "latin.yaml": (b"interactions: \xff\xe4\n", [(None, "malformed", "YAML")]),
    "two.yaml": (b"interactions: []\n---\ninteractions: []\n", [(None, "malformed", "second document")]),
    "deep.yaml": (b"[" * 200_000, [(None, "malformed", "deep")]),
    "dashes.yaml": (b"- " * 100_000, [(None, "malformed", "deep")]),
    "deep.json": (b"[" * 200_000 + b"]" * 200_000, [(None, "malformed", "deep")]),
    "bomb.yaml": (BOMB.encode(), [(None, "malformed", "values")]),
    "packed.yaml": (gzip.compress(b"interactions: []", mtime=0), [(None, "unsupported", "gunzip")]),
    "zipped.yaml": (
        cassette(foreign.vcr(response={"body": {"string": ZIPPED}}, Content_Encoding=["gzip"])).encode(),
        [(0, "unsupported", "256 MiB")],
    ),
    "grpc.yaml": (
        GRPC.encode(),
        [(0, "unsupported", "WebSocket"), (1, "unsupported", "gRPC"), (2, "unsupported", "gRPC")],
    ),
    "hashed.yaml": (
        promptecho(body={}).replace("model: gpt-5-mini\n", "__raw_body_sha256__: abc\n", 1).encode(),
        [(0, "unsupported", "hash")],
    ),
    "number.yaml": (b"interactions: " + b"9" * 5000, [(None, "malformed", "no int")]),
    "binary.yaml": (b"interactions: !!binary '\xc3\xa4'\n", [(None, "malformed", "no binary")]),
    "other.db": (b"SQLite format 3\0 but not really", [(None, "malformed", "SQLite")]),
}


@pytest.mark.parametrize("name", FILES)
def test_every_file_has_a_clear_outcome(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Files that are empty, broken, of another kind or made to do harm are named, and end nothing."""
    data, expected = FILES[name]
    Path("old", name).write_bytes(data)
    Path("old/zz.yaml").write_text(cassette(foreign.vcr()))
    said = run(capsys, code=1 if expected else 0)
    assert said["outcomes"]["imported"] == 1
    assert [(problem["index"], problem["outcome"]) for problem in said["problems"]] == [each[:2] for each in expected]
    for problem, (_, _, reason) in zip(said["problems"], expected, strict=True):
        assert problem["file"] == f"old/{name}"
        assert reason in problem["reason"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_what_is_no_file_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """A pipe is not waited for, a link that leads nowhere and a missing path are named; the rest is imported."""
    os.mkfifo("old/pipe.yaml")
    Path("old/link.yaml").symlink_to("nowhere.yaml")
    Path("old/zz.yaml").write_text(cassette(foreign.vcr()))
    said = run(capsys, "missing.yaml", "old", code=3)
    assert said["outcomes"] == {"imported": 1, "not_a_model_call": 0, "unsupported": 1, "malformed": 2}
    found = {problem["file"]: (problem["outcome"], problem["reason"]) for problem in said["problems"]}
    assert found == {
        "missing.yaml": ("malformed", "there is no such file"),
        "old/link.yaml": ("malformed", "there is no such file"),
        "old/pipe.yaml": ("unsupported", "it is no ordinary file"),
    }


@pytest.mark.skipif(sys.platform == "win32", reason="links need a right on Windows")
def test_folders_that_are_not_looked_through_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder that cannot be listed, and a link to one elsewhere, are named; a link to what is read anyway is not."""
    for path in ("old/calls/a.yaml", "elsewhere/b.yaml"):
        Path(path).parent.mkdir(parents=True)
        Path(path).write_text(cassette(foreign.vcr()))
    Path("old/latest").symlink_to("calls")
    Path("old/linked").symlink_to("../elsewhere")
    # Nobody, not even root, can list a folder by a path as long as that.
    monkeypatch.chdir("old")
    for _ in range(20):
        Path("x" * 250).mkdir()
        monkeypatch.chdir("x" * 250)
    monkeypatch.chdir(tmp_path)
    said = run(capsys)
    assert said["outcomes"] == {"imported": 1, "not_a_model_call": 0, "unsupported": 1, "malformed": 1}
    link, deep = said["problems"]
    assert (link["file"], link["outcome"]) == ("old/linked", "unsupported")
    assert "name it, too" in link["reason"]
    assert (deep["outcome"], deep["reason"]) == ("malformed", "it cannot be read: file name too long")
    assert run(capsys, "old/linked", code=0)["outcomes"]["imported"] == 1


def test_a_compressed_recording_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """What a serializer has compressed is found in a folder, and the reason says what helps."""
    Path("old/calls.yaml.gz").write_bytes(gzip.compress(cassette(foreign.vcr()).encode(), mtime=0))
    assert "gunzip" in run(capsys)["problems"][0]["reason"]


def test_a_path_that_cannot_be_looked_at_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """A path that no file can have ends without a traceback."""
    said = run(capsys, "x" * 300, code=3)
    assert said["problems"][0]["reason"] == "it cannot be read: file name too long"


def test_other_databases_are_unsupported(capsys: pytest.CaptureFixture[str]) -> None:
    """A database without LangChain's table is named as such."""
    with closing(sqlite3.connect("old/shop.db")) as database:
        database.execute("CREATE TABLE customers (name)")
        database.commit()
    assert "full_llm_cache" in run(capsys)["problems"][0]["reason"]


def test_cassettes_of_this_library_are_passed_over(capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that was imported already is no problem when it is looked through again."""
    Path("old/calls.yaml").write_text(cassette(foreign.vcr()))
    run(capsys, code=0)
    assert run(capsys, "old", "cassettes", code=0)["outcomes"]["imported"] == 1
    assert len(Cassette("cassettes/old/calls.yaml")) == 1


def test_a_file_without_a_suffix_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    """vcrpy's cassettes need no suffix."""
    Path("old/synopsis").write_text(cassette(foreign.vcr()))
    Path("old/notes.md").write_text("interactions:")
    assert run(capsys, code=0)["outcomes"]["imported"] == 1
    assert len(Cassette("cassettes/old/synopsis.yaml")) == 1


def test_what_is_nested_too_deeply_for_a_cassette_is_left_out_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """What is nested deeper than a cassette may be is left out by itself."""
    deep: Any = "x"
    for _ in range(120):
        deep = [deep]
    interactions = [foreign.vcr({"body": json.dumps({"model": "m", "messages": deep})}), foreign.vcr()]
    Path("old/calls.json").write_text(json.dumps({"interactions": interactions}))
    said = run(capsys)
    assert said["outcomes"] == {"imported": 1, "not_a_model_call": 0, "unsupported": 1, "malformed": 0}
    assert "nesting" in said["problems"][0]["reason"]


def test_a_cassette_that_cannot_be_trusted_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """Where a file lies that is no cassette, nothing is written, and the reason is given."""
    target = Path("cassettes/old/calls.yaml")
    target.parent.mkdir(parents=True)
    target.write_text("something: else\n")
    Path("old/calls.yaml").write_text(yaml.dump({"interactions": [foreign.vcr()]}))
    said = run(capsys)
    assert said["outcomes"]["unsupported"] == 1
    assert "not a cassette" in said["problems"][0]["reason"]
    assert target.read_text() == "something: else\n"
