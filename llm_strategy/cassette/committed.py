"""Which files git has in its last commit as they stand."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Set
from pathlib import Path

_PATIENCE = 30
"""Seconds to wait for git; a large working tree on a slow disk takes some."""


def committed(folder: Path, *names: str) -> Set[str]:
    """The real paths of the files below a folder, or of those with these names in it, that are committed as they stand.

    None where there is no git, no repository or no commit.
    """
    if not os.path.isdir(folder):
        return frozenset()
    tracked = _listed(folder, "ls-files", "-z", "--", *names)
    changed = tracked and _listed(folder, "diff", "--name-only", "--relative", "-z", "HEAD", "--", *names)
    return tracked - changed if tracked and changed is not None else frozenset()


def _listed(folder: Path, *command: str) -> Set[str] | None:
    """The paths that a command of git lists; None where it fails."""
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    try:
        done = subprocess.run(
            ["git", *command], cwd=folder, env=environment, capture_output=True, timeout=_PATIENCE, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    real = os.path.realpath(folder)
    return frozenset(os.path.join(real, os.fsdecode(name)) for name in done.stdout.split(b"\0") if name)
