"""Check keys and digests, and what the last complete test run found stale; with --accept, sign edited replies."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from llm_strategy.cassette.miss import shown_place
from llm_strategy.cassette.verification import accept, examine
from llm_strategy.cli.judgements import Findings, last_findings
from llm_strategy.cli.outcome import CORRUPT, GOOD, MISSING, STALE, complain
from llm_strategy.cli.places import add_paths, files, named, printable
from llm_strategy.errors import CassetteError


def add(command: argparse.ArgumentParser) -> None:
    add_paths(command)
    command.add_argument("--accept", action="store_true", help="sign replies that were edited by hand")


def run(arguments: argparse.Namespace) -> int:
    code = GOOD
    findings = last_findings()
    for path in files(arguments.paths):
        try:
            if arguments.accept:
                signed = accept(path)
                print(f"{path}: {signed} signed anew" if signed else f"{path}: good")
                continue
            found, missing, remarks = examine(path)
            stale = [] if found or findings is None else list(_stale(path, findings))
        except (CassetteError, OSError) as error:
            code = max(code, complain(path, error))
            continue
        for problem in [*found, *missing, *stale]:
            print(problem, file=sys.stderr)
        code = max(code, CORRUPT if found else STALE if stale else MISSING if missing else GOOD)
        if not found and not missing and not stale:
            said = [f"{path}: good, though {remark}" for remark in remarks]
            print("\n".join(said or [f"{path}: good"]))
    return code


def _stale(path: Path, findings: Findings) -> Iterator[str]:
    entries, held = findings.stale(path)
    for entry in entries if not held else ():
        call = f"of {entry.function}" if entry.function else f"with the key {entry.key[:12]}"
        yield printable(
            f"{shown_place(entry)}: stale: no test of the last complete run asks for this call {call}; to remove it: "
            f"llm-strategy prune {named(path)}"
        )
