"""How the processes of a run hear of each other: by an environment variable and by journals.

A journal is a file of JSON lines that several processes write and one reads. It imports next to nothing: a session
names one for every test.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llm_strategy import slot


def new_journal() -> Path:
    """A name that no other journal has; there is no file before the first line."""
    return Path(tempfile.gettempdir(), f"llm-strategy-{os.urandom(8).hex()}.jsonl")


def ledger(journal: Path) -> tuple[Path, Path]:
    """The ledger of a budget that belongs to a run with this journal, and its lock."""
    return Path(f"{journal}.budget"), Path(f"{journal}.budget.lock")


def tell(journal: Path, *lines: object) -> None:
    """Append lines, all of them in one piece."""
    text = "".join(json.dumps(line) + "\n" for line in lines)
    handle = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600)
    try:
        os.write(handle, text.encode())
    finally:
        os.close(handle)


def described(
    path: Path, rules: Mapping[str, Any], journal: Path, *, folder: Path | None, model: str | None, facts: Path
) -> str:
    """What a child process needs to know of a scope to take part in it; `cassette.child` reads it."""
    said: dict[str, Any] = {"path": str(path), "rules": dict(rules), "journal": str(journal)}
    said |= {"folder": folder and str(folder), "model": model, "facts": str(facts)}
    return json.dumps({slot.CHILD_OPENER: "llm_strategy.cassette.child:open_child", **said})
