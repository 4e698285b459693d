"""Calls of urllib3 and of what stands on it, recorded and replayed: every way to send, to read and to stop."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import responses
import urllib3
from botocore.awsrequest import AWSResponse
from botocore.stub import Stubber
from urllib3.exceptions import ProtocolError

from llm_strategy import Cassette, CassetteError, CassetteMiss, SecretFound, use_cassette
from llm_strategy.session import Session
from tests.llm_strategy.client_calls import bedrock, no_settings
from tests.llm_strategy.loopback import HANG_UP, Loopback, Reply, completion, failure, streaming
from tests.llm_strategy.programs import output

PATH = "/chat/completions"
NOWHERE = "http://127.0.0.1:9/v1"
QUESTION = {"model": "m", "messages": [{"role": "user", "content": "How much is 6 * 7?"}]}
STREAMED = {**QUESTION, "stream": True}
TIME = 20


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cassette in a session of the test's own: what another test has recorded is not found."""
    monkeypatch.delenv("LLM_STRATEGY_RECORD", raising=False)
    session = Session(tmp_path)
    yield session.folder / "calls.yaml"
    session.finish()


def opened(url: str, body: Any = QUESTION, **options: Any) -> Any:
    """An answer that is still to be read."""
    given = {"preload_content": False, "retries": False, **options}
    return urllib3.PoolManager().request("POST", url + PATH, json=body, timeout=TIME, **given)


def post(url: str, body: Any = QUESTION, **options: Any) -> requests.Response:
    return requests.post(url + PATH, json=body, timeout=TIME, **options)


def both(path: Path, reply: Any, ask: Callable[[str], Any]) -> tuple[Any, Any]:
    """What a function of the server's address gives while it is recorded, and in replay."""
    with Loopback(reply) as server, use_cassette(path, "new", http=True):
        recorded = ask(server.url)
    assert len(server.requests) == 1
    with use_cassette(path, http=True):
        return recorded, ask(NOWHERE)


# Reading

READERS: dict[str, Callable[[Any], Any]] = {
    "read": lambda answer: answer.read(),
    "read by seven": lambda answer: [*iter(lambda: answer.read(7), b"")],
    "read1": lambda answer: [*iter(answer.read1, b"")],
    "read1 by seven": lambda answer: [*iter(lambda: answer.read1(7), b"")],
    "readinto": lambda answer: (answer.readinto(buffer := bytearray(9)), buffer, answer.read()),
    "stream": lambda answer: list(answer.stream()),
    "stream by seven": lambda answer: list(answer.stream(7)),
    "stream, decoded": lambda answer: list(answer.stream(decode_content=True)),
    "read_chunked": lambda answer: list(answer.read_chunked()),
    "iteration": list,
    "data": lambda answer: (answer.data, answer.data),
    "lines of text": lambda answer: (setattr(answer, "auto_close", False), list(io.TextIOWrapper(answer, "utf-8"))),
    "head only": lambda answer: (answer.status, answer.reason, answer.headers["Content-Type"], answer.drain_conn()),
}


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("reader", READERS)
def test_every_way_to_read(path: Path, reader: str, streams: bool) -> None:
    """Whichever method reads an answer, it gives the same in replay; all its bytes are those of the server."""
    said = streaming("It ", "is ", "42.") if streams else completion("It is 42. ☕")
    recorded, replayed = both(path, said, lambda url: READERS[reader](opened(url)))
    assert recorded == replayed
    assert recorded
    assert len(Cassette(path)) == 1


REQUESTS_READERS: dict[str, Callable[[requests.Response], Any]] = {
    "content": lambda answer: answer.content,
    "text": lambda answer: answer.text,
    "iter_lines": lambda answer: list(answer.iter_lines()),
    "iter_content": lambda answer: list(answer.iter_content(None)),
    "iter_content by five": lambda answer: list(answer.iter_content(5)),
    "raw": lambda answer: answer.raw.read(),
    "head only": lambda answer: (answer.ok, answer.reason, answer.headers["Content-Type"], answer.close()),
}


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("reader", REQUESTS_READERS)
def test_every_way_to_read_with_requests(path: Path, reader: str, streams: bool) -> None:
    """The same through `requests`, whether it reads at once or on demand."""
    said = streaming("It ", "is ", "42.") if streams else completion("It is 42. ☕")
    recorded, replayed = both(path, said, lambda url: REQUESTS_READERS[reader](post(url, stream=True)))
    assert recorded == replayed


def test_answers_that_are_read_at_once(path: Path) -> None:
    """With its body loaded by urllib3 itself, an answer is the same object as ever."""

    def ask(url: str) -> tuple[Any, ...]:
        answer = urllib3.request("POST", url + PATH, json=QUESTION)
        return answer.json(), answer.data, answer.status, answer.headers["content-type"]

    recorded, replayed = both(path, "42", ask)
    assert recorded == replayed
    assert recorded[0]["choices"][0]["message"]["content"] == "42"


