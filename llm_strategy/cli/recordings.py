"""Recordings that are named by the beginning of their key."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

from llm_strategy.cassette.entry import Entry
from llm_strategy.cassette.store import open_file
from llm_strategy.cli.places import files

_PREFIX = re.compile(r"[0-9a-fA-F]{8,64}")
_MOST_LISTED = 10


class AmbiguousKey(ValueError):
    """The beginning of several keys."""


def add_folder(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--in",
        dest="folder",
        type=Path,
        default=Path("cassettes"),
        metavar="FOLDER",
        help="where keys are looked up (default: cassettes)",
    )


def is_key(name: Path) -> bool:
    """Whether an argument is the beginning of a key: eight hex digits or more, and no file or folder."""
    return _PREFIX.fullmatch(str(name)) is not None and not name.exists()


def with_key(prefix: Path, folder: Path) -> Sequence[Entry]:
    """All recordings with the key that begins like this, in all files of a folder.

    Raises FileNotFoundError where there is none, AmbiguousKey where there are several such keys.
    """
    digits = str(prefix).lower()
    found = [entry for path in files([folder]) for entry in _in_file(path, digits)]
    if not found:
        where = f"no recording in {folder} has a key" if folder.exists() else f"there is no folder {folder} with a key"
        raise FileNotFoundError(f"{where} that begins with {digits}, and no file has this name; --in names a folder")
    keys = {entry.key: entry for entry in reversed(found)}
    if len(keys) > 1:
        shown = [f"  {key}  {entry.function or 'a call'} ({entry.place})" for key, entry in sorted(keys.items())]
        more = [f"  and {len(keys) - _MOST_LISTED} more"] if len(keys) > _MOST_LISTED else []
        lines = "\n".join([*shown[:_MOST_LISTED], *more])
        raise AmbiguousKey(f"{len(keys)} keys begin with {digits}; give more digits of one:\n{lines}")
    return found


def _in_file(path: Path, digits: str) -> list[Entry]:
    # Most files lack it, and need not be understood; one that is damaged elsewhere must not stand in the way.
    if not path.is_file() or digits.encode() not in path.read_bytes():
        return []
    return [entry for entry in open_file(path).entries if entry.key.startswith(digits)]
