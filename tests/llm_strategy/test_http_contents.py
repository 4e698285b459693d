"""Images, sound and files in HTTP calls lie beside the cassette, once, and come back byte for byte."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from openai import OpenAI

from llm_strategy import Cassette, CassetteMiss, SecretFound, use_cassette
from llm_strategy.canonical import digest
from llm_strategy.cassette.document import response_digest
from llm_strategy.cassette.emitter import emit
from llm_strategy.cassette.reader import load
from llm_strategy.cli import main
from llm_strategy.errors import CassetteError
from llm_strategy.session import Session
from llm_strategy.wire.bodies import answer_bytes, pack_answer
from llm_strategy.wire.contents import contents, described, filled, packed, unpacked
from llm_strategy.wire.envelope import HTTPRequest, request_of
from tests.llm_strategy.loopback import Loopback, Reply, completion
from tests.llm_strategy.test_http import NOWHERE, client, serving

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8
WAV = b"RIFF\x00\x10\x00\x00WAVE" + bytes(range(255, -1, -1)) * 8
HEX = "0123456789abcdef" * 4


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


URL = "data:image/png;base64," + encoded(PNG)


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "LLM_STRATEGY_RECORD"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    session = Session(tmp_path)
    yield session.folder / "calls.yaml"
    session.finish()


def look(client: OpenAI, url: str = URL) -> Any:
    sound = {"type": "input_audio", "input_audio": {"data": encoded(WAV), "format": "wav"}}
    content: Any = [
        {"type": "text", "text": "Look."},
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "image_url", "image_url": {"url": url}},
        sound,
    ]
    return client.chat.completions.create(model="m", messages=[{"role": "user", "content": content}])


def speaking() -> Reply:
    """A chat completion with sound in it."""
    body = json.loads(json.dumps(completion("Hello.").body))
    body["choices"][0]["message"]["audio"] = {
        "id": "audio_1",
        "data": encoded(WAV),
        "transcript": "Hello.",
        "expires_at": 1,
    }
    return Reply(body)


def blob_files(path: Path) -> list[Path]:
    return sorted(file for file in (path.parent / "blobs").rglob("*") if len(file.name) == 64)


@contextmanager
def recorded(path: Path, body: bytes, kind: str = "application/json", sent: Any = None) -> Iterator[None]:
    """A cassette with one call that was answered by this body; inside, it is replayed."""
    request = {"model": "m", "messages": []} if sent is None else sent
    with serving(lambda _: ({"Content-Type": kind}, body)) as url, use_cassette(path, "new", http=True):
        assert httpx2.post(f"{url}/v1/chat/completions", json=request).content == body
    with use_cassette(path, http=True):
        assert httpx2.post(f"{NOWHERE}/chat/completions", json=request).content == body
        yield


def test_what_a_client_sends_is_stored_once(path: Path) -> None:
    """The document has type, size and hash; a replay needs no file; the key is that of the content in its place."""
    with Loopback("a lamp") as server, use_cassette(path, "new", http=True):
        look(client(server.url))
    text = path.read_text()
    assert encoded(PNG)[:100] not in text
    assert encoded(WAV)[:100] not in text
    assert 'prefix: "data:image/png;base64,"' in text
    assert [f'mime_type: "{kind}"' in text for kind in ("image/png", "audio/wav")] == [True, True]
    assert f"size: {len(PNG)}" in text
    assert sorted(file.read_bytes() for file in blob_files(path)) == sorted((PNG, WAV))
    (call,) = Cassette(path)
    assert digest(call.request.identity) == call.key
    assert call.request.http["body"]["messages"][0]["content"][1]["image_url"]["url"] == URL

    shutil.rmtree(path.parent / "blobs")
    with use_cassette(path, http=True) as replayed:
        assert look(client()).choices[0].message.content == "a lamp"
    assert replayed.calls[0].replayed


def test_a_recording_with_content_in_its_place_is_replayed(path: Path) -> None:
    """Older releases have written such files, and their keys and digests still hold."""
    with Loopback(speaking()) as server, use_cassette(path, "new", http=True):
        look(client(server.url))
    header, document = path.read_text().split("\n---\n")
    call = load(document.encode())
    read = {file.name: file.read_bytes() for file in blob_files(path)}
    for side in ("request", "response"):
        call[side] = filled(unpacked(call[side]), lambda identity: read[identity.sha256])
    call["request_digest"], call["digest"] = digest(call["request"]), response_digest(call["key"], call["response"])
    assert call["request_digest"] != load(document.encode())["request_digest"]
    path.write_text(header + "\n" + emit(call))
    shutil.rmtree(path.parent / "blobs")

    assert main(["verify", str(path)]) == 0
    with use_cassette(path, http=True):
        assert look(client()).choices[0].message.audio.data == encoded(WAV)


def test_an_answer_with_content_comes_back(path: Path) -> None:
    """From the file beside the cassette."""
    with Loopback(speaking()) as server, use_cassette(path, "new", http=True):
        look(client(server.url))
    assert encoded(WAV)[:100] not in path.read_text()
    with use_cassette(path, http=True) as replayed:
        message = look(client()).choices[0].message
    assert base64.b64decode(message.audio.data) == WAV
    assert replayed.calls[0].response.content == "Hello."


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("audio/mpeg", b"\xff\xfb" + bytes(range(256)) * 8),
        ("application/json", json.dumps({"data": [{"b64_json": encoded(PNG)}]}, indent=2).encode()),
        ("application/json", json.dumps({"data": [{"embedding": encoded(WAV), "index": 0}]}).encode()),
        ("application/json", json.dumps({"image": URL, "text": URL + " in a text"}).encode()),
        ("application/json", json.dumps({"data": encoded(PNG)[:-1], "b64_json": encoded(PNG) + "\n"}).encode()),
        ("application/json", json.dumps({"content": encoded(PNG)}).encode()),
        ("application/json", json.dumps([encoded(PNG), {"images": [encoded(PNG), "small"]}]).encode()),
        ("text/event-stream", f'data: {{"partial_image_b64": "{encoded(PNG)}"}}\n\ndata: [DONE]\n\n'.encode()),
        ("text/plain", encoded(PNG).encode()),
    ],
    ids=["binary", "b64_json", "embedding", "data URL", "no base64", "text", "list", "events", "plain"],
)
def test_every_byte_comes_back(path: Path, kind: str, body: bytes) -> None:
    """Whatever the answer is, and whatever of it was moved out."""
    with recorded(path, body, kind):
        pass
    assert main(["verify", str(path)]) == 0


@pytest.mark.parametrize(
    ("body", "count"),
    [
        ({"data": encoded(b"x" * 1024)}, 1),
        ({"data": encoded(b"x" * 1023)}, 0),
        ({"content": encoded(PNG)}, 0),
        ({"content": URL}, 1),
        ({"source": {"type": "base64", "media_type": "image/png", "data": encoded(PNG)}}, 1),
        ({"url": "data:;base64," + encoded(PNG)}, 1),
        ({"url": "data:text/plain;charset=utf-8;base64," + encoded(b"text " * 300)}, 1),
        ({"url": "data:image/png," + encoded(PNG)}, 0),
        ({"base64": encoded(PNG)}, 1),
        ({"data": base64.urlsafe_b64encode(PNG).decode()}, 1),
        ({"data": base64.urlsafe_b64encode(PNG).decode().replace("-", "+")}, 0),
    ],
)
def test_what_is_large_content(body: Any, count: int) -> None:
    """From 1 KiB on, a data URL, or base64 in a field that is known to hold it; a text is left alone."""
    assert len(list(contents({"body": body}))) == count
    assert packed({"body": body}) != {"body": body} or not count


@pytest.mark.parametrize("marks", ["", "!", "!!"])
@pytest.mark.parametrize(
    "prefix",
    [{}, {"prefix": "data:image/png;base64,"}, {"prefix": "a", "alphabet": "url"}],
    ids=["bare", "prefix", "alphabet"],
)
@pytest.mark.parametrize(
    "place", [lambda value: value, lambda value: {"messages": [value, "x"]}], ids=["body", "inside"]
)
def test_a_genuine_mapping_of_that_form_stays_what_it_is(
    path: Path, marks: str, prefix: Mapping[str, str], place: Any
) -> None:
    """One that a client sends or gets is no reference: it is written with a mark more, and read with one less."""
    genuine = place({"blob": {"sha256": HEX + marks, "mime_type": None, "size": 5}, **prefix})
    with recorded(path, json.dumps(genuine).encode(), sent=genuine):
        pass
    assert HEX + marks + "!" in path.read_text()
    assert main(["verify", str(path)]) == 0
    assert Cassette(path)[0].request.http["body"] == genuine


@pytest.mark.parametrize(
    "value",
    [
        {"blob": "text"},
        {"blob": {"sha256": HEX}},
        {"blob": {"sha256": "x", "mime_type": None, "size": 1}},
        {"blob": None},
    ],
)
def test_other_mappings_with_the_name_are_stored_as_they_are(value: Any) -> None:
    """So files of older releases mean what they meant."""
    http = {"body": {"a": value}, "events": [value]}
    assert packed(http) == http == unpacked(http)


def test_a_missing_or_changed_file_is_no_answer(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The error names the file and the command; `verify` and `show` say it too, with the size and the hash."""
    with Loopback(speaking()) as server, use_cassette(path, "new", http=True):
        client(server.url).chat.completions.create(model="m", messages=[])
    (file,) = blob_files(path)

    def replay() -> str:
        with use_cassette(path, http=True), pytest.raises(CassetteError) as caught:
            httpx2.post(f"{NOWHERE}/chat/completions", json={"model": "m", "messages": []})
        return str(caught.value)

    file.write_bytes(WAV[:-1] + b"x")
    assert f"the blob {file} was changed" in replay()
    assert main(["verify", str(path)]) == 5
    assert "was changed: its hash is another one" in capsys.readouterr().err
    file.unlink()
    assert f"the blob blobs/{file.parent.name}/{file.name} is missing" in replay()
    assert "--llm-record=all" in replay()
    assert main(["verify", str(path)]) == 3
    assert f"the blob blobs/{file.parent.name}/{file.name} is missing" in capsys.readouterr().err
    assert main(["show", "--json", str(path)]) == 0
    shown = json.loads(capsys.readouterr().out)
    audio = shown["response"]["body"]["choices"][0]["message"]["audio"]
    assert audio["data"] == {"blob": {"sha256": file.name, "mime_type": "audio/wav", "size": len(WAV)}}