def test_a_pool_is_whole_after_an_answer(path: Path) -> None:
    """A connection goes back to its pool when an answer was read, closed or drained: one is enough for all of them."""
    enough = [streaming("It ", "is ", "42.") for _ in range(4)]
    with Loopback(*enough) as server, use_cassette(path, "new", http=True):
        host, port = server.url.removeprefix("http://").removesuffix("/v1").split(":")
        pool = urllib3.HTTPConnectionPool(host, int(port), maxsize=1, block=True, timeout=TIME)
        options = {"preload_content": False, "pool_timeout": 1, "retries": False, "body": json.dumps(QUESTION)}
        for stop in ("read", "close", "drain_conn", "release_conn"):
            getattr(pool.urlopen("POST", f"/v1{PATH}", **options), stop)()
    assert server.unexpected == 0


# Streams


def test_the_first_event_arrives_before_the_last_was_sent(path: Path) -> None:
    """While recording, an event reaches its reader as soon as it is there."""
    seen = threading.Event()
    arrived = []
    said = streaming("It ", lambda: arrived.append(seen.wait(TIME)), "is 42.")
    with (
        Loopback(said) as server,
        use_cassette(path, "new", http=True),
        post(server.url, STREAMED, stream=True) as answer,
    ):
        lines = answer.iter_lines()
        next(lines)
        seen.set()
        rest = list(lines)
    assert arrived == [True]
    assert rest[-2] == b"data: [DONE]"


def test_a_stream_that_is_closed_early(path: Path) -> None:
    """What was read of a stream is replayed; who reads on gets a miss."""

    def ask(url: str) -> list[bytes]:
        with post(url, STREAMED, stream=True) as answer:
            pieces = answer.iter_content(None)
            return [next(pieces), next(pieces)]

    held = threading.Event()
    said = streaming("It ", lambda: held.wait(TIME), "is 42.")
    with Loopback(said) as server, use_cassette(path, "new", http=True):
        recorded = ask(server.url)
        held.set()
    assert "closed_early: true" in path.read_text("utf-8")
    with use_cassette(path, http=True):
        assert ask(NOWHERE) == recorded
    with use_cassette(path, http=True), pytest.raises(CassetteMiss):
        post(NOWHERE, STREAMED).json()


def test_a_stream_that_breaks(path: Path) -> None:
    """A connection that is lost in the middle of a stream is lost there in replay, with the same error."""

    def ask(url: str) -> list[bytes]:
        pieces = post(url, STREAMED, stream=True).iter_content(None)
        whole = [next(pieces) for _ in range(3)]
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            next(pieces)
        return whole

    recorded, replayed = both(path, streaming("It ", "is ", HANG_UP), ask)
    assert recorded == replayed


def test_an_answer_that_breaks(path: Path) -> None:
    """So is one in the middle of an answer that is no stream, and of which a client has checked the length."""

    class Cut(Reply):
        """Promises more than it sends."""

    cut = Cut({"half": "an answer"}, headers={"Content-Length": "1000"})

    def ask(url: str) -> str:
        with pytest.raises(ProtocolError) as caught:
            opened(url).read()
        return caught.type.__name__

    assert both(path, cut, ask) == ("ProtocolError", "ProtocolError")


def test_an_error_that_nobody_reads(path: Path) -> None:
    """Of an error, what the server says is kept even if the program wants no more than its status."""

    def ask(url: str) -> int:
        with post(url, stream=True) as answer, pytest.raises(requests.exceptions.HTTPError):
            answer.raise_for_status()
        return answer.status_code

    assert both(path, failure(404, "No such model"), ask) == (404, 404)
    assert "No such model" in path.read_text("utf-8")


# Retries and redirects


def retrying(**options: Any) -> requests.Session:
    session = requests.Session()
    retries = urllib3.Retry(2, status_forcelist=[500, 503], allowed_methods=None, **options)
    session.mount("http://", requests.adapters.HTTPAdapter(max_retries=retries))
    return session


def test_its_own_retries_are_one_call(path: Path) -> None:
    """Where urllib3 asks again of itself, the last answer is recorded, once, and replayed without another try."""
    replies = [failure(503, "Later"), HANG_UP, completion("42")]
    with Loopback(*replies) as server, use_cassette(path, "new", http=True) as cassette:
        recorded = retrying().post(server.url + PATH, json=QUESTION, timeout=TIME).json()
    assert len(server.requests) == 3
    assert len(cassette.calls) == len(Cassette(path)) == 1
    with use_cassette(path, http=True):
        assert retrying().post(NOWHERE + PATH, json=QUESTION, timeout=TIME).json() == recorded


