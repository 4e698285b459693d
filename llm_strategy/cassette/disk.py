"""Writing that a crash cannot tear and other writers cannot interleave."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from llm_strategy.errors import CassetteError

LOCK_TIMEOUT = 60.0
"""Seconds to wait for another writer."""
_PAUSES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""Seconds to wait, one after the other, for readers of a file on Windows."""

_holders: dict[str, int] = {}
"""The locks that this process holds, and the threads that have taken them."""


def acquire(lock: Any, path: Path, *, blocking: bool = True) -> bool:
    from filelock import Timeout

    if blocking and _holders.get(lock.lock_file) == threading.get_ident():
        raise CassetteError(
            f"{path}: an equal request is being asked already, by this very thread, in a use_cassette block around "
            "this one: read its stream to the end, or close it, first"
        )
    try:
        with naming(path):
            lock.acquire(blocking=blocking, poll_interval=0.005)
    except Timeout:
        if not blocking:
            return False
        raise CassetteError(
            f"{path} has been locked by another process or thread for {lock.timeout:g} s; end it (a recording that "
            "hangs?), then try again"
        ) from None
    _holders[lock.lock_file] = threading.get_ident()
    return True


def release(lock: Any, path: Path, *, remove: bool = False) -> None:
    """Give a lock back. A lock file is removed while it is held; who waits for it notices."""
    if remove:
        with suppress(OSError):
            os.unlink(lock.lock_file)
    _holders.pop(lock.lock_file, None)
    with naming(path):
        try:
            lock.release()
        except OSError:
            # It would be held to the end of the process.
            lock.release()


def append_bytes(path: Path, size: int, text: bytes, *, durable: bool = True) -> None:
    """Write behind the first `size` bytes of a file; `durable` waits until the disk has it."""
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        try:
            _append(handle, size, text, durable)
        finally:
            # By now all is on the disk, or another error is on its way.
            with suppress(OSError):
                os.close(handle)
    if size == 0 and durable:
        _sync_folder(path.parent)


def _append(handle: int, size: int, text: bytes, durable: bool) -> None:
    try:
        if os.fstat(handle).st_size > size:
            os.ftruncate(handle, size)
        os.lseek(handle, max(size - 1, 0), os.SEEK_SET)
        if size and os.read(handle, 1) != b"\n":
            text = b"\n" + text
        _write(handle, text)
        if durable:
            os.fsync(handle)
    except BaseException:
        # What was there stays; half a document does not.
        with suppress(OSError):
            os.ftruncate(handle, size)
        raise


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """A full disk does not say which file it has no room for; and nobody knows a lock's or a temporary file's name."""
    try:
        yield
    except OSError as error:
        error.filename = str(path)
        del error.filename2
        raise


def _write(handle: int, text: bytes) -> None:
    view = memoryview(text)
    while view:
        view = view[os.write(handle, view) :]


def replace_file(path: Path, pieces: Iterable[bytes], *, durable: bool = True) -> None:
    """Put a finished new file in the place of an old one; `durable` waits until the disk has it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        with naming(path):
            _write_file(temporary, pieces, durable)
            with suppress(OSError):
                os.chmod(temporary, path.stat().st_mode & 0o777)
            put(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    if durable:
        _sync_folder(path.parent)


def put(source: Path, path: Path) -> None:
    """Give a file another name, in the place of what has it."""
    for pause in _PAUSES if os.name == "nt" else ():
        try:
            os.replace(source, path)
            return
        except PermissionError:
            # On Windows nobody may read the file meanwhile, neither another process nor what looks for viruses.
            time.sleep(pause)
    os.replace(source, path)


def _write_file(path: Path, pieces: Iterable[bytes], durable: bool) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o666)
    try:
        for piece in pieces:
            _write(handle, piece)
        if durable:
            os.fsync(handle)
    finally:
        os.close(handle)


def _sync_folder(folder: Path) -> None:
    """Make a new name durable, where the system lets folders be synced."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_holders.clear)
