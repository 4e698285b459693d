"""The screen of the customer database as a program in a terminal."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from examples.stand_in import running
from tests.llm_strategy.programs import plain_environment
from tests.llm_strategy.test_review_terminal import ended, fcntl, heard, pty, termios

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, str(ROOT / "examples" / "customer_database_app.py")]


def environment(**variables: str) -> dict[str, str]:
    return {**plain_environment(), "TERM": "xterm-256color", **variables}


@contextmanager
def started(**variables: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The program, and our end of its terminal."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    process = subprocess.Popen(
        COMMAND, stdin=theirs, stdout=theirs, stderr=theirs, env=environment(**variables), start_new_session=True
    )
    os.close(theirs)
    try:
        yield process, ours
    finally:
        process.kill()
        os.close(ours)


def test_it_replays_without_a_key() -> None:
    """A query that is typed is answered from the cassette; ctrl+q ends the program with 0."""
    with started() as (process, terminal):
        heard(terminal, "10 customers")
        os.write(terminal, b"lives in Africa\r")
        heard(terminal, "best match first")
        os.write(terminal, b"\x11")
        assert ended(process, terminal) == 0


def test_quitting_waits_for_no_model() -> None:
    """The process ends while the model, which would take an hour, has yet to answer."""
    with (
        running(delay=3600) as base_url,
        started(OPENAI_BASE_URL=base_url, OPENAI_API_KEY="unused") as (process, terminal),
    ):
        heard(terminal, "The model makes up customers")
        os.write(terminal, b"\x11")
        assert ended(process, terminal) == 0


def test_without_a_terminal() -> None:
    """A pipe gets no screen but a line that names the program that prints."""
    done = subprocess.run(
        COMMAND, env=environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == "The screen needs a terminal; customer_database.py prints instead.\n"
