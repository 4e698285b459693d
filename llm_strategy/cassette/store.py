"""The file of a cassette: found by key without parsing it, appended to, rewritten only as a whole.

A writer holds the file's lock. A reader needs none: a document counts only once its last line, the
digest, is there, so that what another process is writing is not seen before it is complete.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from llm_strategy.cassette import document
from llm_strategy.cassette.reader import load
from llm_strategy.cassette.shortcut import read_response
from llm_strategy.errors import CassetteError
from llm_strategy.log import Call
from llm_strategy.values import JSON, Request, Response

LARGEST = 2 << 30
"""Bytes of a cassette; a larger file is refused before it is read."""
LOCK_TIMEOUT = 60.0
"""Seconds to wait for another writer."""

_BOUNDARY = b"\n---\n"
_KEY = re.compile(rb'---\nkey: "([0-9a-f]{64})"\n(?:function: "((?:[^"\\\n]|\\.)*)"\n)?')
_END = re.compile(rb'\ndigest: "([0-9a-f]{64})"\n\Z')
_MODEL = re.compile(rb'\nrequest:\n  model: "((?:[^"\\\n]|\\.)*)"\n')
_CONFLICTS = (b"\n<<<<<<< ", b"\n>>>>>>> ")


class Entry:
    """One recorded call: where it stands, and its response once that was needed."""

    __slots__ = ("_response", "_source", "end", "function", "key", "number", "path", "start")

    def __init__(self, path: Path, source: bytes, start: int, end: int, number: int, key: str, function: str | None):
        self.path, self._source, self.start, self.end, self.number = path, source, start, end, number
        self.key, self.function = key, function
        self._response: Response | None = None

    @property
    def raw(self) -> bytes:
        return self._source[self.start : self.end]

    @property
    def place(self) -> str:
        """File and line, for messages; the line is counted only here."""
        line = self._source.count(b"\n", 0, self.start) + 1
        return f"{self.path}:{line}"

    def __str__(self) -> str:
        return self.place

    @property
    def model(self) -> str | None:
        found = _MODEL.search(self._source, self.start, self.end)
        return found[1].decode() if found else self._request_json().get("model")

    @property
    def response(self) -> Response:
        """The recorded response, checked against its digest. Only this part of the document is parsed."""
        if self._response is None:
            self._response = self._read_response()
        return self._response

    def _read_response(self) -> Response:
        start = self._source.find(b"\nresponse:\n", self.start, self.end)
        stop = self._source.rfind(b"\nrequest_digest: ", self.start, self.end)
        end = _END.search(self._source[self.end - 90 : self.end])
        if not (0 <= start < stop and end):
            whole = self.parsed
            return document.check_response(self.key, whole.get("response"), whole.get("digest"), self)
        text, sealed = self._source[start + 1 : stop + 1], end[1].decode()
        response = read_response(text)
        if response is not None and document.response_digest(self.key, response) == sealed:
            return Response.from_json(response)
        parsed = load(text)
        response = parsed.get("response") if isinstance(parsed, dict) else None
        return document.check_response(self.key, response, sealed, self)

    @property
    def parsed(self) -> dict[str, JSON]:
        """The whole document."""
        try:
            whole = load(self.raw)
        except CassetteError as error:
            raise CassetteError(f"{self.place}: {error}") from error
        if not isinstance(whole, dict):
            raise CassetteError(f"{self.place}: this document is no recorded call")
        return whole

    def _request_json(self) -> dict[str, JSON]:
        request = self.parsed.get("request")
        return request if isinstance(request, dict) else {}

    @property
    def request(self) -> Request:
        return document.stored_request(self._request_json(), self.place)

    def call(self, occurrence: int, *, request: Request | None = None, function: str | None = None) -> Call:
        return Call(self.key, occurrence, function or self.function, request or self.request, self.response, True)


class CassetteFile:
    """The recordings in one file. Threads of a process share one object per path: use `open_file`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.torn = False
        self._lock = threading.RLock()
        self._reset()

    def _reset(self) -> None:
        self._entries: dict[str, list[Entry]] = {}
        self._order: list[Entry] = []
        self._header: dict[str, JSON] | None = None
        self._seen = 0
        self._inode: int | None = None
        self.reformatted = False

    # Reading

    def refresh(self) -> None:
        """Take in what has been written since. Raises CassetteError for what is no cassette."""
        with self._lock:
            try:
                status = self.path.stat()
            except FileNotFoundError:
                if self._inode is not None:
                    self._reset()
                return
            if status.st_size > LARGEST:
                raise CassetteError(f"{self.path} is larger than {LARGEST >> 20} MiB; split it: a cassette per test")
            if status.st_ino != self._inode or status.st_size < self._seen:
                self._reset()
                self._inode = status.st_ino
            if status.st_size > self._seen:
                self._read(self._seen)

    def _read(self, start: int) -> None:
        try:
            with self.path.open("rb") as file:
                file.seek(start)
                data = file.read()
        except IsADirectoryError:
            raise CassetteError(f"{self.path} is a folder, not a cassette; move it away") from None
        if b"\r\n" in data:
            # A checkout on Windows. Carriage returns of a recorded text are written as escapes.
            size, data = len(data), data.replace(b"\r\n", b"\n")
            self._seen += size - len(data)
        conflict = next((at for marker in _CONFLICTS if (at := data.find(marker)) >= 0), None)
        if conflict is not None:
            line = data.count(b"\n", 0, conflict) + 2
            raise CassetteError(
                f"{self.path}:{line}: git left conflict markers here: resolve them (keep whole documents of both "
                "sides, each from `---` to `digest:`)"
            )
        self._index(data)

    def _index(self, data: bytes) -> None:
        """Find the documents of what was read; the last one may not be complete yet."""
        starts = list(_starts(data))
        complete = len(data)
        for position, (start, end) in enumerate(zip(starts, [*starts[1:], len(data)], strict=True)):
            if position == len(starts) - 1 and self._header is not None and not _is_complete(data[start:end]):
                complete = start
                break
            self._take(data, start, end)
        self.torn = complete < len(data)
        self._seen += complete

    def _take(self, data: bytes, start: int, end: int) -> None:
        if self._header is None:
            self._header = document.check_header(load(data[start:end]), self.path)
            return
        found = _KEY.match(data, start, end)
        number = len(self._order) + 1
        if found:
            key, function = found[1].decode(), found[2].decode() if found[2] else None
        else:
            parsed = load(data[start:end])
            if parsed is None:
                return
            if not isinstance(parsed, dict) or not isinstance(parsed.get("key"), str):
                raise CassetteError(
                    f"{self.path}: document {number + 1} is no recorded call; restore the file, or record again: "
                    "pytest --llm-record=all"
                )
            key, function = parsed["key"], parsed.get("function")
            self.reformatted = True
        entry = Entry(self.path, data, start, end, number, key, function)
        self._order.append(entry)
        self._entries.setdefault(key, []).append(entry)

    @property
    def header(self) -> dict[str, JSON]:
        return dict(self._header or {})

    @property
    def entries(self) -> Sequence[Entry]:
        return tuple(self._order)

    @property
    def models(self) -> Sequence[str]:
        """The models that were asked, each once."""
        return tuple(dict.fromkeys(model for entry in self._order if (model := entry.model) is not None))

    def find(self, key: str, occurrence: int, *, repeat_last: bool = False) -> Entry | None:
        """The n-th recording with this key, counted from 1."""
        found = self._entries.get(key)
        if not found:
            return None
        if occurrence <= len(found):
            return found[occurrence - 1]
        return found[-1] if repeat_last else None

    # Writing

    @contextmanager
    def locked(self, name: str = "write", *, blocking: bool = True) -> Iterator[bool]:
        """Hold the file's lock against other threads and processes; yields False where it is taken."""
        lock = self.lock(name)
        if not acquire(lock, self.path, blocking=blocking):
            yield False
            return
        try:
            yield True
        finally:
            release(lock)

    def lock(self, name: str) -> Any:
        from filelock import FileLock

        folder = self.path.parent / ".locks"
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            (folder / ".gitignore").write_text("*\n")
        return FileLock(folder / f"{self.path.name}.{name}", timeout=LOCK_TIMEOUT, thread_local=False)

    def append(self, call: Call, recorded_by: str | None) -> Entry:
        """Write a call to the end of the file; it is on the disk when this returns.

        Raises OSError or SecretFound; the file is then as it was.
        """
        text = document.call_document(call)
        with self._lock, self.locked():
            self.refresh()
            if self._header is None:
                text = document.header_document(_answered(call.response, call.request), recorded_by, {}) + text
            _append(self.path, self._size_to_keep(), text)
            self.refresh()
            return self._entries[call.key][-1]

    def append_copy(self, entry: Entry, recorded_by: str | None) -> Entry:
        """Write another cassette's recording to the end of this file, as it stands there."""
        text = entry.raw
        with self._lock, self.locked():
            self.refresh()
            if self._header is None:
                names = _answered(entry.response, entry.request)
                text = document.header_document(names, recorded_by, {}) + text
            _append(self.path, self._size_to_keep(), text)
            self.refresh()
            return self._entries[entry.key][-1]

    def _size_to_keep(self) -> int:
        """Where the complete documents end; a torn one behind them was never answered to anybody."""
        return self._seen

    def arrange(self, wanted: Sequence[tuple[str, int]], *, drop: Callable[[Entry], bool] | None = None) -> int:
        """Put the calls `wanted`, as (key, occurrence), into that order among themselves, and drop others.

        The file is replaced by a finished new one, and only where something changes. Returns the
        number of recordings dropped.
        """
        with self._lock, self.locked():
            self.refresh()
            first = [self.find(*call) for call in wanted]
            ordered = list(dict.fromkeys(entry for entry in first if entry is not None))
            places = sorted(entry.number - 1 for entry in ordered)
            arranged = list(self._order)
            for place, entry in zip(places, ordered, strict=True):
                arranged[place] = entry
            kept = [entry for entry in arranged if drop is None or entry in ordered or not drop(entry)]
            self._replace(kept)
            return len(arranged) - len(kept)

    def _replace(self, entries: Sequence[Entry]) -> None:
        if self._header is None:
            return
        names = dict.fromkeys(document.answered_by(self._header))
        for entry in entries:
            names |= dict.fromkeys(_answered(entry.response, None))
        recorded_by = self._header.get("recorded_by")
        header_changes = tuple(names) != document.answered_by(self._header)
        if not header_changes and list(entries) == self._order:
            return
        header = document.header_document(tuple(names), recorded_by, self._header)
        replace_file(self.path, [header, *(entry.raw for entry in entries)])
        self._reset()
        self.refresh()

    def adopt(self, other: CassetteFile, recorded_by: str | None) -> None:
        """Replace the recordings of every key that `other` has by those of `other`."""
        with self._lock, self.locked():
            self.refresh()
            other.refresh()
            kept = [entry for entry in self._order if entry.key not in other._entries]
            names = dict.fromkeys(document.answered_by(self.header) if kept else ())
            names |= dict.fromkeys(document.answered_by(other.header))
            header = document.header_document(tuple(names), recorded_by, self.header)
            replace_file(self.path, [header, *(entry.raw for entry in [*kept, *other._order])])
            self._reset()
            self.refresh()


