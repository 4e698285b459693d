"""What this library and its peers do in the same situations: the table of docs/explanation/comparison.md.

    python benchmarks/comparison.py [--write]

Each recorder is tried as it comes (`comparison_probes.py`), in processes of its own, against a server on this machine.
The peers are installed from the package index into a temporary folder; the clients are those of this environment.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path

import http_costs
from comparison_probes import CLIENTS, RECORDERS
from figures import header

HERE = Path(__file__).parent
FIGURES = HERE.parent / "docs" / "explanation" / "comparison.json"
PEERS = ("cassetter==0.16.1", "promptecho==0.1.3")
IN_PROCESS = ("pydantic-ai-slim==2.68.0", "pydantic-graph==2.68.0", "logfire-api==5.6.0", "griffelib==2.4.1")
"""pydantic-ai without its providers, and those of its parts that this environment does not have."""
SITUATIONS = (
    "other_prompt",
    "key_in_header",
    "key_in_prompt",
    "thread",
    "nested",
    "overlapping",
    "record_and_die",
    "kept",
)
ROUNDS = 5


class _Provider(BaseHTTPRequestHandler):
    """Answers a prompt with its own words, in the formats of OpenAI and of Bedrock, and says how often it was asked."""

    protocol_version = "HTTP/1.1"
    asked = 0

    def do_GET(self) -> None:
        self.answer(str(_Provider.asked).encode())

    def do_POST(self) -> None:
        _Provider.asked += 1
        content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["messages"][-1]["content"]
        said = content if isinstance(content, str) else content[0]["text"]
        message = {"role": "assistant", "content": said}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        answer: dict[str, object] = {"id": "1", "object": "chat.completion", "created": 1, "model": "gpt-5-mini"}
        if self.path.endswith("/converse"):
            usage = {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2}
            message = {"role": "assistant", "content": [{"text": said}]}
            answer = {
                "output": {"message": message},
                "stopReason": "end_turn",
                "usage": usage,
                "metrics": {"latencyMs": 1},
            }
        self.answer(json.dumps(answer | {"choices": [choice]}).encode())

    def answer(self, data: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """The table is the output."""


@contextmanager
def provider() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Provider) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        server.shutdown()


class Children:
    """Starts processes that find this library and the peers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.peers = folder / "peers"
        names = ("PYTEST_", "LLM_STRATEGY_", "OPENAI_", "AWS_")
        settings = {name: value for name, value in os.environ.items() if not name.startswith(names)}
        self.environment = settings | {"PYTHONPATH": os.pathsep.join(map(str, (HERE.parent, HERE, self.peers)))}

    def install(self) -> None:
        command = [sys.executable, "-m", "pip", "install", "-qq", "--no-deps", "--target", str(self.peers)]
        subprocess.run([*command, *PEERS, *IN_PROCESS], check=True)

    def say(self, script: str, *arguments: str) -> str:
        """What a script says, or its error; nothing where it was killed."""
        command = [sys.executable, str(HERE / script), *arguments]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env=self.environment, cwd=self.folder
        )
        if said := done.stdout.partition("<said>")[2].partition("</said>")[0]:
            return str(json.loads(said))
        return "" if done.returncode < 0 else f"fails: {(done.stderr.strip().splitlines() or ['?'])[-1][:100]}"


def situations(children: Children, which: str) -> dict[str, str]:
    """What one recorder does in each situation."""
    found: dict[str, str] = {}
    folder = children.folder / which
    folder.mkdir()
    with provider() as url:
        for name in (*(f"client:{client}" for client in CLIENTS), *SITUATIONS):
            place = folder if name in ("record_and_die", "kept") else folder / name.replace(":", "-")
            place.mkdir(exist_ok=True)
            found[name] = children.say("comparison_probes.py", which, name, str(place), url)
    del found["record_and_die"]
    return found


def in_process(children: Children) -> dict[str, str]:
    """A call `(int, int) -> int` that a function in the process answers: how many times the cost of ours."""
    ratios = sorted(float(children.say("pydantic_ai_adder.py")) for _ in range(ROUNDS))
    return {
        "pydantic-ai's FunctionModel": f"{ratios[ROUNDS // 2]:.0f}x",
        "runs": f"{ratios[0]:.0f}x to {ratios[-1]:.0f}x",
    }


def run() -> dict[str, Mapping[str, object]]:
    with tempfile.TemporaryDirectory(prefix="llm-strategy-comparison-") as folder:
        children = Children(Path(folder))
        children.install()
        tried = {which: situations(children, which) for which in RECORDERS}
        return {"situations": tried, "in the process": in_process(children), "on": _ground()}


def _ground() -> dict[str, str]:
    versions = dict(pinned.split("==") for pinned in (*http_costs.PEERS, *PEERS, IN_PROCESS[0]))
    here = header("llm-strategy", "vcrpy", "openai", "httpx", "requests", "aiohttp", "boto3")
    here = {name: value for name, value in here.items() if name not in ("machine", "system", "python")}
    here["llm-strategy"] = version("llm-strategy")
    day = datetime.now(UTC).date().isoformat()
    return {**here, **versions, "Python": platform.python_version(), "system": platform.system(), "day": day}


def main() -> None:
    parser = argparse.ArgumentParser(description="This library and its peers in the same situations.")
    parser.add_argument("--write", action="store_true", help=f"keep what was found in {FIGURES.name}")
    options = parser.parse_args()
    found = run()
    text = json.dumps(found, indent=2, sort_keys=True) + "\n"
    print(text, end="")
    if options.write:
        FIGURES.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
