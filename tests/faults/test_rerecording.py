"""`pytest --llm-record=all` that does not come to its end: the old recording stays, and so does what was paid for."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from llm_strategy import Cassette
from tests.faults.conftest import Faults
from tests.llm_strategy.loopback import HANG_UP, Loopback, Reply, Seen, failure
from tests.llm_strategy.programs import plain_environment

SUITE = '''
import json, os, signal, urllib.request
from llm_strategy import FrozenJSON, Request, Response, llm_strategy

signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background of a shell ignores Ctrl-C

class Client:
    """A model behind a server, asked by the simplest of clients."""
    name, recorded, settings = "test:server", True, {}

    def generate(self, request):
        body = json.dumps({"messages": [message.content for message in request.messages]}).encode()
        asked = urllib.request.Request(os.environ["SERVER"] + "/chat/completions", body)
        with urllib.request.urlopen(asked, timeout=float(os.environ["PATIENCE"])) as reply:
            return Response(json.load(reply)["choices"][0]["message"]["content"])

@llm_strategy(Client())
def answer(number: int) -> str:
    """Answer."""
    raise NotImplementedError

def test_a():
    assert answer(1) and answer(2)

def test_b():
    assert answer(3) and answer(4)
    assert "FAIL" not in os.environ

def test_c():
    assert answer(5)
'''.replace("FrozenJSON, Request, ", "")

HTTP_SUITE = f"""
import os
import httpx, pytest

pytestmark = pytest.mark.llm_cassette(http=True)

def answer(number):
    asked = {{"model": "m", "messages": [{{"role": "user", "content": str(number)}}]}}
    reply = httpx.post(os.environ["SERVER"] + "/chat/completions", json=asked, timeout=float(os.environ["PATIENCE"]))
    return reply.raise_for_status().json()["choices"][0]["message"]["content"]
{SUITE[SUITE.index("def test_a") - 1 :]}"""


class Project:
    """A suite of three tests, whose model is a server."""

    def __init__(self, path: Path, suite: str) -> None:
        self.path = path
        self.folder = path / "cassettes" / "test_x"
        self.answered = 0
        (path / "test_x.py").write_text(suite, "utf-8")

    def reply(self, _seen: Seen | None = None) -> str:
        self.answered += 1
        return json.dumps({"return_value": f"answer {self.answered}"})

    def start(self, server: str, *options: str, **environment: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:langsmith_plugin", "-p", "no:randomly", *options]
        environment = {**plain_environment(), "SERVER": server, "PATIENCE": "60", **environment}
        pipe = subprocess.PIPE
        return subprocess.Popen(
            command, cwd=self.path, env=environment, stdout=pipe, stderr=subprocess.STDOUT, text=True
        )

    def run(
        self,
        *options: str,
        server: str | None = None,
        faults: dict[int, Reply | Callable[[Seen], Reply]],
        **environment: str,
    ) -> str:
        """What pytest prints; the n-th request of the run gets the reply that `faults` says."""
        script = [faults.get(number, self.reply) for number in range(1, 9)]
        with Loopback(*script) as loopback, self.start(server or loopback.url, *options, **environment) as process:
            printed, _ = process.communicate(timeout=120)
        return printed

    def contents(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in sorted(self.folder.glob("*.yaml"))}

    def answers(self, name: str) -> list[str]:
        return [json.loads(call.response.content)["return_value"] for call in Cassette(self.folder / name)]


@pytest.fixture
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Project:
    """Recorded once: answers 1 to 5."""
    project = Project(tmp_path, getattr(request, "param", SUITE))
    printed = project.run("--llm-record", faults={})
    assert "3 passed" in printed, printed
    assert project.answers("test_b.yaml") == ["answer 3", "answer 4"]
    return project


def _late(_seen: Seen) -> Reply:
    threading.Event().wait(1.5)
    return HANG_UP


FAULTS: dict[str, Reply | Callable[[Seen], Reply]] = {
    "401": failure(401, "no such key"),
    "429": failure(429, "slow down"),
    "500": failure(500, "oops"),
    "connection lost": HANG_UP,
    "time-out": _late,
}
ALL = "--llm-record=all"
NOTE = "cassettes/test_x/test_b.new.yaml: kept beside the old recording, because the test did not pass; to use it all the same: llm-strategy review cassettes/test_x/test_b.new.yaml"


@pytest.mark.parametrize(
    ("project", "fault"),
    [
        *(pytest.param(SUITE, fault, id=fault) for fault in FAULTS),
        *(pytest.param(HTTP_SUITE, fault, id=f"{fault}, http") for fault in ("401", "500", "time-out")),
    ],
    indirect=["project"],
)
def test_the_provider_fails_midway(fault: str, project: Project, faults: Faults) -> None:
    """The old cassette is the same to the byte, the answer that had come is beside it, and the summary names it."""
    before = project.contents()
    patience = "1" if fault == "time-out" else "60"
    printed = project.run(ALL, faults={4: FAULTS[fault]}, PATIENCE=patience)

    after = project.contents()
    assert after["test_b.yaml"] == before["test_b.yaml"], printed
    assert project.answers("test_b.new.yaml") == ["answer 8"]
    assert NOTE in printed
    assert sorted(after) == ["test_a.yaml", "test_b.new.yaml", "test_b.yaml", "test_c.yaml"]
    faults.figures(f"recorded afresh, {fault}", old_recordings_changed=0, paid_answers_lost=0)


def test_the_provider_refuses_the_connection(project: Project, faults: Faults) -> None:
    """Nothing is asked, and no file changes."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    before = project.contents()
    printed = project.run(ALL, faults={}, server=f"http://127.0.0.1:{port}/v1")

    assert "3 failed" in printed
    assert project.contents() == before
    faults.figures("recorded afresh, connection refused", old_recordings_changed=0, paid_answers_lost=0)


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ((), {"test_b.yaml"}),
        (("-x",), {"test_b.yaml", "test_c.yaml"}),
        (("-k", "test_a or test_b"), {"test_b.yaml", "test_c.yaml"}),
    ],
    ids=["", "-x", "-k"],
)
def test_the_test_fails(options: tuple[str, ...], kept: set[str], project: Project, faults: Faults) -> None:
    """What did not pass, or did not run, keeps its recording; what passed has a new one."""
    before = project.contents()
    printed = project.run(ALL, *options, faults={}, FAIL="1")

    after = project.contents()
    assert {name for name in before if after[name] == before[name]} == kept
    assert project.answers("test_b.new.yaml") == ["answer 8", "answer 9"]
    assert NOTE in printed
    # To use it all the same, as the note says.
    os.replace(project.folder / "test_b.new.yaml", project.folder / "test_b.yaml")
    assert "3 passed" in project.run(faults={})

    faults.figures(
        f"recorded afresh, the test fails {' '.join(options)}".strip(), old_recordings_changed=0, paid_answers_lost=0
    )