def _starts(data: bytes) -> Iterator[int]:
    """Where documents begin: at a line `---`, which nothing inside a document can be."""
    if data.startswith(b"---") or data.strip():
        yield 0
    at = data.find(_BOUNDARY)
    while at >= 0:
        yield at + 1
        at = data.find(_BOUNDARY, at + 1)


def _is_complete(text: bytes) -> bool:
    if _END.search(text[-90:]):
        return True
    # Another tool may have put the digest elsewhere.
    try:
        parsed = load(text)
    except CassetteError:
        return False
    return isinstance(parsed, dict) and "digest" in parsed and text.endswith(b"\n")


def _answered(response: Response, request: Request | None) -> tuple[str, ...]:
    """What the provider says has answered, else the model that was asked."""
    name = response.model or (request.model if request else None)
    return (name,) if name else ()


def acquire(lock: Any, path: Path, *, blocking: bool) -> bool:
    from filelock import Timeout

    try:
        lock.acquire(blocking=blocking, poll_interval=0.005)
    except Timeout:
        if not blocking:
            return False
        raise CassetteError(
            f"{path} has been locked by another process for {LOCK_TIMEOUT:.0f} s; end that process (a recording that "
            "hangs?), then try again"
        ) from None
    return True


def release(lock: Any, *, remove: bool = False) -> None:
    """Give a lock back. A lock file is removed while it is held; who waits for it notices."""
    if remove:
        with suppress(OSError):
            os.unlink(lock.lock_file)
    lock.release()


