"""How a command ends: exit codes, of which the highest wins, and complaints about files."""

from __future__ import annotations

import sys
from pathlib import Path

GOOD, DIFFER, USAGE, MISSING, STALE, CORRUPT = range(6)


def complain(path: Path, error: Exception) -> int:
    """Say what is wrong with a file; returns the exit code. A broken pipe is nobody's fault and goes on."""
    if isinstance(error, BrokenPipeError):
        raise error
    print(error if str(path) in str(error) else f"{path}: {error}", file=sys.stderr)
    return MISSING if isinstance(error, FileNotFoundError) else CORRUPT
