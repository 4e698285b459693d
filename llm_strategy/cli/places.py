"""The cassettes that a command is about."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from llm_strategy.cassette.folder import yaml_below
from llm_strategy.cassette.miss import shown
from llm_strategy.cassette.replaced import is_set_aside


def add_paths(command: argparse.ArgumentParser) -> None:
    command.add_argument("paths", nargs="*", type=Path, help="files or folders (default: cassettes)")


def files(paths: Sequence[Path]) -> Iterator[Path]:
    """The files that are named, and those in the folders that are named."""
    for path in paths or [Path("cassettes")]:
        if os.path.isdir(path):
            found = (file for file in yaml_below(path) if ".locks" not in file.parts)
            yield from (file for file in found if not is_set_aside(file.relative_to(path)))
        else:
            yield path


def printable(text: object) -> str:
    """A text of a file on one line, without what would steer a terminal."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in str(text))


def counted(number: int, noun: str) -> str:
    """`1 call`, `2 calls`."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def named(path: Path) -> str:
    """A path as part of a command."""
    return shlex.quote(shown(path))
