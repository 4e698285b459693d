"""The README's first steps for those who have installed the package, and have neither a key nor this repository."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.documentation.blocks import read_blocks
from tests.documentation.runner import CHECKOUT, environment

OLD, NEW = "that match a natural language query best", "that fit a query, best first"


def pytest_says(folder: Path, *options: str) -> str:
    # As where it is not installed: nothing of a provider is needed.
    (folder / "openai.py").write_text("raise ImportError('no module named openai')\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:asyncio", *options],
        cwd=folder,
        env=environment(folder) | {"PYTHONPATH": f"{folder}{os.pathsep}{CHECKOUT}"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    return done.stdout + done.stderr


def test_the_stub_takes_every_step(tmp_path: Path) -> None:
    """With `"stub:"` in the place of the model the same files are recorded, replayed, and missed once the prompt changes."""
    files: dict[str, str] = {}
    for block in read_blocks((CHECKOUT / "README.md").read_text(encoding="utf-8")):
        files = block.files() | files
    shop = files["shop.py"].replace('"openai:gpt-5-mini"', '"stub:"')
    test = re.sub(r'== \["c2"\]', "== []", files["test_shop.py"])
    assert "stub:" in shop
    assert "== []" in test
    (tmp_path / "shop.py").write_text(shop, encoding="utf-8")
    (tmp_path / "test_shop.py").write_text(test, encoding="utf-8")
    assert re.search(r"asked 1\b.*1 passed", pytest_says(tmp_path, "--llm-record"), re.DOTALL)
    assert re.search(r"1 replayed.*1 passed", pytest_says(tmp_path), re.DOTALL)
    (tmp_path / "shop.py").write_text(shop.replace(OLD, NEW), encoding="utf-8")
    missed = pytest_says(tmp_path)
    assert "changed: the docstring of CustomerDatabase.find_customer_key" in missed
    assert f"+Find the keys of the customers {NEW}." in missed
    assert "1 failed" in missed
