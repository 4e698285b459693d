"""Child processes of HTTP scopes: PYTHONPATH lets them run `sitecustomize.py`, which stands here, at their start."""

from __future__ import annotations

import os
import threading
from pathlib import Path

_FOLDER = str(Path(__file__).parent)
_PATH = "PYTHONPATH"
_lock = threading.Lock()
_users: list[bool] = []
"""For each scope that is open, whether PYTHONPATH was set before."""


def begin() -> None:
    """Let Python processes that are started from now on take part, until `end` has been called as often."""
    with _lock:
        path = os.environ.get(_PATH)
        _users.append(path is not None)
        others = _without_ours(path)
        os.environ[_PATH] = os.pathsep.join([_FOLDER, *others])


def end() -> None:
    """Take back what the last `begin` did, and nothing that the program has done to the variable since."""
    with _lock:
        was_set = _users.pop()
        if _users:
            return
        others = _without_ours(os.environ.get(_PATH))
        if others or was_set:
            os.environ[_PATH] = os.pathsep.join(others)
        else:
            os.environ.pop(_PATH, None)


def _without_ours(path: str | None) -> list[str]:
    # An empty entry is the current folder.
    return [entry for entry in path.split(os.pathsep) if entry != _FOLDER] if path else []
