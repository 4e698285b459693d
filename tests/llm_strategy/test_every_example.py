"""Whatever lies in examples/ runs without a key, from any folder: programs, screens, servers, tests and notebooks.

What is there is found, not listed, so that a new example is held to the same.
"""

from __future__ import annotations

import ast
import functools
import json
import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.llm_strategy.programs import plain_environment

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
FOUND = [
    path
    for path in sorted(EXAMPLES.rglob("*"))
    if path.suffix in (".py", ".ipynb") and not any(part.startswith(".") for part in path.relative_to(EXAMPLES).parts)
]
SCREEN = "\x1b[?1049h"  # the terminal is to show another screen
SERVER = re.compile(r"^export \w+_BASE_URL=http://127\.0\.0\.1:\d+", re.MULTILINE)
CTRL_C, CTRL_Q = b"\x03", b"\x11"


def environment(folder: Path) -> dict[str, str]:
    """A shell without keys, in which nothing is kept anywhere but in a folder."""
    kept = ("HOME", "IPYTHONDIR", "JUPYTER_DATA_DIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")
    return {**plain_environment(), "TERM": "xterm-256color", **dict.fromkeys(kept, str(folder))}


def run(*command: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


# Makes the terminal that a program is given the one whose keys reach it, ctrl+c among them.
OWN_TERMINAL = """\
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


@contextmanager
def terminal(*command: str | Path, folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A program in a terminal of its own, and our end of that."""
    pty = pytest.importorskip("pty", reason="terminals are those of POSIX")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", OWN_TERMINAL, *map(str, command)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=folder,
        env=environment(folder),
        start_new_session=True,
    )
    os.close(theirs)
    try:
        yield process, ours
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def pieces(ours: int) -> Iterator[str]:
    """What a program writes to its terminal, until it has ended, or has had its time: a screen never falls silent."""
    deadline = time.monotonic() + 120
    with suppress(OSError):  # a terminal that nobody holds any more
        while (left := deadline - time.monotonic()) > 0 and select.select([ours], [], [], left)[0]:
            if not (piece := os.read(ours, 65536)):
                break
            yield piece.decode(errors="replace")


def run_in_terminal(*command: str | Path, folder: Path) -> tuple[int, str]:
    """Exit code and output. A screen is left by ctrl+q, a server by ctrl+c, once it is there."""
    output, key = "", b""
    with terminal(*command, folder=folder) as (process, ours):
        for piece in pieces(ours):
            output += piece.replace("\r", "")
            # Until the screen reads keys, its terminal takes ctrl+q for its own: it is pressed until it is heard.
            if key != CTRL_C and (key := CTRL_Q if SCREEN in output else CTRL_C if SERVER.search(output) else b""):
                os.write(ours, key)
        return process.wait(30), output


def kind(path: Path) -> str:
    """What an example is: a notebook, a test, a program, or a module of one."""
    if path.suffix == ".ipynb":
        return "notebook"
    if path.name.startswith("test_"):
        return "test"
    return "program" if '__name__ == "__main__"' in path.read_text("utf-8") else "module"


def imported(path: Path) -> set[str]:
    """The last names of the modules that a file imports."""
    nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
    names = [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    names += [alias.name for node in nodes if isinstance(node, ast.Import | ast.ImportFrom) for alias in node.names]
    return {name.rpartition(".")[2] for name in names}


def name(path: Path) -> str:
    return path.relative_to(EXAMPLES).as_posix()


def of(*kinds: str) -> list[Path]:
    return [path for path in FOUND if kind(path) in kinds]


RunProgram = Callable[[Path], tuple[int, str]]


@pytest.fixture(scope="module")
def run_program(tmp_path_factory: pytest.TempPathFactory) -> RunProgram:
    """How a program ends that is started in a folder of its own, without arguments, and what it prints."""

    @functools.cache
    def ran(path: Path) -> tuple[int, str]:
        folder = tmp_path_factory.mktemp(path.stem)
        usage = run(path, "--help", folder=folder).stdout if "argparse" in path.read_text("utf-8") else ""
        return run_in_terminal(path, *(["--port", "0"] if "--port" in usage else []), folder=folder)

    return ran


@pytest.mark.parametrize("path", of("program"), ids=name)
def test_a_program_runs_without_a_key(path: Path, run_program: RunProgram) -> None:
    """It ends with 0 and shows no traceback."""
    status, output = run_program(path)
    assert status == 0, output
    assert "Traceback" not in output


@pytest.mark.parametrize("path", of("test"), ids=name)
def test_a_test_passes_without_a_key(path: Path, tmp_path: Path) -> None:
    """Its calls are replayed."""
    done = run("-m", "pytest", "-p", "no:cacheprovider", "--rootdir", ROOT, path, folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_modules_belong_to_examples() -> None:
    """What is no program by itself is imported by another file."""
    files = of("program", "test", "module")
    strays = [
        path for path in of("module") if not any(path.stem in imported(other) for other in files if other != path)
    ]
    assert strays == []


def test_examples_are_found() -> None:
    """Some of each kind, or the tests around this one would prove nothing."""
    assert all(of(each) for each in ("program", "test", "notebook"))


def test_the_demo_fits_on_a_page(run_program: RunProgram) -> None:
    """Recorded, replayed, and the diff of a changed docstring."""
    _, output = run_program(EXAMPLES / "demo.py")
    assert 20 < len(output.splitlines()) <= 42
    assert all(len(line) <= 100 for line in output.splitlines())


def read_outputs(notebook: dict[str, Any]) -> list[str]:
    """What each code cell prints."""
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    # A kernel sends a text in any number of pieces.
    return ["".join("".join(output["text"]) for output in cell["outputs"]) for cell in cells]


EXECUTE = """\
import sys
import time
import nbformat
from nbclient import NotebookClient

notebook = nbformat.read(sys.argv[1], as_version=4)
nbformat.validate(notebook)
NotebookClient(notebook, resources={"metadata": {"path": sys.argv[2]}}, timeout=120).execute()
nbformat.write(notebook, sys.argv[3])
"""


@pytest.mark.parametrize("path", of("notebook"), ids=name)
def test_a_notebook_shows_what_is_written_in_it(path: Path, tmp_path: Path) -> None:
    """Executed anew by Jupyter, without a key."""
    pytest.importorskip("nbclient", reason="notebooks are executed by nbclient, of the extra `dev`")
    executed = tmp_path / path.name
    done = run("-c", EXECUTE, path, path.parent, executed, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    written, shown = (json.loads(one.read_text(encoding="utf-8")) for one in (path, executed))
    assert read_outputs(shown) == read_outputs(written)
    assert any(read_outputs(written))
