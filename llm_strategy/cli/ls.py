"""List cassettes: how many calls each holds, what answered them, who recorded them, what is left over or stale."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from llm_strategy.cassette.miss import shown
from llm_strategy.cassette.naming import NEW_SUFFIX
from llm_strategy.cassette.obstacle import missing
from llm_strategy.cassette.store import open_file
from llm_strategy.cassette.unreferenced import blobs_below
from llm_strategy.cli.judgements import Findings, last_findings
from llm_strategy.cli.outcome import GOOD, USAGE, complain
from llm_strategy.cli.places import counted, files, named, printable
from llm_strategy.cli.recordings import AmbiguousKey, add_folder, is_key, with_key
from llm_strategy.errors import CassetteError
from llm_strategy.review import Review
from llm_strategy.values import JSON


def add(command: argparse.ArgumentParser) -> None:
    what = "files, folders, or the first digits (eight or more) of a call's key (default: cassettes)"
    command.add_argument("paths", nargs="*", type=Path, help=what)
    add_folder(command)
    command.add_argument("--json", action="store_true", help="one JSON object for all")


@dataclass(frozen=True)
class _Row:
    """What is said of one file. `stale` and `ownerless` are null where no complete test run is on record.

    `to_review` counts the calls that a recording run has changed and that nobody has accepted yet.
    """

    file: str
    calls: int
    bytes: int
    answered_by: Sequence[str]
    recorded_by: str | None
    pending: bool
    torn: bool
    stale: int | None
    ownerless: bool | None
    to_review: int

    @property
    def answered(self) -> str:
        return ", ".join(map(printable, self.answered_by)) or ("an unnamed model" if self.calls else "nobody yet")

    @property
    def notes(self) -> str:
        """What is to be done about the file."""
        path = named(Path(self.file))
        return "; ".join(
            note
            for note, is_so in (
                (f"pending: its test did not pass; record again, or {self._choice}", self.pending),
                ("torn: the last call was cut off and does not count", self.torn),
                (f"{self.stale} stale: llm-strategy prune {path}", self.stale),
                (f"{self.to_review} to review: llm-strategy review {path}", self.to_review),
                (f"no test owns it: llm-strategy prune --orphans {path}", self.ownerless),
            )
            if is_so
        )

    @property
    def _choice(self) -> str:
        """What else to do with a pending recording. That of a shared cassette holds some of its calls only."""
        path = Path(self.file)
        if self.recorded_by is None:
            return f"delete it: rm {named(path)}"
        return f"use it: llm-strategy review {named(path)}"


def run(arguments: argparse.Namespace) -> int:
    code = GOOD
    findings = last_findings()
    rows: list[_Row] = []
    waiting = Review(*arguments.paths).waiting()
    for path in _found(arguments.paths):
        try:
            rows += [_row(file, findings, waiting) for file in _files_of(path, arguments.folder)]
        except AmbiguousKey as error:
            print(error, file=sys.stderr)
            code = max(code, USAGE)
        except (CassetteError, OSError) as error:
            code = max(code, complain(path, error))
    folders = [path for path in arguments.paths or [Path("cassettes")] if os.path.isdir(path)]
    blobs = {blob: blob.stat().st_size for folder in folders for blob in blobs_below(folder)}
    totals = {"files": len(rows), "calls": sum(row.calls for row in rows), "bytes": sum(row.bytes for row in rows)}
    if arguments.json:
        held = {"files": len(blobs), "bytes": sum(blobs.values())}
        print(json.dumps({"cassettes": [asdict(row) for row in rows], "total": totals, "blobs": held}))
    elif rows:
        for line in _table(rows) if sys.stdout.isatty() else _lines(rows):
            print(line)
        print(_total(totals, blobs))
    return code


def _found(paths: Sequence[Path]) -> Iterator[Path]:
    """The files of the places; for a folder in which there are none the folder itself, about which to complain."""
    for place in paths or [Path("cassettes")]:
        found = list(files([place]))
        yield from found or [place]


def _files_of(place: Path, folder: Path) -> Iterable[Path]:
    """The file, or those in which a call with that key is recorded."""
    if not is_key(place):
        return [place]
    return dict.fromkeys(Path(shown(entry.path)) for entry in with_key(place, folder))


def _row(path: Path, findings: Findings | None, waiting: Mapping[str, int]) -> _Row:
    if not path.exists() or (path.is_dir() and not path.name.endswith(".yaml")):
        if path.is_dir():
            raise FileNotFoundError(f"there is no cassette below {path}; record one: pytest --llm-record")
        raise missing(path)
    file = open_file(path)
    recorded_by = file.header.get("recorded_by")
    return _Row(
        str(path),
        len(file.entries),
        path.stat().st_size,
        _names(file.header.get("answered_by")),
        recorded_by if isinstance(recorded_by, str) else None,
        path.name.endswith(NEW_SUFFIX),
        file.torn,
        len(findings.stale(path)[0]) if findings else None,
        findings.ownerless(path) is not None if findings else None,
        waiting.get(os.path.realpath(path), 0),
    )


def _names(answered_by: JSON) -> Sequence[str]:
    """What answered, whatever a hand or another tool has made of it."""
    return [str(name) for name in (answered_by if isinstance(answered_by, list) else [answered_by or []]) if name]


def _lines(rows: Sequence[_Row]) -> Iterator[str]:
    """A line for each file, which says what its parts are."""
    for row in rows:
        by = f", recorded by {printable(row.recorded_by)}" if row.recorded_by else ""
        notes = f"; {printable(row.notes)}" if row.notes else ""
        yield f"{printable(row.file)}: {counted(row.calls, 'call')}, answered by {row.answered}{by}{notes}"


def _table(rows: Sequence[_Row]) -> Iterator[str]:
    """Columns, for a terminal."""
    head = ("FILE", "CALLS", "ANSWERED BY", "RECORDED BY", "")
    cells = [
        (
            printable(row.file),
            f"{row.calls:,}",
            row.answered,
            printable(row.recorded_by or "(shared)"),
            printable(row.notes),
        )
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(head, *cells, strict=True)]
    for line in (head, *cells):
        aligned = [
            cell.rjust(width) if name == "CALLS" else cell.ljust(width)
            for name, cell, width in zip(head, line, widths, strict=True)
        ]
        yield "  ".join(aligned).rstrip()


def _total(totals: dict[str, int], blobs: dict[Path, int]) -> str:
    parts = [counted(totals["files"], "file"), counted(totals["calls"], "call"), counted(totals["bytes"], "byte")]
    if blobs:
        parts.append(f"{counted(len(blobs), 'blob')} of {counted(sum(blobs.values()), 'byte')}")
    return ", ".join(parts)
