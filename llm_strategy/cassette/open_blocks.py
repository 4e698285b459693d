"""The blocks that are open in this process, as other processes get to know of them."""

from __future__ import annotations

import itertools
import json
import os
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from llm_strategy import slot
from llm_strategy.cassette.child import read_journal
from llm_strategy.cassette.disk import acquire, release
from llm_strategy.cassette.journal import described, new_journal
from llm_strategy.cassette.run import Run
from llm_strategy.cassette.scope import CassetteScope
from llm_strategy.cassette.store import CassetteFile

_open: list[tuple[CassetteScope, str]] = []
_before: list[str | None] = [None]
"""The environment variable as it was before the first of these blocks."""
_lock = threading.Lock()


def take_number(path: Path) -> tuple[int, Callable[[], None]]:
    """The first number that no other block, of any process, has for a cassette; and what gives it back."""
    file = CassetteFile(path)
    for number in itertools.count():
        lock = file.lock(f"all.{number}")
        if acquire(lock, path, blocking=False):
            break
    return number, lambda: release(lock, path, remove=True)


def open_to_children(scope: CassetteScope) -> Path:
    """Let processes that are started now take part in a block; returns the journal in which they tell what they do."""
    journal = new_journal()
    folder = scope.project and scope.project.folder
    known: dict[str, Any] = {"folder": folder, "model": scope.default_model, "facts": scope.facts.journal}
    said = described(scope.path, asdict(scope.rules), journal, **known)
    with _lock:
        if not _open:
            _before[0] = os.environ.get(slot.CHILD_VARIABLE)
        told = _told()
        _open.append((scope, said))
        _tell(told)
    return journal


def close_to_children(scope: CassetteScope, journal: Path, run: Run | None) -> None:
    """Take in what the child processes of a block have done in it."""
    with _lock:
        told = _told()
        _open[:] = [opened for opened in _open if opened[0] is not scope]
        _tell(told)
    if journal.exists():
        read_journal(scope, journal, run)


def open_blocks() -> list[CassetteScope]:
    """The blocks that are open in this process, whoever has opened them."""
    with _lock:
        return [scope for scope, _ in _open]


def _told() -> str | None:
    """What children are told; of several blocks side by side it cannot be said which one starts them."""
    if not _open:
        return _before[0]
    scope, described = _open[-1]
    around, parent = [scope], scope.parent
    while parent is not None:
        around.append(parent)  # type: ignore[arg-type]  # whatever scope it is, it is compared only
        parent = parent.parent
    if all(opened in around for opened, _ in _open):
        return described
    return json.dumps({slot.CHILD_OPENER: "llm_strategy.cassette.child:open_unknown"})


def _tell(told: str | None) -> None:
    """Bring the environment up to date, unless a test runner has put something else there since."""
    if os.environ.get(slot.CHILD_VARIABLE) != told:
        return
    now = _told()
    if now is None:
        os.environ.pop(slot.CHILD_VARIABLE, None)
    else:
        os.environ[slot.CHILD_VARIABLE] = now


def _forget() -> None:
    """In a forked child: these are the parent's blocks."""
    _open.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