def test_only_what_failed_is_run_again(project: Project) -> None:
    """With `--lf` the failed test is asked afresh, and its new recording takes the place of both."""
    project.run(ALL, faults={}, FAIL="1")
    before = project.contents()
    printed = project.run(ALL, "--lf", faults={})

    after = project.contents()
    assert sorted(after) == ["test_a.yaml", "test_b.yaml", "test_c.yaml"]
    assert project.answers("test_b.yaml") == ["answer 11", "answer 12"]
    assert all(after[name] == before[name] for name in ("test_a.yaml", "test_c.yaml"))
    assert "asked 2, reused 0" in printed


def test_ctrl_c(project: Project, faults: Faults) -> None:
    """While the model is waited for: the old recording stays, what came before is beside it, no later test is touched."""
    before = project.contents()
    waiting, go_on = threading.Event(), threading.Event()

    def wait(_seen: Seen) -> Reply:
        waiting.set()
        go_on.wait(20)
        return HANG_UP

    script = [project.reply] * 3 + [wait]
    with Loopback(*script) as loopback, project.start(loopback.url, ALL) as process:
        assert waiting.wait(60)
        process.send_signal(signal.SIGINT)
        printed, _ = process.communicate(timeout=60)
        go_on.set()
    after = project.contents()
    assert process.returncode == 2
    assert (after["test_b.yaml"], after["test_c.yaml"]) == (before["test_b.yaml"], before["test_c.yaml"])
    assert project.answers("test_b.new.yaml") == ["answer 8"]
    assert NOTE in printed
    faults.figures("recorded afresh, Ctrl-C", old_recordings_changed=0, paid_answers_lost=0)


def test_a_second_failure_keeps_what_the_first_was_paid_for(project: Project) -> None:
    """The answers of earlier failed runs stand in a file of their own until a recording takes their place."""
    project.run(ALL, "-k", "test_b", faults={}, FAIL="1")
    assert project.answers("test_b.new.yaml") == ["answer 6", "answer 7"]
    project.run(ALL, "-k", "test_b", faults={1: failure(401, "no such key")})
    assert project.answers("test_b.new.yaml") == ["answer 6", "answer 7"]
    project.run(ALL, "-k", "test_b", faults={2: failure(401, "no such key")})
    assert project.answers("test_b.new.yaml") == ["answer 8"]
    assert project.answers("test_b.earlier.new.yaml") == ["answer 6", "answer 7"]
    project.run(ALL, "-k", "test_b", faults={2: failure(401, "no such key")})
    assert project.answers("test_b.new.yaml") == ["answer 9"]
    assert project.answers("test_b.earlier.new.yaml") == ["answer 7", "answer 8"]
    project.run(ALL, "-k", "test_b", faults={})
    assert sorted(project.contents()) == ["test_a.yaml", "test_b.yaml", "test_c.yaml"]
    assert project.answers("test_b.yaml") == ["answer 10", "answer 11"]


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
@pytest.mark.parametrize(
    ("where", "ignored"),
    [(None, True), (".gitignore", True), ("cassettes/.gitignore", False)],
    ids=["nothing", "the project does", "the user has a file there"],
)
def test_git_ignores_new_recordings(where: str | None, ignored: bool, project: Project) -> None:
    """A `.gitignore` is written where nothing else ignores them; one that is there already stays as it is."""
    subprocess.run(["git", "init", "-q"], cwd=project.path, check=True)
    if where:
        (project.path / where).write_text("*.new.yaml\n" if ignored else "*.bak\n")
    project.run(ALL, faults={}, FAIL="1")

    listing = ["git", "status", "--porcelain", "--untracked-files=all"]
    untracked = subprocess.run(listing, cwd=project.path, capture_output=True, text=True, check=True).stdout
    assert ("test_b.new.yaml" not in untracked) is ignored
    assert ".locks" not in untracked
    written = project.path / "cassettes/.gitignore"
    assert written.exists() is (where != ".gitignore")
    if where is None:
        assert written.read_text().splitlines()[-1] == "*.new.yaml"
    elif where == "cassettes/.gitignore":
        assert written.read_text() == "*.bak\n"
