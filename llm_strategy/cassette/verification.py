"""Whether a cassette says what was recorded, and how an edited one is signed anew."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from llm_strategy.canonical import digest
from llm_strategy.cassette import document
from llm_strategy.cassette.blob_files import blob_problems
from llm_strategy.cassette.disk import replace_file
from llm_strategy.cassette.emitter import emit
from llm_strategy.cassette.entry import Entry
from llm_strategy.cassette.miss import shown, shown_place
from llm_strategy.cassette.obstacle import missing
from llm_strategy.cassette.reader import is_own_format
from llm_strategy.cassette.store import CassetteFile
from llm_strategy.errors import CassetteError
from llm_strategy.values import JSON

_FIELDS = ("key", "function", "kind", "request", "response", "repairs", "request_digest", "digest")
_AGAIN = "pytest --llm-record=all"


def _read(path: Path) -> CassetteFile:
    if not path.exists():
        raise missing(path)
    file = CassetteFile(path)
    file.refresh()
    return file


class Verdict(NamedTuple):
    """What there is to say of a cassette, a line each.

    `problems` are wrong, `missing` are files that it refers to and that are not there (what is damaged refers to none),
    `remarks` are worth knowing about a good one, each as the end of a sentence.
    """

    problems: list[str]
    missing: list[str]
    remarks: list[str]


def examine(path: Path) -> Verdict:
    """Look at every document of a cassette. Raises CassetteError for what is none."""
    file = _read(path)
    verdict = Verdict([], [], list(_file_remarks(file)))
    if file.torn:
        verdict.problems.append(f"{path}: the last document is torn; the next recording drops it")
    first: dict[bytes, Entry] = {}
    for entry in file.entries:
        try:
            _examine(entry, file.path, first.setdefault(entry.raw, entry), verdict)
        except CassetteError as error:
            verdict.problems.append(str(error))
    return verdict


def problems(path: Path) -> Sequence[str]:
    """What is wrong with a cassette's documents, a line each. Raises CassetteError for what is none."""
    return examine(path).problems


def _examine(entry: Entry, cassette: Path, equal: Entry, verdict: Verdict) -> None:
    """Look at one document; `equal` is the first that says the same."""
    parsed = entry.parsed
    document.check_response(entry.key, parsed.get("response"), parsed.get("digest"), entry)
    document.check_request(parsed.get("request"), parsed.get("request_digest"), entry)
    verdict.problems.extend(f"{entry.place}: {problem}" for problem in _form_problems(parsed))
    for name, problem in blob_problems(parsed, cassette):
        cure = f"restore it, or record again: {_AGAIN}"
        if problem is None:
            verdict.missing.append(f"{entry.place}: the blob {name} is missing; {cure}")
        else:
            verdict.problems.append(f"{entry.place}: the blob {shown(name)} {problem}; {cure}")
    verdict.remarks.extend(_remarks(entry, parsed, equal))


def _form_problems(parsed: dict[str, JSON]) -> Iterator[str]:
    """What no digest covers, or agrees with, and no writer writes."""
    if (parsed.get("kind") == "http") != ("url" in parsed["request"]):
        yield 'its kind is not that of its request: `kind: "http"` stands in calls over HTTP and in no other'
    if not isinstance(parsed.get("function"), str | None):
        yield "its function is no text"
    if "" in parsed["response"].get("pieces", ()):
        yield "one of its pieces is empty: take it out, then accept the change with `llm-strategy verify --accept`"


def _file_remarks(file: CassetteFile) -> Iterator[str]:
    data = file.path.read_bytes()
    if not file.entries:
        yield "it holds no call: record some with `pytest --llm-record`, or remove it"
    elif b"\r\n" in data:
        yield "its line ends are those of Windows; this line in .gitattributes keeps them: cassettes/** text eol=lf"
    elif data.startswith(b"\xef\xbb\xbf"):
        yield "it begins with a byte order mark, which an editor has put there: save it as UTF-8 without BOM"
    elif not is_own_format(data):
        yield "another tool has changed its format"


def _remarks(entry: Entry, parsed: dict[str, JSON], equal: Entry) -> Iterator[str]:
    if equal is not entry:
        yield (
            f"{shown_place(entry)} repeats {shown_place(equal)}: right where the same is asked twice; otherwise "
            "`pytest --llm-record` removes it (from a cassette that tests share: `llm-strategy prune`)"
        )
    if unknown := [name for name in parsed if name not in _FIELDS]:
        yield f"{shown_place(entry)} has fields that this version does not know: {', '.join(map(repr, unknown))}"


def accept(path: Path) -> int:
    """Sign every document as it now stands; returns how many needed it. Keys stay what they were."""
    file = _read(path)
    with file.locked():
        signed = [_signed(entry) for entry in file.entries]
        changed = sum(text is not None for text in signed)
        if changed:
            header = emit(file.header).encode("utf-8")
            pieces = [entry.raw if text is None else text for entry, text in zip(file.entries, signed, strict=True)]
            replace_file(path, [header, *pieces])
    return changed


def _signed(entry: Entry) -> bytes | None:
    """The document with the right digest of its reply, or None where it has it.

    Raises CassetteError for an edited request, which would show a prompt that nobody has sent, and for a reply
    that could not be replayed.
    """
    parsed = dict(entry.parsed)
    if digest(parsed.get("request")) != parsed.get("request_digest"):
        raise CassetteError(
            f"{entry.place}: the recorded request was edited; only replies can be accepted, since the key stands for "
            "the request that was sent. Restore it, or record again: pytest --llm-record=all"
        )
    right = document.response_digest(entry.key, parsed.get("response"))
    if parsed.pop("digest", None) == right:
        return None
    document.check_response(entry.key, parsed.get("response"), right, entry.place)
    return emit({**parsed, "digest": right}).encode("utf-8")
