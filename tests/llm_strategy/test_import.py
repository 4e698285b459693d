"""`llm-strategy import`: what other tools have recorded replays for the real clients."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import vcr
import yaml
from openai import OpenAI

from llm_strategy import Cassette, CassetteMiss, use_cassette
from llm_strategy.cassette.verification import problems
from llm_strategy.cli import main
from tests.llm_strategy import foreign
from tests.llm_strategy.foreign import ANSWER, RECORDINGS, ask, cassette
from tests.llm_strategy.loopback import Loopback, completion, failure, streaming

CASSETTE = Path("cassettes/old/calls.yaml")


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project, with nothing in the environment that would matter."""
    monkeypatch.chdir(tmp_path)
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "LLM_STRATEGY_RECORD"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def imported(capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """Puts text into a file, imports it and returns what `--json` says."""

    def run(text: str | bytes, name: str = "calls.yaml", *options: str) -> dict[str, Any]:
        path = Path("old", name)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text)
        code = main(["import", str(path), "--json", *options])
        said: dict[str, Any] = json.loads(capsys.readouterr().out)
        assert code == (1 if said["outcomes"]["unsupported"] or said["outcomes"]["malformed"] else 0)
        return said

    return run


def outcomes(said: dict[str, Any]) -> dict[str, int]:
    """The outcomes that there were."""
    return {name: number for name, number in said["outcomes"].items() if number}


@pytest.mark.parametrize("kind", RECORDINGS)
def test_every_layout_replays_byte_for_byte(kind: str, imported: Callable[..., dict[str, Any]]) -> None:
    """Whatever the tool and its version, the same call of a real client gets the bytes that were recorded."""
    text, answer = RECORDINGS[kind]
    said = imported(text, "calls.json" if "json" in kind else "calls.yaml")
    assert said == {
        "outcomes": {"imported": 1, "not_a_model_call": 0, "unsupported": 0, "malformed": 0},
        "problems": [],
    }
    with use_cassette(CASSETTE, http=True):
        response = ask()
        assert (response.status_code, response.content) == (200, answer)
        with pytest.raises(CassetteMiss):
            ask()
    assert not list(problems(CASSETTE))


def vcr_client(url: str) -> OpenAI:
    return OpenAI(base_url=url, api_key="sk-recorded-key-1234", max_retries=1)


def conversation(url: str) -> list[Any]:
    """A program: three calls, of which one is streamed, and an equal one."""
    client = vcr_client(url)
    hello: Any = [{"role": "user", "content": "Hello"}]
    texts = [client.chat.completions.create(model="m", messages=hello).choices[0].message.content for _ in range(2)]
    stream = client.chat.completions.create(model="m", messages=hello, stream=True)
    return [*texts, [chunk.choices[0].delta.content for chunk in stream if chunk.choices]]


@pytest.mark.parametrize("serializer", ["yaml", "json"])
def test_a_program_replays_what_vcrpy_has_recorded_of_it(serializer: str) -> None:
    """A recording that vcrpy makes of the real `openai` client replays for that client, streams and equal calls too."""
    with Loopback("One", "Two", streaming("Thr", "ee")) as server:
        with vcr.VCR(serializer=serializer).use_cassette(f"old/calls.{serializer}", decode_compressed_response=True):
            recorded = conversation(server.url)
        assert len(server.requests) == 3
    assert main(["import", "old"]) == 0
    with use_cassette("cassettes/old/calls.yaml", http=True) as replaying:
        assert conversation("http://127.0.0.1:9/v1") == recorded == ["One", "Two", ["", "Thr", "ee", None]]
    assert [call.request.messages[-1].content for call in replaying.calls] == ["Hello"] * 3


def test_an_error_that_a_retry_mended_is_left_out() -> None:
    """As in recording, only the answer that the client ended up with is imported; the error is reported."""
    with Loopback(failure(429, "Slow down", retry_after_ms="1"), "Done") as server, vcr.use_cassette("old/calls.yaml"):
        assert conversation_of_one(server.url) == "Done"
    assert main(["import", "old"]) == 1
    assert [call.response.content for call in Cassette(CASSETTE)] == ["Done"]
    with use_cassette(CASSETTE, http=True):
        assert conversation_of_one("http://127.0.0.1:9/v1") == "Done"


def conversation_of_one(url: str) -> str | None:
    hello: Any = [{"role": "user", "content": "Hello"}]
    return vcr_client(url).chat.completions.create(model="m", messages=hello).choices[0].message.content


ERROR = foreign.vcr(response={"status": {"code": 429, "message": ""}, "body": {"string": "{}"}})
OTHER = foreign.vcr({"body": '{"model": "other", "messages": []}'})
ASKED_ANEW = foreign.vcr({"headers": {**foreign.JSON_TYPE, "x-stainless-retry-count": ["0"]}})


