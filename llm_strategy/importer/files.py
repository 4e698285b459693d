"""Files that may hold recordings: found, read, and told apart."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from llm_strategy.cassette.obstacle import FORMAT
from llm_strategy.importer.outcomes import malformed, unsupported

LARGEST = 512 << 20
"""Bytes of a file that is read; its values take a few times as many."""
_SUFFIXES = frozenset(("yaml", "yml", "json", "jsonl", "db", "sqlite", "sqlite3"))
_PASSED_OVER = frozenset(("node_modules", "site-packages", "__pycache__", "__snapshots__", "blobs"))
SQLITE = b"SQLite format 3\0"


def listed(path: Path) -> Iterator[Path]:
    """The file that is named, or those of a folder that may hold recordings.

    So are folders into which it does not look, for `read` to say why: those that cannot be listed, and links to others.
    """
    if not os.path.isdir(path):
        yield path
        return
    closed: list[Path] = []
    for root, folders, names in os.walk(path, onerror=lambda error: closed.append(Path(error.filename))):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _PASSED_OVER)
        for name in sorted(names):
            if _may_record(name):
                yield Path(root, name)
        yield from (Path(root, name) for name in folders if _leads_elsewhere(Path(root, name), path))
    yield from closed


def _may_record(name: str) -> bool:
    suffix = name.lower().removesuffix(".gz").rpartition(".")[2]
    return suffix in _SUFFIXES or _is_cache(name) or "." not in name


def _leads_elsewhere(folder: Path, given: Path) -> bool:
    """Whether a folder is a link to what is not looked through anyway."""
    return os.path.islink(folder) and not folder.resolve().is_relative_to(given.resolve())


def _is_cache(name: str) -> bool:
    """LangChain's own name for its cache begins with a dot."""
    return name.startswith(".langchain")


def read(path: Path) -> bytes:
    """The bytes of a file. Raises NotImported for what is no file, cannot be read, or is too large."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            os.listdir(path)  # a folder that cannot be listed says so itself
            raise unsupported("it is a link to a folder, into which an import does not look; name it, too")
        if not stat.S_ISREG(status.st_mode):
            # A pipe would be waited for, and a device never ends.
            raise unsupported("it is no ordinary file")
        if status.st_size > LARGEST:
            raise unsupported(f"it has more than {LARGEST >> 20} MiB; split it")
        data = path.read_bytes()
    except FileNotFoundError:
        raise malformed("there is no such file") from None
    except OSError as error:
        raise malformed(f"it cannot be read: {(error.strerror or str(error)).lower()}") from None
    if not data.strip():
        raise malformed("the file is empty")
    if data.startswith(b"\x1f\x8b"):
        raise unsupported("it is compressed by gzip; unpack it first (gunzip)")
    return data


def is_own(data: bytes) -> bool:
    """Whether a file is a cassette of this library."""
    return FORMAT.encode() in data[:200] and b"interactions" not in data[:200]
