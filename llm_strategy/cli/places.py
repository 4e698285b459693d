"""The cassettes that a command is about."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path


def add_paths(command: argparse.ArgumentParser) -> None:
    command.add_argument("paths", nargs="*", type=Path, help="files or folders (default: cassettes)")


def files(paths: Sequence[Path]) -> Iterator[Path]:
    """The files that are named, and those in the folders that are named."""
    for path in paths or [Path("cassettes")]:
        if path.is_dir():
            yield from sorted(found for found in path.rglob("*.yaml") if ".locks" not in found.parts)
        else:
            yield path
