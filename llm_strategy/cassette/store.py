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
from typing import Any, BinaryIO
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

_BOUNDARY = b"\n---"
_KEY = re.compile(rb'---\nkey: "([0-9a-f]{64})"\n(?:function: "((?:[^"\\\n]|\\.)*)"\n)?')
_END = re.compile(rb'\ndigest: "([0-9a-f]{64})"\n\Z')
_MODEL = re.compile(rb'\nrequest:\n  model: "((?:[^"\\\n]|\\.)*)"\n')
_HEADER = f'---\nformat: "{document.FORMAT}"\n'.encode()
_CONFLICTS = (b"\n<<<<<<< ", b"\n>>>>>>> ")
_TAIL = 100
"""Bytes that are compared to tell whether a file has only grown: a digest stands in them."""


class _Chunk:
    """What was read of a file at once, with `\n` for line ends; `end` is where its last whole document ends."""

    __slots__ = ("before", "data", "end")

    def __init__(self, data: bytes, before: _Chunk | None) -> None:
        self.data = data
        self.end = len(data)
        self.before = before

    def line(self, at: int) -> int:
        """The line in the file, counted only where a message needs it."""
        line = 1 + self.data.count(b"\n", 0, at)
        before = self.before
        while before is not None:
            line += before.data.count(b"\n", 0, before.end)
            before = before.before
        return line


class Entry:
    """One recorded call: where it stands, and its response once that was needed."""

    __slots__ = ("_chunk", "_response", "_source", "end", "function", "key", "number", "occurrence", "path", "start")

    def __init__(self, path: Path, chunk: _Chunk, span: tuple[int, int], number: int, identity: tuple[str, str | None]):
        self.path, self._chunk, self.number = path, chunk, number
        self._source = chunk.data
        self.start, self.end = span
        self.key, self.function = identity
        self.occurrence = 1
        self._response: Response | None = None

    @property
    def raw(self) -> bytes:
        return self._source[self.start : self.end]

    @property
    def place(self) -> str:
        """File and line, for messages."""
        return f"{self.path}:{self._chunk.line(self.start)}"

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
        parsed = self._load(text, start + 1)
        response = parsed.get("response") if isinstance(parsed, dict) else None
        return document.check_response(self.key, response, sealed, self)

    @property
    def parsed(self) -> dict[str, JSON]:
        """The whole document."""
        whole = self._load(self.raw, self.start)
        if not isinstance(whole, dict):
            raise CassetteError(f"{self.place}: this document is no recorded call")
        return whole

    def _load(self, text: bytes, start: int) -> JSON:
        """The value of lines that begin at `start`; the lines before them are counted only for an error."""
        try:
            return load(text)
        except CassetteError:
            return load(text, source=str(self.path), first_line=self._chunk.line(start))

    def _request_json(self) -> dict[str, JSON]:
        request = self.parsed.get("request")
        return request if isinstance(request, dict) else {}

    @property
    def request(self) -> Request:
        return document.stored_request(self._request_json(), self.place)

    def call(self, occurrence: int, *, request: Request | None = None, function: str | None = None) -> Call:
        return Call(self.key, occurrence, function or self.function, request or self.request, self.response, True)