def test_show_and_misses_say_type_size_and_hash(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In requests and answers, also of endpoints that are not known."""
    with Loopback("x") as server, use_cassette(path, "new", http=True):
        look(client(server.url))
    assert main(["show", str(path)]) == 0
    (png,) = (content for content in contents({"body": {"a": URL}}))
    assert f"[image: image/png, {len(PNG):,} bytes, SHA-256 {png.identity.sha256[:16]}]" in capsys.readouterr().out
    changed = "data:image/png;base64," + encoded(PNG + b"changed")
    with use_cassette(path, http=True), pytest.raises(CassetteMiss) as caught:
        look(client(), changed)
    assert f"-[image: image/png, {len(PNG):,} bytes" in str(caught.value)
    assert f"+[image: image/png, {len(PNG) + 7:,} bytes" in str(caught.value)

    body = json.dumps({"data": [{"b64_json": encoded(PNG)}]}).encode()
    path.unlink()
    with recorded(path, body, sent={"image": URL, "prompt": "Draw."}):
        pass
    assert main(["show", str(path)]) == 0
    printed = capsys.readouterr().out
    assert printed.count(f"[image/png, {len(PNG):,} bytes, SHA-256 {png.identity.sha256[:16]}]") == 2
    assert encoded(PNG)[:100] not in printed


def test_diff_shows_content_by_its_hash(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And an answer's text once, though its body holds it too."""
    other = path.with_name("other.yaml")
    for file, answer, data in ((path, "a lamp", PNG), (other, "a pot", WAV)):
        body = json.dumps({"b64_json": encoded(data)}).encode()
        served = serving(lambda _, body=body: ({}, body))
        with Loopback(answer) as server, served as url, use_cassette(file, "all", http=True):
            look(client(server.url))
            httpx2.post(f"{url}/v1/chat/completions", json={"prompt": "Draw."})
    assert main(["diff", str(path), str(other)]) == 1
    printed = capsys.readouterr().out
    assert "-a lamp\n+a pot\n\n" in printed
    png, wav = (next(contents({"body": {"data": encoded(data)}})) for data in (PNG, WAV))
    assert f'  body.b64_json: "{png}" -> "{wav}"\n' in printed
    assert "[image/png, 2,056 bytes" in str(png)


def test_a_credential_in_content_is_not_written(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither what the environment holds nor what the call was sent with, in either direction."""
    monkeypatch.setenv("SHOP_PASSWORD", "correct horse battery")
    key = "a-key-of-no-known-shape-0123456789"
    for secret in ("correct horse battery", key):
        data = PNG + secret.encode() + PNG
        with Loopback("x") as server, use_cassette(path, "new", http=True):
            with pytest.raises(SecretFound):
                look(client(server.url, key=key), "data:image/png;base64," + encoded(data))
            assert server.requests == []
        answer = json.dumps({"b64_json": encoded(data)}).encode()
        served = serving(lambda _, answer=answer: ({}, answer))
        with served as url, use_cassette(path, "new", http=True), pytest.raises(SecretFound):
            httpx2.post(f"{url}/v1/chat/completions", json={}, headers={"Authorization": f"Bearer {key}"})
    assert not path.exists()
    assert not (path.parent / "blobs").exists()


def test_a_rule_by_shape_does_not_look_into_content(path: Path) -> None:
    """What looks like a credential stands in binary content by chance, and must come back."""
    data = base64.b64decode(encoded(PNG[:2055]) + "/AKIA" + "ABCDEFGH" * 2 + "+++")
    body = json.dumps({"b64_json": encoded(data)}).encode()
    assert b"/AKIAABCDEFGHABCDEFGH+" in body
    with recorded(path, body):
        pass


def test_a_rule_by_shape_does_not_look_into_what_is_sent(path: Path) -> None:
    """Content that is sent is stored as it is, and its key covers all of it; around it the rules hold."""
    chance = "/AKIA" + "ABCDEFGH" * 2 + "+++"
    bodies = [
        {"data": encoded(PNG[:2055]) + chance, "text": f"key {chance[1:21]}."} for chance in (chance, chance[::-1])
    ]
    envelopes = [request_of("POST", "https://h/v1/x", {}, body).http for body in bodies]
    assert [http["body"]["data"] for http in envelopes] == [body["data"] for body in bodies]
    assert envelopes[0]["body"]["text"] == "key <aws-key-id>."
    assert len({HTTPRequest.of(http).key for http in envelopes}) == 2
    [file] = contents(envelopes[0])
    assert file.data == base64.b64decode(bodies[0]["data"])


def test_base64_of_both_alphabets_comes_back(path: Path) -> None:
    """Which one it was is known where nothing is left of it, in answers as in requests."""
    for text in (encoded(PNG), base64.urlsafe_b64encode(PNG).decode()):
        http = {"body": {"data": text}}
        assert filled(unpacked(packed(http)), lambda identity: PNG) == http
    with recorded(path, json.dumps({"data": text}).encode(), sent={"data": text}):
        pass
    assert path.read_text().count('alphabet: "url"') == 2


def test_words_and_references_stand_for_the_same(path: Path) -> None:
    """An envelope that was packed is described as one that was not, whether its files are there or not."""
    http = {"body": {"messages": [{"content": [{"image_url": {"url": URL}}, {"data": encoded(WAV)}]}]}}
    assert described(unpacked(packed(http))) == described(http) != http
    assert packed(unpacked(packed(http))) == packed(http)
    binary = {"headers": {"content-type": "audio/mpeg; q=1"}, **pack_answer(b"\xff\xfb" + bytes(2000), "audio/mpeg")}
    assert packed(binary)["body"]["blob"]["mime_type"] == "audio/mpeg"
    read = filled(unpacked(packed(binary)), lambda identity: b"\xff\xfb" + bytes(2000))
    assert answer_bytes(read) == b"\xff\xfb" + bytes(2000)
