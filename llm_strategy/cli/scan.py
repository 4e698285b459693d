"""Find secrets in cassettes, snapshots and other files, without printing them; --fix takes them out."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from llm_strategy.cli.outcome import GOOD, USAGE, complain
from llm_strategy.environment import Lent
from llm_strategy.errors import CassetteError
from llm_strategy.known_secrets import Known, known
from llm_strategy.leaks.files import Leak, fix, leaks, listed
from llm_strategy.project_rules import ENVIRONMENT, current, joined, parse

FOUND = 1


def add(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "paths",
        nargs="*",
        type=Path,
        help="files or folders, vcrpy's cassettes too (default: cassettes, __snapshots__)",
    )
    command.add_argument("--fix", action="store_true", help="put placeholders in their place")
    command.add_argument("--json", action="store_true", help="one JSON object per secret")
    command.add_argument(
        "--redact",
        metavar="LINE",
        action="append",
        default=[],
        help=f"a line as of llm_redact: a regular expression of secrets, or behind ! of what is none ({ENVIRONMENT})",
    )


def run(arguments: argparse.Namespace) -> int:
    lines = [*current().splitlines(), *arguments.redact]
    try:
        parse("\n".join(lines))
    except ValueError as error:
        print(f"--redact and {ENVIRONMENT}: {error}", file=sys.stderr)
        return USAGE
    lent = Lent({ENVIRONMENT: joined(lines)})
    try:
        return _scan(arguments)
    finally:
        lent.restore()


def _scan(arguments: argparse.Namespace) -> int:
    code, found, changed, secrets = GOOD, 0, 0, known()
    for path in listed(arguments.paths):
        try:
            here = leaks(path, secrets)
            left = here and arguments.fix and _fix(path, secrets)
        except (CassetteError, OSError) as error:
            code = max(code, complain(path, error))
            continue
        for leak in here:
            print(_line(leak, arguments.json))
        found += len(here)
        changed += bool(here and left == [])
        code = max(code, FOUND if here else GOOD)
    if found and not arguments.json:
        cure = (
            f"{changed} file{'s' * (changed != 1)} scrubbed"
            if arguments.fix
            else "to take them out: llm-strategy scan --fix"
        )
        print(f"{found} secret{'s' * (found > 1)}; {cure}. What was ever published has to be revoked", file=sys.stderr)
    return code


def _fix(path: Path, secrets: Known) -> list[Leak]:
    """Take the secrets out; returns those that are left."""
    for problem in fix(path, secrets):
        print(problem, file=sys.stderr)
    left = leaks(path, secrets)
    for leak in left:
        print(f"{leak.path}:{leak.line}: {leak.kind} could not be replaced; edit the file", file=sys.stderr)
    return left


def _line(leak: Leak, as_json: bool) -> str:
    if as_json:
        return json.dumps({"file": str(leak.path), "line": leak.line, "kind": leak.kind, "hint": leak.hint})
    return f"{leak.path}:{leak.line}: {leak.kind} {leak.hint}"
