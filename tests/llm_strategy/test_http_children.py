"""Python child processes of HTTP scopes take part, although they never import the library."""

from __future__ import annotations

import multiprocessing
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llm_strategy import Cassette, use_cassette
from llm_strategy.http import startup
from llm_strategy.http.clients import TRANSLATORS
from llm_strategy.session import Session
from tests.llm_strategy.loopback import Loopback, failure, streaming
from tests.llm_strategy.test_http import NOWHERE

PROVIDER = "api.openai.com"
ASKS = {
    "httpx": """
import httpx
print(httpx.post(sys.argv[1] + "/chat/completions", json=body).json()["choices"][0]["message"]["content"])
""",
    "requests": """
import requests
print(requests.post(sys.argv[1] + "/chat/completions", json=body).json()["choices"][0]["message"]["content"])
""",
    "openai": """
from openai import OpenAI
client = OpenAI(base_url=sys.argv[1], api_key="any", max_retries=0)
print(client.chat.completions.create(**body).choices[0].message.content)
""",
}
BODY = 'import sys\nbody = {"model": "m", "messages": [{"role": "user", "content": "from a child"}]}\n'
ATTEMPT = f"""
import socket
try:
    socket.getaddrinfo("{PROVIDER}", 443)
except BaseException as error:
    print(type(error).__name__)
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cassette in a session of the test's own."""
    monkeypatch.delenv("PYTHONPATH", raising=False)
    session = Session(tmp_path)
    yield tmp_path / "calls.yaml"
    session.finish()


def run(program: str, *arguments: str, **environment: str) -> str:
    """What a Python child process prints."""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        check=False,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    return done.stdout.strip() + done.stderr.strip()


@pytest.mark.parametrize("library", ASKS)
def test_a_child_records_and_replays(path: Path, library: str) -> None:
    """What a child asks is in its parent's cassette and account; it is replayed with the server gone."""
    with Loopback("from a server") as server, use_cassette(path, "new", http=True) as cassette:
        assert run(BODY + ASKS[library], server.url) == "from a server"
        before = cassette.account.asked
    assert cassette.account.asked == before + 1
    assert len(Cassette(path)) == 1
    with use_cassette(path, http=True):
        assert run(BODY + ASKS[library], NOWHERE) == "from a server"
    assert cassette.account.replayed == 1
    assert not any("no HTTP call was recorded" in note for note in cassette.account.notes)


def test_a_child_that_asks_something_else_misses(path: Path) -> None:
    """A miss of a child is one of its parent's."""
    with use_cassette(path, http=True) as cassette:
        assert "CassetteMiss: no recording answers" in run(BODY + ASKS["httpx"], NOWHERE)
    assert len(cassette.misses) == 1


def test_a_child_of_a_child_takes_part(path: Path) -> None:
    """A child hands on what it was given."""
    nested = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {ATTEMPT!r}])"
    with use_cassette(path, http=True) as cassette:
        assert run(nested) == "CassetteMiss"
    assert len(cassette.misses) == 1


def _attempt(answers: Any) -> None:
    try:
        socket.getaddrinfo(PROVIDER, 443)
    except BaseException as error:  # noqa: BLE001  # whatever it is, it is told
        answers.put(type(error).__name__)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_children_of_multiprocessing_take_part(path: Path, method: str) -> None:
    """Spawned and forked children are kept away from providers as their parent is."""
    context = multiprocessing.get_context(method)
    answers = context.Queue()
    with use_cassette(path, http=True) as cassette:
        process = context.Process(target=_attempt, args=(answers,))
        process.start()
        assert answers.get(timeout=60) == "CassetteMiss"
        process.join()
    answers.close()
    answers.join_thread()
    assert len(cassette.misses) == 1


@pytest.mark.parametrize(("fails", "count"), [(False, 1), (True, 0)])
def test_an_error_that_stays_to_the_end_of_a_child(path: Path, fails: bool, count: int) -> None:
    """It is recorded where the child has lived with it, and left out where it ends the child."""
    ask = (
        "import httpx2\nanswer = httpx2.post(sys.argv[1] + '/chat/completions', json=body)\nprint(answer.status_code)\n"
    )
    program = BODY + ask + "answer.raise_for_status()\n" * fails
    with Loopback(failure(429, "Slow down")) as server, use_cassette(path, "new", http=True) as cassette:
        assert run(program, server.url).startswith("429")
    assert (len(Cassette(path)) if path.exists() else 0) == count
    (note,) = cassette.account.notes
    assert ("is recorded with this error" in note) == (not fails)


