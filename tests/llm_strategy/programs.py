"""Running a program in a process of its own, where no scope of the test is seen."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VERSIONS = ("3.11", "3.12", "3.13")


def run(
    program: str,
    *arguments: str,
    cwd: Path | None = None,
    python: str = sys.executable,
    options: Sequence[str] = (),
    **environment: str,
) -> subprocess.CompletedProcess[str]:
    """The finished process of a program that is given as text. `environment` is set on top of a plain one."""
    return subprocess.run(
        [python, *options, "-c", textwrap.dedent(program), *arguments],
        cwd=cwd,
        env={**plain_environment(), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def output(
    program: str,
    *arguments: str,
    cwd: Path | None = None,
    python: str = sys.executable,
    options: Sequence[str] = (),
    **environment: str,
) -> str:
    """What a program prints, without the last line end; fails where the program does."""
    done = run(program, *arguments, cwd=cwd, python=python, options=options, **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.removesuffix("\n")


def plain_environment() -> dict[str, str]:
    """The environment without keys and without what describes the running test."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("LLM_STRATEGY", "OPENAI", "PYTEST", "COV_"))
    }
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join([str(ROOT), *kept.get("PYTHONPATH", "").split(os.pathsep)]).rstrip(":"),
    }


@functools.cache
def interpreters() -> tuple[tuple[str, str], ...]:
    """Version and path of every Python here that this library can run on and that has what it needs."""
    return tuple(_interpreters())


def _interpreters() -> Iterator[tuple[str, str]]:
    for version in VERSIONS:
        found = shutil.which(f"python{version}")
        candidates = [*map(str, sorted(ROOT.glob(f".venv*/bin/python{version}"))), *([found] if found else [])]
        if version == f"{sys.version_info.major}.{sys.version_info.minor}":
            candidates.insert(0, sys.executable)
        for candidate in candidates:
            if run("import filelock, pydantic, yaml", python=candidate).returncode == 0:
                yield version, candidate
                break


def other_interpreters() -> list[tuple[str, str]]:
    """The Pythons of other versions; skips the test where there is none."""
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    others = [(version, path) for version, path in interpreters() if version != here]
    if not others:
        wanted = ", ".join(f"python{version}" for version in VERSIONS if version != here)
        pytest.skip(f"no {wanted} with pydantic, PyYAML and filelock on the PATH or in .venv*")
    return others