class _Contents:
    """What was read of one version of a file; grows while the file only grows.

    `seen` is where its whole documents end. `spoken_for` are the first entries, whose models the header names.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.version: tuple[int, int, int] | None = None
        self.entries: dict[str, list[Entry]] = {}
        self.order: list[Entry] = []
        self.header: dict[str, JSON] | None = None
        self.seen = 0
        self.spoken_for = 0
        self.torn = False
        self._chunk: _Chunk | None = None
        self._tail = b""

    def read(self) -> _Contents:
        """What the file holds now: these contents and what has come behind them, or others if it was rewritten."""
        try:
            file = self.path.open("rb")
        except IsADirectoryError:
            raise CassetteError(f"{self.path} is a folder, not a cassette; move it away") from None
        with file:
            status = os.fstat(file.fileno())
            # Another thread may be looking into the old contents: they are replaced whole.
            contents = self if self._goes_on(file, status) else _Contents(self.path)
            file.seek(contents.seen)
            data = file.read()
        is_first = contents.version is None
        contents.version = _version(status)
        contents._read(data)
        if is_first:
            contents.spoken_for = len(contents.order)
        return contents

    def _goes_on(self, file: BinaryIO, status: os.stat_result) -> bool:
        """Whether the file has only grown since; an editor may write a changed one into the same place."""
        if self.version is None:
            return True
        if status.st_ino != self.version[0] or status.st_size <= self.seen:
            return False
        file.seek(self.seen - len(self._tail))
        return file.read(len(self._tail)) == self._tail

    def _read(self, data: bytes) -> None:
        # A checkout on Windows has other line ends. Carriage returns of a recorded text are written as escapes.
        chunk = _Chunk(data.replace(b"\r\n", b"\n"), self._chunk)
        conflicts = [at + 1 for marker in _CONFLICTS if (at := chunk.data.find(marker)) >= 0]
        if chunk.data.startswith(_CONFLICTS[0][1:]):
            conflicts = [0]
        if conflicts:
            raise CassetteError(
                f"{self.path}:{chunk.line(min(conflicts))}: git left conflict markers here: resolve them (keep whole "
                "documents of both sides, each from `---` to `digest:`)"
            )
        self._index(chunk)
        self.torn = chunk.end < len(chunk.data)
        end = chunk.end if len(chunk.data) == len(data) else _end_of_line(data, chunk.data.count(b"\n", 0, chunk.end))
        self.seen += end
        self._tail = (self._tail + data[max(0, end - _TAIL) : end])[-_TAIL:]
        if end:
            self._chunk = chunk

    def _index(self, chunk: _Chunk) -> None:
        """Find the documents of what was read; the last one may not be complete yet."""
        data = chunk.data
        starts = list(_starts(data))
        for position, (start, end) in enumerate(zip(starts, [*starts[1:], len(data)], strict=False)):
            if position == len(starts) - 1:
                text = data[start:end]
                if _is_torn_header(text) if self.header is None else not _is_complete(text):
                    chunk.end = start
                    break
            self._take(chunk, start, end)

    def _take(self, chunk: _Chunk, start: int, end: int) -> None:
        data = chunk.data
        if self.header is None:
            self.header = document.check_header(load(data[start:end], source=str(self.path)), self.path)
            return
        found = _KEY.match(data, start, end)
        number = len(self.order) + 1
        if found:
            key, function = found[1].decode(), _unquoted(found[2])
        else:
            # Another tool has written this: slower, and read all the same.
            line = chunk.line(start)
            parsed = load(data[start:end], source=str(self.path), first_line=line)
            if parsed is None:
                return
            if not isinstance(parsed, dict) or not isinstance(parsed.get("key"), str):
                raise CassetteError(
                    f"{self.path}:{line}: this document is no recorded call; restore the file, or record again: "
                    "pytest --llm-record=all"
                )
            key, function = parsed["key"], parsed.get("function")
        entry = Entry(self.path, chunk, (start, end), number, (key, function))
        self.order.append(entry)
        equal = self.entries.setdefault(key, [])
        equal.append(entry)
        entry.occurrence = len(equal)


def _unquoted(name: bytes | None) -> str | None:
    """The text of a quoted scalar; nearly always it has no escapes."""
    if name is None or b"\\" not in name:
        return None if name is None else name.decode()
    text: str = load(b'name: "' + name + b'"')["name"]
    return text


class CassetteFile:
    """The recordings in one file. Threads of a process share one object per path: use `open_file`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._contents = _Contents(path)

    # Reading

    def refresh(self) -> None:
        """Take in what has been written since. Raises CassetteError for what is no cassette."""
        with self._lock:
            contents = self._contents
            try:
                status = self.path.stat()
            except FileNotFoundError:
                if contents.version is not None:
                    self._contents = _Contents(self.path)
                return
            if status.st_size > LARGEST:
                raise CassetteError(f"{self.path} is larger than {LARGEST >> 20} MiB; split it: a cassette per test")
            if _version(status) != contents.version:
                self._contents = contents.read()

    def _reload(self) -> None:
        """Read again what was just replaced; a file system may give the new file the old one's number."""
        self._contents = _Contents(self.path).read()

    @property
    def header(self) -> dict[str, JSON]:
        return dict(self._contents.header or {})

    @property
    def torn(self) -> bool:
        """Whether the file ends in a document that was never finished."""
        return self._contents.torn

    @property
    def entries(self) -> Sequence[Entry]:
        return tuple(self._contents.order)

    @property
    def models(self) -> Sequence[str]:
        """The models that were asked, each once."""
        return tuple(dict.fromkeys(model for entry in self.entries if (model := entry.model) is not None))

    def find(self, key: str, occurrence: int, *, repeat_last: bool = False) -> Entry | None:
        """The n-th recording with this key, counted from 1."""
        found = self._contents.entries.get(key)
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
        try:
            if not folder.is_dir():
                folder.mkdir(parents=True, exist_ok=True)
                (folder / ".gitignore").write_text("*\n")
        except OSError as error:
            _name_file(error, self.path)
            raise
        return FileLock(folder / f"{self.path.name}.{name}", timeout=LOCK_TIMEOUT, thread_local=False)

    def append(self, call: Call, recorded_by: str | None) -> Entry:
        """Write a call to the end of the file; it is on the disk when this returns.

        Raises OSError or SecretFound; the file is then as it was.
        """
        text = document.call_document(call)
        with self._lock, self.locked():
            return self._append(call.key, text, _answered(call.response, call.request), recorded_by)

    def append_copy(self, entry: Entry, recorded_by: str | None) -> Entry:
        """Write another cassette's recording to the end of this file, as it stands there."""
        with self._lock, self.locked():
            return self._append(entry.key, entry.raw, _answered(entry.response, entry.request), recorded_by)

    def _append(self, key: str, text: bytes, answered: tuple[str, ...], recorded_by: str | None) -> Entry:
        self.refresh()
        if self._contents.header is None:
            text = document.header_document(answered, recorded_by, {}) + text
        # A torn document behind the complete ones was never answered to anybody: it is written over.
        _append(self.path, self._contents.seen, text)
        self.refresh()
        return self._contents.entries[key][-1]

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
            arranged = list(self.entries)
            for place, entry in zip(places, ordered, strict=True):
                arranged[place] = entry
            kept = [entry for entry in arranged if drop is None or entry in ordered or not drop(entry)]
            self._replace(kept)
            return len(arranged) - len(kept)

    def _replace(self, entries: Sequence[Entry]) -> None:
        if self._contents.header is None:
            return
        before = document.answered_by(self._contents.header)
        names = dict.fromkeys(before)
        for entry in entries:
            if entry.number > self._contents.spoken_for:
                names |= dict.fromkeys(_answered(entry.response, None))
        if tuple(names) == before and tuple(entries) == self.entries:
            return
        header = document.header_document(tuple(names), self.header.get("recorded_by"), self.header)
        replace_file(self.path, [header, *(entry.raw for entry in entries)])
        self._reload()

    def adopt(self, other: CassetteFile, recorded_by: str | None) -> None:
        """Replace the recordings of every key that `other` has by those of `other`."""
        with self._lock, self.locked():
            self.refresh()
            other.refresh()
            kept = [entry for entry in self.entries if other.find(entry.key, 1) is None]
            names = dict.fromkeys(document.answered_by(self.header) if kept else ())
            names |= dict.fromkeys(document.answered_by(other.header))
            header = document.header_document(tuple(names), recorded_by, self.header)
            replace_file(self.path, [header, *(entry.raw for entry in [*kept, *other.entries])])
            self._reload()


