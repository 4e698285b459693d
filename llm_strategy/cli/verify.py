"""Check keys and digests; with --accept, sign replies that were edited by hand."""

from __future__ import annotations

import argparse
import sys

from llm_strategy.cassette.verification import accept, missing_blobs, problems, remarks
from llm_strategy.cli.outcome import CORRUPT, GOOD, MISSING, complain
from llm_strategy.cli.places import add_paths, files
from llm_strategy.errors import CassetteError


def add(command: argparse.ArgumentParser) -> None:
    add_paths(command)
    command.add_argument("--accept", action="store_true", help="sign replies that were edited by hand")


def run(arguments: argparse.Namespace) -> int:
    code = GOOD
    for path in files(arguments.paths):
        try:
            if arguments.accept:
                signed = accept(path)
                print(f"{path}: {signed} signed anew" if signed else f"{path}: good")
                continue
            found, missing = list(problems(path)), list(missing_blobs(path))
        except (CassetteError, OSError) as error:
            code = max(code, complain(path, error))
            continue
        for problem in [*found, *missing]:
            print(problem, file=sys.stderr)
        code = max(code, CORRUPT if found else MISSING if missing else GOOD)
        if not found and not missing:
            said = [f"{path}: good, though {remark}" for remark in remarks(path)]
            print("\n".join(said or [f"{path}: good"]))
    return code
