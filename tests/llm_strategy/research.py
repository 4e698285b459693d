"""The research example as tests start it: as a program, against the server that writes essays by rules."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from examples import stand_in
from examples.research import stand_in_writer
from tests.llm_strategy.programs import ROOT, plain_environment

FOLDER = ROOT / "examples" / "research"
PROGRAM = FOLDER / "meta_optimization.py"
CASSETTE = ROOT / "cassettes" / "examples" / "meta_optimization.yaml"


@contextmanager
def writing(delay: float = 0.0) -> Iterator[tuple[dict[str, str], list[str]]]:
    """The environment that leads to a server, and the bodies of the requests that it has answered."""
    answered: list[str] = []

    def noting(function: Any) -> Any:
        def note(call: stand_in.Call) -> Any:
            value = function(call)
            answered.append(f"{call.name} {call.arguments}")
            return value

        return note

    functions = {name: noting(function) for name, function in stand_in_writer.FUNCTIONS.items()}
    with stand_in.running(delay=delay, model=stand_in_writer.MODEL, functions=functions) as base_url:
        yield {"OPENAI_BASE_URL": base_url, "OPENAI_API_KEY": "unused"}, answered


def start(*arguments: str | Path, program: Path = PROGRAM, **variables: str) -> subprocess.Popen[str]:
    """The program in a process of its own, in a session of its own: a signal to that is Ctrl-C in its terminal."""
    return subprocess.Popen(
        [sys.executable, program, *map(str, arguments)],
        env={**plain_environment(), "PYTHONIOENCODING": "utf-8", **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        start_new_session=True,
    )


def run(*arguments: str | Path, program: Path = PROGRAM, **variables: str) -> subprocess.CompletedProcess[str]:
    """The finished program."""
    process = start(*arguments, program=program, **variables)
    output, errors = process.communicate(timeout=120)
    return subprocess.CompletedProcess([], process.returncode, output, errors)


def read_until(process: subprocess.Popen[str], beginning: str) -> None:
    """Wait for a line of a program."""
    assert process.stdout is not None
    assert any(line.startswith(beginning) for line in process.stdout), process.communicate()


def table(output: str) -> str:
    """What the program says in the end, whatever became of the calls."""
    return output[output.index("\nstep  score") :].partition(" holds ")[0].rpartition("\n")[0] or output


def means(output: str) -> list[float]:
    """The mean score of each step."""
    lines = [line for line in output.splitlines() if line.startswith("step ") and "mean score" in line]
    return [float(line.rpartition(" ")[2]) for line in lines]


def kill(process: subprocess.Popen[str]) -> None:
    """End a process at once, as `kill -9` does."""
    process.kill()
    process.communicate()


def interrupt(process: subprocess.Popen[str]) -> None:
    """Press Ctrl-C."""
    import signal

    os.killpg(process.pid, signal.SIGINT)