@pytest.mark.parametrize("raises", [True, False])
def test_retries_that_did_not_help(path: Path, raises: bool) -> None:
    """After the last try, the last answer is recorded; what urllib3 makes of it, it makes of it in replay."""

    def ask(url: str) -> Any:
        session = retrying(raise_on_status=raises)
        if not raises:
            return session.post(url + PATH, json=QUESTION, timeout=TIME).status_code
        with pytest.raises(requests.exceptions.RetryError) as caught:
            session.post(url + PATH, json=QUESTION, timeout=TIME)
        return str(caught.value.args[0].reason)

    with Loopback(*[failure(500, "Broken")] * 3) as server, use_cassette(path, "new", http=True):
        recorded = ask(server.url)
    assert len(server.requests) == 3
    assert recorded == ("too many 500 error responses" if raises else 500)
    with use_cassette(path, http=True):
        assert ask(NOWHERE) == recorded


@pytest.mark.parametrize(
    ("client", "calls"),
    [(requests.Session().request, 2), (urllib3.PoolManager().request, 2), (None, 1)],
    ids=["requests", "manager", "pool"],
)
def test_a_redirect_is_followed(path: Path, client: Any, calls: int) -> None:
    """Who is sent elsewhere gets the answer from there; what a pool does of itself is one call."""

    def ask(url: str) -> Any:
        if client is not None:
            return client("POST", url + PATH, json=QUESTION).json()
        with urllib3.connection_from_url(url) as pool:
            return pool.request("POST", f"/v1{PATH}", json=QUESTION).json()

    with Loopback(Reply({}, 307, {"Location": f"/v2{PATH}"}), "42") as server, use_cassette(path, "new", http=True):
        recorded = ask(server.url)
    assert [seen.path for seen in server.requests] == [f"/v1{PATH}", f"/v2{PATH}"]
    with use_cassette(path, http=True) as cassette:
        assert ask(NOWHERE) == recorded
    assert len(cassette.calls) == calls


# Whose call it is


def test_clients_made_before(path: Path) -> None:
    """Sessions, pools and bound methods that were there before the block are recorded and replayed too."""
    with Loopback("1", "2") as server:
        session, pool = requests.Session(), urllib3.PoolManager()
        ways = [lambda url: session.post(url, json=QUESTION), lambda url: pool.request("POST", url, json=QUESTION)]
        with use_cassette(path, "new", http=True):
            recorded = [ask(server.url + PATH).json() for ask in ways]
    with use_cassette(path, http=True):
        assert [ask(NOWHERE + PATH).json() for ask in ways] == recorded


def test_over_a_proxy(path: Path) -> None:
    """A call over a proxy is recorded under the address that it asks."""
    address = f"http://models.example/v1{PATH}"
    with Loopback("42") as proxy, use_cassette(path, "new", http=True):
        proxies = {"http": proxy.url.removesuffix("/v1")}
        recorded = requests.post(address, json=QUESTION, proxies=proxies, timeout=TIME).json()
    assert 'url: "http://models.example/v1/chat/completions"' in path.read_text("utf-8")
    with use_cassette(path, http=True):
        assert requests.post(address, json=QUESTION, timeout=TIME).json() == recorded


def test_no_connection_stays_an_error(path: Path) -> None:
    """A server that is not there is the error that it always was, and nothing is recorded."""
    with use_cassette(path, "new", http=True), pytest.raises(requests.exceptions.ConnectionError):
        post(NOWHERE)
    assert not path.exists()


def test_a_secret_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What must not be published is not sent, through `requests` either."""
    monkeypatch.setenv("SOME_API_KEY", "secret-of-the-tests-1")
    body = {"model": "m", "messages": [{"role": "user", "content": "secret-of-the-tests-1"}]}
    with Loopback() as server, use_cassette(path, "new", http=True), pytest.raises(SecretFound):
        post(server.url, body)
    assert server.requests == []


def test_the_cure_for_a_secret_in_a_file_is_one_that_there_is(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call over HTTP has no parameter that could be marked."""
    monkeypatch.setenv("SOME_API_KEY", "secret-of-the-tests-1")
    sent = {"file": ("a.bin", b"\xff\0secret-of-the-tests-1" + bytes(2000))}
    with Loopback() as server, use_cassette(path, "new", http=True), pytest.raises(SecretFound) as raised:
        requests.post(server.url + PATH, files=sent, timeout=TIME)
    assert str(raised.value).endswith("Pass something else")
    assert server.requests == []


