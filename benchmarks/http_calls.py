"""Direct calls of the `openai` client, and what each of them costs when it is replayed; run as a process of its own.

    python http_calls.py WHICH FOLDER SIZE ROUNDS CALLS

Prints JSON: what a call took in each round, replayed and answered by a mock transport, and what opening the cassette
took. One call is recorded from a server on this machine; the others are its copies in the cassette, with another mark.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

from measuring import Sample, settle, timed
from workload import LIMIT, MARK, MODEL, Ours, mark, reply, spread

WITH_BODY = ("method", "scheme", "host", "port", "path", "query", "body")
MESSAGES = [{"role": message.role, "content": message.content} for message in Ours().request(0).messages]
HOST = "provider.invalid"
"""Stands in the files in place of the server that was asked, which is gone."""


def completion(body: bytes) -> bytes:
    """The answer to a call, by its mark; as large as those of a provider."""
    found = MARK.search(body.decode())
    assert found is not None
    message = {"role": "assistant", "content": reply(found[0]), "refusal": None, "annotations": []}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    usage = {"prompt_tokens": 911, "completion_tokens": 707, "total_tokens": 1618}
    answer = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    return json.dumps(answer | {"usage": usage, "service_tier": "default", "system_fingerprint": None}).encode()


def ask(client: Any, number: int) -> None:
    """Make call number n, and refuse a wrong answer: a fast one would be worth nothing."""
    messages = [MESSAGES[0], MESSAGES[1] | {"content": MESSAGES[1]["content"].replace(mark(0), mark(number))}]
    answer = client.chat.completions.create(model=MODEL.partition(":")[2], messages=messages)
    if answer.choices[0].message.content != reply(mark(number)):
        raise AssertionError(f"call {number} was answered by {answer}")


def client(**settings: Any) -> Any:
    from openai import OpenAI

    return OpenAI(**{"base_url": f"http://{HOST}/v1", "api_key": "unused", "max_retries": 0} | settings)


def mocked(numbers: Sequence[int]) -> Any:
    """A client whose answers are there already: what is left is its own cost."""
    import httpx2

    answers = {mark(number).encode(): completion(mark(number).encode()) for number in numbers}
    kind = {"content-type": "application/json"}

    def answer(request: Any) -> Any:
        at = request.content.find(b"request-")
        return httpx2.Response(200, headers=kind, content=answers[request.content[at : at + len(mark(0))]])

    return client(http_client=httpx2.Client(transport=httpx2.MockTransport(answer)))


class Recorder:
    """Something that records calls into a file and replays them."""

    between = ""
    """What stands before each call in the file."""

    def cassette(self, path: Path, *, record: bool = False) -> AbstractContextManager[Any]:
        raise NotImplementedError

    def copies(self, call: str, count: int) -> Iterator[str]:
        """Calls 1 to count - 1 in the file, made of call 0."""
        return (call.replace(mark(0), mark(number)) for number in range(1, count))

    def record(self, path: Path, count: int) -> Path:
        with provider() as url, self.cassette(path, record=True):
            ask(client(base_url=url), 0)
        text = path.read_text("utf-8").replace(url.split("/")[2], HOST)
        before, separator, call = text.partition(self.between)
        call, end, after = call.partition("version: 1\n")
        assert call.count(mark(0)) > LIMIT, "the mark does not stand in the file as it is"
        with path.open("w", encoding="utf-8", newline="\n") as file:
            file.write(before + separator + call)
            file.writelines(separator + copy for copy in self.copies(call, count))
            file.write(end + after)
        return path


class LLMStrategy(Recorder):
    between = "---\nkey: "

    def cassette(self, path: Path, *, record: bool = False) -> AbstractContextManager[Any]:
        from llm_strategy import use_cassette

        return use_cassette(path, "new" if record else "replay", http=True)

    def copies(self, call: str, count: int) -> Iterator[str]:
        """With the key and the digest that each has, as the format's page says."""
        from llm_strategy.cassette.reader import load

        parsed = load(f"key: {call}".encode())
        request = {"kind": "http", "method": "POST", "path": "/v1/chat/completions", "body": parsed["request"]["body"]}
        identity, response = _canonical(request), _canonical(parsed["response"])
        assert parsed["key"] == _hash(identity)
        for number in range(1, count):
            key = _hash(identity.replace(mark(0), mark(number)))
            sealed = _hash(f'{{"key":"{key}","response":{response.replace(mark(0), mark(number))}}}')
            copy = call.replace(parsed["key"], key).replace(parsed["digest"], sealed)
            yield copy.replace(mark(0), mark(number))


_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def _hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()


class Vcrpy(Recorder):
    between = "- request:\n"

    def cassette(self, path: Path, *, record: bool = False) -> AbstractContextManager[Any]:
        import vcr  # type: ignore[import-untyped]  # vcrpy has no types

        cassette: AbstractContextManager[Any] = vcr.use_cassette(
            str(path), record_mode="once" if record else "none", match_on=WITH_BODY, filter_headers=["authorization"]
        )
        return cassette


class Cassetter(Recorder):
    between = "- request:\n"

    def cassette(self, path: Path, *, record: bool = False) -> AbstractContextManager[Any]:
        import cassetter  # type: ignore[import-not-found]  # it is installed when this runs

        cassette: AbstractContextManager[Any] = cassetter.use_cassette(
            path, record_mode="once" if record else "none", match_on=["method", "uri", "body"]
        )
        return cassette


RECORDERS: dict[str, Callable[[], Recorder]] = {
    "llm-strategy": LLMStrategy,
    "vcrpy": Vcrpy,
    "cassetter": Cassetter,
}


class _Provider(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        data = completion(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """The figures are the output."""


@contextmanager
def provider() -> Iterator[str]:
    """A server that answers the calls."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Provider) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        server.shutdown()


class Meter:
    """Measures calls in pairs: replayed, and answered by the mock transport."""

    def __init__(self, size: int, calls: int) -> None:
        self.numbers = spread(calls, size)
        self._figures: dict[str, list[Sample]] = {"opened": [], "replayed": [], "sdk": []}
        self._clients = {"replayed": client(), "sdk": mocked(self.numbers)}

    def open(self, cassette: AbstractContextManager[Any]) -> None:
        """Open a cassette with its call 0, and measure in it."""
        with ExitStack() as opened:
            with timed() as opening:
                opened.enter_context(cassette)
                ask(self._clients["replayed"], 0)
            self._figures["opened"].append(opening.sample)
            self.measure("replayed")
        # Outside: vcrpy takes in mock transports too.
        self.measure("sdk")

    def measure(self, name: Literal["replayed", "sdk"]) -> None:
        """Make the calls, in a cassette that is open or answered by the mock transport."""
        settle()
        with timed() as watch:
            for number in self.numbers:
                ask(self._clients[name], number)
        self._figures[name].append(watch.sample.per(len(self.numbers)))

    def __str__(self) -> str:
        """The figures as JSON, without those of the first round, which loads modules and fills caches."""
        return json.dumps({name: samples[1:] for name, samples in self._figures.items()})


def main(which: str, folder: str, size: int, rounds: int, calls: int) -> None:
    recorder, path = RECORDERS[which](), Path(folder, f"{which}-{size}.yaml")
    recorder.record(path, size)
    meter = Meter(size, calls)
    for _ in range(rounds + 1):
        meter.open(recorder.cassette(path))
    print(f"<figures>{meter}</figures>")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