def test_a_stream_that_a_child_leaves_open(path: Path) -> None:
    """It ends with the child: what had arrived is recorded."""
    program = (
        BODY
        + "import httpx2\nanswer = httpx2.Client().send(httpx2.Request('POST', sys.argv[1] + '/chat/completions', json=body), stream=True)\n"
    )
    program += "print(next(answer.iter_raw()).decode()[:5])"
    with Loopback(streaming("a", "b")) as server, use_cassette(path, "new", http=True):
        assert run(program, server.url).startswith("data:")
    assert "closed_early: true" in path.read_text()


def test_what_a_child_says_besides_reaches_its_parent(path: Path) -> None:
    """Refused connections, and those of a recording that captures nothing, are in the parent's account."""
    program = "import socket; socket.socket(type=socket.SOCK_DGRAM).connect(('1.1.1.1', 443))"
    with use_cassette(path, http=True) as cassette:
        assert "ConnectionRefusedError" in run(program)
    [refused] = cassette.account.notes
    assert "a connection to 1.1.1.1 was refused" in refused
    with use_cassette(path, "new", http=True) as cassette:
        assert "Error" not in run(program)
    assert "no HTTP call was recorded while 1.1.1.1 was connected to" in cassette.account.notes[-1]


def test_other_children_are_left_alone(path: Path) -> None:
    """Where no HTTP scope is open, a child loads nothing of the library, and the environment is as it was."""
    program = "import sys, socket, json; print([name for name in sys.modules if 'llm_strategy' in name])"
    with use_cassette(path, http=True):
        assert os.environ["PYTHONPATH"] == str(Path(startup.__file__).parent)
        assert run(program) == "[]"
        with use_cassette(path.with_name("inner.yaml"), http=False):
            assert run(program + ATTEMPT).startswith("[]")
    assert "PYTHONPATH" not in os.environ
    with use_cassette(path):
        assert "PYTHONPATH" not in os.environ


def test_what_the_program_does_to_the_path_stays(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only our own folder is taken out of PYTHONPATH again."""
    monkeypatch.setenv("PYTHONPATH", f"one{os.pathsep}")
    ours = str(Path(startup.__file__).parent)
    with use_cassette(path, http=True):
        assert os.environ["PYTHONPATH"] == os.pathsep.join([ours, "one", ""])
        os.environ["PYTHONPATH"] = os.pathsep.join(["two", os.environ["PYTHONPATH"]])
        with use_cassette(path.with_name("inner.yaml"), http=True):
            assert os.environ["PYTHONPATH"] == os.pathsep.join([ours, "two", "one", ""])
    assert os.environ["PYTHONPATH"] == os.pathsep.join(["two", "one", ""])


def test_the_sitecustomize_that_is_hidden_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sitecustomize of the user's own runs as ever, and is the module of that name; an error in it is shown."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "sitecustomize.py").write_text("import sys\nprint(__file__, 'startup' in sys.path[0])\n")
    program = "import sitecustomize; print(sitecustomize.__file__)" + ATTEMPT
    with use_cassette(path, http=True):
        own = str(tmp_path / "sitecustomize.py")
        assert run(program).splitlines() == [f"{own} False", own, "CassetteMiss"]
        (tmp_path / "sitecustomize.py").write_text("1 / 0")
        assert "ZeroDivisionError" in run(ATTEMPT)


def test_without_the_library_a_child_runs_on(path: Path, tmp_path: Path) -> None:
    """A child whose Python has no llm_strategy, or another, imports its clients and opens its sockets."""
    broken = tmp_path / "broken"
    broken.mkdir()
    program = "import urllib3, socket; socket.create_server(('127.0.0.1', 0)).close(); print('fine')"
    with use_cassette(path, http=True):
        given = os.environ["PYTHONPATH"]
        for text in ("raise ImportError('not here')", "1 / 0", ""):
            (broken / "llm_strategy.py").write_text(text)
            connect = "; socket.socket(type=socket.SOCK_DGRAM).connect(('127.0.0.1', 9))"
            assert run(program + connect, PYTHONPATH=os.pathsep.join([given, str(broken)])) == "fine"


def test_what_children_wait_for_is_what_is_known() -> None:
    """The clients that a child waits for are those that are translated."""
    source = Path(startup.__file__).with_name("sitecustomize.py").read_text()
    assert all(f'"{name}"' in source for name in TRANSLATORS)