def test_a_full_disk_is_no_broken_connection(tmp_path: Path) -> None:
    """The error names the cassette, and a client that tries again of itself does not pay again."""
    pytest.importorskip("resource", reason="file sizes cannot be limited on this system")
    program = """
import resource, signal
import boto3, requests
from botocore.config import Config
from llm_strategy import use_cassette
from tests.llm_strategy.loopback import Loopback, completion

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))
again = Config(retries={"total_max_attempts": 3, "mode": "standard"})
keys = {"aws_access_key_id": "any", "aws_secret_access_key": "any"}
asked = {"messages": [{"role": "user", "content": [{"text": "hi"}]}]}
with Loopback(*[completion("yes")] * 9) as server, use_cassette("x.yaml", "new", http=True):
    bedrock = boto3.client("bedrock-runtime", "eu-central-1", endpoint_url=server.url, config=again, **keys)
    for ask in (
        lambda: requests.post(server.url + "/chat/completions", json=asked),
        lambda: bedrock.converse(modelId="m", **asked),
    ):
        try:
            ask()
        except Exception as error:
            print(type(error).__name__, len(server.requests), "x.yaml" in str(error), "too large" in str(error))
"""
    printed = output(program, cwd=tmp_path).splitlines()
    assert printed == ["CassetteError 1 True True", "HTTPClientError 2 True True"]


@pytest.mark.parametrize("reader", ["read", "read1 by seven", "readinto", "read_chunked", "iteration", "data"])
def test_what_cannot_be_recorded_is_said_however_it_is_read(path: Path, reader: str) -> None:
    """It is no broken connection: http.client would take any ValueError for one."""
    too_long = completion("x" * (1 << 24))
    refused = pytest.raises(CassetteError, match="cannot be recorded: a line of more than")
    with Loopback(too_long) as server, use_cassette(path, "new", http=True), refused:
        READERS[reader](opened(server.url))


def test_a_mock_answers_itself(path: Path) -> None:
    """What `responses`, or an adapter of the program's own, answers in this process is not recorded."""

    class Own(requests.adapters.BaseAdapter):
        def send(self, request: Any, *_: Any, **__: Any) -> requests.Response:
            answer = requests.Response()
            answer.status_code, answer.request, answer.raw = 200, request, io.BytesIO(b"own")
            return answer

        def close(self) -> None:
            """Nothing is open."""

    session = requests.Session()
    session.mount("http://", Own())
    with use_cassette(path, "new", http=True) as cassette:
        assert session.post(NOWHERE + PATH, json=QUESTION).text == "own"
        with responses.RequestsMock() as mock:
            mock.post(NOWHERE + PATH, json={"mocked": True})
            assert post(NOWHERE).json() == {"mocked": True}
    assert list(cassette.calls) == []
    assert not path.exists()


def test_a_mock_of_botocore_answers_itself(path: Path) -> None:
    """What answers in front of the network, as moto does, or instead of the client's method, is not recorded."""
    question: Any = {"modelId": "m", "messages": [{"role": "user", "content": [{"text": "How much is 6 * 7?"}]}]}
    message = {"role": "assistant", "content": [{"text": "42"}]}
    numbers = {"usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2}, "metrics": {"latencyMs": 1}}
    said = {"output": {"message": message}, "stopReason": "end_turn", **numbers}

    def answer(request: Any, **_: Any) -> AWSResponse:
        body = io.BytesIO(json.dumps(said).encode())
        return AWSResponse(request.url, 200, {}, urllib3.HTTPResponse(body, preload_content=False))

    with no_settings(), use_cassette(path, "new", http=True) as cassette:
        mocked = bedrock(NOWHERE)
        mocked.meta.events.register("before-send.bedrock-runtime.Converse", answer)
        assert mocked.converse(**question)["output"]["message"] == message
        stubbed = bedrock(NOWHERE)
        with Stubber(stubbed) as stub:
            stub.add_response("converse", said)
            assert stubbed.converse(**question)["output"]["message"] == message
    assert list(cassette.calls) == []
    assert not path.exists()


def test_an_old_urllib3_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where urllib3 is too old to be recorded, a call to a model says so; other calls pass."""
    monkeypatch.delattr(urllib3.HTTPResponse, "shutdown")
    with Loopback(Reply({"rows": 1})) as server, use_cassette(path, "new", http=True):
        assert requests.post(f"{server.url}/query", json={}, timeout=TIME).json() == {"rows": 1}
        with pytest.raises(ImportError, match=r"needs urllib3 2\.3 or newer, and 2.* is installed"):
            post(server.url)
    assert len(server.requests) == 1


def test_other_hosts_and_paths_pass(path: Path) -> None:
    """What is no call to a model goes to its server each time."""
    body = {"name": "a table"}
    with Loopback(*[Reply({"rows": 1})] * 2) as server, use_cassette(path, "new", http=True) as cassette:
        for _ in range(2):
            assert requests.post(f"{server.url}/query", json=body, timeout=TIME).json() == {"rows": 1}
    assert len(server.requests) == 2
    assert list(cassette.calls) == []
