"""Merge two versions of a cassette: git's merge driver for cassettes, which keeps the calls of both branches.

The result goes into the file `ours`. Exit codes: 1 where both have changed a call, which then stands there twice,
between conflict markers; 5 where a version cannot be read.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from llm_strategy.cli.outcome import CORRUPT, GOOD
from llm_strategy.errors import CassetteError
from llm_strategy.merge import merge

CONFLICT = 1


def add(command: argparse.ArgumentParser) -> None:
    command.add_argument("base", type=Path, help="the version that both come from (%%O in git)")
    command.add_argument("ours", type=Path, help="our version, which is replaced by the result (%%A)")
    command.add_argument("theirs", type=Path, help="the other version (%%B)")
    command.add_argument("name", nargs="?", help="what messages call the file (%%P)")


def run(arguments: argparse.Namespace) -> int:
    name = arguments.name or str(arguments.ours)
    try:
        conflicts = merge(arguments.base, arguments.ours, arguments.theirs)
    except CassetteError as error:
        side = "theirs" if str(arguments.theirs) in str(error) else "ours"
        print(f"{name}: not merged, the version of {side} cannot be read: {error}", file=sys.stderr)
        print(f"{name} holds both versions between conflict markers: keep the good one", file=sys.stderr)
        return CORRUPT
    for conflict in conflicts:
        print(f"{name}: both branches have changed the recording of {conflict}", file=sys.stderr)
    if conflicts:
        then = f"take the lines <<<<<<<, ======= and >>>>>>> out, then: llm-strategy verify {name}"
        print(f"{name}: keep one of each, {then}", file=sys.stderr)
    return CONFLICT if conflicts else GOOD