def _append(path: Path, size: int, text: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
    try:
        if os.fstat(handle).st_size > size:
            os.ftruncate(handle, size)
        try:
            os.lseek(handle, size, os.SEEK_SET)
            _write(handle, text)
            os.fsync(handle)
        except BaseException:
            # What was there stays; half a document does not.
            with suppress(OSError):
                os.ftruncate(handle, size)
            raise
    finally:
        os.close(handle)
    if size == 0:
        _sync_folder(path.parent)


def _write(handle: int, text: bytes) -> None:
    view = memoryview(text)
    while view:
        view = view[os.write(handle, view) :]


def replace_file(path: Path, pieces: Iterable[bytes]) -> None:
    """Put a finished new file in the place of an old one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o666)
        try:
            for piece in pieces:
                _write(handle, piece)
            os.fsync(handle)
        finally:
            os.close(handle)
        if path.exists():
            with suppress(OSError):
                os.chmod(temporary, path.stat().st_mode & 0o777)
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make a new name durable, where the system lets folders be synced."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


_open: WeakValueDictionary[str, CassetteFile] = WeakValueDictionary()
_open_lock = threading.Lock()


def open_file(path: str | os.PathLike[str]) -> CassetteFile:
    """The one object for a path in this process, with what is in the file now."""
    name = os.path.realpath(path)
    with _open_lock:
        file = _open.get(name)
        if file is None:
            file = _open[name] = CassetteFile(Path(name))
    file.refresh()
    return file
