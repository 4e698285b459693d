"""Files that may hold secrets: what is found in one, and how it is taken out."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from llm_strategy.cassette.disk import replace_file
from llm_strategy.cassette.naming import REPLACED
from llm_strategy.errors import CassetteError
from llm_strategy.known_secrets import Known
from llm_strategy.leaks.cassettes import fix_cassette, is_cassette
from llm_strategy.leaks.spans import replaced, spans

LARGEST = 128 << 20
"""Bytes of a file that is looked into."""
_SUFFIXES = frozenset(".yaml .yml .json .jsonl .md .txt .ambr .html .xml .log .har".split())
_BLOBS = "blobs"
_PASSED_OVER = frozenset(("node_modules", "site-packages", "__pycache__", "build", "dist"))


class Leak(NamedTuple):
    """A secret in a file, without the secret."""

    path: Path
    line: int
    kind: str
    hint: str


def leaks(path: Path, secrets: Known) -> list[Leak]:
    """The secrets in a file. Raises OSError, or CassetteError where it is too large."""
    text = _text(path)
    if text is None:
        return []
    found, line, at = [], 1, 0
    for span in spans(text, secrets, headers=not is_cassette(text)):
        line, at = line + text.count("\n", at, span.start), span.start
        found.append(Leak(path, line, span.kind, span.hint))
    return found


def fix(path: Path, secrets: Known) -> Sequence[str]:
    """Put placeholders in place of the secrets in a file; returns what could not be done, in lines.

    The file is replaced whole by a finished new one. Raises OSError, or CassetteError for what cannot be read.
    """
    path = path.resolve()
    text = _text(path)
    if text is None:
        return []
    if is_cassette(text):
        return fix_cassette(path, secrets)
    if _BLOBS in path.parts[-3:-1]:
        return [f"{path}: the name of this file is its hash, so it cannot be changed; record the call again without it"]
    clean = replaced(text, secrets, headers=True)
    if clean != text:
        if _text(path) != text:
            return [f"{path}: another program is writing this file; scan it again"]
        replace_file(path, [clean.encode("utf-8", "surrogateescape")])
    return []


def _text(path: Path) -> str | None:
    """The text of a file; None where it is binary."""
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        os.listdir(path)  # a folder that cannot be listed says so itself
    if not stat.S_ISREG(status.st_mode):
        # A pipe would be waited for, and a device never ends.
        raise CassetteError(f"{path} is no ordinary file and is not looked into")
    size = status.st_size
    if size > LARGEST:
        raise CassetteError(f"{path} has more than {LARGEST >> 20} MiB and is not looked into")
    data = path.read_bytes()
    return None if b"\0" in data[:8192] else data.decode("utf-8", "surrogateescape")


def listed(paths: Sequence[Path]) -> Iterator[Path]:
    """The files that are named, and those in the folders that are named: recordings, snapshots, other text."""
    for path in paths or [*_default()]:
        if os.path.isdir(path):
            yield from sorted(_in_folder(path))
        else:
            yield path


def _default() -> Iterator[Path]:
    """The folder of the cassettes, and all snapshots."""
    yield Path("cassettes")
    for folder, folders, _ in os.walk("."):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in _PASSED_OVER]
        if Path(folder).name == "__snapshots__" and "cassettes" not in Path(folder).parts:
            yield Path(folder)


def _in_folder(folder: Path) -> Iterator[Path]:
    """Its files, and what below it cannot be listed: reading that says why, so that it does not count as clean."""
    closed: list[Path] = []
    for root, folders, names in os.walk(folder, onerror=lambda error: closed.append(Path(error.filename))):
        hidden = (name for name in folders if name.startswith(".") and name != REPLACED)
        folders[:] = sorted({*folders} - {*hidden, *_PASSED_OVER})
        for name in names:
            path = Path(root, name)
            if path.suffix.lower() in _SUFFIXES or _BLOBS in path.parts[-3:-1]:
                yield path
    yield from closed