def _starts(data: bytes) -> Iterator[int]:
    """Where documents begin: at a line with `---`, which nothing inside a document can begin with."""
    if data.startswith(b"---") or data.strip():
        yield 0
    at = data.find(_BOUNDARY)
    while at >= 0:
        # Another tool may have put the first value beside it.
        if data[at + 4 : at + 5] in (b"\n", b" "):
            yield at + 1
        at = data.find(_BOUNDARY, at + 1)


def _end_of_line(data: bytes, number: int) -> int:
    """Where the n-th line ends."""
    at = 0
    for _ in range(number):
        at = data.index(b"\n", at) + 1
    return at


def _is_torn_header(text: bytes) -> bool:
    """Whether this is the beginning of a header of ours, which a crash has cut off: no call is lost with it."""
    if _HEADER.startswith(text):
        return True
    if not text.startswith(_HEADER):
        return False
    try:
        load(text)
    except CassetteError:
        return True
    return not text.endswith(b"\n")


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


def _version(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_ino, status.st_size, status.st_mtime_ns


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
    except OSError as error:
        _name_file(error, path)
        raise
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
        except BaseException as error:
            # What was there stays; half a document does not.
            with suppress(OSError):
                os.ftruncate(handle, size)
            _name_file(error, path)
            raise
    finally:
        os.close(handle)
    if size == 0:
        _sync_folder(path.parent)


def _name_file(error: BaseException, path: Path) -> None:
    """A full disk does not say which file it has no room for; and nobody knows a lock's or a temporary file's name."""
    if isinstance(error, OSError):
        error.filename = str(path)


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
    except BaseException as error:
        with suppress(OSError):
            os.unlink(temporary)
        _name_file(error, path)
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
