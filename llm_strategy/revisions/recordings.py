"""The cassettes of two revisions: those that differ, file by file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from llm_strategy.cassette.contents import Contents
from llm_strategy.cassette.entry import Entry
from llm_strategy.cassette.miss import shown
from llm_strategy.cassette.naming import NEW_SUFFIX
from llm_strategy.cassette.obstacle import BEGINNING, FORMAT
from llm_strategy.errors import CassetteError
from llm_strategy.revisions.git import WORKING, Repository, Revisions, UnknownRevisionError


class Recordings(NamedTuple):
    """What a cassette holds in one revision; `owner` is the test that recorded it, else the file."""

    entries: Sequence[Entry]
    owner: str


class Sides(NamedTuple):
    """A cassette before and after; without recordings where it is missing."""

    old: Recordings | None
    new: Recordings | None


_APART = {".replaced", ".locks"}
"""Folders that hold no cassette of any test."""
_POINTER = b"version https://git-lfs."


def differing(
    repository: Repository, revisions: Revisions, paths: Sequence[Path], problems: list[str]
) -> Iterator[Sides]:
    """The cassettes that differ, of those below `paths` if there are any; what cannot be read goes to `problems`.

    Raises UnknownRevisionError for a path that neither side has.
    """
    root = os.path.realpath(repository.root)
    wanted = [os.path.relpath(os.path.realpath(path), root).replace(os.sep, "/") for path in paths]
    for path, name in zip(paths, wanted, strict=True):
        if not repository.holds(revisions, name):
            raise UnknownRevisionError(f"there is no file or folder {path} on either side of {revisions.name}")
    files = [file for file in repository.changed(revisions) if _is_wanted(file.path, wanted)]
    objects = repository.contents(name for file in files for name in (file.old, file.new) if name)
    for file in files:
        path = Path(shown(repository.root / file.path))
        held = (_working(path) if name == WORKING else objects[name] if name else None for name in (file.old, file.new))
        try:
            old, new = (None if data is None else _read(path, data) for data in held)
        except CassetteError as error:
            problems.append(str(error) if str(path) in str(error) else f"{path}: {error}")
            continue
        if old or new:
            yield Sides(old, new)


def _is_wanted(name: str, wanted: Sequence[str]) -> bool:
    if not _may_be_cassette(name):
        return False
    return not wanted or any(path == "." or name == path or name.startswith(f"{path}/") for path in wanted)


def _may_be_cassette(name: str) -> bool:
    """Whether a file may be one that is replayed: no failed recording has left it, and no review has set it aside."""
    return name.endswith(".yaml") and not name.endswith(NEW_SUFFIX) and _APART.isdisjoint(name.split("/"))


def _working(path: Path) -> bytes | None:
    """What stands in the working tree."""
    return path.read_bytes() if path.is_file() and not path.is_symlink() else None


def _read(path: Path, data: bytes) -> Recordings | None:
    """What a file holds; None for one that is no cassette. Raises CassetteError."""
    if data.startswith(_POINTER):
        raise CassetteError(
            f"{path} is kept by Git LFS, so that the repository has a pointer to it only: compare files that are there"
        )
    if FORMAT.encode() not in data[:BEGINNING]:
        return None
    contents = Contents.of(path, data)
    owner = (contents.header or {}).get("recorded_by")
    return Recordings(contents.order, owner if isinstance(owner, str) else shown(path))