@pytest.mark.parametrize(
    ("interactions", "statuses"),
    [
        ([ERROR, foreign.vcr()], [200]),
        ([ERROR, ERROR, OTHER, foreign.vcr()], [200]),
        ([ERROR, ERROR], [429]),
        ([foreign.vcr(), ERROR], [200, 429]),
        ([ERROR, ASKED_ANEW], [429, 200]),
    ],
    ids=["mended", "mended at the third attempt", "given up", "the last answer", "asked anew by the program"],
)
def test_an_error_stays_where_it_was_the_answer(
    interactions: list[Any], statuses: list[int], imported: Callable[..., dict[str, Any]]
) -> None:
    """What the program lived with is imported, an error too; what its client got over is `unsupported`."""
    said = imported(cassette(*interactions))
    assert sum(said["outcomes"].values()) == len(interactions)
    assert all(problem["outcome"] == "unsupported" and "429" in problem["reason"] for problem in said["problems"])
    with use_cassette(CASSETTE, http=True):
        anew = {"x-stainless-retry-count": "0"}
        assert [httpx.post(foreign.NOWHERE, json=foreign.ASKED, headers=anew).status_code for _ in statuses] == statuses


def test_a_second_import_changes_nothing(imported: Callable[..., dict[str, Any]]) -> None:
    """What is there already counts as imported, and the file stays as it is."""
    first = imported(cassette(foreign.vcr(), OTHER, foreign.vcr()))
    before = CASSETTE.read_bytes()
    assert imported(cassette(foreign.vcr(), OTHER, foreign.vcr())) == first
    assert outcomes(first) == {"imported": 3}
    assert CASSETTE.read_bytes() == before


def test_what_is_recorded_already_is_not_overwritten(imported: Callable[..., dict[str, Any]]) -> None:
    """An answer that a cassette has wins over an imported one; what it lacks is added behind."""
    imported(cassette(foreign.vcr()))
    said = imported(cassette(foreign.vcr(response={"body": {"string": "{}"}}), OTHER))
    assert outcomes(said) == {"imported": 1, "unsupported": 1}
    assert "another answer" in said["problems"][0]["reason"]
    with use_cassette(CASSETTE, http=True):
        assert ask().content == ANSWER


def test_the_header_says_what_answered(imported: Callable[..., dict[str, Any]]) -> None:
    """`answered_by` names the models of the responses, not those that were asked."""
    imported(cassette(foreign.vcr(), OTHER))
    assert Cassette(CASSETTE).header["answered_by"] == "gpt-5-mini-2025-08-07"


def test_what_nothing_here_can_decompress_is_kept_as_it_came(imported: Callable[..., dict[str, Any]]) -> None:
    """As in recording, such an answer keeps its header, and its client gets what it had got."""
    packed = b"\xff\x06\x00\x00sNaPpY" + bytes(range(128, 160))
    said = imported(cassette(foreign.vcr(response={"body": {"string": packed}}, Content_Encoding=["x-snappy-framed"])))
    assert outcomes(said) == {"imported": 1}
    with use_cassette(CASSETTE, http=True):
        response = ask()
    assert (response.headers["content-encoding"], response.content) == ("x-snappy-framed", packed)


