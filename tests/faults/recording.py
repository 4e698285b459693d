"""A program that records, in every way in which files are written, and what is to hold afterwards."""

from __future__ import annotations

RECORDING = '''
import json, os, sys, tempfile
from pathlib import Path
from llm_strategy import CassetteError, CassetteMiss, ScriptedModel, Session, llm_strategy, use_cassette
from llm_strategy.cli import main
from typing import Annotated
from llm_strategy import Media

def answer(request):
    number = request.messages[-1].content.partition("number = ")[2].split()[0]
    return '{"return_value": %s}' % number

MODEL = ScriptedModel(answer, name="test:echo", recorded=True)

@llm_strategy(MODEL)
def echo(number: int) -> int:
    """Say the number."""
    raise NotImplementedError

@llm_strategy(MODEL)
def look(number: int, picture: Annotated[bytes, Media("image/png")]) -> int:
    """Say the number."""
    raise NotImplementedError

def record(*numbers, mode="new"):
    with use_cassette("x.yaml", mode):
        return [echo(number) for number in numbers]

def replay(*numbers):
    return record(*numbers, mode="replay") == [*numbers]

def session(mode, *numbers):
    session = Session(".", mode=mode)
    opened = session.open(Path("x.yaml").absolute(), owner="test_x.py::test_x")
    session.enter(opened)
    passed = False
    try:
        for number in numbers:
            echo(number)
        passed = True
    finally:
        session.leave(opened)
        try:
            session.close(opened, passed=passed)
        finally:
            session.finish()

def accept():
    from llm_strategy.cassette.verification import accept
    path = Path("x.yaml").absolute()
    text = path.read_bytes()
    path.write_bytes(text.replace(b'digest: "0', b'digest: "1').replace(b'"return_value": 2', b'"return_value":  2'))
    accept(path)

def picture(mode="new"):
    with use_cassette("x.yaml", mode):
        return look(5, bytes(3000)) == 5
'''

HTTP_RECORDING = (
    RECORDING
    + """
import functools, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import httpx

use_cassette = functools.partial(use_cassette, http=True)
Session = functools.partial(Session, http=True)

class MODEL:
    "What this process has asked the server; a child process of it has asked for itself."
    requests = []

class Provider(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked(body)
        said = '{"return_value": %s}' % body["messages"][0]["content"]
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream" if body["stream"] else "application/json")
        self.end_headers()
        message = "delta" if body["stream"] else "message"
        texts = [said[at : at + 4] for at in range(0, len(said), 4)] if body["stream"] else [said]
        pieces = [json.dumps({"choices": [{"index": 0, message: {"content": text}}]}) for text in texts]
        for number, piece in enumerate([*pieces, "[DONE]"] if body["stream"] else pieces):
            self.pause(number)
            self.wfile.write(f"data: {piece}\\n\\n".encode() if body["stream"] else piece.encode())

    def asked(self, body):
        if self.headers["X-Process"] == str(os.getpid()):
            MODEL.requests.append(body)

    def pause(self, number):
        "Before each piece."

    def log_message(self, *args):
        pass

class Server(ThreadingHTTPServer):
    daemon_threads = True
    def handle_error(self, *args):
        "A killed client hangs up."

SERVER = Server(("127.0.0.1", 0), Provider)
threading.Thread(target=SERVER.serve_forever, daemon=True).start()
URL = f"http://127.0.0.1:{SERVER.server_address[1]}/v1/chat/completions"
CLIENT = httpx.Client(verify=False)

def pieces(number):
    body = {"model": "m", "stream": number % 2 == 1, "messages": [{"role": "user", "content": str(number)}]}
    with CLIENT.stream("POST", URL, json=body, headers={"X-Process": str(os.getpid())}) as answer:
        yield from answer.iter_bytes()

def echo(number):
    "The answers to odd numbers are streamed."
    lines = b"".join(pieces(number)).decode().replace("data: ", "").replace("[DONE]", "").split("\\n\\n")
    choices = [json.loads(line)["choices"][0] for line in lines if line]
    said = "".join(choice.get("delta", choice.get("message"))["content"] for choice in choices)
    return json.loads(said)["return_value"]
"""
)

KINDS = {"decorated": RECORDING, "http": HTTP_RECORDING}
"""Calls of decorated functions, and those that a client makes itself over HTTP, whole and streamed."""

ACTIONS = {
    "append": ("record(1, 2, 3)", "record(4)", "replay(1, 2, 3, 4)"),
    "record the first call": ("", "record(4)", "replay(4)"),
    "arrange": ("record(1, 2, 3)", "record(3, 4, 1)", "replay(3, 4, 1, 2)"),
    "adopt": ("record(1, 2, 3)", "record(3, 4, mode='all')", "replay(1, 2, 3, 4)"),
    "commit": ("record(1, 2, 3)", "session('all', 3, 4)", "replay(3, 4)"),
    "prune": ("record(1, 2, 3)", "session('new', 3)", "replay(3)"),
    "prune all": ("record(1, 2, 3)", "session('new')", "not Path('x.yaml').exists()"),
    "accept": ("record(1, 2, 3)", "accept()", "replay(1, 2, 3)"),
    "blob": ("record(1, 2, 3)", "picture()", "replay(1, 2, 3) and picture('replay')"),
}
"""What is there before, what is done while a system call fails, and what holds once it was done again."""

CASES = [(kind, action) for kind in KINDS for action in ACTIONS]
SHORT_CASES = [
    (kind, action) for kind, action in CASES if kind == "decorated" or action in ("append", "adopt", "commit")
]
