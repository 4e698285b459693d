"""`llm-strategy review` where there is a terminal and textual: the screen, from its first key to its exit code."""

from __future__ import annotations

import os
import re
import select
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from llm_strategy.review import Review
from tests.llm_strategy.test_review_screen import change

pty = pytest.importorskip("pty", reason="terminals are those of POSIX")
fcntl = pytest.importorskip("fcntl", reason="terminals are those of POSIX")
termios = pytest.importorskip("termios", reason="terminals are those of POSIX")
RUN = "import sys; from llm_strategy.cli import main; sys.exit(main(sys.argv[1:]))"


def heard(terminal: int, wanted: str) -> str:
    """What the program has drawn, without what only steers the terminal, once a text stands in it."""
    drawn = ""
    while wanted not in re.sub(r"\x1b\[[0-9;?<>=]*[a-zA-Z]", "", drawn):
        ready, _, _ = select.select([terminal], [], [], 60)
        assert ready, drawn
        drawn += os.read(terminal, 65536).decode(errors="replace")
    return drawn


def ended(process: subprocess.Popen[bytes], terminal: int) -> int:
    """The exit code; what is still drawn is read, or the program would wait for somebody to do so."""
    while process.poll() is None:
        if select.select([terminal], [], [], 1)[0]:
            try:
                os.read(terminal, 65536)
            except OSError:
                break
    return process.wait(60)


def test_the_command_opens_the_screen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal gets it without an option; what is accepted there is accepted, and `q` ends it with 0."""
    monkeypatch.chdir(tmp_path)
    change("test_shop", {"lamp": 1}, {"lamp": 2}, was="Find it.", now="Find it all.")
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", RUN, "review"]
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True
    )
    os.close(theirs)
    try:
        heard(ours, "the docstring of find")
        os.write(ours, b"a")
        heard(ours, "All is decided.")
        os.write(ours, b"q")
        assert ended(process, ours) == 0
    finally:
        process.kill()
        os.close(ours)
    assert Review("cassettes").pending() == []