def test_errors_are_recorded_where_the_project_wants_them(
    imported: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `llm_record_errors`, a mended error is imported too, and its client asks again without waiting."""
    monkeypatch.setenv("LLM_STRATEGY_RECORD_ERRORS", "1")
    assert outcomes(imported(cassette(ERROR, foreign.vcr()))) == {"imported": 2}
    with use_cassette(CASSETTE, http=True) as replaying:
        client = OpenAI(base_url="http://127.0.0.1:9/v1", api_key="any", max_retries=1)
        assert client.chat.completions.create(**foreign.ASKED).choices[0].message.content == "Grüß Gott ☀"
    assert [call.response.status for call in replaying.calls] == [429, 200]


SECRETS = {
    "the key that the call was sent with": (
        {"Authorization": ["Bearer " + "my-own-gateway-key"]},
        "my-own-gateway-key",
    ),
    "a key in another header": ({"x-api-key": ["my-own-gateway-key"]}, "my-own-gateway-key"),
    "a cookie": ({"Cookie": ["session=abcdefghijklmnop"]}, "abcdefghijklmnop"),
    "a key in a set of pairs": ([["api-key", "my-own-gateway-key"]], "my-own-gateway-key"),
}


@pytest.mark.parametrize("kind", SECRETS)
def test_credentials_do_not_come_along(kind: str, imported: Callable[..., dict[str, Any]]) -> None:
    """What stands in a foreign file's headers is found neither in the cassette's headers nor in its bodies."""
    headers, secret = SECRETS[kind]
    answer = json.dumps({"echo": f"You sent {secret}", "set": "zyxwvutsrqponmlk"})
    said = imported(
        cassette(
            foreign.vcr({"headers": headers, "uri": f"{foreign.URL}?key={secret}"}),
            foreign.vcr(
                {"body": '{"model": "m"}'},
                {"body": {"string": answer}},
                Set_Cookie=["a=1; domain=.api.openai.com; path=/, __cf_bm=zyxwvutsrqponmlk; HttpOnly"],
            ),
        )
    )
    assert outcomes(said) == {"imported": 2}
    text = CASSETTE.read_text(encoding="utf-8")
    assert secret not in text
    assert "zyxwvutsrqponmlk" not in text
    assert "cookie" not in text.lower()


REPEATED = {
    "with escaped slashes": (b'{"model": "my\\/own+gateway-key"}', {}),
    "in a form": (b"model=my%2Fown%2Bgateway-key", {"content-type": ["application/x-www-form-urlencoded"]}),
    "compressed": (gzip.compress(b'{"model": "my/own+gateway-key"}', mtime=0), {"content-encoding": ["gzip"]}),
}


@pytest.mark.parametrize("how", REPEATED)
def test_credentials_are_found_however_a_body_repeats_them(how: str, imported: Callable[..., dict[str, Any]]) -> None:
    """A body that writes a key of the headers, or a password of the address, in its own way does not keep it."""
    body, headers = REPEATED[how]
    said = imported(
        cassette(
            foreign.vcr({"body": body, "headers": {"x-api-key": ["my/own+gateway-key"], **headers}}),
            foreign.vcr(
                {"body": body, "headers": headers, "uri": "https://me:my%2Fown+gateway-key@api.openai.com/v1/responses"}
            ),
        )
    )
    assert outcomes(said) == {"imported": 2}
    assert "gateway-key" not in CASSETTE.read_text(encoding="utf-8")


def test_a_redirect_does_not_keep_the_key_of_its_address(imported: Callable[..., dict[str, Any]]) -> None:
    """The header location is an address like that of a request: without what grants access, with all the rest."""
    to = "https://api.openai.com/v1/files/a?key=my-own-gateway-key&alt=media#top"
    answer = {"status": {"code": 302}, "headers": {"location": [to]}, "body": {"string": ""}}
    imported(cassette(foreign.vcr(response=answer)))
    (call,) = Cassette(CASSETTE)
    assert call.response.http["headers"] == {"location": "https://api.openai.com/v1/files/a?alt=media#top"}


def test_a_known_key_of_this_machine_is_scrubbed(
    imported: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The value of a credential-named variable does not reach an imported cassette."""
    monkeypatch.setenv("SHOP_API_KEY", "correct-horse-battery")
    imported(cassette(foreign.vcr(response={"body": {"string": '{"said": "correct-horse-battery"}'}})))
    assert "correct-horse-battery" not in CASSETTE.read_text(encoding="utf-8")


def test_large_content_goes_into_files(imported: Callable[..., dict[str, Any]]) -> None:
    """Binary content of a foreign file is stored beside the cassettes, and replayed from there."""
    audio = bytes(range(256)) * 16
    said = imported(
        cassette(foreign.vcr(response={"headers": {"content-type": ["audio/mpeg"]}, "body": {"string": audio}}))
    )
    assert outcomes(said) == {"imported": 1}
    assert len(list(Path("cassettes/blobs").rglob("*"))) > 1
    with use_cassette(CASSETTE, http=True):
        assert ask().content == audio


def test_a_form_is_imported_as_it_was_sent(imported: Callable[..., dict[str, Any]]) -> None:
    """Bodies that were kept as what `requests` was given, a mapping or pairs, are the forms that it sent."""
    form = {"Content-Type": ["application/x-www-form-urlencoded"]}
    kept: list[Any] = [{"q": "a b", "n": "1"}, [["q", "a b"], ["n", "1"]], "q=a+b&n=1"]
    said = imported(cassette(*(foreign.vcr({"headers": form, "body": body}) for body in kept)))
    assert outcomes(said) == {"imported": 3}
    with use_cassette(CASSETTE, http=True):
        for _ in kept:
            assert httpx.post(foreign.NOWHERE, data={"q": "a b", "n": "1"}).content == ANSWER


def test_the_text_for_people_names_files_and_outcomes(
    imported: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Without `--json` the command says which cassettes it has written, what it left out and why, and the sums."""
    Path("old").mkdir()
    Path("old/calls.yaml").write_text(cassette(foreign.vcr(), foreign.vcr({"uri": "ws://api.openai.com/v1/realtime"})))
    assert main(["import", "old"]) == 1
    said = capsys.readouterr()
    assert said.out == "cassettes/old/calls.yaml: 1 call\nimported 1, not a model call 0, unsupported 1, malformed 0\n"
    assert said.err == "old/calls.yaml (interaction 1): unsupported: it is a WebSocket, which is no HTTP call\n"


def test_a_recording_with_a_real_completion_is_read_by_people(imported: Callable[..., dict[str, Any]]) -> None:
    """An imported call shows its prompt and answer as a recorded one does."""
    reply = json.dumps(completion("Hi!").body)
    imported(yaml.dump({"interactions": [foreign.vcr(response={"body": {"string": reply}})]}))
    (call,) = Cassette(CASSETTE)
    assert (call.request.messages[0].content, call.response.content) == ("Was heißt „Hi“? 🙂", "Hi!")
