"""The same faults for vcrpy and for this library: what each has left of what was recorded.

    python benchmarks/faults.py [--trials N] [--write]

Both record what the real `openai` client sends to a server on this machine. `--write` puts the figures into
docs/reference/guarantees.json, from which the page of guarantees has its last column.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path
from typing import Any

from recorder import Which

CHECKOUT = Path(__file__).parents[1]
FIGURES = CHECKOUT / "docs" / "reference" / "guarantees.json"
RECORDER = Path(__file__).with_name("recorder.py")

_SHARED_TESTS = """
import pytest
from recorder import ask, cassette, client

@pytest.mark.parametrize("number", range(40))
def test_one(number):
    with cassette({which!r}, {path!r}, record=True):
        assert str(number) in ask(client({url!r}), number)
"""


class _Provider(BaseHTTPRequestHandler):
    """Answers a chat completion with its last message."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    """Headers and body go in one packet: two would wait for each other for 40 ms."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        message = {"role": "assistant", "content": body["messages"][-1]["content"]}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        completion = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
        data = json.dumps(completion).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """The table is the output."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A killed client hangs up."""


@contextmanager
def provider() -> Iterator[str]:
    server = _Server(("127.0.0.1", 0), _Provider)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        server.server_close()


class Trial:
    """A folder, a server, and programs that record with one of the two."""

    def __init__(self, which: Which, folder: Path, url: str) -> None:
        self.which, self.folder, self.url = which, folder, url
        self.cassette = folder / "shared.yaml"

    def command(self, task: str) -> list[str]:
        return [sys.executable, str(RECORDER), self.which, task, str(self.cassette), self.url]

    def run(self, task: str) -> str:
        done = subprocess.run(self.command(task), capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            raise RuntimeError(f"{task} with {self.which} failed:\n{done.stdout}\n{done.stderr}")
        return done.stdout

    @property
    def stored(self) -> int:
        return int(self.run("stored"))


def killed(trial: Trial) -> dict[str, int]:
    """SIGKILL at a random moment of a recording: calls that were complete, and calls that are lost."""
    with subprocess.Popen(trial.command("forever"), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        complete = len(process.stdout.read(1))
        time.sleep(random.uniform(0, 2))
        process.send_signal(signal.SIGKILL)
        complete += len(process.stdout.read())
    # One more may be stored than its program could say.
    return {"completed": complete, "lost": max(complete - trial.stored, 0)}


def full_disk(trial: Trial) -> dict[str, int]:
    """One call more on a full disk: entries that were there, and that are still replayed."""
    trial.run("some")
    trial.run("full")
    return {"entries": 5, "left": int(trial.run("answered"))}


def workers(trial: Trial) -> dict[str, int]:
    """40 tests on 4 workers of pytest-xdist, with one cassette for all."""
    tests = trial.folder / "test_shared.py"
    said = _SHARED_TESTS.format(which=trial.which, path=trial.cassette, url=trial.url)
    tests.write_text(f"from pathlib import Path, PosixPath\n{said}")
    command = [sys.executable, "-m", "pytest", "-q", "-n", "4", "-p", "no:cacheprovider", "-p", "no:langsmith_plugin"]
    environment = {**os.environ, "PYTHONPATH": str(RECORDER.parent)}
    done = subprocess.run(
        [*command, "--rootdir", str(trial.folder), "-c", os.devnull, str(tests)],
        capture_output=True,
        text=True,
        cwd=trial.folder,
        env=environment,
        timeout=300,
        check=False,
    )
    passed = done.stdout.rpartition(" passed")[0].split()
    return {"calls": 40, "passed": int(passed[-1]) if passed else 0, "kept": trial.stored}


def threads(trial: Trial) -> dict[str, int]:
    """50 calls from 8 threads, each call in a block of its own on the same cassette."""
    failed = int(trial.run("threads"))
    return {"calls": 50, "failed": failed, "stored": trial.stored}


def threads_inside(trial: Trial) -> dict[str, int]:
    """50 calls from 8 threads inside of one block."""
    trial.run("threads_inside")
    return {"calls": 50, "stored": trial.stored}


def changed_prompt(trial: Trial) -> dict[str, int]:
    """Five prompts with one more character, in replay, each of the two as it comes."""
    trial.run("some")
    return {"prompts": 5, "got the old answer": int(trial.run("changed"))}


FAULTS: dict[str, Callable[[Trial], dict[str, int]]] = {
    "killed while recording": killed,
    "full disk": full_disk,
    "xdist workers on one cassette": workers,
    "threads on one cassette": threads,
    "threads in one block": threads_inside,
    "a prompt that changed": changed_prompt,
}


def figures(fault: Callable[[Trial], dict[str, int]], which: Which, trials: int, url: str) -> dict[str, str | int]:
    """What came of the trials of a fault: the one number where all agree, else the least and the most."""
    seen: list[dict[str, int]] = []
    for _ in range(trials):
        with tempfile.TemporaryDirectory(prefix="faults-") as folder:
            seen.append(fault(Trial(which, Path(folder), url)))
    if fault is killed:
        return {"trials": trials, **{name: sum(found[name] for found in seen) for name in seen[0]}}
    ranges = {name: sorted({found[name] for found in seen}) for name in seen[0]}
    shown = {name: found[0] if len(found) == 1 else f"{found[0]} to {found[-1]}" for name, found in ranges.items()}
    return {"trials": trials, **shown}


def main() -> None:
    parser = argparse.ArgumentParser(description="The same faults for vcrpy and for this library.")
    parser.add_argument("--trials", type=int, default=3, metavar="N", help="how often each fault is tried (default: 3)")
    parser.add_argument("--write", action="store_true", help=f"keep the figures in {FIGURES.name}")
    options = parser.parse_args()
    for name in [name for name in os.environ if name.startswith(("LLM_STRATEGY_", "OPENAI_"))]:
        del os.environ[name]
    machine = f"vcrpy {version('vcrpy')}, openai {version('openai')}, Python {platform.python_version()}"
    found: dict[str, dict[str, Any]] = {}
    with provider() as url:
        for name, fault in FAULTS.items():
            sides = {which: figures(fault, which, options.trials, url) for which in ("vcrpy", "ours")}
            found[name] = {**sides, "on": machine}
            for which, numbers in sides.items():
                said = ", ".join(f"{number} {what}" for what, number in numbers.items())
                print(f"{name:32}{which:8}{said}", flush=True)
    if options.write:
        written = json.loads(FIGURES.read_text("utf-8")) if FIGURES.exists() else {}
        FIGURES.write_text(json.dumps({**written, "vcrpy": found}, indent=2, sort_keys=True) + "\n", "utf-8")


if __name__ == "__main__":
    main()
