"""The file of a cassette: found by key without parsing it, appended to, rewritten only as a whole.

A writer holds the file's lock. A reader needs none: a document counts only once its last line, the
digest, is there, so that what another process is writing is not seen before it is complete.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from llm_strategy.cassette import document
from llm_strategy.cassette.blob_files import write_blobs
from llm_strategy.cassette.contents import Contents, file_version
from llm_strategy.cassette.disk import LOCK_TIMEOUT, acquire, append_bytes, naming, release, replace_file
from llm_strategy.cassette.entry import Entry
from llm_strategy.cassette.obstacle import check_file, unreadable
from llm_strategy.cassette.versions import rendered_by, rendering
from llm_strategy.log import Call
from llm_strategy.values import JSON, Request, Response

HTTP_KIND = b'\nkind: "http"\n'
"""What stands in the documents of HTTP calls, whose prompts their clients have rendered."""


class CassetteFile:
    """The recordings in one file. Threads of a process share one object per path: use `open_file`.

    `overwritten` says that a document which was never finished has made room for another.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.overwritten = False
        self._lock = threading.RLock()
        self._is_locked = False
        self._contents = Contents(path)

    # Reading

    def refresh(self) -> None:
        """Take in what has been written since. Raises CassetteError for what is no cassette."""
        with self._lock:
            contents = self._contents
            try:
                status = self.path.stat()
            except FileNotFoundError:
                if contents.version is not None:
                    self._contents = Contents(self.path)
                return
            except OSError as error:
                raise unreadable(self.path, error) from None
            check_file(self.path, status)
            if file_version(status) != contents.version:
                try:
                    self._contents = contents.read()
                except FileNotFoundError:
                    # Another process has removed it since the look above.
                    self._contents = Contents(self.path)
                except BaseException:
                    # Half read, it would look empty to who asks again, and be written over.
                    self._contents = Contents(self.path)
                    raise

    def _reload(self) -> None:
        """Read again what was just replaced; a file system may give the new file the old one's number."""
        self._contents = Contents(self.path).read()

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
    def locked(self, timeout: float = LOCK_TIMEOUT) -> Iterator[None]:
        """Hold the file's lock against other threads and processes; who holds it may take it again.

        Raises CassetteError where another process holds it for `timeout` seconds.
        """
        with self._lock:
            if self._is_locked:
                yield
                return
            lock = self.lock("write", timeout)
            acquire(lock, self.path)
            self._is_locked = True
            try:
                yield
            finally:
                self._is_locked = False
                release(lock, self.path)

    def lock(self, name: str, timeout: float = LOCK_TIMEOUT) -> Any:
        """A lock that belongs to the file, for a purpose of its own."""
        from filelock import FileLock

        folder = self.path.parent / ".locks"
        with naming(self.path):
            ignoring = folder / ".gitignore"
            if not ignoring.exists():
                folder.mkdir(parents=True, exist_ok=True)
                ignoring.write_text("*\n", "utf-8")
        return FileLock(folder / f"{self.path.name}.{name}", timeout=timeout, thread_local=False)

    def check_writable(self) -> None:
        """Raise OSError where a file that is there cannot be written: an answer that was paid for would be lost."""
        with suppress(FileNotFoundError), naming(self.path):
            os.close(os.open(self.path, os.O_RDWR))

    def append(self, call: Call, recorded_by: str | None, folder: Path | None = None) -> Entry:
        """Write a call to the end of the file; it is on the disk when this returns.

        Binary content goes below `folder`, that of all cassettes, else below the file's own. Raises OSError or
        SecretFound; the file is then as it was.
        """
        text = document.call_document(call)
        inside = folder is not None and self.path.is_relative_to(folder.resolve())
        write_blobs(call, folder if folder is not None and inside else self.path.parent)
        with self.locked():
            self._append(text, _answered(call.response, call.request), recorded_by)
            return self._contents.entries[call.key][-1]

    def append_all(
        self, calls: Sequence[tuple[Call, bytes]], recorded_by: str | None, folder: Path, *, durable: bool
    ) -> None:
        """Write calls, each with its document, to the end of the file at once; below `folder` lies binary content.

        Where they can be had again without paying for them, nobody needs to wait for the disk (`durable`).
        """
        for call, _ in calls:
            write_blobs(call, folder, durable=durable)
        answered = dict.fromkeys(name for call, _ in calls for name in _answered(call.response, call.request))
        with self.locked():
            self._append(b"".join(text for _, text in calls), tuple(answered), recorded_by, durable=durable)

    def append_copy(self, entry: Entry, recorded_by: str | None) -> Entry:
        """Write another cassette's recording to the end of this file, as it stands there."""
        with self.locked():
            self._append(entry.raw, _answered(entry.response, entry.request), recorded_by)
            return self._contents.entries[entry.key][-1]

    def _append(self, text: bytes, answered: tuple[str, ...], recorded_by: str | None, *, durable: bool = True) -> None:
        self.refresh()
        if self._contents.header is None:
            rendered = () if HTTP_KIND in text else rendering()
            text = document.header_document(answered, recorded_by, {}, rendered) + text
        # A torn document behind the complete ones was never answered to anybody: it is written over.
        self.overwritten = self.overwritten or self.torn
        append_bytes(self.path, self._contents.seen, text, durable=durable)
        self.refresh()

    def arrange(self, wanted: Sequence[tuple[str, int]]) -> None:
        """Put the calls `wanted`, as (key, occurrence), into that order among themselves.

        Further recordings of their keys come behind them: before them they would answer in their place. The file is
        replaced by a finished new one, and only where something changes.
        """
        with self.locked():
            self.refresh()
            first = [self.find(*call) for call in wanted]
            wanted_entries = dict.fromkeys(entry for entry in first if entry is not None)
            ordered = list(wanted_entries)
            keys = {entry.key for entry in ordered}
            ordered += [entry for entry in self.entries if entry.key in keys and entry not in wanted_entries]
            places = sorted(entry.number - 1 for entry in ordered)
            arranged = list(self.entries)
            for place, entry in zip(places, ordered, strict=True):
                arranged[place] = entry
            self._replace(arranged)

    def remove(self, choose: Callable[[Sequence[Entry]], Sequence[Entry]]) -> Sequence[Entry]:
        """Remove what is chosen among the recordings that are there now; a file that then holds none goes as well."""
        with self.locked():
            self.refresh()
            removed = choose(self.entries)
            gone = set(removed)
            kept = [entry for entry in self.entries if entry not in gone]
            if removed and not kept:
                # Under the lock: who records here waits, and begins the file anew.
                with naming(self.path):
                    self.path.unlink(missing_ok=True)
                self._contents = Contents(self.path)
            elif removed:
                self._replace(kept)
            return removed

    def _replace(self, entries: Sequence[Entry]) -> None:
        if self._contents.header is None:
            return
        before = document.answered_by(self._contents.header)
        new = [entry for entry in entries if entry.number > self._contents.spoken_for]
        names = dict.fromkeys(before)
        for entry in new:
            names |= dict.fromkeys(_answered(entry.response, None))
        rendered = rendered_by(self.header)
        if any(HTTP_KIND not in entry.raw for entry in new):
            rendered = tuple(dict.fromkeys([*rendered, *rendering()]))
        if tuple(names) == before and rendered == rendered_by(self.header) and tuple(entries) == self.entries:
            return
        header = document.header_document(tuple(names), self.header.get("recorded_by"), self.header, rendered)
        replace_file(self.path, [header, *(entry.raw for entry in entries)])
        self._reload()

    def adopt(
        self, entries: Sequence[Entry], recorded_by: str | None, *, beyond: Mapping[str, int] | None = None
    ) -> None:
        """Replace the recordings of every key that `entries` have by those; `beyond` says how many of a key at most."""
        with self.locked():
            self.refresh()
            limits = dict.fromkeys((entry.key for entry in entries), len(self.entries)) | dict(beyond or {})
            kept = [entry for entry in self.entries if entry.occurrence > limits.get(entry.key, 0)]
            names = dict.fromkeys(document.answered_by(self.header) if kept else ())
            rendered = dict.fromkeys(rendered_by(self.header) if kept else ())
            for entry in entries:
                names |= dict.fromkeys(_answered(entry.response, entry.request))
            if any(HTTP_KIND not in entry.raw for entry in entries):
                rendered |= dict.fromkeys(rendering())
            header = document.header_document(tuple(names), recorded_by, self.header, tuple(rendered))
            replace_file(self.path, [header, *(entry.raw for entry in [*kept, *entries])])
            self._reload()


def _answered(response: Response, request: Request | None) -> tuple[str, ...]:
    """What the provider says has answered, else the model that was asked."""
    name = response.model or (request.model if request else None)
    return (name,) if name else ()


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
