"""Import recordings of vcrpy, pytest-recording, promptecho and others, and LangChain's cache, into cassettes.

Every recorded interaction gets one outcome: imported, not_a_model_call, unsupported (good as it is, but nothing that a
cassette can hold) or malformed. Exit codes: 0 where everything that is a call to a model was imported, 1 where
something was unsupported or malformed, 3 where there is no such file or folder, 5 where a cassette cannot be written.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from llm_strategy.cli.outcome import CORRUPT, GOOD, MISSING, complain
from llm_strategy.cli.places import counted, printable
from llm_strategy.importer.outcomes import OUTCOMES, Problem, Report
from llm_strategy.importer.run import Import

LEFT_OUT = 1


def add(command: argparse.ArgumentParser) -> None:
    command.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="files, or folders to look through")
    command.add_argument(
        "--to",
        type=Path,
        default=Path("cassettes"),
        metavar="DIR",
        help="the folder of the cassettes (default: cassettes)",
    )
    command.add_argument(
        "--replace", action="store_true", help="put a cassette in the place of the file that it was imported from"
    )
    command.add_argument("--json", action="store_true", help="the outcomes as one JSON object")


def run(arguments: argparse.Namespace) -> int:
    importing = Import(arguments.to, replace=arguments.replace)
    report = importing.report
    code = GOOD
    for path in arguments.paths:
        if not os.path.exists(path):
            code = MISSING
        try:
            importing.take(path)
        except OSError as error:
            complain(arguments.to, error)
            code = CORRUPT
    print(_as_json(report)) if arguments.json else _show(report)
    left_out = report.outcomes["unsupported"] + report.outcomes["malformed"]
    return max(code, LEFT_OUT if left_out else GOOD)


def _as_json(report: Report) -> str:
    problems = [
        {"file": str(found.file), "index": found.index, "outcome": found.outcome, "reason": found.reason}
        for found in report.problems
    ]
    return json.dumps({"outcomes": {name: report.outcomes[name] for name in OUTCOMES}, "problems": problems})


def _show(report: Report) -> None:
    for path, calls in report.written.items():
        print(f"{path}: {counted(calls, 'call')}")
    for line in _problems(report):
        print(printable(line), file=sys.stderr)
    print(", ".join(f"{name.replace('_', ' ')} {report.outcomes[name]:,}" for name in OUTCOMES))


def _problems(report: Report) -> Iterator[str]:
    for problem in report.problems:
        if problem.outcome != "not_a_model_call":
            yield f"{_place(problem)}: {problem.outcome}: {problem.reason}"
    if report.own:
        yield f"{counted(len(report.own), 'file')} passed over: cassettes of llm-strategy already"


def _place(problem: Problem) -> str:
    return str(problem.file) if problem.index is None else f"{problem.file} (interaction {problem.index})"
