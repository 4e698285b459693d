"""An import: files of other tools in, calls in cassettes and a report out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from llm_strategy.cassette import document
from llm_strategy.cassette.disk import naming
from llm_strategy.cassette.entry import DOCUMENT_END
from llm_strategy.cassette.store import CassetteFile, open_file
from llm_strategy.errors import CassetteError, SecretFound
from llm_strategy.importer.calls import Found, calls
from llm_strategy.importer.destinations import Destination, destination
from llm_strategy.importer.documents import load_json, load_yaml
from llm_strategy.importer.files import SQLITE, is_own, listed, read
from llm_strategy.importer.interactions import interactions
from llm_strategy.importer.langchain_cache import cached_calls
from llm_strategy.importer.outcomes import NotImported, Report, unsupported
from llm_strategy.log import Call


class Import:
    """Takes recordings over into cassettes below a folder.

    A file that lies where its cassette belongs stays as it is, unless `replace` allows it to make room.
    """

    def __init__(self, folder: Path, *, replace: bool = False) -> None:
        self.folder = folder
        self.report = Report()
        self._replace = replace

    def take(self, path: Path) -> None:
        """Import a file, or what lies in a folder. Raises OSError where a cassette cannot be written."""
        for file in listed(path):
            self._file(file, path)

    def _file(self, file: Path, given: Path) -> None:
        try:
            data = read(file)
            if is_own(data):
                self.report.own.append(file)
                return
            found = cached_calls(file) if data.startswith(SQLITE) else calls(interactions(_parsed(data)))
        except NotImported as problem:
            self.report.add(file, None, problem)
            return
        del data
        wanted = [entry for entry in found if entry.problem is None]
        if wanted:
            self._keep(wanted, file, destination(file, given), whole=not any(map(_is_lost, found)))
        for index, entry in enumerate(found):
            self.report.add(file, index, entry.problem)

    def _keep(self, found: Sequence[Found], file: Path, to: Destination, *, whole: bool) -> None:
        """Put calls into their cassette; what cannot be put there gets a problem."""
        path = self.folder / to.path
        try:
            with self._room(path, file, whole=whole):
                cassette = open_file(path)
                new = list(_new(cassette, found))
                if new:
                    cassette.append_all(new, to.owner, self.folder, durable=self._replace)
                    self.report.written[path] += len(new)
        except (CassetteError, NotImported) as error:
            for entry in found:
                entry.problem = error if isinstance(error, NotImported) else unsupported(str(error))

    @contextmanager
    def _room(self, path: Path, file: Path, *, whole: bool) -> Iterator[None]:
        """Set the imported file aside where its cassette is to lie; when that is written, it goes."""
        if not path.exists() or not path.samefile(file):
            yield
            return
        if not self._replace:
            raise unsupported("its cassette belongs where this file lies; --replace puts it there")
        if not whole:
            raise unsupported("its cassette belongs where this file lies, of which not everything can be imported")
        aside = file.with_name(f".{file.name}.imported")
        with naming(file):
            file.rename(aside)
        try:
            yield
        except BaseException:
            aside.replace(file)
            raise
        aside.unlink()


def _is_lost(entry: Found) -> bool:
    return entry.problem is not None and entry.problem.outcome != "not_a_model_call"


def _parsed(data: bytes) -> object:
    text = data.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text[:1] not in (b"{", b"["):
        return load_yaml(data)
    try:
        return load_json(data)
    except NotImported as problem:
        try:
            # YAML may begin like this, too.
            return load_yaml(data)
        except NotImported:
            raise problem from None


def _new(cassette: CassetteFile, found: Iterable[Found]) -> Iterator[tuple[Call, bytes]]:
    """The calls, with their documents, that a cassette lacks; what is there already counts as imported."""
    asked: Counter[str] = Counter()
    for entry in found:
        if entry.request is None or entry.response is None:
            continue
        key = entry.request.key
        call = Call(key, asked[key] + 1, None, entry.request, entry.response)
        try:
            text = document.call_document(call)
        except (SecretFound, CassetteError, ValueError) as error:
            entry.problem = unsupported(str(error))
            continue
        asked[key] += 1
        there = cassette.find(key, call.occurrence)
        sealed = DOCUMENT_END.search(text)
        if there is None:
            yield call, text
        elif sealed is None or there.sealed != sealed[1].decode():
            entry.problem = unsupported(f"{cassette.path} has another answer to this request, which was left as it is")
