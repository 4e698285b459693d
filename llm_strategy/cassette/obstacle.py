"""What may stand in the place of a cassette and is none: each has its own message, with what to do about it."""

from __future__ import annotations

import errno
import os
import re
import stat
from pathlib import Path

from llm_strategy.errors import CassetteError

FORMAT = "llm-strategy cassette"
"""What a header says first."""

LARGEST = 2 << 30
"""Bytes of a cassette; a larger file is refused before it is read."""

BEGINNING = 1 << 16
"""Bytes at the beginning of a file, in which the header has its first fields. They are looked at before the rest is."""

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_VCR = re.compile(rb"(?:^|[{,]\s*)[\"']?(?:http_)?interactions[\"']?\s*:", re.MULTILINE)
_RECORD = "then record again: pytest --llm-record"


def check_file(path: Path, status: os.stat_result) -> None:
    """Raises CassetteError for what cannot be read as a file, or should not: a pipe would be waited for in vain."""
    kind = _KINDS.get(stat.S_IFMT(status.st_mode))
    if kind is not None:
        raise CassetteError(f"{path} is {kind}, not a cassette; move it away, {_RECORD}")
    if status.st_size > LARGEST:
        raise CassetteError(f"{path} is larger than {LARGEST >> 20} MiB; split it: a cassette per test")


def missing(path: Path) -> FileNotFoundError:
    """The error for a cassette that is not there, or whose link leads nowhere."""
    if path.is_symlink():
        return FileNotFoundError(
            f"{path} is a symbolic link to {os.readlink(path)}, where nothing is; mend or remove the link, {_RECORD}"
        )
    return FileNotFoundError(f"there is no cassette at {path}; record one: pytest --llm-record")


def unreadable(path: Path, error: OSError) -> CassetteError:
    """The error for a file that the system does not give out."""
    cure = ""
    if isinstance(error, PermissionError):
        cure = f"; give yourself the right to read it: chmod u+r {path}"
    elif isinstance(error, NotADirectoryError):
        return in_the_way(path)
    elif error.errno == errno.ELOOP:
        cure = f"; remove the link, {_RECORD}"
    return CassetteError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}{cure}")


def in_the_way(path: Path) -> CassetteError:
    """The error for a file that cannot be where something else is, or below it."""
    if path.is_dir():
        return CassetteError(f"{path} is a folder, where a file belongs; move it away, then try again")
    file = next((folder for folder in reversed(path.parents) if folder.exists() and not folder.is_dir()), path.parent)
    return CassetteError(f"{path} cannot be there: {file} is not a folder; move that away, then try again")


def check_beginning(path: Path, data: bytes) -> None:
    """Raises CassetteError where the first BEGINNING bytes of a file show that it is something else."""
    if FORMAT.encode() in data:
        return
    problem = _known(path, data)
    if problem is None and len(data) < BEGINNING:
        # Short enough to be parsed as a whole, which may say more.
        return
    raise not_ours(path) if problem is None else CassetteError(problem)


def not_ours(path: object) -> CassetteError:
    """The error for a file without the header."""
    return CassetteError(
        f"{path} is not a cassette of llm-strategy: it does not begin with `format: {FORMAT}`. "
        "Move it away, then record again: pytest --llm-record"
    )


def _known(path: Path, data: bytes) -> str | None:
    """What the file is, where its beginning tells."""
    if data.startswith(b"\x1f\x8b"):
        return f"{path} is compressed by gzip; unpack it: gunzip -c {path} > unpacked, and put that in its place"
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"-\0-\0" in data[:16]:
        convert = f"iconv -f UTF-16 -t UTF-8 {path} > converted"
        return f"{path}:1: this is not UTF-8 but UTF-16; save it as UTF-8: {convert}, and put that in its place"
    if data.startswith(b"\0"):
        return f"{path} begins with zeros: a crash or a broken copy has left them; restore the file, or {_RECORD[5:]}"
    if _VCR.search(data):
        return (
            f"{path} is not a cassette of llm-strategy but one of vcrpy; put it where the tests that use vcrpy look "
            f"for it, {_RECORD}"
        )
    if data.lstrip()[:1] in (b"{", b"["):
        return f"{path} is not a cassette of llm-strategy but JSON; move it away, {_RECORD}"
    return None
